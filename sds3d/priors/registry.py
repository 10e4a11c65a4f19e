"""Building a prior from its options; the kinds are the files in kinds/ and entry points of `sds3d.priors`."""

from __future__ import annotations

from typing import Any

from ..config.kinds import module_of
from .base import Prior
from .models.resolve import resolved

PACKAGE = "sds3d.priors.kinds"
GROUP = "sds3d.priors"


def create_prior(options: Any, device: str = "cpu", **extras: Any) -> Prior:
    """The prior that these options describe.

    Args:
        options: `Options` of a kind, such as kinds.embedded.Options; a model's name in them is looked up.
        device: where its networks run.
        extras: what a kind needs beside options, such as `render` for oracle_scene.

    Raises:
        ConfigError: unknown kind. ModelError: the model is not on this disk. What else
            can go wrong is told by the kind's own `create`.
    """
    return module_of(PACKAGE, options.kind, GROUP).create(resolved(options), device=device, **extras)
