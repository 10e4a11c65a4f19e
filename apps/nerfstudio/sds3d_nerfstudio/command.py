"""sds3d-nerfstudio: a splatfacto run out as a PLY, edited by `sds3d edit`, and back as a run beside it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .runs import Run, open_run
from .splats import ExchangeError, from_ply, parameters_of, put_into, to_ply

UP = "+z"
"""Up axis of the space that nerfstudio trains in."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="sds3d-nerfstudio", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    edit = commands.add_parser(
        "edit", help="Edit a run; further words go to `sds3d edit`, such as --keep shape."
    )
    edit.add_argument("run", type=Path, help="config.yml of a splatfacto run, or its folder.")
    edit.add_argument("--name", default="edited", help="Put behind the timestamp of the new run.")
    edit.add_argument(
        "--sds3d",
        default=os.environ.get("SDS3D", "sds3d"),
        help="The sds3d command of its own environment; by default $SDS3D, else sds3d.",
    )
    write = commands.add_parser("export", help="Write a run's Gaussians as the PLY that sds3d reads.")
    write.add_argument("run", type=Path)
    write.add_argument("ply", type=Path)
    read = commands.add_parser("import", help="Make a run beside one, with the Gaussians of a PLY.")
    read.add_argument("run", type=Path)
    read.add_argument("ply", type=Path)
    read.add_argument("--name", default="edited")
    return top


def export(run: Run, ply: Path) -> Path:
    """Write the run's Gaussians; nothing that exists is replaced.

    Raises:
        ExchangeError: the run is none of splatfacto, or the file exists.
    """
    if ply.exists():
        raise ExchangeError(f"{ply}: exists already, and was left as it is.")
    data = to_ply(parameters_of(run.state()["pipeline"]))
    ply.parent.mkdir(parents=True, exist_ok=True)
    ply.write_bytes(data)
    return ply


def bring_back(run: Run, ply: Path, name: str) -> Run:
    """A run beside `run` with the Gaussians of a PLY.

    Raises:
        ExchangeError: see from_ply, put_into and Run.beside.
    """
    return run.beside(name, put_into(run.state()["pipeline"], from_ply(ply.read_bytes())))


def edit(run: Run, name: str, sds3d: str, words: Sequence[str]) -> Run:
    """Export, `sds3d edit`, and back.

    Args:
        sds3d: the command. words: its further arguments.

    Raises:
        ExchangeError: sds3d is not found, or its edit did not come to an end; what it said was shown.
    """
    if shutil.which(sds3d) is None:
        raise ExchangeError(
            f"there is no command {sds3d!r}. Install sds3d in an environment of its own (python -m venv E; "
            "E/bin/pip install sds3d), and name it: --sds3d E/bin/sds3d, or SDS3D=E/bin/sds3d."
        )
    ply = run.folder / f"sds3d-{run.checkpoint().stem}.ply"
    if not ply.exists():
        export(run, ply)
    up: list[str] = [] if "--up" in words else ["--up", UP]
    done = subprocess.run([sds3d, "edit", str(ply), *up, *words, "--json"], stdout=subprocess.PIPE, text=True)
    return bring_back(run, asset_of(done.returncode, done.stdout), name)


def asset_of(status: int, told: str) -> Path:
    """The splats that `sds3d edit --json` tells of.

    Raises:
        ExchangeError: it failed, or told of none.
    """
    try:
        (outcome,) = json.loads(told)
        file = outcome["assets"].get("3dgs")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ExchangeError(f"sds3d edit ended with status {status} and told of no run.") from None
    if status or file is None:
        raise ExchangeError(f"sds3d edit ended with status {status}: {outcome.get('reason') or 'no splats'}")
    return Path(file)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 done, 1 something is wrong, which is said."""
    own, words = parser().parse_known_args(argv)
    try:
        run = open_run(own.run)
        if own.command == "edit":
            print(edit(run, own.name, own.sds3d, words).config)
            return 0
        if words:
            parser().error(f"unknown words: {' '.join(words)}")
        print(export(run, own.ply) if own.command == "export" else bring_back(run, own.ply, own.name).config)
    except (ExchangeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
