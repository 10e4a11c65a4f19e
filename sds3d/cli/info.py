"""sds3d info: what a run folder, a 3D file, a checkpoint or a config holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

EPILOG = (
    "Every file is checked while it is read. Exit status: 0 sound, 1 broken or missing, 2 a broken config."
)

_SUFFIXES = (
    ".glb",
    ".gltf",
    ".obj",
    ".ply",
    ".stl",
    ".usda",
    ".usdc",
    ".usdz",
    ".splat",
    ".spz",
    ".png",
    ".json",
)
"""What is taken for a file even where there is none."""


def command(
    what: str = typer.Argument(
        ...,
        metavar="RUN|FILE",
        help="Run folder, 3D file, picture, film, camera file or folder, checkpoint or config.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Describe a run or a file."""
    from .output import print_json, print_table

    path = Path(what)
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        facts = _config(path)
    elif suffix == ".safetensors":
        facts = _checkpoint(path)
    elif path.is_file() or suffix in _SUFFIXES:
        from ..assetio.describe import describe

        facts = describe(path)
    elif any((path / f"images.{ending}").is_file() for ending in ("bin", "txt")):
        from ..assetio.describe import describe_colmap

        facts = describe_colmap(path)
    else:
        from .find import find_run

        facts = run_facts(find_run(what))
    if as_json:
        print_json(facts)
    else:
        print_table(facts.items())


def _config(path: Path) -> dict[str, Any]:
    from ..config.dump import plain
    from ..jobs import configs

    config = configs.read(path)
    return {
        "file": str(path),
        "prompts": config.all_prompts(),
        "hash": configs.hash_of(config),
        **plain(config),
    }


def _checkpoint(path: Path) -> dict[str, Any]:
    from ..core.tree import split
    from ..optimize.checkpoint import read_state

    state = read_state(path)
    tensors, _ = split(state.tree())
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "step": state.step,
        "stage": state.stage,
        "hash": state.hash(),
        "config_hash": state.config_hash,
        "tensors": {
            name: f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)}" for name, t in tensors.items()
        },
    }


def run_facts(folder: Any) -> dict[str, Any]:
    """What `info RUN` prints: status, the choices that matter, times, files."""
    from ..config.dump import plain
    from ..jobs import configs, metrics
    from .output import size

    config, status = folder.config(), folder.status()
    rows = list(metrics.read(folder.metrics_file))
    sections = sorted({k for row in rows for k in row.get("seconds", {})})
    mean = {k: sum(row["seconds"].get(k, 0.0) for row in rows) / len(rows) * 1e3 for k in sections}
    provenance = folder.provenance()
    files = [*folder.assets().values(), folder.turntable, folder.contact, folder.report]
    stages = [plain(one) for one in config.in_stages()]
    return {
        "run": str(folder.path),
        "prompt": config.prompt,
        "state": status.state,
        "reason": status.reason,
        "step": f"{status.step} of {status.steps}",
        "seed": config.seed,
        "prior": provenance.get("prior", {}).get("name", stages[0]["prior"]["kind"]),
        "licence": provenance.get("prior", {}).get("licence", ""),
        "representation": _by_stage(stages, "representation", "kind"),
        "guidance": "none" if config.capture else _by_stage(stages, "guidance", "method"),
        "config_hash": configs.hash_of(config),
        "checkpoints": sorted(p.name for p in folder.checkpoints.glob("*.safetensors")),
        "milliseconds": {k: round(v, 3) for k, v in mean.items()},
        "files": {p.name: size(p.stat().st_size) for p in files if p.is_file()},
        "versions": provenance.get("versions", {}),
    }


def _by_stage(stages: list[dict[str, Any]], section: str, key: str) -> str:
    """A choice, or the choices of the stages in order where they differ."""
    words = [str(one[section][key]) for one in stages]
    return words[0] if len(set(words)) == 1 else " -> ".join(words)
