"""Loading a diffusers-layout model folder, component by component, offline.

The embedded prior and the big models come in through this file: a UNet, a text encoder, a tokenizer, a
scheduler and, for latent models, an autoencoder, each in its subfolder.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.errors import Sds3dError
from .noise_schedule import NoiseSchedule

_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0", "flow_prediction": "velocity"}


@dataclass(frozen=True)
class Components:
    """The parts of a model folder.

    Args:
        unet, text_encoder, tokenizer: diffusers and transformers objects in evaluation mode, gradients off.
        schedule: alpha and sigma. prediction: the UNet's native output, one of noise_schedule.PREDICTIONS.
        index: model_index.json as a dictionary. folder: where it all came from.
    """

    unet: Any
    text_encoder: Any
    tokenizer: Any
    schedule: NoiseSchedule
    prediction: str
    index: dict[str, Any]
    folder: Path


def load_components(folder: str | Path, dtype: torch.dtype) -> Components:
    """Load the parts of a model folder from this disk; nothing is downloaded.

    Args:
        dtype: of the UNet's weights; the text encoder stays in float32, it runs once.

    Raises:
        Sds3dError: files are missing or broken; the text names them.
    """
    folder = Path(folder)
    missing = [
        name
        for name in (
            "model_index.json",
            "unet/config.json",
            "text_encoder/config.json",
            "tokenizer/tokenizer_config.json",
            "scheduler/scheduler_config.json",
        )
        if not (folder / name).is_file()
    ]
    if missing:
        raise Sds3dError(f"{folder}: not a complete model folder, missing: {', '.join(missing)}")
    from diffusers.models.attention_processor import AttnProcessor
    from transformers import AutoTokenizer

    unet, text = load_unet(folder, dtype), load_text_encoder(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise Sds3dError(f"{folder}: the model cannot be loaded: {error}") from error
    # diffusers' fused attention is a third slower than the plain one at these sizes on a CPU
    unet.set_attn_processor(AttnProcessor())
    schedule, prediction = load_schedule(folder / "scheduler")
    return Components(unet, text, tokenizer, schedule, prediction, index, folder)


def load_unet(folder: Path, dtype: torch.dtype) -> Any:
    """The frozen UNet2DConditionModel of `folder`/unet in that precision; errors as `load_components`."""
    from diffusers import UNet2DConditionModel

    return _load(UNet2DConditionModel, folder / "unet", torch_dtype=dtype)


def load_vae(folder: Path) -> Any:
    """The frozen AutoencoderKL of `folder`/vae in float32: its encoder carries the gradient."""
    from diffusers import AutoencoderKL

    return _load(AutoencoderKL, folder / "vae", torch_dtype=torch.float32)


def load_text_encoder(folder: Path) -> Any:
    """The frozen CLIPTextModel of `folder`/text_encoder in float32: it runs once."""
    from transformers import CLIPTextModel

    return _load(CLIPTextModel, folder / "text_encoder").float()


def weights_file(part: Path) -> Path | None:
    """The safetensors file of one component's folder: the plain one, else the half precision one, else None."""
    stem = "model" if part.name == "text_encoder" else "diffusion_pytorch_model"
    names = (f"{stem}.safetensors", f"{stem}.fp16.safetensors")
    return next((part / name for name in names if (part / name).is_file()), None)


def _load(model: Any, part: Path, **options: Any) -> Any:
    """A model with all its weights from that folder, in evaluation mode, gradients off."""
    _quiet_loading()
    weights = weights_file(part)
    variant = "fp16" if weights is not None and ".fp16." in weights.name else None
    try:
        loaded, report = model.from_pretrained(
            part,
            local_files_only=True,
            use_safetensors=True,
            variant=variant,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise Sds3dError(f"{part}: the model cannot be loaded: {error}") from error
    # both libraries would fill the gap with random numbers and go on
    if absent := sorted(report["missing_keys"]):
        some = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
        raise Sds3dError(
            f"{part}: {len(absent)} weights are not in the file: {some}; fetch the folder again."
        )
    return loaded.eval().requires_grad_(False)


def load_schedule(folder: Path) -> tuple[NoiseSchedule, str]:
    """(noise schedule, native prediction) of a scheduler folder of any DDPM-family class."""
    from diffusers import DDPMScheduler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = DDPMScheduler.from_pretrained(folder, local_files_only=True)
    kind = scheduler.config.prediction_type
    if kind not in _PREDICTIONS:
        raise Sds3dError(f"{folder}: unknown prediction_type {kind!r}; known: {', '.join(_PREDICTIONS)}")
    return NoiseSchedule("vp", scheduler.alphas_cumprod.double()), _PREDICTIONS[kind]


def _quiet_loading() -> None:
    """Loading a few megabytes needs no progress bar of its own."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


def best_cpu_dtype() -> torch.dtype:
    """bfloat16 where this CPU computes with it, else float32."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32
