"""FreeU: a UNet's backbone strengthened and its skips weakened, without training.

Si et al., "FreeU: Free Lunch in Diffusion U-Net", 2023, arXiv 2309.11497, by the library's own switch. DreamCatalyst's
code edits with it.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..config.options import Options
from ..core.errors import ConfigError


class FreeUOptions(Options):
    """Factors at the two coarsest stages of the way up; the defaults are DreamCatalyst's."""

    b1: float = Field(default=1.1, gt=0.0)
    """On the backbone at the first stage."""
    b2: float = Field(default=1.1, gt=0.0)
    """On the backbone at the second stage."""
    s1: float = Field(default=0.9, ge=0.0)
    """On the skips' low frequencies at the first stage."""
    s2: float = Field(default=0.2, ge=0.0)
    """On the skips' low frequencies at the second stage."""


def with_freeu(network: Any, options: FreeUOptions | None) -> Any:
    """The network, with FreeU switched on where it is asked for.

    Raises:
        ConfigError: it has no such switch.
    """
    if options is None:
        return network
    if not hasattr(network, "enable_freeu"):
        raise ConfigError(
            f"FreeU changes a UNet's skips, and a {type(network).__name__} has none.",
            key="prior.freeu",
            hint="Leave it out, or take a model such as sd15.",
        )
    network.enable_freeu(s1=options.s1, s2=options.s2, b1=options.b1, b2=options.b2)
    return network
