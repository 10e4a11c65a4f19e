"""A critic that knows the renders' law exactly, for tests and evidence on priors in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sds3d.core.streams import Streams
from sds3d.core.tree import Tree
from sds3d.priors.base import Prediction, Prior
from sds3d.priors.kinds.analytic import through_native
from sds3d.priors.mixtures import Mixture

from .base import Moment, Views
from .states import Noisy

Law = Callable[[Views], Mixture]
"""The law of a clean z, flattened to D numbers, as a function of the views that are judged."""


def own_point(views: Views) -> Mixture:
    """Each view is known exactly, as a camera tells: its law is a point."""
    return _points(views.z.flatten(1)[:, None])


def all_points(views: Views) -> Mixture:
    """Any of the views, equally likely: n particles, or an object seen by a camera that is not told."""
    return _points(views.z.flatten(1))


def fixed(law: Mixture) -> Law:
    """The same law at every step."""
    return lambda views: law


def _points(means: Tensor) -> Mixture:
    count, width = means.shape[-2:]
    return Mixture(means.new_full(means.shape[:-1], 1.0 / count), means, means.new_zeros(count, width))


@dataclass(frozen=True)
class ExactCritic:
    """E[eps | z_t] under known laws; it has no memory and learns nothing.

    Args:
        told: the law that the camera tells. untold: the law over all cameras.
    """

    told: Law
    untold: Law

    def bind(self, prior: Prior) -> BoundExactCritic:
        """The critic, speaking in the prior's native prediction."""
        return BoundExactCritic(self, prior)


class BoundExactCritic:
    """See critic.BoundCritic."""

    trains = 0

    def __init__(self, choice: ExactCritic, prior: Prior):
        self.choice, self.prior = choice, prior

    def init(self, streams: Streams) -> Tree:
        """Nothing to remember."""
        return {}

    def predict(self, memory: Tree, state: Noisy, views: Views, told: bool) -> Prediction:
        """The posterior means, passed through the native prediction and back."""
        law = (self.choice.told if told else self.choice.untold)(views).to(state.z_t)
        alpha, sigma = state.alpha.to(state.z_t), state.sigma.to(state.z_t)
        eps, x0 = law.predict(state.z_t.flatten(1), alpha, sigma)
        shape, native = state.z_t.shape, self.prior.info.prediction
        return through_native(eps.view(shape), x0.view(shape), state.z_t, alpha, sigma, native)

    def learn(self, memory: Tree, views: Views, now: Moment) -> Tree:
        """Nothing to learn."""
        return memory

    def numbers(self, memory: Tree) -> dict[str, float]:
        """Nothing to tell."""
        return {}
