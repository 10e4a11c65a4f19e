"""The options of a prior that is named by one word on a command line."""

from __future__ import annotations

from pathlib import Path

from ..config.kinds import modules
from ..config.options import Options
from ..priors.models.resolve import expand
from . import configs
from .schema import PRIORS


def prior_options(word: str) -> Options:
    """A prior's options.

    Args:
        word: a model folder, a single file, a model's name, a config file whose `prior` is meant, or the name of a
            kind such as embedded.

    Raises:
        Sds3dError: the config file is wrong.
    """
    if configs.is_file(word):
        return configs.read(Path(word)).prior
    kinds = modules(PRIORS.package, PRIORS.group)
    if word in kinds and not Path(word).exists():
        return kinds[word].Options()  # type: ignore[attr-defined]
    given = expand(word) or {"folder": word}
    return kinds["diffusers"].Options(**given)  # type: ignore[attr-defined]
