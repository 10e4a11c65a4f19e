"""sds3d doctor: what this installation can do, and what to do about what it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

EPILOG = (
    "Exit status: 0 sds3d can run here, 1 something that it needs is missing or wrong; with --gpu, 1 where there is no "
    "GPU or something about it is wrong."
)


def command(
    prior: str | None = typer.Option(
        None,
        "--prior",
        metavar="PATH",
        help="Also load this model and try it on a known picture: a model folder, a config file, or embedded.",
    ),
    gpu: bool = typer.Option(
        False,
        "--gpu",
        help="Examine the GPU instead: driver, kernels against their definitions, the prior, a short run, files.",
    ),
    save: Path | None = typer.Option(
        None, "--save", metavar="FILE", help="With --gpu: write the findings there too, as JSON."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> int:
    """Check Python, torch, the processor, the native core, optional packages and folders; a model if one is named."""
    if gpu:
        from .gpu_checks import examine_gpu

        return examine_gpu(prior, as_json, save)
    if save is not None:
        raise typer.BadParameter("goes with --gpu", param_hint="--save")
    from .checks import all_checks
    from .output import print_json
    from .prior_checks import prior_checks

    checks = all_checks() + ([] if prior is None else prior_checks(prior))
    ok = not any(c.state in ("missing", "wrong") for c in checks)
    if as_json:
        print_json({"ok": ok, "checks": [c.as_dict() for c in checks]})
    else:
        for check in checks:
            typer.echo(_line(check))
        typer.echo(
            "sds3d can run here." if ok else "sds3d cannot run here until what is missing or wrong is fixed."
        )
    return 0 if ok else 1


def _line(check: Any) -> str:
    sign = {"ok": "ok      ", "optional": "optional", "missing": "MISSING ", "wrong": "WRONG   "}[check.state]
    fix = f"\n{'':10}fix: {check.fix}" if check.fix else ""
    return f"{sign}  {check.name}: {check.detail}{fix}"
