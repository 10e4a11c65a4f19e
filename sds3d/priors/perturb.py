"""A worse version of the same network for one forward: layers, or the scores of attention, skipped.

What skip-layer and perturbed-attention guidance compare with (Ahn et al., "Self-rectifying diffusion sampling with
perturbed-attention guidance", 2024, arXiv 2403.17377): the branch "skip" of a prior. The library's hooks do it from
outside, where it knows the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import Field

from ..config.options import Options as BaseOptions
from ..core.errors import ConfigError

_BROKEN = (ValueError, KeyError, AttributeError, RuntimeError)


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
        ConfigError: it has no such layers, or the library cannot reach them.
    """
    from diffusers.hooks import HookRegistry, LayerSkipConfig, apply_layer_skip

    scores = options.skip == "scores"
    config = LayerSkipConfig(
        list(options.layers),
        fqn=options.stack,
        skip_attention=not scores,
        skip_ff=not scores,
        skip_attention_scores=scores,
    )
    registry = HookRegistry.check_if_exists_or_initialize(network)
    try:
        apply_layer_skip(network, config)
    except _BROKEN as error:
        raise ConfigError(
            f"the layers {list(options.layers)} of {options.stack!r} cannot be skipped in a "
            f"{type(network).__name__}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            key="prior.perturb",
        ) from error
    try:
        yield
    finally:
        registry.remove_hook("layer_skip_hook", recurse=True)


def check_perturb(network: Any, options: PerturbOptions | None) -> None:
    """Whether those layers can be skipped; errors as in `perturbed`."""
    if options is not None:
        with perturbed(network, options):
            pass
