"""The network that is trained: made from the options, saved in diffusers' layout."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

from ..core.streams import Streams
from ..priors.pixel_unet import ViewFeatures
from ..priors.scorer import Scorer
from ..priors.text_volume import CHANNELS as VOLUME_CHANNELS
from ..priors.text_volume import FILE, TextVolume
from .options import NetworkOptions
from .words import WIDTH, TextTower, half_copy, set_weights

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "clip_sample": False,
}
"""diffusers' arguments of the noise schedule: squared cosine (arXiv 2102.09672), v-prediction (2202.00512)."""

PREDICTION_TYPES = {"v": "v_prediction", "x0": "sample"}
"""diffusers' words for NetworkOptions.prediction."""


def view_features(options: NetworkOptions, volume: TextVolume | None = None) -> ViewFeatures:
    """How the network is told camera and background.

    Args:
        volume: where options.text_volume asks for one.
    """
    return ViewFeatures(
        options.azimuth_harmonics, options.elevation_harmonics, options.camera_gain, options.view_maps, volume
    )


def make_unet(options: NetworkOptions, seed: int) -> Any:
    """An untrained UNet2DConditionModel, weights from Streams(seed)."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    channels, features = 3 * options.unshuffle**2, view_features(options)
    extra = VOLUME_CHANNELS if options.text_volume else 0
    unet: Any = UNet2DConditionModel(
        sample_size=options.size // options.unshuffle, in_channels=channels + features.map_channels + extra,
        out_channels=channels,
        block_out_channels=options.channels, layers_per_block=1, cross_attention_dim=WIDTH,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in options.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in options.attention[::-1]),
        norm_num_groups=8, attention_head_dim=4, class_embed_type="projection",
        projection_class_embeddings_input_dim=features.width + WIDTH,
        addition_embed_type="text", addition_embed_type_num_heads=4, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    unet.set_attn_processor(AttnProcessor())
    set_weights(unet, Streams(seed), "unet")
    return unet


def save_model(
    unet: Any,
    tower: Scorer | TextTower,
    options: NetworkOptions,
    folder: Path,
    volume: TextVolume | None = None,
) -> None:
    """Write the folder that priors.kinds.embedded reads, in half precision; `unet` itself stays as it is."""
    if (volume is None) != (options.text_volume is None):
        raise ValueError("options.text_volume and volume go together")
    folder.mkdir(parents=True, exist_ok=True)
    half_of(unet).save_pretrained(folder / "unet")
    save_text_side(tower, folder, options.prediction)
    if volume is None:
        (folder / FILE).unlink(missing_ok=True)
    else:
        volume.save(folder)
    index = {
        "_class_name": "TinyPixelPrior",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "scheduler": ["diffusers", "DDPMScheduler"],
        "pixel_unshuffle": options.unshuffle,
        "image_size": options.size,
        "view_features": {
            "azimuth_harmonics": options.azimuth_harmonics,
            "elevation_harmonics": options.elevation_harmonics,
            "gain": options.camera_gain,
            "maps": options.view_maps,
            "volume": volume is not None,
        },
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")


def save_text_side(tower: Scorer | TextTower, folder: Path, prediction: str = "v") -> None:
    """Write text encoder, tokenizer, projection and schedule of a model folder, in half precision."""
    from safetensors.torch import save_file

    half_copy(tower.text_encoder).save_pretrained(folder / "text_encoder")
    tower.tokenizer.save_pretrained(folder / "tokenizer")
    projection = {k: v.half().contiguous() for k, v in tower.text_projection.state_dict().items()}
    save_file(projection, folder / "text_projection.safetensors")
    _scheduler(PREDICTION_TYPES[prediction]).save_pretrained(folder / "scheduler")


def half_of(network: Any) -> Any:
    """A copy of a network in half precision, its config as it stands (from_config forgets what was registered)."""
    return copy.deepcopy(network).half()


def alphas_cumprod() -> torch.Tensor:
    """(1000,) cumulative products of the schedule, float64."""
    return _scheduler().alphas_cumprod.double()


def _scheduler(prediction_type: str = "v_prediction") -> Any:
    """diffusers' object of the schedule."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(**SCHEDULE | {"prediction_type": prediction_type})
