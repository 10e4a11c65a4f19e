"""The method `sds3d-splatfacto` of ns-train: splatfacto that starts from the splats that sds3d wrote.

nerfstudio looks entry points up while it imports its own methods: nerfstudio.configs.method_configs must not be
imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.data.datamanagers.full_images_datamanager import FullImageDatamanagerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.schedulers import ExponentialDecaySchedulerConfig
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.models.splatfacto import SplatfactoModel, SplatfactoModelConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig
from nerfstudio.plugins.types import MethodSpecification

from .splats import ExchangeError, from_ply


@dataclass
class StartedModelConfig(SplatfactoModelConfig):
    """Splatfacto that starts from a file."""

    _target: type = field(default_factory=lambda: StartedModel)
    splats: Path | None = None
    """The PLY of splats, in the space that the data is parsed into."""


class StartedModel(SplatfactoModel):
    """See StartedModelConfig."""

    config: StartedModelConfig

    def populate_modules(self) -> None:
        """As splatfacto, with the Gaussians of the file in the place of the seed points."""
        super().populate_modules()
        if self.config.splats is None:
            raise ExchangeError("sds3d-splatfacto starts from splats: --pipeline.model.splats asset.3dgs.ply")
        for name, value in from_ply(Path(self.config.splats).read_bytes()).items():
            old = self.gauss_params[name]
            if value.shape[1:] != old.shape[1:]:
                raise ExchangeError(
                    f"{name} of {self.config.splats} has the shape {tuple(value.shape)}; set "
                    "--pipeline.model.sh-degree to the degree of the file."
                )
            self.gauss_params[name] = torch.nn.Parameter(value.to(old))


def _adam(lr: float, eps: float = 1e-15) -> AdamOptimizerConfig:
    return AdamOptimizerConfig(lr=lr, eps=eps)


# rates as those of splatfacto once it has converged: the scene is there, and only has to stay or to settle
specification = MethodSpecification(
    config=TrainerConfig(
        method_name="sds3d-splatfacto",
        steps_per_eval_image=100,
        steps_per_eval_batch=0,
        steps_per_save=2000,
        steps_per_eval_all_images=1000,
        max_num_iterations=2000,
        mixed_precision=False,
        pipeline=VanillaPipelineConfig(
            datamanager=FullImageDatamanagerConfig(
                dataparser=NerfstudioDataParserConfig(load_3D_points=True), cache_images_type="uint8"
            ),
            model=StartedModelConfig(),
        ),
        optimizers={
            "means": {
                "optimizer": _adam(1.6e-6),
                "scheduler": ExponentialDecaySchedulerConfig(lr_final=1.6e-6, max_steps=30000),
            },
            "features_dc": {"optimizer": _adam(0.0025), "scheduler": None},
            "features_rest": {"optimizer": _adam(0.0025 / 20), "scheduler": None},
            "opacities": {"optimizer": _adam(0.05), "scheduler": None},
            "scales": {"optimizer": _adam(0.005), "scheduler": None},
            "quats": {"optimizer": _adam(0.001), "scheduler": None},
            "camera_opt": {"optimizer": _adam(1e-4), "scheduler": None},
            "bilateral_grid": {"optimizer": _adam(2e-3), "scheduler": None},
        },
        viewer=ViewerConfig(num_rays_per_chunk=1 << 15),
        vis="viewer",
    ),
    description="Splatfacto from splats that sds3d wrote, such as the edit of a capture.",
)
