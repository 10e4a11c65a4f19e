"""Loading a diffusers-layout model folder, component by component, offline.

The embedded prior and the big models come in through this file: a UNet, a text encoder, a tokenizer and a
scheduler, each in its subfolder.
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
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor
    from transformers import AutoTokenizer, CLIPTextModel

    _quiet_loading()
    try:
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True, torch_dtype=dtype)
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise Sds3dError(f"{folder}: the model cannot be loaded: {error}") from error
    # diffusers' fused attention is a third slower than the plain one at these sizes on a CPU
    unet.set_attn_processor(AttnProcessor())
    schedule, prediction = load_schedule(folder / "scheduler")
    return Components(
        unet.eval().requires_grad_(False),
        text.float().eval().requires_grad_(False),
        tokenizer,
        schedule,
        prediction,
        index,
        folder,
    )


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
