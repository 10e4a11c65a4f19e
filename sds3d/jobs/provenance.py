"""Where an asset comes from: versions, weights with their hashes and licences, hardware."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ..assetio.provenance import MAX_TEXT
from ..config.dump import plain
from ..core.frame import nearest_axis
from ..priors.base import PriorInfo
from .schema import RunConfig

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "diffusers",
    "transformers",
    "safetensors",
    "pydantic",
    "trimesh",
    "scikit-image",
    "av",
)


def collect(info: PriorInfo, weights: Iterable[Path]) -> dict[str, Any]:
    """Facts about this machine, this installation and this prior; JSON values only, no paths of the machine.

    Args:
        info: of the prior. weights: its files.
    """
    return {
        "versions": versions(),
        "prior": of_prior(info, weights),
        "hardware": hardware(),
    }


def of_prior(info: PriorInfo, weights: Iterable[Path]) -> dict[str, Any]:
    """Name, licence and the hashes of its files; arguments as in `collect`."""
    return {
        "name": info.name,
        "licence": info.licence or "unknown",
        "prediction": info.prediction,
        "weights": {f"{p.parent.name}/{p.name}": sha256(p) for p in sorted(weights)},
    }


def origin(config: RunConfig, facts: Mapping[str, Any]) -> dict[str, str]:
    """What is written inside the assets of a run: what was asked of which model, how, and under which licence.

    Args:
        facts: of the run's provenance file, as `collect` makes them; may be empty.
    """
    chosen, prior = plain(config), facts.get("prior", {})
    weights = sorted(prior.get("weights", {}).values())
    texts = {
        "prompt": config.prompt or "",
        "negative_prompt": config.negative_prompt,
        "method": "fit" if config.capture else str(chosen["guidance"].get("method", "terms")),
        "representation": str(chosen["representation"]["kind"]),
        "seed": str(config.seed),
        "picture_sha256": (config.reference.sha256 if config.reference else None) or "",
        "model": str(prior.get("name", chosen["prior"]["kind"])),
        "model_sha256": hashlib.sha256("".join(weights).encode()).hexdigest() if weights else "",
        "licence": str(prior.get("licence", "")),
        "up": up_of_capture(config),
        "software": f"sds3d {facts.get('versions', {}).get('sds3d', '')}".strip(),
    }
    return {name: text[:MAX_TEXT] for name, text in texts.items() if text}


def up_of_capture(config: RunConfig) -> str:
    """The up axis of what a fit exports, nearest to that of its capture; "" where nothing is fitted."""
    if config.capture is None or config.capture.frame is None:
        return ""
    return nearest_axis(config.capture.frame.frame())


def versions() -> dict[str, str]:
    """Versions of sds3d, Python and the packages that can change a result; "" for those not installed."""
    from .. import __version__

    found = {"sds3d": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def hardware() -> dict[str, Any]:
    """Processor, vector extensions (as torch sees them, and the renderers' code path), cores, threads, memory, GPUs."""
    import torch

    from sds3d.representations.raster.dispatch import native_status

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "processor": processor(),
        "vector": torch.backends.cpu.get_cpu_capability(),
        "renderers": native_status()["instruction_set"] or "torch",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory_bytes() / 1e9, 1),
        "gpus": gpus,
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or "unknown"
    return platform.processor() or "unknown"


def memory_bytes() -> int:
    """Physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
