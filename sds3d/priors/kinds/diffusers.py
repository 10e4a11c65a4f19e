"""Stable Diffusion 1.x and 2.x from a local folder in diffusers' layout.

A latent text-to-image model (Rombach et al., "High-resolution image synthesis with latent diffusion models", 2022,
arXiv 2112.10752). It knows no camera: the side that a view sees is told in the prompt, as in Poole et al.,
"DreamFusion", 2022, arXiv 2209.14988, §3.3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from ...config.options import Options as BaseOptions
from ...core.errors import PromptError, Sds3dError
from ...core.look import Look, Render
from ..base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from ..folder import best_cpu_dtype, load_schedule, load_text_encoder, load_unet, load_vae
from ..latent import decode_latent, encode_latent
from ..noise_schedule import over
from ..stable_diffusion import Layout, check_folder, weight_files_of
from ..views import VIEW_WORDS, view_index


class Options(BaseOptions):
    """Stable Diffusion 1.x or 2.x, its weights on this disk; in practice it wants a GPU."""

    kind: Literal["diffusers"] = "diffusers"
    """The name of this kind of prior."""
    folder: str = Field(min_length=1)
    """The model's folder on this disk, with model_index.json and safetensors weights; nothing is downloaded."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Arithmetic of the UNet; auto takes float16 on a GPU, bfloat16 where the CPU has it. The autoencoder and the
    text encoder stay in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto takes a GPU if there is one."""
    size: int | None = Field(default=None, ge=8)
    """Side of the pictures that the model judges, in pixels; by default the size it was trained at."""


def create(options: Options, device: str = "cpu") -> StableDiffusionPrior:
    """Check the folder, then load the UNet and the autoencoder.

    Args:
        device: where the model runs if the options leave it open and there is no GPU.

    Raises:
        Sds3dError: the folder is missing, incomplete, pickled or another kind of model, a size that does not
            fit, or no GPU where one is asked for.
    """
    layout = check_folder(options.folder)
    if options.size is not None and options.size % layout.factor:
        near = max(1, round(options.size / layout.factor)) * layout.factor
        raise Sds3dError(
            f"prior.size: {options.size} is not a multiple of {layout.factor}, the pixels of one latent cell; "
            f"the nearest is {near}."
        )
    return StableDiffusionPrior(layout, options, _device(options.device, device))


def weight_files(options: Options) -> list[Path]:
    """The safetensors files that a run with these options reads; errors as in `create`."""
    return weight_files_of(check_folder(options.folder).folder)


def _device(wanted: str, otherwise: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise Sds3dError(
            "prior.device=cuda: this PyTorch sees no CUDA device. Install a driver and a CUDA build of PyTorch, or "
            "set prior.device=cpu (slow: seconds to minutes a step)."
        )
    if wanted == "auto":
        return torch.device("cuda" if available else otherwise)
    return torch.device(wanted)


class StableDiffusionPrior:
    """See the module docstring and priors.base.Prior; z lies on the model's device, text states in float32."""

    def __init__(self, layout: Layout, options: Options, device: torch.device):
        self.folder, self.device = layout.folder, device
        if options.precision == "auto":
            dtype = torch.float16 if device.type == "cuda" else best_cpu_dtype()
        else:
            dtype = getattr(torch, options.precision)
        self.schedule, prediction = load_schedule(layout.folder / "scheduler")
        self.unet = load_unet(layout.folder, dtype).to(device)
        self.vae = load_vae(layout.folder).to(device)
        size = layout.size if options.size is None else (options.size, options.size)
        name = layout.folder.resolve().name
        self.info = PriorInfo(
            name=f"diffusers/{name}",
            media="image",
            size=size,
            latent_shape=(layout.channels, size[0] // layout.factor, size[1] // layout.factor),
            prediction=prediction,
            licence=f"see the model card of {name}",
        )

    def prepare(self, prompts: Prompts) -> Embedded:
        """Text states (L, D) of the prompt, the empty prompt, the negative one and, if asked, the four view prompts.

        The text encoder is loaded for this call only.

        Raises:
            PromptError: the prompt is empty, or too long for the text encoder.
        """
        if not prompts.text.strip():
            raise PromptError('the prompt is empty; say what to make, such as "a photo of a fox"')
        texts = {"y": prompts.text, "null": "", "neg": prompts.negative}
        if prompts.view_words:
            texts |= {f"y{i}": f"{prompts.text}, {words}" for i, words in enumerate(VIEW_WORDS)}
        ids = self._tokens(list(texts.values()))
        return Embedded(dict(zip(texts, self._states(ids), strict=True)))

    def _tokens(self, texts: list[str]) -> Tensor:
        """(N, L) token ids, padded to the encoder's length; a text that would be cut is refused."""
        from transformers import CLIPTokenizer

        tokenizer = CLIPTokenizer.from_pretrained(self.folder / "tokenizer", local_files_only=True)
        room = int(tokenizer.model_max_length)
        for text in texts:
            count = len(tokenizer(text, truncation=False, verbose=False)["input_ids"])
            if count > room:
                raise PromptError(
                    f"this model reads at most {room - 2} tokens (about {int((room - 2) * 0.75)} words), this text "
                    f'has {count - 2}; shorten it: "{text}"'
                )
        return tokenizer(texts, padding="max_length", return_tensors="pt")["input_ids"]

    @torch.no_grad()
    def _states(self, ids: Tensor) -> Float[Tensor, "n length width"]:
        """Last hidden states, after the final norm; the encoder is freed on return."""
        encoder: Any = load_text_encoder(self.folder).to(self.device)
        return encoder(ids.to(self.device)).last_hidden_state.float()

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """Branches y (by view where view prompts were made), null and neg, each "states" (B, L, D)."""
        count, states = len(look.background), embedded.tensors
        per_view = ["y"] * count
        if "y0" in states and look.cameras is not None:
            per_view = [f"y{i}" for i in view_index(look.cameras)]
        rows = {"y": per_view, "null": ["null"] * count, "neg": ["neg"] * count}
        return {
            branch: Cond(
                {"states": torch.stack([states[name] for name in names])},
                torch.ones(count, device=self.device),
            )
            for branch, names in rows.items()
        }

    def encode(self, media: Tensor) -> Tensor:
        """RGB in [0, 1] at any size -> z (B, 4, h, w); gradients pass through the encoder."""
        return encode_latent(self.vae, media, self.info.size)

    def decode(self, z: Tensor) -> Tensor:
        """z -> RGB clamped to [0, 1]; no gradient."""
        return decode_latent(self.vae, z)

    @torch.no_grad()
    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """One forward of the UNet for all rows."""
        dtype = self.unet.dtype
        z_t = z_t.to(self.device)
        output = self.unet(
            z_t.to(dtype),
            self.schedule.index(t).to(self.device),
            cond.tensors["states"].to(dtype),
            return_dict=False,
        )[0]
        alpha, sigma = (over(v, z_t) for v in (self.schedule.alpha(t), self.schedule.sigma(t)))
        return Prediction.of(output.float(), z_t, alpha, sigma, self.info.prediction)
