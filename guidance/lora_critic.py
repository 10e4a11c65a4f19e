"""The critic of VSD: the prior's own network with a low-rank change that learns to denoise the renders.

    min over phi  E_{t, eps} | target_phi(alpha z + sigma eps, t, c, y) - target |^2        (arXiv 2305.16213, eq. 9)

It hears the prompt without view words, and the camera c, which is left out at random: so one network knows both the
renders of a camera and those of all cameras together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.optim.adamw import adamw

from sds3d.core.streams import Streams
from sds3d.core.tree import Tree
from sds3d.priors.base import Cond, Conditioning, Prediction, Prior
from sds3d.priors.lora import Adapter, LoraSpec, Weights, make_adapter
from sds3d.priors.noise_schedule import from_eps_x0, over

from .base import Moment, Views
from .states import Noisy, noised

TARGETS = ("native", "epsilon", "v", "x0", "velocity")


@dataclass(frozen=True)
class LoraCritic:
    """How the critic is made and trained.

    Args:
        spec: the low-rank change. target: one of TARGETS, the form in which errors are squared; "native" is what the
            prior's network says. updates: of the weights in each optimisation step.
        lr, betas, weight_decay: of AdamW. warmup: updates over which lr grows from 0.
        camera_dropout: share of the training views whose camera is left out.
    """

    spec: LoraSpec = field(default_factory=LoraSpec)
    target: str = "native"
    updates: int = 1
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    warmup: int = 0
    camera_dropout: float = 0.1

    def bind(self, prior: Prior) -> BoundLoraCritic:
        """The critic beside that prior; raises ConfigError where its network cannot be changed."""
        return BoundLoraCritic(self, prior, make_adapter(prior, self.spec))


class BoundLoraCritic:
    """See critic.BoundCritic. Memory: weights and their two moments by name, updates done, skipped ones, last loss."""

    def __init__(self, choice: LoraCritic, prior: Prior, adapter: Adapter):
        self.choice, self.prior, self.adapter = choice, prior, adapter
        self.target = prior.info.prediction if choice.target == "native" else choice.target
        self.trains = choice.updates

    def init(self, streams: Streams) -> Tree:
        """A change that changes nothing: the critic is the prior without guidance."""
        weights = self.adapter.init(streams)
        still = {name: torch.zeros_like(value) for name, value in weights.items()}
        moments = {"first": still, "second": {k: v.clone() for k, v in still.items()}}
        return {"weights": weights, **moments, "updates": 0, "skipped": 0, "loss": 0.0}

    def predict(self, memory: Tree, state: Noisy, views: Views, told: bool) -> Prediction:
        """Its answer under the prompt, without guidance."""
        hears = torch.full((len(views.z),), told, device=views.z.device)
        with torch.no_grad():
            return self._answer(memory["weights"], state, views, hears)

    def learn(self, memory: Tree, views: Views, now: Moment) -> Tree:
        """`updates` steps of AdamW, each on fresh noise, times and left-out cameras for all views."""
        for k in range(self.choice.updates):
            memory = self._update(memory, views, now, k)
        return memory

    def numbers(self, memory: Tree) -> dict[str, float]:
        """The loss of the last update, and how many were skipped because they overflowed."""
        return {"critic_loss": memory["loss"], "critic_skipped": float(memory["skipped"])}

    def _answer(self, weights: Weights, state: Noisy, views: Views, hears: Bool[Tensor, " b"]) -> Prediction:
        return self.adapter.predict(
            weights, state.z_t, state.t, text_of(views.cond), views.look.cameras, hears
        )

    def _update(self, memory: Tree, views: Views, now: Moment, k: int) -> Tree:
        loss, grads = self._loss(memory["weights"], views, now, k)
        if not all(bool(torch.isfinite(g).all()) for g in grads.values()):
            return memory | {"skipped": memory["skipped"] + 1}
        done, choice = memory["updates"], self.choice
        ramp = min(1.0, (done + 1) / choice.warmup) if choice.warmup else 1.0
        parts = ("weights", "first", "second")
        new = {part: {name: value.clone() for name, value in memory[part].items()} for part in parts}
        with torch.no_grad():
            adamw(
                [new["weights"][name] for name in grads],
                list(grads.values()),
                [new["first"][name] for name in grads],
                [new["second"][name] for name in grads],
                [],
                [torch.tensor(float(done)) for _ in grads],
                foreach=True,
                amsgrad=False,
                beta1=choice.betas[0],
                beta2=choice.betas[1],
                lr=ramp * choice.lr,
                weight_decay=choice.weight_decay,
                eps=1e-8,
                maximize=False,
            )
        return memory | new | {"updates": done + 1, "loss": loss}

    def _loss(self, weights: Weights, views: Views, now: Moment, k: int) -> tuple[float, dict[str, Tensor]]:
        """(mean squared error over views and elements, its gradient by name), at random times."""
        z, streams, step, ids = views.z, now.streams, now.step, now.ids
        t = streams.uniform((), "critic-time", k, step=step, ids=ids).to(z.device)
        eps = streams.normal(tuple(z.shape[1:]), "critic-noise", k, step=step, ids=ids).to(z)
        kept = streams.uniform((), "critic-camera", k, step=step, ids=ids) >= self.choice.camera_dropout
        leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
        with torch.enable_grad():
            state = noised(z, eps, t, self.prior.schedule)
            answer = self._answer(leaves, state, views, kept.to(z.device))
            error = form_of(answer, self.target) - goal(z, state, self.target)
            # half precision keeps gradients of a sum, where those of a mean would vanish; divided afterwards
            total = (error.float() ** 2).sum()
            grads = torch.autograd.grad(total, list(leaves.values()))
        count = error.numel()
        return float(total.detach()) / count, {name: g / count for name, g in zip(leaves, grads, strict=True)}


def text_of(cond: Conditioning) -> Cond:
    """The prompt without view words, which would tell the camera."""
    return cond["plain"] if "plain" in cond else cond["y"]


def form_of(prediction: Prediction, form: str) -> Tensor:
    """One of the four forms of a prediction."""
    return prediction.eps if form == "epsilon" else getattr(prediction, form)


def goal(z: Float[Tensor, "b c h w"], state: Noisy, form: str) -> Tensor:
    """What a denoiser that knew everything would say in that form: eps, z, alpha eps - sigma z, or eps - z."""
    return from_eps_x0(state.eps, z, over(state.alpha, z), over(state.sigma, z), form)
