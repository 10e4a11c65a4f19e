"""Published audio models from a local folder in diffusers' layout: Stable Audio Open and AudioLDM 2.

The library's own pipeline is loaded whole, offline, and asked for its parts; see priors.published_audio.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from ...config.options import Options as BaseOptions
from ...core.errors import MissingPackageError, PromptError, Sds3dError
from ...core.look import Look, Render
from ..base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from ..noise_schedule import over
from ..published_audio import ADAPTERS, SoundModel


class Options(BaseOptions):
    """A published audio model, from a folder on this disk."""

    kind: Literal["published_audio"] = "published_audio"
    """The name of this kind of prior."""
    folder: Path
    """The model: a folder with model_index.json of a StableAudioPipeline or an AudioLDM2Pipeline."""
    seconds: float = Field(default=4.0, gt=0.0, le=47.0)
    """Length of a sound; rounded up to whole latent frames."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Arithmetic of the denoiser; auto takes float16 on a GPU, float32 on a CPU. The codec stays in float32."""


def check_prompts(
    options: Options, text: str, negative: str, view_words: bool | None, source: str = ""
) -> None:
    """Refuse an empty prompt, and a folder that is no such model, before anything is loaded.

    Raises:
        PromptError: the prompt is empty. Sds3dError: the folder.
    """
    _pipeline_class(options.folder)
    if not text.strip():
        raise PromptError("the prompt is empty; say what to hear")


def weight_files(options: Options) -> list[Path]:
    """The files whose hashes tell which model it is."""
    _pipeline_class(options.folder)
    return sorted(options.folder.expanduser().rglob("*.safetensors"))


def _pipeline_class(folder: Path) -> str:
    """The class that model_index.json names, one of ADAPTERS.

    Raises:
        Sds3dError: there is no such folder, or it holds another kind of model.
    """
    path = folder.expanduser() / "model_index.json"
    try:
        name = str(json.loads(path.read_text())["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Sds3dError(
            f"prior.folder: {path} cannot be read: {error}. `sds3d models` names models."
        ) from error
    if name not in ADAPTERS:
        raise Sds3dError(f"prior.folder: {folder} holds a {name}; audio models are {', '.join(ADAPTERS)}.")
    return name


def create(options: Options, device: str = "cpu") -> PublishedAudio:
    """Load the model.

    Raises:
        Sds3dError: files are missing or broken. MissingPackageError: torchsde is absent and the model needs it.
    """
    name, place = _pipeline_class(options.folder), torch.device(device)
    usual = torch.float16 if place.type == "cuda" else torch.float32
    dtype = usual if options.precision == "auto" else getattr(torch, options.precision)
    pipe = _load(options.folder.expanduser(), name)
    return PublishedAudio(ADAPTERS[name](pipe, options.seconds, place, dtype), options)


def _load(folder: Path, name: str) -> Any:
    import diffusers

    try:
        return getattr(diffusers, name).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, torch_dtype=torch.float32
        )
    except ImportError as error:
        if "torchsde" in str(error):
            raise MissingPackageError("torchsde", name, "pip install 'sds3d[audio]'") from error
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise Sds3dError(f"{folder}: the model cannot be loaded: {error}") from error


def _filled(value: Tensor, length: int) -> Tensor:
    """(L, ...) with zeros behind it, up to `length`."""
    return torch.cat([value, value.new_zeros(length - len(value), *value.shape[1:])])


class PublishedAudio:
    """See the module docstring and priors.base.Prior; media are (B, C, T) in [-1, 1], mono is doubled where needed."""

    def __init__(self, model: SoundModel, options: Options):
        self.model, self.device, self.schedule = model, model.device, model.schedule
        self.info = PriorInfo(
            name=f"published_audio/{options.folder.expanduser().resolve().name}",
            media="audio",
            size=(model.channels, model.samples),
            latent_shape=model.latent_shape,
            prediction=model.prediction,
            licence=f"see the model card of {options.folder.name}",
            rate=model.rate,
        )

    @torch.no_grad()
    def prepare(self, prompts: Prompts) -> Embedded:
        """Text tensors of the prompt, of no prompt and of the negative one.

        Raises:
            PromptError: the prompt is empty.
        """
        if not prompts.text.strip():
            raise PromptError("the prompt is empty; say what to hear")
        texts = {"y": prompts.text, "null": "", "neg": prompts.negative}
        found = {branch: self.model.embed(text, branch == "y") for branch, text in texts.items()}
        longest = {name: max(one[name].shape[1] for one in found.values()) for name in found["y"]}
        # branches go through the network together: shorter texts are filled up, and masked there
        return Embedded(
            {
                f"{branch}.{name}": _filled(value[0], longest[name])
                for branch, one in found.items()
                for name, value in one.items()
            }
        )

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """Branches y, null and neg, the same for every view."""
        count, out = len(look), {}
        for branch in ("y", "null", "neg"):
            own = {k: v for k, v in embedded.tensors.items() if k.startswith(f"{branch}.")}
            rows = {k.split(".", 1)[1]: v.expand(count, *v.shape) for k, v in own.items()}
            out[branch] = Cond(rows, torch.ones(count, device=self.device))
        return out

    def encode(self, media: Float[Tensor, "b c t"]) -> Tensor:
        """Sounds -> latents; gradients pass through the encoder."""
        return self.model.encode(media)

    def decode(self, z: Tensor) -> Float[Tensor, "b c t"]:
        """Latents -> sounds; no gradient."""
        return self.model.decode(z)

    @torch.no_grad()
    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """One forward of the denoiser for all rows."""
        z_t = z_t.to(self.device)
        output = self.model.forward(z_t, t.to(self.device), cond.tensors).float()
        alpha, sigma = over(self.schedule.alpha(t), z_t), over(self.schedule.sigma(t), z_t)
        return Prediction.of(output, z_t, alpha, sigma, self.info.prediction)
