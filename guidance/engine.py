"""The engine: one step of any recipe.

    g = post[ w(t) sum over draws of omega residual_post[residual] + extra ]
    loss = (1/B) sum_b 1/2 |z_b - sg(z_b - g_b)|^2

summed over elements, so that the cotangent of z_b is g_b / B (guidance card §1.8). The loss's value is no
objective and is never computed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sds3d.core.streams import Streams
from sds3d.priors.base import Prediction, Prior
from sds3d.priors.noise_schedule import over

from .base import Cotangents, Log, Moment, State, Views, moment
from .calls import Calls
from .dataset import Dataset, row_of
from .maps import gradient_maps
from .predictions import Epsilon, Guided, Learned, Plain, Symbol
from .recipe import Recipe
from .states import Noisy
from .steps import Seen
from .weights import weigh


@dataclass(frozen=True)
class _Try:
    """What one draw of times and noise led to.

    Args:
        t: (B,). calls: the way to the prior, which counts. draws: the states of each draw that counts. omega: their
            weights. told: what chose them has to say. found: the predictions. eps: what the rule read.
        residuals: (n, B, C, h, w). of_critic: predictions that the critic made.
    """

    t: Tensor
    calls: Calls
    draws: list[dict[str, Noisy]]
    omega: Tensor | None
    told: Log
    found: list[dict[Symbol, Prediction]]
    eps: list[dict[Symbol, Tensor]]
    residuals: Tensor
    of_critic: int

    @property
    def asked(self) -> int:
        """Predictions a view, so far."""
        return self.calls.nfe + self.of_critic


class Engine:
    """A recipe bound to a prior and to the length of the run.

    Args:
        recipe: the slots. prior: who is asked. steps: total optimisation steps, for everything that is scheduled.
        maps: put maps of the gradient's parts ("map_target" and so on, of the first draw) into the log.
    """

    def __init__(self, recipe: Recipe, prior: Prior, steps: int, maps: bool = False):
        self.recipe, self.prior, self.steps, self.maps = recipe, prior, steps, maps
        self.needs = recipe.needs
        self.critic = None if recipe.critic is None else recipe.critic.bind(prior)
        self.image_post = recipe.image_post
        bound = (one.bind(prior) for one in recipe.residual_post)
        self.residual_post = tuple(one for one in bound if one is not None)

    def init(self, streams: Streams) -> State:
        """The memory of the noise source and of the critic; empty where neither has one."""
        parts = {"noise": self.recipe.noise.init(self.prior.info.latent_shape, streams)}
        if self.critic is not None:
            parts["critic"] = self.critic.init(streams)
        return {name: memory for name, memory in parts.items() if memory}

    def learn(self, views: Views, step: int, streams: Streams, state: State) -> State:
        """Train the critic, if there is one."""
        if self.critic is None or "critic" not in state:
            return state
        now = moment(views, step, self.steps, streams)
        return state | {"critic": self.critic.learn(state["critic"], views, now)}

    def guide(self, views: Views, step: int, streams: Streams, state: State) -> tuple[Cotangents, State, Log]:
        """Cotangent of z for these views; see base.Guidance."""
        now = moment(views, step, self.steps, streams)
        with torch.no_grad():
            if self.recipe.dataset is not None:
                return self._fit(self.recipe.dataset, views, now, state)
            g, log, memories = self._gradient(views, now, state)
            state = state | {"residual_post": memories} if memories else state
            cotangent = g / len(views.z)
            if "noise" in state:
                state = state | {"noise": self.recipe.noise.advance(state["noise"], now)}
            loss = self.recipe.image_loss
            pulls = {} if loss is None else loss(views, log.get("x0"), self.prior, now)  # type: ignore[arg-type]
            judged = {"z": cotangent} if self.recipe.in_latents else {}
            return judged | pulls, state, log | {"gradient": float(cotangent.norm())}

    def _fit(self, data: Dataset, views: Views, now: Moment, state: State) -> tuple[Cotangents, State, Log]:
        """A step towards the pictures of a dataset, one of which may be edited before: z - g is what is made of it."""
        pictures, row = state.get("dataset", {}), data.due(now, state.get("dataset", {}))
        log = _cost(0, 0, len(views.z)) | {"t": 0.0, "pictures": float(len(pictures))}
        if row is not None:
            one = row_of(views, row, self.recipe.branches)
            then = replace(now, ids=now.ids[row : row + 1], groups=now.groups[row : row + 1])
            g, told, memories = self._gradient(one, then, state)
            pictures = data.keep(pictures, row, one.z - g, views, self.prior, now)
            log |= told | {"pictures": float(len(pictures)), "nfe": float(told["nfe"]) / len(views.z)}
            state = state | {"dataset": pictures} | ({"residual_post": memories} if memories else {})
        cotangent = data.fit(views, pictures, now)
        return {"rgb": cotangent}, state, log | {"gradient": float(cotangent.norm())}

    def _gradient(self, views: Views, now: Moment, state: State) -> tuple[Tensor, Log, State]:
        """(B, C, h, w) g, what is worth knowing about it, and the memories of the steps on the residual."""
        recipe, schedule = self.recipe, self.prior.schedule
        one, rejected = self._accepted(views, now, state)
        residuals, memories, noted = self._stepped(one, views, now, state)
        g = over(weigh(recipe.weight, one.t, schedule), views.z) * _over_draws(residuals, one.omega)
        for extra in recipe.extra:
            g = g + extra(views, one.t, now, schedule)
        for post in recipe.post:
            g = post(g, now.progress)
        log: Log = (
            {"t": float(one.t.mean()), "residual": _rms(residuals)} | one.told | one.calls.notes | noted
        )
        if recipe.retry is not None:
            log["rejected"] = float(len(rejected))
        asked = sum(each.asked for each in (*rejected, one))
        log |= _cost(asked, 0 if self.critic is None else self.critic.trains, len(views.z))
        if one.found[0]:
            log["x0"] = _shown(one.found[0]).x0
        if self.critic is not None:
            log |= self.critic.numbers(state.get("critic", {}))
        if self.maps:
            parts = gradient_maps(recipe.rule, one.eps[0], residuals[0], now.progress)
            log |= {f"map_{name}": part for name, part in parts.items()}
            log |= {f"norm_{name}": _rms(part) for name, part in parts.items()}
        return g, log, memories

    def _accepted(self, views: Views, now: Moment, state: State) -> tuple[_Try, list[_Try]]:
        """The try that counts, and those that were rejected before it."""
        one, rejected, retry = self._try(views, now, state), list[_Try](), self.recipe.retry
        while retry is not None and not retry.accepts(_over_draws(one.residuals, one.omega), len(rejected)):
            rejected.append(one)
            one = self._try(views, now.attempt(len(rejected)), state)
        return one, rejected

    def _try(self, views: Views, now: Moment, state: State) -> _Try:
        """Draw times and noise, ask the prior, apply the rule."""
        recipe, schedule = self.recipe, self.prior.schedule
        t = recipe.times.draw(now, schedule).to(views.z.device)
        calls, memory = Calls(self.prior, views.cond), state.get("noise", {})
        chosen = recipe.draw_weights
        count = recipe.draws if chosen is None else chosen.count(now.progress, recipe.draws)
        draws = [recipe.noise.make(views, t, d, now, calls, memory) for d in range(count)]
        draws, omega, told = self._choose(draws, views, now, calls)
        symbols = recipe.rule.here(now.progress, t, schedule)
        found = _predict(calls, symbols, draws, now.progress)
        of_critic = self._ask_critic(symbols, draws, found, views, state)
        eps = [
            {s: states[s.at].eps if isinstance(s, Epsilon) else answers[s].eps for s in symbols}
            for states, answers in zip(draws, found, strict=True)
        ]
        each = [recipe.rule.residual(e, now.progress, views.z, t, schedule) for e in eps]
        residuals = torch.stack(each) if len(each) > 1 else each[0][None]
        return _Try(t, calls, draws, omega, told, found, eps, residuals, of_critic)

    def _stepped(self, one: _Try, views: Views, now: Moment, state: State) -> tuple[Tensor, State, Log]:
        """The residuals (n, B, C, h, w) after the recipe's steps on them, the memories by step, and their log."""
        if not self.residual_post:
            return one.residuals, {}, {}
        memories, log, out = dict(state.get("residual_post", {})), Log(), []
        for residual, states in zip(one.residuals, one.draws, strict=True):
            seen = Seen(states, views, now, one.calls)
            for step in self.residual_post:
                residual, memory, told = step(residual, seen, memories.get(step.name, {}))
                memories |= {step.name: memory} if memory else {}
                log |= told
            out.append(residual)
        return torch.stack(out), memories, log

    def _choose(
        self, draws: list[dict[str, Noisy]], views: Views, now: Moment, calls: Calls
    ) -> tuple[list[dict[str, Noisy]], Tensor | None, Log]:
        """The draws that count, their weights (n, B) or None for the mean, and what is to be logged."""
        if self.recipe.draw_weights is None:
            return draws, None, {}
        omega, told = self.recipe.draw_weights(draws, views, now, calls)
        used = [d for d in range(len(draws)) if bool((omega[d] != 0.0).any())] or [0]
        return [draws[d] for d in used], omega[used], told

    def _ask_critic(
        self,
        symbols: tuple[Symbol, ...],
        draws: list[dict[str, Noisy]],
        found: list[dict[Symbol, Prediction]],
        views: Views,
        state: State,
    ) -> int:
        """Add the critic's predictions to `found`; returns how many it made."""
        asked = [s for s in symbols if isinstance(s, Learned)]
        for states, answers in zip(draws, found, strict=True):
            for s in asked:
                assert self.critic is not None
                answers[s] = self.critic.predict(state.get("critic", {}), states[s.at], views, s.told)
        return len(asked) * len(draws)


def _predict(
    calls: Calls, symbols: tuple[Symbol, ...], draws: list[dict[str, Noisy]], progress: float
) -> list[dict[Symbol, Prediction]]:
    """The prediction behind every symbol but the noise itself, for each draw, in one batched forward."""
    asked = {
        s: s.conditions(progress) if isinstance(s, Guided) else (s.condition,)
        for s in symbols
        if isinstance(s, Guided | Plain)
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


def _cost(asked: int, trained: int, views: int) -> Log:
    """What a step asks of the network: predictions a view, those of training among them, and rows of all views."""
    nfe = float(asked + trained)
    return {"nfe": nfe, "nfe_train": float(trained), "rows": nfe * views}


def _over_draws(residuals: Tensor, omega: Tensor | None) -> Tensor:
    """The draws' residuals (n, B, C, h, w) put together: their mean, or weighted by (n, B)."""
    if omega is None:
        return residuals.mean(0) if len(residuals) > 1 else residuals[0]
    return (omega.to(residuals).reshape(*omega.shape, *[1] * (residuals.ndim - 2)) * residuals).sum(0)


def _shown(found: dict[Symbol, Prediction]) -> Prediction:
    """The prediction whose x0 is worth looking at: the first guided one, else the first."""
    return next((p for s, p in found.items() if isinstance(s, Guided)), next(iter(found.values())))


def _rms(residuals: Tensor) -> float:
    """Root mean square over elements, views and draws."""
    return float(torch.linalg.vector_norm(residuals)) / residuals.numel() ** 0.5
