"""The one path to the prior: batched, cached, counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from sds3d.core.errors import ConfigError
from sds3d.priors.base import Conditioning, Prediction, Prior, concatenate
from sds3d.priors.noise_schedule import NoiseSchedule

from .base import Log
from .states import Noisy


class Calls:
    """Predictions of one step, cached by (state, condition).

    Args:
        prior: asked without autograd. cond: the conditions of the step's views, by branch.

    `nfe` counts predictions as the literature does: one for each (state, condition), however they are batched.
    `notes` is what a noise source wants logged: numbers, or the picture "x0".
    """

    def __init__(self, prior: Prior, cond: Conditioning):
        self._prior, self._cond = prior, cond
        self._known: dict[tuple[Noisy, str], Prediction] = {}
        self.nfe = 0
        self.notes: Log = {}

    @property
    def schedule(self) -> NoiseSchedule:
        """The prior's noise schedule."""
        return self._prior.schedule

    @property
    def prior(self) -> Prior:
        """Who is asked."""
        return self._prior

    def one(self, state: Noisy, branch: str) -> Prediction:
        """The answer to one question."""
        return self.ask([(state, branch)])[state, branch]

    def ask_all(self, state: Noisy, branches: Iterable[str]) -> dict[str, Prediction]:
        """The answers of several branches at one state, in one batch."""
        asked = tuple(branches)
        found = self.ask((state, branch) for branch in asked)
        return {branch: found[state, branch] for branch in asked}

    def ask(self, questions: Iterable[tuple[Noisy, str]]) -> dict[tuple[Noisy, str], Prediction]:
        """Answers to (state, branch) questions; those not known yet go through the network in one batch.

        Raises:
            ConfigError: a branch that the conditioning does not hold.
        """
        wanted = list(dict.fromkeys(questions))
        new = [q for q in wanted if q not in self._known]
        for _, branch in new:
            if branch not in self._cond:
                raise ConfigError(
                    f"the method asks the prior {self._prior.info.name!r} about the branch {branch!r}, but these "
                    f"views are conditioned on {', '.join(sorted(self._cond))} only."
                )
        if new:
            self._forward(new)
        return {q: self._known[q] for q in wanted}

    def _forward(self, questions: list[tuple[Noisy, str]]) -> None:
        with torch.no_grad():
            cond = {branch: self._cond[branch] for _, branch in questions}
            answer = self._prior.predict(
                torch.cat([state.z_t for state, _ in questions]),
                torch.cat([state.t for state, _ in questions]),
                concatenate([cond[branch] for _, branch in questions]),
            )
        start = 0
        for state, branch in questions:
            rows = slice(start, start + len(state.z_t))
            self._known[state, branch] = replace(answer[rows], weight=cond[branch].weight)
            start = rows.stop
        self.nfe += len(questions)
