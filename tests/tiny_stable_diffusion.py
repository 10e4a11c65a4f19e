"""Stable Diffusion folders with random weights: the true architecture, small enough to build in a test."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from sds3d.priors.kinds import diffusers as kind
from sds3d.priors.registry import create_prior

SIDE, CELL = 16, 4  # pixels of a picture, pixels of a latent cell
SCALE = 0.18215


def byte_symbols() -> list[str]:
    """The 256 printable characters that byte-level tokenizers write bytes as, in CLIP's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, plain), *(chr(256 + i) for i in range(256 - len(plain)))]


def write_tokenizer(folder: Path, pad: str) -> None:
    """The files that published Stable Diffusion folders hold: no tokenizer.json, the padding in the map."""
    folder.mkdir(parents=True)
    symbols = byte_symbols()
    vocabulary = [*symbols, *(s + "</w>" for s in symbols), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    end = "<|endoftext|>"
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": 77,
                "bos_token": "<|startoftext|>",
                "eos_token": end,
                "unk_token": end,
                "pad_token": end,
            }
        )
    )
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": pad}))


def write_model(folder: Path, prediction: str, pad: str) -> Path:
    """A Stable Diffusion folder with four small random networks."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=514,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=1,
    )
    unet = UNet2DConditionModel(
        sample_size=SIDE // CELL,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIDE,
        scaling_factor=SCALE,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    for name, part in {
        "unet": unet,
        "vae": vae,
        "text_encoder": CLIPTextModel(text),
        "scheduler": scheduler,
    }.items():
        part.save_pretrained(folder / name)
    write_tokenizer(folder / "tokenizer", pad)
    # published text encoders name their tensors with this prefix and carry a table of positions
    file = folder / "text_encoder/model.safetensors"
    tensors = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(file).items()}
    save_file(
        tensors | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, file, {"format": "pt"}
    )
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def load(folder: Path, **options: object) -> kind.DiffusersPrior:
    """The prior of a folder in float32, as a run creates it, its networks in memory."""
    prior = create_prior(
        kind.Options(**{"folder": str(folder), "precision": "float32", "device": "cpu"} | options)
    )
    prior.load()
    return prior
