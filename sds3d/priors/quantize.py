"""The denoiser's weights in fewer bits, by the library's backends.

Only the weights of linear layers are quantised; they are turned back to the network's precision, layer by layer, when
they are used. What is predicted changes a little, what is optimised does not: no gradient passes through a prior.

| prior.quantize | backend | bits a weight, with scales | runs on |
|---|---|---|---|
| torchao-int8 | torchao, symmetric, a scale a row | 8 | CPU, GPU |
| quanto-int8, quanto-int4 | optimum-quanto; int4 in groups of 128 | 8, 4.25 | CPU, GPU |
| bnb-int8 | bitsandbytes, LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339) | 8 | GPU |
| bnb-nf4 | bitsandbytes, normal floats in groups of 64 (Dettmers et al. 2023, arXiv 2305.14314) | 4.5 | GPU |

A single file in GGUF form (`prior.file: model.gguf`) is quantised already and needs none of this.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..core.errors import MissingPackageError, Sds3dError

if TYPE_CHECKING:
    from .families.base import Layout
    from .published_options import Options


@dataclass(frozen=True)
class Scheme:
    """A way to quantise.

    Args:
        module, install: what has to be importable, and the command that makes it so. bits: of a weight, scales
            included, for predictions. gpu: whether it needs a GPU.
    """

    module: str
    install: str
    bits: float
    gpu: bool = False


SCHEMES: Mapping[str, Scheme] = {
    "torchao-int8": Scheme("torchao", "pip install 'torchao>=0.15'", 8.0),
    "quanto-int8": Scheme("optimum.quanto", "pip install 'optimum-quanto>=0.2.6'", 8.0),
    "quanto-int4": Scheme("optimum.quanto", "pip install 'optimum-quanto>=0.2.6'", 4.25),
    "bnb-int8": Scheme("bitsandbytes", "pip install 'bitsandbytes>=0.48'", 8.0, gpu=True),
    "bnb-nf4": Scheme("bitsandbytes", "pip install 'bitsandbytes>=0.48'", 4.5, gpu=True),
}


def check_quantize(options: Options, layout: Layout, device: torch.device) -> None:
    """Refuse at second 0 what could not be quantised later.

    Raises:
        MissingPackageError: the backend is not installed. Sds3dError: it needs a GPU, or does not go together with
            another option.
    """
    gguf = is_gguf(options.file)
    if gguf:
        need("gguf", f"the file {options.file}", "pip install gguf")
    if options.quantize == "none" and not gguf:
        return
    what = f"prior.file={options.file}" if gguf else f"prior.quantize={options.quantize}"
    for wrong, advice in _obstacles(options, layout, gguf):
        if wrong:
            raise Sds3dError(f"{what}: {advice}")
    if gguf:
        return
    scheme = SCHEMES[options.quantize]
    need(scheme.module, what, scheme.install)
    if scheme.gpu and device.type != "cuda":
        raise Sds3dError(f"{what}: needs a GPU; on a CPU take torchao-int8 or quanto-int8.")


def _obstacles(options: Options, layout: Layout, gguf: bool) -> list[tuple[bool, str]]:
    """(whether it is so, what to say) of every option that quantised weights do not go together with."""
    return [
        (
            bool(options.loras),
            "LoRAs (prior.loras) are added to the weights themselves, which quantised ones do not allow. Leave one "
            "of the two out; prior.memory=offload saves memory with LoRAs.",
        ),
        (
            options.memory == "offload",
            "quantised weights stay on the device; prior.memory=offload moves them layer by layer. Set "
            "prior.memory to auto, roomy or lean.",
        ),
        (
            bool(layout.family.converted),
            f"{layout.family.name} models are converted when they are read, and are not quantised.",
        ),
        (gguf and options.quantize != "none", "it is quantised already; set prior.quantize=none."),
    ]


def need(module: str, what: str, install: str) -> None:
    """Whether a package can be imported, without importing it.

    Raises:
        MissingPackageError: it cannot.
    """
    top, _, _ = module.partition(".")
    # find_spec of a submodule imports its parent, which is absent here
    if importlib.util.find_spec(top) is None or importlib.util.find_spec(module) is None:
        raise MissingPackageError(module.replace(".", "-"), what, install)


def is_gguf(file: str | None) -> bool:
    """Whether a single file is one of quantised weights."""
    return file is not None and str(file).lower().endswith(".gguf")


def library_config(name: str, dtype: torch.dtype) -> Any:
    """The library's own description of a scheme; None for "none".

    Args:
        name: a key of SCHEMES or "none". dtype: what the network computes in.
    """
    if name == "none":
        return None
    import diffusers

    if name == "torchao-int8":
        from torchao.quantization import Int8WeightOnlyConfig

        return diffusers.TorchAoConfig(Int8WeightOnlyConfig())
    if name.startswith("quanto-"):
        return diffusers.QuantoConfig(weights_dtype=name.removeprefix("quanto-"))
    if name == "bnb-int8":
        return diffusers.BitsAndBytesConfig(load_in_8bit=True)
    return diffusers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def weight_bytes(network: torch.nn.Module, name: str) -> int:
    """Bytes of a network's weights after quantising them so; those of any network for "none".

    A layer's weight is turned back when it is used: the largest one counts once more, in the network's precision.
    """
    total = sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))
    if name == "none":
        return total
    weights = [m.weight for m in network.modules() if isinstance(m, torch.nn.Linear)]
    saved = sum(w.numel() * (w.element_size() - SCHEMES[name].bits / 8) for w in weights)
    return int(total - saved + max((w.numel() * w.element_size() for w in weights), default=0))
