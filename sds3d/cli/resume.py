"""sds3d resume: go on with runs that were stopped, killed or failed."""

from __future__ import annotations

import sys

import typer

EPILOG = (
    "The run ends with the same bits as if it had never stopped (same machine, same number of threads); a run of a "
    "GPU can go on without one, and the other way round, with the last digits of that device. "
    "Exit status: 0 done, 1 failed, 2 the config was damaged, 130 stopped again."
)


def command(
    runs: list[str] = typer.Argument(..., metavar="RUN...", help="Run folders, or names under runs/."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    as_json: bool = typer.Option(False, "--json", help="Print the outcomes as JSON; no progress."),
    from_stage: str | None = typer.Option(
        None,
        "--from-stage",
        metavar="NAME",
        help="Run this stage and those after it again, from the stage before it.",
    ),
    device: str | None = typer.Option(
        None,
        "--device",
        metavar="DEVICE",
        help="Go on there: auto, cpu, cuda or cuda:N; noted in config.yaml.",
    ),
) -> int:
    """Continue runs from their last checkpoints."""
    from ..jobs.device import move_run
    from ..jobs.restart import restart_from
    from .find import find_run
    from .work import carry_out

    folders = [find_run(word) for word in runs]
    for folder in folders:
        if device is not None:
            move_run(folder, device)
        if from_stage is not None:
            restart_from(folder, from_stage)
        elif folder.status().state == "finished":
            print(
                f"{folder.path}: is finished already; its files are made again",
                file=sys.stderr,
            )
    return carry_out(folders, quiet, as_json)
