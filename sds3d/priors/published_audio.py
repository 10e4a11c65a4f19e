"""What the two published audio pipelines have of their own: codec, words, denoiser, noise schedule.

Stable Audio Open (Evans et al. 2024, arXiv 2407.14358): a transformer over latents of a waveform autoencoder, stereo
at 44.1 kHz, v-prediction. Its sampler works in kappa; the network itself is told t = (2 / pi) atan kappa and answers
with x0 = alpha z_t - sigma v, alpha = cos(pi t / 2), sigma = sin(pi t / 2): an ordinary variance-preserving model
(guidance card §1.4). AudioLDM 2 (Liu et al. 2023, arXiv 2308.05734): a UNet over the latents of a mel spectrogram, mono
at 16 kHz, and a vocoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.errors import Sds3dError
from .noise_schedule import NoiseSchedule
from .scheduler_config import schedule_of

STEPS = 1000
"""Entries of the table that stands for a continuous schedule."""


class SoundModel(Protocol):
    """A published model as priors.kinds.published_audio asks it; z is (B, C, h, w)."""

    device: torch.device
    schedule: NoiseSchedule
    prediction: str
    channels: int
    samples: int
    rate: int
    latent_shape: tuple[int, int, int]

    def embed(self, text: str, positive: bool) -> dict[str, Tensor]:
        """Tensors of one text, each (1, ...); an empty one that is not positive is "no prompt"."""
        ...

    def encode(self, media: Float[Tensor, "b c t"]) -> Tensor:
        """Sounds -> z, differentiable."""
        ...

    def decode(self, z: Tensor) -> Float[Tensor, "b c t"]:
        """z -> sounds, no gradient."""
        ...

    def forward(self, z_t: Tensor, t: Float[Tensor, " b"], tensors: Mapping[str, Tensor]) -> Tensor:
        """The network's native output."""
        ...


class StableAudio:
    """A StableAudioPipeline's parts; see SoundModel.

    Args:
        pipe: the loaded pipeline. seconds: of a sound. dtype: of the transformer.

    Raises:
        Sds3dError: the scheduler is of another kind.
    """

    prediction = "v"

    def __init__(self, pipe: Any, seconds: float, device: torch.device, dtype: torch.dtype):
        scheduler = type(pipe.scheduler).__name__
        if scheduler != "CosineDPMSolverMultistepScheduler":
            raise Sds3dError(
                f"prior.folder: its scheduler is a {scheduler}; the network of Stable Audio Open is told times as "
                "CosineDPMSolverMultistepScheduler has them."
            )
        self.pipe, self.device, self.dtype = pipe.to(device), device, dtype
        self.vae, self.transformer = pipe.vae.eval(), pipe.transformer.eval().to(dtype)
        self.rate, self.channels = int(self.vae.config.sampling_rate), int(self.vae.config.audio_channels)
        hop = int(self.vae.hop_length)
        frames = min(math.ceil(seconds * self.rate / hop), int(self.transformer.config.sample_size))
        self.samples, self.seconds = frames * hop, frames * hop / self.rate
        self.latent_shape = (int(self.transformer.config.in_channels), 1, frames)
        t = (torch.arange(STEPS, dtype=torch.float64) + 0.5) / STEPS
        self.schedule = NoiseSchedule("vp", torch.cos(math.pi / 2 * t) ** 2)

    def embed(self, text: str, positive: bool) -> dict[str, Tensor]:
        """states (1, L, D): words, begin and end; seconds (1, 1, 2 D). No prompt is zeros, as the pipeline has it."""
        begin, end = self.pipe.encode_duration(0.0, self.seconds, self.device, False, 1)
        words = self.pipe.encode_prompt(text, self.device, False)
        states = torch.cat([words, begin, end], dim=1)
        if not positive and not text:
            states = torch.zeros_like(states)
        return {"states": states, "seconds": torch.cat([begin, end], dim=2)}

    def encode(self, media: Float[Tensor, "b c t"]) -> Tensor:
        """The posterior's mode; mono is heard on both sides."""
        media = media.to(self.device).expand(-1, self.channels, -1)
        return self.vae.encode(media).latent_dist.mode()[:, :, None]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Float[Tensor, "b c t"]:
        """Waveforms in [-1, 1]."""
        return self.vae.decode(z[:, :, 0].to(self.device)).sample.clamp(-1, 1)

    def forward(self, z_t: Tensor, t: Float[Tensor, " b"], tensors: Mapping[str, Tensor]) -> Tensor:
        """v; the network is told the middle of the table's entry."""
        from diffusers.models.embeddings import get_1d_rotary_pos_embed

        seconds = tensors["seconds"].to(self.dtype)
        length = z_t.shape[-1] + seconds.shape[1]
        rotary = get_1d_rotary_pos_embed(
            self.pipe.rotary_embed_dim, length, use_real=True, repeat_interleave_real=False
        )
        time = (self.schedule.index(t).to(self.dtype) + 0.5) / STEPS
        output = self.transformer(
            z_t[:, :, 0].to(self.dtype), time, encoder_hidden_states=tensors["states"].to(self.dtype),
            global_hidden_states=seconds, rotary_embedding=rotary, return_dict=False,
        )[0]  # fmt: skip
        return output[:, :, None]


class AudioLdm2:
    """An AudioLDM2Pipeline's parts; see SoundModel.

    Its vocoder was trained on log mel amplitudes of a Hann window of 1024 samples, 160 apart, slaney's mel scale from 0
    to half the rate: those are what `encode` makes. The sound that it decodes to is the vocoder's.
    """

    WINDOW, FLOOR = 1024, 1e-5

    def __init__(self, pipe: Any, seconds: float, device: torch.device, dtype: torch.dtype):
        self.pipe, self.device, self.dtype = pipe.to(device), device, dtype
        self.vae, self.unet, self.vocoder = pipe.vae.eval(), pipe.unet.eval().to(dtype), pipe.vocoder.eval()
        self.rate, self.channels = int(self.vocoder.config.sampling_rate), 1
        self.hop = math.prod(self.vocoder.config.upsample_rates)
        self.bands, factor = int(self.vocoder.config.model_in_dim), int(pipe.vae_scale_factor)
        # the UNet halves its input once a scale, and the autoencoder before it
        step = factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        self.frames = step * math.ceil(seconds * self.rate / self.hop / step)
        self.samples = self.frames * self.hop
        self.latent_shape = (int(self.unet.config.in_channels), self.frames // factor, self.bands // factor)
        self.schedule, self.prediction = schedule_of(
            {**pipe.scheduler.config, "_class_name": type(pipe.scheduler).__name__}, Path("scheduler")
        )

    def embed(self, text: str, positive: bool) -> dict[str, Tensor]:
        """states and mask of the T5 encoder, generated (1, N, D) of the language model."""
        states, mask, generated = self.pipe.encode_prompt(text, self.device, 1, False)
        return {"states": states, "mask": mask, "generated": generated}

    def _mel(self, audio: Float[Tensor, "b t"]) -> Float[Tensor, "b n m"]:
        """Log mel amplitudes of the vocoder's form."""
        from transformers.audio_utils import mel_filter_bank

        window, hop = self.WINDOW, self.hop
        pad = (window - hop) // 2
        frames = F.pad(audio, (pad, window - hop - pad), mode="reflect").unfold(-1, window, hop)
        shape = torch.hann_window(window, dtype=audio.dtype, device=audio.device)
        power = torch.fft.rfft(frames * shape).abs().square()
        bank = mel_filter_bank(
            window // 2 + 1, self.bands, 0.0, self.rate / 2, self.rate, norm="slaney", mel_scale="slaney"
        )
        amplitude = (power + 1e-9).sqrt() @ torch.from_numpy(bank).to(power)
        return amplitude.clamp(min=self.FLOOR).log()

    def encode(self, media: Float[Tensor, "b c t"]) -> Tensor:
        """The posterior's mode of the mel spectrogram, scaled."""
        mel = self._mel(media.to(self.device).mean(1))[:, None]
        return self.vae.encode(mel).latent_dist.mode() * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, z: Tensor) -> Float[Tensor, "b c t"]:
        """What the vocoder makes of the decoded spectrogram, (B, 1, T)."""
        mel = self.vae.decode(z.to(self.device) / self.vae.config.scaling_factor).sample
        wave = self.vocoder(mel[:, 0])
        return F.pad(wave, (0, max(0, self.samples - wave.shape[-1])))[:, None, : self.samples].clamp(-1, 1)

    def forward(self, z_t: Tensor, t: Float[Tensor, " b"], tensors: Mapping[str, Tensor]) -> Tensor:
        """The UNet's output."""
        return self.unet(
            z_t.to(self.dtype), self.schedule.index(t),
            encoder_hidden_states=tensors["generated"].to(self.dtype),
            encoder_hidden_states_1=tensors["states"].to(self.dtype), encoder_attention_mask_1=tensors["mask"],
            return_dict=False,
        )[0]  # fmt: skip


ADAPTERS: Mapping[str, Callable[[Any, float, torch.device, torch.dtype], SoundModel]] = {
    "StableAudioPipeline": StableAudio,
    "AudioLDM2Pipeline": AudioLdm2,
}
"""Class in model_index.json -> adapter."""
