"""Whether a folder holds a Stable Diffusion 1.x or 2.x model, told from its small files alone.

Reads JSON and the headers of safetensors files, so the answer comes at second 0, before gigabytes are loaded.
Layout: the `save_pretrained` form of diffusers' StableDiffusionPipeline.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import Sds3dError
from .folder import weights_file

CLASSES = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
_WEIGHTED = ("unet", "vae", "text_encoder")
_PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_EXAMPLE = "hf download stable-diffusion-v1-5/stable-diffusion-v1-5 --local-dir stable-diffusion-v1-5"


@dataclass(frozen=True)
class Layout:
    """What the small files say.

    Args:
        folder: the model's folder. size: (height, width) in pixels that the UNet was trained at.
        channels: of a latent. factor: pixels a latent cell, per side.
    """

    folder: Path
    size: tuple[int, int]
    channels: int
    factor: int


def check_folder(folder: str | Path) -> Layout:
    """Accept a complete Stable Diffusion 1.x/2.x folder with safetensors weights.

    Raises:
        Sds3dError: says which file is missing, broken or pickled, or which parts make it another model.
    """
    folder = Path(folder).expanduser()
    if folder.is_file():
        raise Sds3dError(
            f"{folder} is one file; prior.folder wants a folder with model_index.json and the subfolders "
            f"{', '.join((*CLASSES, 'scheduler'))}. Fetch the model in that form, such as: {_EXAMPLE}"
        )
    if not folder.is_dir():
        raise Sds3dError(
            f"prior.folder: there is no folder {folder}. It takes a folder on this disk; names of model hubs are "
            f"not looked up. Fetch a model first, such as: {_EXAMPLE}"
        )
    if not (folder / "model_index.json").is_file():
        raise Sds3dError(
            f"{folder}: not a model folder, missing: model_index.json. It holds: "
            f"{', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'nothing'}."
        )
    _check_classes(folder, _json(folder / "model_index.json"))
    _check_files(folder)
    return _check_numbers(folder)


def weight_files_of(folder: Path) -> list[Path]:
    """The safetensors files of a folder's three networks, those that are there."""
    files = [weights_file(folder / part) for part in _WEIGHTED]
    return [file for file in files if file is not None]


def _check_classes(folder: Path, index: dict[str, Any]) -> None:
    """The parts must be those of Stable Diffusion, with no second text encoder and no transformer."""
    parts = {
        name: value[1]
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[1]
    }
    wrong = [name for name, classes in CLASSES.items() if parts.get(name) not in classes]
    wrong += [
        name for name in ("text_encoder_2", "transformer", "controlnet", "image_encoder") if name in parts
    ]
    if wrong:
        found = ", ".join(f"{name}: {kind}" for name, kind in sorted(parts.items())) or "no parts"
        wanted = ", ".join(f"{name}: {classes[0]}" for name, classes in CLASSES.items())
        raise Sds3dError(
            f"{folder}: not a Stable Diffusion 1.x or 2.x folder ({index.get('_class_name', 'no pipeline class')}; "
            f"what differs: {', '.join(wrong)}). Found {found}. Supported: {wanted}."
        )


def _check_files(folder: Path) -> None:
    """Every file must be there, and each weight file whole and in safetensors form."""
    wanted = [f"{part}/config.json" for part in _WEIGHTED] + ["scheduler/scheduler_config.json"]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if not (folder / "tokenizer/tokenizer.json").is_file():
        words = ("tokenizer/vocab.json", "tokenizer/merges.txt")
        missing += [name for name in words if not (folder / name).is_file()]
    for part in _WEIGHTED:
        if weights_file(folder / part) is not None:
            continue
        pickled = sorted(p.name for p in (folder / part).glob("*") if p.suffix in _PICKLED)
        if pickled:
            raise Sds3dError(
                f"{folder / part / pickled[0]}: refused, it is a pickle, and opening one can run any program that "
                "its maker put in. Weights are read from .safetensors files only: fetch those of the same model."
            )
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        missing.append(f"{part}/{stem}.safetensors")
    if missing:
        raise Sds3dError(f"{folder}: not a complete model folder, missing: {', '.join(missing)}")
    for file in (folder / "tokenizer").glob("*.json"):
        _json(file)
    for file in weight_files_of(folder):
        _check_header(file)


def _check_header(file: Path) -> None:
    """The header's sizes must add up to the file's."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        hint = " It is a git-lfs pointer, not the weights." if file.stat().st_size < 1024 else ""
        raise Sds3dError(
            f"{file}: broken or only partly downloaded ({error}).{hint} Fetch it again."
        ) from error


def _check_numbers(folder: Path) -> Layout:
    """The configs must fit each other and describe a text-to-image UNet."""
    unet, vae, text, scheduler = (
        _json(folder / name)
        for name in (
            "unet/config.json",
            "vae/config.json",
            "text_encoder/config.json",
            "scheduler/scheduler_config.json",
        )
    )
    channels = vae.get("latent_channels", 4)
    reasons = []
    if (unet.get("in_channels", 4), unet.get("out_channels", 4)) != (channels, channels):
        reasons.append(
            f"the UNet maps {unet.get('in_channels', 4)} channels to {unet.get('out_channels', 4)}, the latent has "
            f"{channels} (inpainting, editing and upscaling models take more)"
        )
    extra = ("addition_embed_type", "class_embed_type", "num_class_embeds", "time_cond_proj_dim")
    reasons += [f"the UNet wants a further input ({name})" for name in extra if unet.get(name) is not None]
    read, given = unet.get("cross_attention_dim", 1280), text.get("hidden_size", 512)
    if read != given:
        reasons.append(f"the UNet reads text states of width {read}, the text encoder gives {given}")
    if "beta_schedule" not in scheduler:
        reasons.append(f"the scheduler {scheduler.get('_class_name')} has no beta_schedule")
    side = unet.get("sample_size")
    if side is None:
        reasons.append("unet/config.json does not tell its sample_size")
    if reasons:
        raise Sds3dError(f"{folder}: not a plain Stable Diffusion 1.x or 2.x model: {'; '.join(reasons)}.")
    height, width = side if isinstance(side, list) else (side, side)
    factor = 2 ** (len(vae.get("block_out_channels", [0])) - 1)
    return Layout(folder, (height * factor, width * factor), channels, factor)


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Sds3dError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise Sds3dError(f"{file}: holds a JSON {type(value).__name__}, expected a mapping; fetch it again.")
    return value
