"""The checks of `sds3d doctor`."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

NEEDED = {
    "diffusers": "loads the priors",
    "transformers": "encodes prompts",
    "safetensors": "checkpoints and weights",
    "trimesh": "mesh checks",
    "scikit-image": "marching cubes",
    "fast-simplification": "mesh decimation",
    "xatlas": "texture atlases",
    "plyfile": "PLY files",
    "av": "turntable films",
    "pillow": "pictures",
}
OPTIONAL = {
    "gradio": ("the web page (sds3d web)", "pip install 'sds3d[web]'"),
    "gsplat": ("splats on NVIDIA GPUs by its own kernels, where compiled", "see docs/gpu.md"),
    "warp-lang": ("CUDA kernels without a compiler", "pip install 'sds3d[cuda]'"),
    "tinycudann": ("hash grids on NVIDIA GPUs by tiny-cuda-nn", "see docs/gpu.md"),
    "nerfacc": ("sums along rays on NVIDIA GPUs by its own kernels, where compiled", "see docs/gpu.md"),
    "zstandard": ("SPZ files of version 4", "pip install 'sds3d[formats]'"),
    "DracoPy": ("Draco-compressed GLB files", "pip install 'sds3d[formats]'"),
}
LEAST_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Check:
    """One finding: state is "ok", "optional" (absent, but not needed), "missing" (needed) or "wrong"; fix says what to
    do, mostly a command.
    """

    name: str
    state: str
    detail: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """As JSON values."""
        return asdict(self)


def all_checks() -> list[Check]:
    """Every check, in the order in which they are printed."""
    machine = [_python(), _torch(), _processor(), _gpu(), _native(), _cuda_kernels()]
    return [*machine, _weights(), *_packages(), *_folders()]


def _python() -> Check:
    return Check("python", "ok", sys.version.split()[0])


def _torch() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("torch", "missing", f"does not import: {error}", "pip install torch")
    return Check("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")


def _processor() -> Check:
    import torch

    from ..jobs.provenance import memory_bytes, processor

    vector = torch.backends.cpu.get_cpu_capability()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(
        "processor", "ok", f"{processor()}, {cores} cores, {vector}, {memory_bytes() / 1e9:.1f} GB of memory"
    )


def _gpu() -> Check:
    import torch

    from ..core.devices import probe

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Check("gpu", "ok", ", ".join(names))
    found = probe()
    detail, fix = "none that torch can use; sds3d runs on the processor", ""
    if found.driver or found.wheel:  # somebody meant to have one
        what, _, fix = found.obstacle().partition("; ")
        detail += f": {what}"
    return Check("gpu", "optional", detail, fix)


def _native() -> Check:
    from sds3d.representations.raster.dispatch import native_status

    status = native_status()
    if status["built"]:
        return Check("native core", "ok", f"built, {status['instruction_set']}, {status['threads']} threads")
    compiler = "" if shutil.which("c++") else "apt-get install g++ && "
    detail = f"not in use, plain torch serves (slower): {status['reason']}"
    return Check("native core", "optional", detail, compiler + reinstall())


def _cuda_kernels() -> Check:
    """What would draw on a GPU. Without one, only what is installed: importing the packages takes seconds."""
    import torch

    from sds3d.representations.raster.gaussians_gsplat import gsplat_status
    from sds3d.representations.raster.warp.runtime import warp_status

    fix = "pip install 'sds3d[cuda]'"
    if not torch.cuda.is_available():
        version = _version("warp-lang")
        detail = f"warp-lang {version}, for when there is a GPU" if version else "not needed without a GPU"
        return Check("cuda kernels", "ok" if version else "optional", detail)
    device = torch.device("cuda")
    obstacles = {"gsplat": gsplat_status(device), "warp": warp_status(device)}
    found = [name for name, obstacle in obstacles.items() if not obstacle]
    told = [
        f"{name} in use" if name in found[:1] else f"{name}: {why or 'ready'}"
        for name, why in obstacles.items()
    ]
    if not found:
        return Check("cuda kernels", "missing", "the GPU cannot be drawn on; " + "; ".join(told), fix)
    return Check("cuda kernels", "ok", "; ".join(told))


def reinstall() -> str:
    """The command that installs sds3d anew: from its source folder where it was installed from one."""
    url = json.loads(metadata.distribution("sds3d").read_text("direct_url.json") or "{}")
    if url.get("dir_info", {}).get("editable"):
        return f"pip install --no-deps --editable {url['url'].removeprefix('file://')}"
    return "pip install --force-reinstall --no-deps sds3d"


def _weights() -> Check:
    from ..core.errors import Sds3dError
    from ..jobs.assemble import weight_files
    from ..jobs.schema import PRIORS

    try:
        files = weight_files(PRIORS.make_default())
    except Sds3dError as error:
        return Check("built-in prior", "missing", str(error), reinstall())
    if not files:
        return Check(
            "built-in prior",
            "missing",
            "its weights are not there",
            reinstall(),
        )
    return Check("built-in prior", "ok", f"{sum(p.stat().st_size for p in files) / 1e6:.1f} MB of weights")


def _packages() -> list[Check]:
    found = []
    for name, purpose in NEEDED.items():
        version = _version(name)
        found.append(
            Check(name, "ok", version) if version else Check(name, "missing", purpose, f"pip install {name}")
        )
    for name, (purpose, command) in OPTIONAL.items():
        version = _version(name)
        found.append(
            Check(name, "ok", version)
            if version
            else Check(name, "optional", f"not installed: {purpose}", command)
        )
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _folders() -> list[Check]:
    return [_folder("runs folder", Path("runs")), _folder("temporary folder", Path(tempfile.gettempdir()))]


def _folder(name: str, path: Path) -> Check:
    """Whether a file can be written there (or in the nearest folder above that exists), and the room left."""
    place = path.resolve()
    while not place.is_dir():
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".sds3d-doctor-"):
            pass
    except OSError as error:
        return Check(name, "missing", f"{place}: {error.strerror}", "choose another folder with runs=FOLDER")
    free = shutil.disk_usage(place).free
    text = f"{path} can be written, {free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        return Check(name, "optional", text, "free at least 1 GB: delete checkpoints/ of finished runs")
    return Check(name, "ok", text)
