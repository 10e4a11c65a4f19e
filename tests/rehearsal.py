"""An examination of a GPU that is none, in which nothing takes long."""

from __future__ import annotations

from pathlib import Path

from sds3d.representations.raster.warp.modules import kernel_modules

from sds3d.config.options import Options
from sds3d.priors.kinds import embedded
from sds3d.testing.gpu.bench import Amounts, Bench, Sizes
from sds3d.testing.gpu.rehearsal import Rehearsal

TINY = Amounts(gaussians=60, side=24, views=2, resolution=9, rays=200, faces=30, points=300)
RUN = {
    "representation.init.count": 80,
    "optimize.views": 2,
    "optimize.size": 16,
    "pictures.turntable_frames": 2,
    "pictures.turntable_size": 32,
    "pictures.contact_views": 2,
    "pictures.contact_size": 24,
}


def bench(folder: Path, prior: Options | None = None, steps: int = 4) -> Bench:
    """The examination; one file of kernels is compiled."""
    gpu = Rehearsal()
    gpu.files = [m for m in kernel_modules() if m.__name__.endswith("march_kernels")]
    return Bench(gpu, folder, prior or embedded.Options(precision="float32"), Sizes(TINY, TINY, steps, RUN))
