"""Loading the embedded prior's folder, component by component, offline: UNet, text encoder, tokenizer, scheduler.

The files of a component are found and loaded as those of the big models (weights.py, scheduler_config.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.errors import Sds3dError
from . import text_volume
from .model_folder import read_json
from .noise_schedule import NoiseSchedule
from .scheduler_config import schedule_of
from .weights import load_part, quiet_loading


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
            "text_projection.safetensors",
        )
        if not (folder / name).is_file()
    ]
    if (folder / "model_index.json").is_file():
        told = read_json(folder / "model_index.json").get("view_features") or {}
        if told.get("volume") and not (folder / text_volume.FILE).is_file():
            missing.append(text_volume.FILE)
    if (folder / "vae").is_dir():
        raise Sds3dError(f"{folder}: a latent model, which is no embedded prior; use it by prior={folder}")
    if missing:
        raise Sds3dError(f"{folder}: not a complete model folder, missing: {', '.join(missing)}")
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor
    from transformers import AutoTokenizer, CLIPTextModel

    quiet_loading()
    unet = load_part(UNet2DConditionModel, folder / "unet", dtype)
    text = load_part(CLIPTextModel, folder / "text_encoder", torch.float32)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        index = json.loads((folder / "model_index.json").read_text())
        scheduler = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise Sds3dError(f"{folder}: the model cannot be loaded: {error}") from error
    # diffusers' fused attention is a third slower than the plain one at these sizes on a CPU
    unet.set_attn_processor(AttnProcessor())
    schedule, prediction = schedule_of(scheduler, folder / "scheduler")
    return Components(unet, text, tokenizer, schedule, prediction, index, folder)


def best_cpu_dtype() -> torch.dtype:
    """bfloat16 where this CPU computes with it, else float32."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32
