"""A worse version of the same network for one forward: layers, or the scores of attention, skipped.

What skip-layer and perturbed-attention guidance compare with (Ahn et al., "Self-rectifying diffusion sampling with
perturbed-attention guidance", 2024, arXiv 2403.17377): the branch "skip" of a prior. Done from outside, by hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from ..config.options import Options as BaseOptions
from ..core.errors import ConfigError

_BROKEN = (ValueError, KeyError, AttributeError, RuntimeError, IndexError, TypeError)


class PerturbOptions(BaseOptions):
    """Which layers the branch "skip" leaves out."""

    layers: tuple[int, ...] = Field(min_length=1)
    """Positions in the stack of blocks, such as [7, 8, 9] for Stable Diffusion 3.5 medium."""
    stack: str = "auto"
    """Dotted name of the stack; auto finds that of transformers. A UNet's is such as
    mid_block.attentions.0.transformer_blocks."""
    skip: Literal["layer", "scores"] = "layer"
    """The whole block, or only the scores of its self-attention (PAG)."""


@contextmanager
def perturbed(network: Any, options: PerturbOptions) -> Iterator[None]:
    """The network skips those layers within this block.

    Raises:
        ConfigError: it has no such layers, or the library cannot reach their attention.
    """
    skip = _without_scores if options.skip == "scores" else _without_layers
    try:
        undo = skip(network, options)
    except _BROKEN as error:
        raise ConfigError(
            f"the layers {list(options.layers)} of {options.stack!r} cannot be skipped in a "
            f"{type(network).__name__}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            key="prior.perturb",
        ) from error
    try:
        yield
    finally:
        undo()


def _without_layers(network: Any, options: PerturbOptions) -> Callable[[], None]:
    """Blocks hand on what they were given. The library's own hook mixes up the two streams of joint blocks."""
    stack = network.get_submodule("transformer_blocks" if options.stack == "auto" else options.stack)
    handles = [stack[i].register_forward_hook(_hand_on, with_kwargs=True) for i in options.layers]

    def undo() -> None:
        for handle in handles:
            handle.remove()

    return undo


def _hand_on(block: Any, args: tuple[Any, ...], given: dict[str, Any], output: Any) -> Any:
    """A block's inputs in the form of its output: pictures alone, or (text, pictures), text None after the last."""
    hidden = given["hidden_states"] if "hidden_states" in given else args[0]
    if isinstance(output, Tensor):
        return hidden
    text = given["encoder_hidden_states"] if "encoder_hidden_states" in given else args[1]
    return (None if output[0] is None else text), hidden


def _without_scores(network: Any, options: PerturbOptions) -> Callable[[], None]:
    """Self-attention passes its values on, by the library's hooks."""
    from diffusers.hooks import HookRegistry, LayerSkipConfig, apply_layer_skip

    registry = HookRegistry.check_if_exists_or_initialize(network)
    apply_layer_skip(
        network,
        LayerSkipConfig(
            list(options.layers),
            fqn=options.stack,
            skip_attention=False,
            skip_ff=False,
            skip_attention_scores=True,
        ),
    )
    return lambda: registry.remove_hook("layer_skip_hook", recurse=True)


def check_perturb(network: Any, options: PerturbOptions | None) -> None:
    """Whether those layers can be skipped; errors as in `perturbed`."""
    if options is not None:
        with perturbed(network, options):
            pass
