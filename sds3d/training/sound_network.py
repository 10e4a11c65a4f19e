"""The audio prior's network: made from the options, its loss, and the folder that it is saved in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ..core.streams import Streams
from ..priors.scorer import Scorer
from ..priors.sound_unet import sound_unet_output
from ..priors.spectrogram import Codec
from .denoising import Noising, encode_captions
from .network import half_of, save_text_side
from .precision import arithmetic
from .sound_options import SoundNetworkOptions, SoundTrainOptions
from .sounds import SoundBatches
from .words import WIDTH, set_weights


def make_sound_unet(options: SoundNetworkOptions, seed: int) -> Any:
    """An untrained UNet2DConditionModel, weights from Streams(seed)."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    channels, bands = options.unshuffle**2, Codec().bands
    unet: Any = UNet2DConditionModel(
        sample_size=bands // options.unshuffle, in_channels=channels, out_channels=channels,
        block_out_channels=options.channels, layers_per_block=1, cross_attention_dim=WIDTH,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in options.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in options.attention[::-1]),
        norm_num_groups=8, attention_head_dim=4, class_embed_type="projection",
        projection_class_embeddings_input_dim=WIDTH, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    unet.set_attn_processor(AttnProcessor())
    set_weights(unet, Streams(seed), "sound unet")
    return unet


class SoundLoss:
    """Weighted squared error of v on spectrograms; a loop.Loss.

    Args:
        tower: the frozen contrastive model whose text side the network reads.
    """

    def __init__(self, options: SoundTrainOptions, batches: SoundBatches, tower: Scorer):
        self.options, self.batches, self.tower = options, batches, tower
        self.noising = Noising(options)

    def __call__(self, unet: Any, step: int) -> Tensor:
        """See loop.Loss."""
        o, drawn = self.options, self.noising.drawn(step)
        batch = self.batches.draw(step, o.batch)
        noised = self.noising.noised(batch.z, drawn, step)
        states, pooled = encode_captions(self.tower, self.noising.captions(batch, drawn))
        with arithmetic(o.precision):
            v = sound_unet_output(unet, o.network.unshuffle, noised.z_t, noised.index, states, pooled)
        return noised.loss(v)


def save_sound_model(unet: Any, tower: Scorer, options: SoundNetworkOptions, folder: Path) -> None:
    """Write the folder that priors.kinds.audio reads, in half precision; `unet` itself stays as it is."""
    half_of(unet).save_pretrained(folder / "unet")
    save_text_side(tower, folder)
    codec = Codec()
    index = {
        "_class_name": "TinySpectrogramPrior",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unshuffle": options.unshuffle,
        "codec": {"rate": codec.rate, "samples": codec.samples, "window": codec.window, "hop": codec.hop,
                  "bands": codec.bands, "pool": codec.pool, "low_hz": codec.low_hz, "high_hz": codec.high_hz},
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")
