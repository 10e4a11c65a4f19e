"""The engine: one step of any recipe.

    g = post[ mean over draws of w(t) * residual ],   loss = (1/B) sum_b 1/2 |z_b - sg(z_b - g_b)|^2

summed over elements, so that the cotangent of z_b is g_b / B (guidance card §1.8). The loss's value is no
objective and is never computed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sds3d.core.streams import Streams
from sds3d.priors.base import Prediction, Prior
from sds3d.priors.noise_schedule import over

from .base import Cotangents, Log, Moment, Needs, State, Views, moment
from .calls import Calls
from .noise import Noisy
from .predictions import Epsilon, Guided, Symbol
from .recipe import Recipe
from .weights import WEIGHTS


class Engine:
    """A recipe bound to a prior and to the length of the run.

    Args:
        recipe: the slots. prior: who is asked. steps: total optimisation steps, for everything that is scheduled.
    """

    def __init__(self, recipe: Recipe, prior: Prior, steps: int):
        self.recipe, self.prior, self.steps = recipe, prior, steps
        self.needs = Needs(branches=recipe.branches)

    def init(self, streams: Streams) -> State:
        """No memory."""
        return {}

    def learn(self, views: Views, step: int, streams: Streams, state: State) -> State:
        """Nothing to train."""
        return state

    def guide(self, views: Views, step: int, streams: Streams, state: State) -> tuple[Cotangents, State, Log]:
        """Cotangent of z for these views; see base.Guidance."""
        with torch.no_grad():
            g, log = self._gradient(views, moment(views, step, self.steps, streams))
            cotangent = g / len(views.z)
            return {"z": cotangent}, state, log | {"gradient": float(cotangent.norm())}

    def _gradient(self, views: Views, now: Moment) -> tuple[Tensor, Log]:
        """(B, C, h, w) g, and what is worth knowing about it."""
        recipe, schedule = self.recipe, self.prior.schedule
        t = recipe.times.draw(now, schedule)
        draws = [recipe.noise.make(views, t, d, now, schedule) for d in range(recipe.draws)]
        symbols = recipe.rule.symbols(now.progress)
        calls = Calls(self.prior, views.cond)
        found = _predict(calls, symbols, draws, now.progress)
        residuals = [
            recipe.rule.residual(
                {s: states[s.at].eps if isinstance(s, Epsilon) else found[d][s].eps for s in symbols},
                now.progress,
                views.z,
            )
            for d, states in enumerate(draws)
        ]
        weight = over(WEIGHTS[recipe.weight](schedule.kappa(t)), views.z)
        g = weight * (sum(residuals[1:], residuals[0]) / len(residuals))
        for post in recipe.post:
            g = post(g, now.progress)
        log: Log = {"t": float(t.mean()), "residual": _rms(residuals), "nfe": float(calls.nfe)}
        if found[0]:
            log["x0"] = _shown(found[0]).x0
        return g, log


def _predict(
    calls: Calls, symbols: tuple[Symbol, ...], draws: list[dict[str, Noisy]], progress: float
) -> list[dict[Symbol, Prediction]]:
    """The prediction behind every symbol but the noise itself, for each draw, in one batched forward."""
    asked = {
        s: s.conditions(progress) if isinstance(s, Guided) else (s.condition,)
        for s in symbols
        if not isinstance(s, Epsilon)
    }
    answers = calls.ask(
        (states[s.at], c) for states in draws for s, conditions in asked.items() for c in conditions
    )
    out: list[dict[Symbol, Prediction]] = []
    for states in draws:
        found: dict[Symbol, Prediction] = {}
        for s, conditions in asked.items():
            here = {c: answers[states[s.at], c] for c in conditions}
            found[s] = (
                s.evaluate(here, states[s.at], progress) if isinstance(s, Guided) else here[s.condition]
            )
        out.append(found)
    return out


def _shown(found: dict[Symbol, Prediction]) -> Prediction:
    """The prediction whose x0 is worth looking at: the first guided one, else the first."""
    return next((p for s, p in found.items() if isinstance(s, Guided)), next(iter(found.values())))


def _rms(residuals: list[Tensor]) -> float:
    """Root mean square over elements, views and draws."""
    return float(torch.stack([(r.double() ** 2).mean() for r in residuals]).mean().sqrt())
