"""Folders of every family with random weights: the true architectures, small enough to build in a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_parts import (
    BETAS,
    clip_text,
    ddim,
    deep_vae,
    gemma_text,
    gemma_tokenizer,
    kl_vae,
    seeded,
    t5_text,
    t5_tokenizer,
    unet,
    write,
)
from tiny_stable_diffusion import write_tokenizer


def clip_words(folder: Path) -> None:
    """CLIP's tokenizer of single bytes."""
    write_tokenizer(folder, "<|endoftext|>")


def sd(folder: Path, prediction: str = "epsilon", **changes: Any) -> Path:
    """Stable Diffusion 1.x, or 2.x with v prediction."""
    parts = {
        "unet": unet(**changes),
        "vae": kl_vae(),
        "text_encoder": clip_text(),
        "scheduler": ddim(prediction_type=prediction),
    }
    return write(folder, "StableDiffusionPipeline", parts, {"tokenizer": clip_words})


def lcm(folder: Path) -> Path:
    """A latent consistency model with its guidance input."""
    from diffusers import LCMScheduler

    parts = {
        "unet": unet(time_cond_proj_dim=16),
        "vae": kl_vae(),
        "text_encoder": clip_text(),
        "scheduler": LCMScheduler(
            **BETAS, clip_sample=False, set_alpha_to_one=True, original_inference_steps=50
        ),
    }
    return write(folder, "LatentConsistencyModelPipeline", parts, {"tokenizer": clip_words})


def sdxl(folder: Path) -> Path:
    """SDXL."""
    from diffusers import EulerDiscreteScheduler

    big = unet(
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True,
        projection_class_embeddings_input_dim=24 + 6 * 8,
    )
    parts = {
        "unet": big,
        "vae": kl_vae(scale=0.13025),
        "text_encoder": clip_text(),
        "text_encoder_2": clip_text(projection=24),
        "scheduler": EulerDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="leading"),
    }
    words = {"tokenizer": clip_words, "tokenizer_2": clip_words}
    return write(folder, "StableDiffusionXLPipeline", parts, words, force_zeros_for_empty_prompt=True)


def sd3(folder: Path) -> Path:
    """Stable Diffusion 3."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel

    parts = {
        "transformer": seeded(
            SD3Transformer2DModel,
            sample_size=4,
            patch_size=2,
            in_channels=8,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=48,
            caption_projection_dim=32,
            pooled_projection_dim=40,
            out_channels=8,
            pos_embed_max_size=8,
            qk_norm="rms_norm",
        ),
        "vae": kl_vae(8, 1.5305, 0.0609),
        "text_encoder": clip_text(16, projection=16),
        "text_encoder_2": clip_text(24, projection=24),
        "text_encoder_3": t5_text(48),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    words = {"tokenizer": clip_words, "tokenizer_2": clip_words, "tokenizer_3": t5_tokenizer}
    return write(folder, "StableDiffusion3Pipeline", parts, words)


def flux(folder: Path, guidance_embeds: bool = True) -> Path:
    """FLUX.1 dev, or schnell without the guidance input."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel

    parts = {
        "transformer": seeded(
            FluxTransformer2DModel,
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=24,
            guidance_embeds=guidance_embeds,
            axes_dims_rope=(4, 4, 8),
        ),
        "vae": kl_vae(4, 0.3611, 0.1159),
        "text_encoder": clip_text(24),
        "text_encoder_2": t5_text(32),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True, max_shift=1.15),
    }
    return write(folder, "FluxPipeline", parts, {"tokenizer": clip_words, "tokenizer_2": t5_tokenizer})


def deepfloyd(folder: Path) -> Path:
    """DeepFloyd IF, stage I."""
    from diffusers import DDPMScheduler

    pixels = unet(
        sample_size=16,
        in_channels=3,
        out_channels=6,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        encoder_hid_dim=24,
        encoder_hid_dim_type="text_proj",
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="positional",
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        only_cross_attention=False,
        act_fn="gelu",
    )
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        variance_type="learned_range",
        prediction_type="epsilon",
        thresholding=True,
        dynamic_thresholding_ratio=0.95,
        sample_max_value=1.5,
    )
    parts = {"unet": pixels, "text_encoder": t5_text(24), "scheduler": scheduler}
    return write(folder, "IFPipeline", parts, {"tokenizer": t5_tokenizer})


def pixart(folder: Path, alpha: bool = False) -> Path:
    """PixArt-Sigma, or alpha with its size conditions."""
    from diffusers import DPMSolverMultistepScheduler, PixArtTransformer2DModel

    parts = {
        "transformer": seeded(
            PixArtTransformer2DModel,
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            cross_attention_dim=24,
            # alpha at 1024 pixels is known by its 128 cells
            sample_size=128 if alpha else 4,
            patch_size=2,
            caption_channels=32,
            use_additional_conditions=alpha,
        ),
        "vae": kl_vae(scale=0.13025),
        "text_encoder": t5_text(32),
        "scheduler": DPMSolverMultistepScheduler(
            beta_start=0.0001, beta_end=0.02, beta_schedule="linear", algorithm_type="dpmsolver++"
        ),
    }
    name = "PixArtAlphaPipeline" if alpha else "PixArtSigmaPipeline"
    return write(folder, name, parts, {"tokenizer": t5_tokenizer})


def sana(folder: Path, sprint: bool = False) -> Path:
    """Sana, or SANA-Sprint."""
    from diffusers import DPMSolverMultistepScheduler, SanaTransformer2DModel, SCMScheduler

    transformer = seeded(
        SanaTransformer2DModel,
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=16,
        sample_size=4,
        patch_size=1,
        guidance_embeds=sprint,
        qk_norm="rms_norm_across_heads" if sprint else None,
    )
    flow = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, **BETAS
    )
    parts = {
        "transformer": transformer,
        "vae": deep_vae(),
        "text_encoder": gemma_text(),
        "scheduler": SCMScheduler(sigma_data=0.5) if sprint else flow,
    }
    name = "SanaSprintPipeline" if sprint else "SanaPipeline"
    return write(folder, name, parts, {"tokenizer": gemma_tokenizer})


def mvdream(folder: Path) -> Path:
    """MVDream as a UNet2DConditionModel with a camera."""
    views = unet(
        class_embed_type="projection", projection_class_embeddings_input_dim=16, use_linear_projection=True
    )
    parts = {"unet": views, "vae": kl_vae(), "text_encoder": clip_text(), "scheduler": ddim()}
    return write(folder, "MVDreamPipeline", parts, {"tokenizer": clip_words})


def instruct(folder: Path) -> Path:
    """InstructPix2Pix: the source's latent beside the noisy one."""
    return renamed(sd(folder, in_channels=8), "StableDiffusionInstructPix2PixPipeline")


def inpainting(folder: Path) -> Path:
    """Stable Diffusion's inpainting model."""
    return renamed(sd(folder, in_channels=9), "StableDiffusionInpaintPipeline")


def renamed(folder: Path, pipeline: str) -> Path:
    """The folder under another pipeline's name."""
    file = folder / "model_index.json"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"_class_name": pipeline, "_diffusers_version": "0.30.0"})
    )
    return folder


def controlnet(folder: Path) -> Path:
    """A ControlNet for `sd`."""
    from diffusers import ControlNetModel

    network = seeded(ControlNetModel.from_unet, unet(), conditioning_embedding_out_channels=(4, 8, 8))
    # pictures are 4 times as large as latents here, not 8 times
    network.save_pretrained(folder)
    return folder


EDITORS: dict[str, Callable[[Path], Path]] = {"instruct": instruct, "inpainting": inpainting}
"""Families that look at the original of an edit."""


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "sd1": sd,
    "sd2": lambda folder: sd(folder, "v_prediction"),
    "lcm": lcm,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "deepfloyd": deepfloyd,
    "pixart": pixart,
    "pixart-alpha": lambda folder: pixart(folder, alpha=True),
    "sana": sana,
    "sana-sprint": lambda folder: sana(folder, sprint=True),
    "mvdream": mvdream,
}
"""Family -> what writes a tiny folder of it."""
