"""Published audio pipelines with random weights, small enough to build in a test."""

from __future__ import annotations

from pathlib import Path

from tiny_parts import BETAS, LETTERS, seeded, t5_text, t5_tokenizer


def stable_audio(folder: Path) -> Path:
    """Stable Audio Open's architecture: 8 samples a latent frame, 4 channels."""
    from diffusers import (
        AutoencoderOobleck,
        CosineDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
    )
    from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel
    from transformers import T5Tokenizer

    t5_tokenizer(folder / "words")
    vae = seeded(
        AutoencoderOobleck, encoder_hidden_size=8, downsampling_ratios=[2, 4], channel_multiples=[1, 2],
        decoder_channels=4, decoder_input_channels=4, audio_channels=2, sampling_rate=8000,
    )  # fmt: skip
    transformer = seeded(
        StableAudioDiTModel, sample_size=64, in_channels=4, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, num_key_value_attention_heads=2, out_channels=4, cross_attention_dim=8,
        time_proj_dim=8, global_states_input_dim=16, cross_attention_input_dim=8,
    )  # fmt: skip
    pipe = StableAudioPipeline(
        vae=vae,
        text_encoder=t5_text(8),
        projection_model=seeded(StableAudioProjectionModel, 8, 8, 0, 32),
        tokenizer=T5Tokenizer.from_pretrained(folder / "words", model_max_length=16),
        transformer=transformer,
        scheduler=CosineDPMSolverMultistepScheduler(),
    )
    pipe.save_pretrained(folder)
    return folder


def audioldm2(folder: Path) -> Path:
    """AudioLDM 2's architecture: 16 mel bands, 4 samples a frame."""
    import diffusers
    import transformers
    from transformers import RobertaTokenizer, T5Tokenizer

    t5_tokenizer(folder / "words")
    bands = 16
    text = transformers.ClapTextConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
        projection_dim=16, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    audio = transformers.ClapAudioConfig(
        spec_size=64, window_size=4, num_mel_bins=64, intermediate_size=16, depths=[1, 1], num_attention_heads=[2, 2],
        num_hidden_layers=2, hidden_size=192, projection_dim=16, patch_size=2, patch_stride=2,
        patch_embed_input_channels=4,
    )  # fmt: skip
    clap = transformers.ClapConfig(
        text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=16
    )
    language = seeded(
        transformers.GPT2LMHeadModel,
        transformers.GPT2Config(n_embd=16, n_head=2, n_layer=1, vocab_size=100, n_positions=99),
    )
    language.config.max_new_tokens = 4
    words = {letter: i + 5 for i, letter in enumerate(c if c != " " else "Ġ" for c in LETTERS)}
    roberta = RobertaTokenizer(
        vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, **words},
        merges=[],
        model_max_length=20,
    )
    pipe = diffusers.AudioLDM2Pipeline(
        vae=seeded(
            diffusers.AutoencoderKL, block_out_channels=(8, 8), in_channels=1, out_channels=1, norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4,
        ),
        text_encoder=seeded(transformers.ClapModel, clap),
        text_encoder_2=t5_text(8),
        projection_model=seeded(
            diffusers.AudioLDM2ProjectionModel, text_encoder_dim=16, text_encoder_1_dim=8, langauge_model_dim=16
        ),
        language_model=language,
        tokenizer=roberta,
        tokenizer_2=T5Tokenizer.from_pretrained(folder / "words", model_max_length=16),
        feature_extractor=transformers.ClapFeatureExtractor(),
        unet=seeded(
            diffusers.AudioLDM2UNet2DConditionModel, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            in_channels=4, out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=([None, 16, 8], [None, 16, 8]),
            attention_head_dim=4,
        ),
        scheduler=diffusers.DDIMScheduler(**BETAS, clip_sample=False),
        vocoder=seeded(
            transformers.SpeechT5HifiGan,
            transformers.SpeechT5HifiGanConfig(
                model_in_dim=bands, sampling_rate=4000, upsample_initial_channel=8, upsample_rates=[2, 2],
                upsample_kernel_sizes=[4, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
                normalize_before=False,
            ),
        ),
    )  # fmt: skip
    pipe.save_pretrained(folder)
    return folder


BUILDERS = {"stable-audio": stable_audio, "audioldm2": audioldm2}
