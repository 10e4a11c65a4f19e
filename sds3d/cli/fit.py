"""sds3d fit: Gaussians from photographs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

EPILOG = (
    "Example: sds3d fit garden/. A capture is a folder with a transforms.json (nerfstudio, instant-ngp) or a COLMAP "
    "model (sparse/0) and its pictures; none of it is ever written. Further options as for `sds3d run`, such as "
    "capture.size=256 optimize.steps=3000. Exit status: 0 done, 1 the fit failed, 2 wrong usage, 130 stopped."
)


def command(
    capture: str = typer.Argument(
        ..., metavar="CAPTURE", help="Folder of the photographs, or their cameras."
    ),
    words: list[str] = typer.Argument(None, metavar="[KEY=VALUE]...", help="Options of the run."),
    size: int | None = typer.Option(None, "--size", help="Longest side of the pictures in pixels (128)."),
    steps: int | None = typer.Option(None, "--steps", help="Steps of the fit (1000)."),
    up: str = typer.Option("", "--up", help="Up axis of the capture: +y, -y, +z, -z, +x, -x."),
    front: float | None = typer.Option(
        None, "--front", help="Azimuth in degrees from which the front is seen."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    as_json: bool = typer.Option(False, "--json", help="Print the outcome as JSON; no progress."),
) -> int:
    """Fit Gaussians to photographs with known cameras; every 8th picture is kept back to judge by."""
    from ..jobs import configs
    from ..jobs.batch import create_folder
    from .work import carry_out

    asked = {
        "capture.source": capture,
        "capture.size": size,
        "capture.up": up,
        "capture.front_deg": front,
        "optimize.steps": steps,
    }
    values = {key: value for key, value in asked.items() if value not in (None, "")}
    folder = create_folder(configs.from_words([*(words or [])], values))
    return carry_out([folder], quiet, as_json)


def fit_first(source: str, words: Sequence[str], quiet: bool) -> tuple[str, list[str]]:
    """The run to edit in the place of a capture: its newest fit, or one that is made now; other sources as they are.

    Args:
        words: overrides; those that begin with `capture.` are about the fit, and only a fit that was made with the same
            will do then.

    Returns:
        The source, and the words that are left for the edit.

    Raises:
        StopRequested: Ctrl-C; the fit goes on when the command is given again. Sds3dError: it failed.
    """
    from sds3d.apps.report import write_report

    from ..jobs.batch import create_folder, run_batch
    from ..jobs.interrupt import stop_on_signals
    from ..jobs.photographed import is_capture
    from . import progress

    if not is_capture(source):
        return source, list(words)
    from ..jobs import configs
    from ..jobs.fits import latest

    about = [word for word in words if word.startswith("capture.")]
    rest = [word for word in words if word not in about]
    where = [word for word in rest if word.startswith(("runs=", "device=", "threads="))]
    config = configs.from_words([*about, *where], {"capture.source": source})
    folder = latest(config, exact=bool(about))
    if folder is None:
        folder = create_folder(config)
    if folder.status().state != "finished":
        with stop_on_signals() as flag:
            outcome = run_batch([folder], lambda one: progress.shown(one, flag, quiet), [write_report])[0]
        if outcome.error is not None:
            raise outcome.error
    from ..jobs.fitting import held_out_psnr

    found = held_out_psnr(folder)
    told = "" if found is None else f", PSNR {found:.2f} dB on views that were not fitted"
    print(f"{source}: fitted by {folder.path}{told}", file=sys.stderr)
    return str(folder.path), rest
