"""sds3d fit: Gaussians from photographs."""

from __future__ import annotations

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
