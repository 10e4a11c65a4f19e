"""Parts of model folders with random weights: tokenizers, text encoders, autoencoders, networks, schedulers."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

LETTERS = string.ascii_letters + string.digits + ".,!?'- "
CELL = 4
"""Pixels of a latent cell, per side."""

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def seeded(build: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A network with weights from a fixed seed; ones that start at zero get some, or they would hide errors."""
    torch.manual_seed(0)
    network = build(*args, **options)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network


def t5_tokenizer(folder: Path) -> None:
    """A T5 tokenizer of single letters."""
    from transformers import T5Tokenizer

    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocab += [(letter, -3.0) for letter in LETTERS if letter != " "]
    T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=512).save_pretrained(folder)


def gemma_tokenizer(folder: Path) -> None:
    """A Gemma tokenizer of single letters."""
    from transformers import GemmaTokenizer

    words = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        "<mask>",
        "▁",
        *(c for c in LETTERS if c != " "),
        ":",
        "\n",
        '"',
    ]
    GemmaTokenizer(
        vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=4096
    ).save_pretrained(folder)


TOKENIZERS = {t5_tokenizer: "T5Tokenizer", gemma_tokenizer: "GemmaTokenizer"}


def clip_text(width: int = 32, projection: int | None = None) -> Any:
    """A CLIP text encoder, with a projection if one is asked for."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=projection or width,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return seeded(CLIPTextModel if projection is None else CLIPTextModelWithProjection, config)


def t5_text(width: int = 32) -> Any:
    """A T5 encoder."""
    from transformers import T5Config, T5EncoderModel

    return seeded(
        T5EncoderModel,
        T5Config(
            vocab_size=100,
            d_model=width,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=4,
            decoder_start_token_id=0,
        ),
    )


def gemma_text(width: int = 16) -> Any:
    """A Gemma 2 decoder, used as an encoder."""
    from transformers import Gemma2Config, Gemma2Model

    return seeded(
        Gemma2Model,
        Gemma2Config(
            vocab_size=100,
            hidden_size=width,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
        ),
    )


def kl_vae(channels: int = 4, scale: float = 0.18215, shift: float | None = None) -> Any:
    """An AutoencoderKL with 4 pixels a cell."""
    from diffusers import AutoencoderKL

    extra = (
        {}
        if shift is None
        else {"shift_factor": shift, "use_quant_conv": False, "use_post_quant_conv": False}
    )
    return seeded(
        AutoencoderKL,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=16,
        scaling_factor=scale,
        **extra,
    )


def deep_vae() -> Any:
    """A deep-compression autoencoder with 4 pixels a cell."""
    from diffusers import AutoencoderDC

    return seeded(
        AutoencoderDC,
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8, 16),
        decoder_block_out_channels=(8, 8, 16),
        encoder_qkv_multiscales=((), (), (5,)),
        decoder_qkv_multiscales=((), (), (5,)),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )


def unet(**changes: Any) -> Any:
    """A UNet2DConditionModel over 4 x 4 latents that reads text states of width 32."""
    from diffusers import UNet2DConditionModel

    options: dict[str, Any] = {
        "sample_size": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    return seeded(UNet2DConditionModel, **(options | changes))


def ddim(**changes: Any) -> Any:
    """Stable Diffusion's noise levels."""
    from diffusers import DDIMScheduler

    options = {**BETAS, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    return DDIMScheduler(**(options | changes))


def write(
    folder: Path, pipeline: str, parts: dict[str, Any], tokenizers: dict[str, Any], **config: Any
) -> Path:
    """A model folder from its parts; `tokenizers` are functions that write one."""
    index: dict[str, Any] = {"_class_name": pipeline, **config}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    for name, writer in tokenizers.items():
        writer(folder / name)
        index[name] = [
            "transformers",
            {t5_tokenizer: "T5Tokenizer", gemma_tokenizer: "GemmaTokenizer"}.get(writer, "CLIPTokenizer"),
        ]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
