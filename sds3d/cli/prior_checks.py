"""The checks of `sds3d doctor --prior`: load a model, and see whether its answers make sense."""

from __future__ import annotations

import time

from .checks import Check


def prior_checks(word: str) -> list[Check]:
    """A loaded model's findings.

    Args:
        word: a model folder, a single file, a model's name, a config file whose `prior` is meant, or the name of a
            kind such as embedded.

    Raises:
        Sds3dError: it cannot be loaded; the text says why.
    """
    from ..core.devices import resolve
    from ..jobs.assemble import load_prior
    from ..jobs.prior_word import prior_options
    from ..priors.self_check import self_check

    start = time.perf_counter()
    prior = load_prior(prior_options(word), device=resolve("auto"))
    info, seconds = prior.info, time.perf_counter() - start
    height, width = info.size
    loaded = Check(
        "prior",
        "ok",
        f"{info.name}, {width} x {height} pixels, predicts {info.prediction}, loaded in {seconds:.1f} s",
    )
    found = [
        Check(f"prior: {f.name}", "ok" if f.ok else "wrong", f.detail, "" if f.ok else f.advice)
        for f in self_check(prior)
    ]
    return [loaded, *found]
