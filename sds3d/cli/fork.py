"""sds3d fork: go on from where a run stands, with changes, in a folder of its own."""

from __future__ import annotations

import typer

EPILOG = (
    "Examples: sds3d fork RUN optimize.steps=800 (more steps) · sds3d fork RUN guidance.cfg_scale=6 seed=3. "
    "The first run is left as it is. Exit status: as `sds3d run`."
)


def command(
    run: str = typer.Argument(..., metavar="RUN", help="Run folder, or a name under runs/."),
    changes: list[str] = typer.Argument(None, metavar="[KEY=VALUE]...", help="What is different."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    as_json: bool = typer.Option(False, "--json", help="Print the outcome as JSON."),
) -> int:
    """Continue a run from its last checkpoint with other options, or with more steps."""
    from ..jobs.fork import fork
    from .find import find_run
    from .work import carry_out

    return carry_out([fork(find_run(run), changes or [])], quiet, as_json)
