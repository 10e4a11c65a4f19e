"""Building a prior from its options; the kinds are the files in kinds/ and entry points of `sds3d.priors`."""

from __future__ import annotations

from typing import Any

from ..config.kinds import module_of
from .base import Prior

PACKAGE = "sds3d.priors.kinds"
GROUP = "sds3d.priors"


def create_prior(options: Any, device: str = "cpu", **extras: Any) -> Prior:
    """The prior that these options describe.

    Args:
        options: `Options` of a kind, such as kinds.embedded.Options.
        device: where its networks run.
        extras: what a kind needs beside options, such as `render` for oracle_scene.

    Raises:
        ConfigError: unknown kind. What else can go wrong is told by the kind's own `create`.
    """
    return module_of(PACKAGE, options.kind, GROUP).create(options, device=device, **extras)
