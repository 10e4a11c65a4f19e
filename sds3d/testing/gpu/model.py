"""The prior on the GPU: whether it loads, and whether it knows what it should."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...jobs.assemble import load_prior
from ...priors.self_check import self_check
from .bench import Bench
from .finding import Finding, Outcome, Verdict


@dataclass(frozen=True)
class Loads:
    """Loading the prior."""

    name: str = "prior"
    does: str = "load the prior on the GPU"
    needs: tuple[str, ...] = ("driver",)

    def run(self, bench: Bench) -> Outcome:
        """See finding.Check."""
        start = time.perf_counter()
        prior = load_prior(bench.prior, bench.priors, bench.gpu.device)
        load = getattr(prior, "load", None)  # published models load when they are first used
        if load is not None:
            load()
        bench.gpu.settle()
        info, spent = prior.info, time.perf_counter() - start
        size = " x ".join(map(str, reversed(info.size)))
        tier = getattr(prior, "tier", "")
        told = f"{info.name}, {size} pixels, predicts {info.prediction}, loaded in {spent:.1f} s"
        return Outcome(
            told + (f", prior.memory={tier}" if tier else ""), numbers={"name": info.name, "tier": tier}
        )


@dataclass(frozen=True)
class Knows:
    """The self-check on the GPU, in the precision that runs have there."""

    name: str = "self-check"
    does: str = "show the prior a known picture: three forwards"
    needs: tuple[str, ...] = ("prior",)

    def run(self, bench: Bench) -> Sequence[Finding]:
        """See finding.Check."""
        prior = load_prior(bench.prior, bench.priors, bench.gpu.device)
        found = []
        for one in self_check(prior):
            verdict: Verdict = "ok" if one.ok else "wrong"
            name, advice = f"{self.name}: {one.name}", "" if one.ok else one.advice
            found.append(Finding(name, self.does, verdict, one.detail, advice))
        return found
