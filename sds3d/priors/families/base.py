"""What one family of published models has of its own; the defaults are those of Stable Diffusion 1.x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.errors import ConfigError
from ...core.look import Look, Render
from ..latent import decode_latent, encode_latent
from ..noise_schedule import NoiseSchedule
from ..scheduler_config import schedule_of
from ..trust import NOTHING, Trust

if TYPE_CHECKING:
    from ..kinds.diffusers import Options


@dataclass(frozen=True)
class Layout:
    """What the small files of a model folder say.

    Args:
        folder: where they lie. family: which family it is. index: model_index.json.
        configs: component name -> its config.json; "scheduler" -> scheduler_config.json.
        size: (height, width) in pixels that pictures are judged at.
        file: the single file that the weights come from, or None where they lie in the folder.
        trust: pickles and code that the user allowed by name.
    """

    folder: Path
    family: Family
    index: Mapping[str, Any]
    configs: Mapping[str, Mapping[str, Any]]
    size: tuple[int, int]
    file: Path | None = None
    trust: Trust = NOTHING

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one z."""
        factor = self.family.factor(self.configs)
        return self.family.channels(self.configs), self.size[0] // factor, self.size[1] // factor

    def classes(self) -> dict[str, tuple[str, str]]:
        """Component name -> (library, class) as model_index.json has them, absent ones left out."""
        return {
            name: (str(value[0]), str(value[1]))
            for name, value in self.index.items()
            if isinstance(value, list) and len(value) == 2 and value[1]
        }


class Family:
    """One family; stateless. A subclass overrides what differs.

    Attributes:
        name: short name. pipelines: values of `_class_name` in model_index.json.
        pipeline: name of the diffusers class whose `encode_prompt`, LoRA and textual inversion loading are used.
        network: name of the denoiser's component. networks: its classes.
        encoders: text encoder component -> accepted classes; its tokenizer is the same name with "tokenizer".
        optional: encoders that a folder may lack.
        tokens: tokenizer -> most tokens it is given, where less than its own limit.
        noise: "vp" or "rf", the kind of noise schedule that its models were trained with.
        vae: class of the autoencoder, "" for pixel models.
        guidance_scale: of models that are told one as an input, when nobody asks for another.
        views_per_group: views of one object that are judged together.
        uses_camera: the network is told the camera.
        multiple: pixels of a side are a multiple of `factor` times this (the transformer's patches).
        maps: what it reads of the maps that `Prior.condition` is given. blank: inputs of `seen` that are zeros in the
            branch null. sees_source: the branch src shows the source's picture and says nothing.
        attention: a UNet whose cross-attention tells where words act; see priors.attention.
        converted: classes whose weights are read into one of the library's; their own code is never run.
    """

    name = ""
    pipelines: tuple[str, ...] = ()
    pipeline = "StableDiffusionPipeline"
    network = "unet"
    networks: tuple[str, ...] = ("UNet2DConditionModel",)
    encoders: Mapping[str, tuple[str, ...]] = {"text_encoder": ("CLIPTextModel",)}
    optional: frozenset[str] = frozenset()
    tokens: Mapping[str, int] = {}
    noise = "vp"
    vae = "AutoencoderKL"
    guidance_scale = 1.0
    views_per_group = 1
    uses_camera = False
    multiple = 1
    maps: frozenset[str] = frozenset()
    blank: frozenset[str] = frozenset()
    sees_source = False
    attention = False
    converted: frozenset[str] = frozenset()

    def objections(self, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Reasons why components of the right classes still are no model of this family."""
        return []

    def channels(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Channels of z."""
        return int(configs["vae"].get("latent_channels", 4))

    def factor(self, configs: Mapping[str, Mapping[str, Any]]) -> int:
        """Pixels of a latent cell, per side."""
        return 2 ** (len(configs["vae"].get("block_out_channels", [0])) - 1)

    def size(self, configs: Mapping[str, Mapping[str, Any]]) -> tuple[int, int] | None:
        """(height, width) in pixels that the model was trained at, None where the config does not tell."""
        side = configs[self.network].get("sample_size")
        if side is None:
            return None
        height, width = side if isinstance(side, (list, tuple)) else (side, side)
        factor = self.factor(configs)
        return int(height) * factor, int(width) * factor

    def schedule(self, layout: Layout) -> tuple[NoiseSchedule, str]:
        """(noise schedule, native prediction) of a model.

        Raises:
            Sds3dError: the scheduler's config is none that this family can have.
        """
        return schedule_of(layout.configs["scheduler"], layout.folder / "scheduler")

    def load_network(self, layout: Layout, dtype: torch.dtype, quantize: str = "none") -> Any:
        """The frozen denoiser in that precision, from the layout's files.

        Args:
            quantize: a key of quantize.SCHEMES, or "none".

        Raises:
            Sds3dError: files are missing or broken.
        """
        from ..weights import load_component

        return load_component(layout, self.network, dtype, quantize)

    def embed(self, pipe: Any, text: str, positive: bool, device: torch.device) -> dict[str, Tensor]:
        """Tensors of one text, each (1, ...).

        Args:
            pipe: a diffusers pipeline that holds the text encoders. positive: a prompt; False: what the pipeline
                would put into its negative branch. An empty text there is "no prompt".
        """
        states, _ = pipe.encode_prompt(text, device, 1, False)
        return {"states": states}

    def extra(self, layout: Layout, look: Look, options: Options) -> dict[str, Tensor]:
        """Further inputs of the network for these views, each (B, ...), the same in every branch."""
        return {}

    def seen(self, vae: Any, maps: Render, size: tuple[int, int]) -> dict[str, Tensor]:
        """Further inputs of the network from pictures of these views, each (B, ...).

        Raises:
            ConfigError: a map is missing.
        """
        return {}

    def forward(self, network: Any, z_t: Tensor, time: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """The network's native output (B, C, h, w).

        Args:
            z_t: in the network's precision. time: (B,) as NoiseSchedule.network_time has it.
            tensors: of `embed` and `extra`, floating ones in the network's precision.
        """
        return network(z_t, time, tensors["states"], return_dict=False)[0]

    def encode(self, vae: Any, rgb: Float[Tensor, "b 3 h w"], size: tuple[int, int]) -> Tensor:
        """RGB in [0, 1] at any size -> z, float32, differentiable."""
        return encode_latent(vae, rgb, size)

    def decode(self, vae: Any, z: Tensor) -> Tensor:
        """z -> RGB clamped to [0, 1], float32, no gradient."""
        return decode_latent(vae, z)


def check_views(views: int, counts: Sequence[int]) -> None:
    """Whether every object is seen by as many views as the model judges at a time.

    Args:
        views: what the model judges at a time. counts: views of each object.

    Raises:
        ConfigError: they are another number.
    """
    if any(count != views for count in counts):
        raise ConfigError(
            f"this prior judges {views} views of an object at a time, these are {', '.join(map(str, counts))}.",
            key="optimize.views",
            hint=f"Set it to {views}.",
        )


def guidance_input(count: int, scale: float) -> Float[Tensor, " b"]:
    """(B,) the guidance scale as an input of models that were distilled with one."""
    return torch.full((count,), float(scale))
