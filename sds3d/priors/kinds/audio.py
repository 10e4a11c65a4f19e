"""The embedded audio prior: the project's own small text-conditioned diffusion model of one-second sounds.

A diffusers UNet2DConditionModel on spectrograms (priors.spectrogram), conditioned on the tokens of a small text tower
and, through the class embedding, on its pooled text. How it was made, on what, and what it can do: docs/audio.md.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...config.options import Options as BaseOptions
from ...core.look import Look, Render
from ..base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from ..folder import Components, best_cpu_dtype, load_components
from ..noise_schedule import over
from ..pixel_unet import pool_text
from ..sound_unet import sound_unet_output
from ..spectrogram import Codec
from ..words import check_texts, read_vocabulary
from .embedded import assets_folder

_FALLING = {"high": {"sqrt": [0.98, 0.5]}, "low": {"sqrt": [0.6, 0.02]}, "scale": "native"}
_X0_LOSS = {
    "weight": "kappa",
    "transforms": [{"rescale": 0.5, "space": "x0"}, "clamp_x0"],
    "times": _FALLING,
    "cfg_scale": 5.0,
}
RECOMMENDED = {
    "guidance": {
        "sds": _X0_LOSS,
        "csd": {"weight": "kappa", "times": _FALLING},
        "nfsd": {"weight": "kappa", "times": _FALLING},
        "cfd": {"noise": "fixed", "cfg_scale": 3.0, "transforms": _X0_LOSS["transforms"]},
        "audiosds": {"transforms": _X0_LOSS["transforms"], "times": _FALLING, "cfg_scale": 5.0},
    },
    "optimize": {"steps": 300, "views": 1},
    "threads": 1,
}
"""What distils well from this small model of spectrograms; see jobs.recommend. As for the small model of pictures, a
residual in x0 (weight kappa) at falling times and a low scale; levels in decibels suit synthesisers whose amplitudes
are kept as logarithms. CFD with one noise (the default of sounds) settles on one pitch, where fresh noise at each step
averages over the pitches that a sentence leaves open."""


_BIGGER = (
    "Free text needs a big model: prior.kind=published_audio prior.folder=<Stable Audio Open or AudioLDM 2> (its "
    "weights on this disk, in practice a GPU)."
)


class Options(BaseOptions):
    """The audio prior in the box: one-second sounds, no download, no GPU."""

    kind: Literal["audio"] = "audio"
    """The name of this kind of prior."""
    folder: Path | None = None
    """A model that `sds3d prior train configs/prior/audio.yaml` made, in place of the shipped one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the CPU has it, float32 on a GPU."""


def model_folder(options: Options) -> Path:
    """Where the model lies that the options name."""
    return options.folder or assets_folder() / "audio"


def weight_files(options: Options) -> list[Path]:
    """The files whose hashes tell which model it is."""
    return sorted(model_folder(options).rglob("*.safetensors"))


def check_prompts(
    options: Options, text: str, negative: str, view_words: bool | None, source: str = ""
) -> None:
    """Refuse words that the model cannot read before anything is loaded or made; see jobs.batch.

    Raises:
        PromptError: as `AudioPrior.prepare`. Sds3dError: the model's word list is missing or broken.
    """
    words, room = read_vocabulary(model_folder(options) / "tokenizer")
    _check(text, negative, words, room)


def _check(text: str, negative: str, vocabulary: Collection[str], max_tokens: int) -> None:
    empty = 'the prompt is empty; say what to hear, such as: sds3d run "a high bell" representation=fm'
    check_texts((text, negative), vocabulary, max_tokens, "audio", empty, _BIGGER)


def create(options: Options, device: str = "cpu") -> AudioPrior:
    """Load the model that the options name."""
    return load_folder(model_folder(options), options, device)


def load_folder(folder: Path, options: Options, device: str = "cpu") -> AudioPrior:
    """Load a model of this kind from any folder, such as one that was trained a moment ago."""
    usual = best_cpu_dtype() if torch.device(device).type == "cpu" else torch.float32
    dtype = usual if options.precision == "auto" else getattr(torch, options.precision)
    return AudioPrior(load_components(folder, dtype), device)


class AudioPrior:
    """See the module docstring and priors.base.Prior; media are (B, 1, T) mono in [-1, 1]."""

    def __init__(self, parts: Components, device: str = "cpu"):
        from safetensors.torch import load_file

        self.device = torch.device(device)
        self.unet, self.text, self.tokenizer = parts.unet.to(device), parts.text_encoder, parts.tokenizer
        self.projection = {
            k: v.float() for k, v in load_file(parts.folder / "text_projection.safetensors").items()
        }
        self.schedule, self.unshuffle = parts.schedule, int(parts.index["unshuffle"])
        self.codec = Codec(**parts.index["codec"])
        self.info = PriorInfo(
            name="audio",
            media="audio",
            size=(1, self.codec.samples),
            latent_shape=self.codec.shape,
            prediction=parts.prediction,
            licence="Apache-2.0",
            rate=self.codec.rate,
        )

    def prepare(self, prompts: Prompts) -> Embedded:
        """Text states of the prompt, the empty prompt and the negative prompt.

        Raises:
            PromptError: empty, too long, or with words outside the vocabulary.
        """
        _check(
            prompts.text, prompts.negative, self.tokenizer.get_vocab(), int(self.tokenizer.model_max_length)
        )
        out = {}
        for name, text in {"y": prompts.text, "null": "", "neg": prompts.negative}.items():
            out[f"{name}.states"], out[f"{name}.pooled"] = self._embed(text)
        return Embedded(out)

    @torch.no_grad()
    def _embed(self, text: str) -> tuple[Tensor, Tensor]:
        """Token states (L, D) and pooled text (D,); an empty prompt pools to zero, as in training."""
        ids = self.tokenizer([text], padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
        states = self.text(ids).last_hidden_state
        pooled = pool_text(states, ids, self.tokenizer.eos_token_id, **self.projection)
        return states[0].to(self.device), pooled[0].to(self.device)

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """Branches y, null and neg, the same for every view."""
        count, e = len(look), embedded.tensors
        return {
            branch: Cond(
                {
                    part: e[f"{branch}.{part}"].expand(count, *e[f"{branch}.{part}"].shape)
                    for part in ("states", "pooled")
                },
                torch.ones(count, device=self.device),
            )
            for branch in ("y", "null", "neg")
        }

    def encode(self, media: Float[Tensor, "b 1 t"]) -> Float[Tensor, "b 1 m n"]:
        """Sounds -> spectrograms; differentiable."""
        return self.codec.encode(media)

    def decode(self, z: Float[Tensor, "b 1 m n"]) -> Float[Tensor, "b 1 t"]:
        """Spectrograms -> sounds, phases found; no gradient."""
        return self.codec.decode(z)

    def decode_near(
        self, z: Float[Tensor, "b 1 m n"], media: Float[Tensor, "b 1 t"]
    ) -> Float[Tensor, "b 1 t"]:
        """Spectrograms -> sounds with the phases of `media`; exact where z is encode(media)."""
        return self.codec.near(z, media)

    @torch.no_grad()
    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """One forward of the UNet for all rows."""
        states, pooled = cond.tensors["states"], cond.tensors["pooled"]
        output: Any = sound_unet_output(
            self.unet, self.unshuffle, z_t, self.schedule.index(t), states, pooled
        )
        alpha, sigma = over(self.schedule.alpha(t), z_t), over(self.schedule.sigma(t), z_t)
        return Prediction.of(output, z_t, alpha, sigma, self.info.prediction)
