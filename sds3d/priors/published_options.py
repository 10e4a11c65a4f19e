"""What a config may say of a published diffusion model; see kinds/diffusers.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..config.options import Options as BaseOptions
from ..core.devices import check_word
from .adapters import Embedding, Lora
from .control import ControlOptions
from .freeu import FreeUOptions
from .perturb import PerturbOptions
from .trust import Trust


class Options(BaseOptions):
    """A published model, its weights on this disk; in practice it wants a GPU."""

    kind: Literal["diffusers"] = "diffusers"
    """The name of this kind of prior."""
    folder: str = Field(min_length=1)
    """The model's folder on this disk, with model_index.json and safetensors weights; nothing is downloaded."""
    file: str | None = None
    """A single-file checkpoint (.safetensors, or .gguf of a denoiser alone) whose weights replace those in the folder,
    which still gives the tokenizers, the configs and what the file does not hold."""
    allow_pickle: tuple[str, ...] = ()
    """File names of pickled weights (.ckpt, .bin, .pt) that may be read since you trust their makers; others are
    refused. Only tensors are read from them."""
    trust_remote_code: tuple[str, ...] = ()
    """Repositories (owner/name) or folder names whose own Python code may be run since you trust their makers."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Arithmetic of the denoiser; auto takes float16 on a GPU, bfloat16 where the CPU has it."""
    vae_precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the autoencoder, which carries the gradient; float16 overflows in SDXL's."""
    text_precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the text encoders, which run once; auto takes bfloat16 for those above 2 GB."""
    device: Annotated[str, AfterValidator(check_word)] = "auto"
    """Where the model runs: cpu, cuda or cuda:N; auto is where the run's `device` is."""
    size: int | None = Field(default=None, ge=8)
    """Side of the pictures that the model judges, in pixels; by default the size it was trained at."""
    embedded_guidance: float | None = Field(default=None, ge=0.0)
    """Guidance scale that models distilled with one are told (FLUX dev, LCM, SANA-Sprint); by default theirs."""
    prediction: Literal["auto", "epsilon", "v", "x0", "velocity"] = "auto"
    """What the network's output is, where the scheduler's config is wrong about it."""
    few_step: Literal["auto", "none", "lcm", "turbo", "lightning", "hyper"] = "auto"
    """How the model was distilled to few steps; auto tells by its scheduler and its name."""
    loras: tuple[Lora, ...] = ()
    """LoRA files (.safetensors) to fuse into the model, each a file or {file: …, scale: …}."""
    embeddings: tuple[Embedding, ...] = ()
    """Textual inversion files (.safetensors), each a file or {file: …, token: …}."""
    memory: Literal["auto", "roomy", "lean", "tight", "offload"] = "auto"
    """How much memory of a GPU is used: roomy; lean: the autoencoder takes one view at a time and computes its
    activations twice; tight: it keeps nothing of a view but its pixels; offload: besides, the denoiser's layers stay in
    main memory and come one by one. auto takes the first that fits what is free, as predicted."""
    vae_tiles: int | None = Field(default=None, ge=32)
    """Side in pixels of overlapping tiles that the autoencoder takes larger pictures in; an approximation."""
    quantize: Literal["none", "torchao-int8", "quanto-int8", "quanto-int4", "bnb-int8", "bnb-nf4"] = "none"
    """The denoiser's weights in 8 or 4 bits, by a package that is installed for it; bnb ones need a GPU."""
    compile: bool = False
    """Compile the denoiser with torch.compile: the first step takes minutes, later ones less."""
    channels_last: bool = False
    """Hold the networks' convolutions with the channels innermost."""
    attention: Literal["auto", "math", "flash", "efficient", "cudnn", "xformers", "sage"] = "auto"
    """Kernel of attention: torch's choice, one of torch's by name (a CPU has math and flash), or a package's."""
    controls: tuple[ControlOptions, ...] = ()
    """ControlNets that tell the model the depth or the normals of each view: {folder: …, map: depth}."""
    freeu: FreeUOptions | None = None
    """Strengthen the UNet's backbone against its skips (FreeU); {} takes DreamCatalyst's factors."""
    perturb: PerturbOptions | None = None
    """Layers to leave out in a further branch, for the guider slg and for PAG."""
    debias: str | None = None
    """Folder of a masked language model (such as BERT) that leaves words out of each view's prompt that contradict the
    view; only where view words are in the prompt."""
    self_check: bool = False
    """Try the model on a known picture when it is loaded, and refuse it if its answers make no sense."""

    @property
    def trust(self) -> Trust:
        """What may be read and run by name."""
        return Trust(self.allow_pickle, self.trust_remote_code)
