"""Clone, split, prune and opacity reset.

"3D Gaussian Splatting for Real-Time Radiance Field Rendering", Kerbl et al., SIGGRAPH 2023, arXiv 2308.04079, §5;
shared opacities after "Revising Densification in Gaussian Splatting", Bulò et al., 2024, arXiv 2404.06109.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.core.look import Render
from sds3d.core.tree import Tree

from .covariance import times_root
from .options import DensifyOptions
from .parameters import Parameters, concatenate, logit, rearrange
from .strategy import Between


class Densify:
    """Adds Gaussians where the picture pulls at them, removes those that show nothing.

    Args:
        options: see DensifyOptions. count: number of Gaussians at the start.
    """

    def __init__(self, options: DensifyOptions, count: int):
        self.options = options
        self.cloned = self.split = self.pruned = 0
        self._forget(count)

    def _forget(self, count: int) -> None:
        """Start the accumulators anew: sum of gradients, views that saw it, largest share of the image."""
        self.pull, self.seen, self.width = (torch.zeros(count) for _ in range(3))

    @torch.no_grad()
    def after_step(self, parameters: Parameters, between: Between) -> tuple[Parameters, dict[str, float]]:
        """Accumulate; a round where one is due; a reset of the opacities where one is due."""
        o = self.options
        if between.progress <= o.stop:
            self._accumulate(between.render)
        if between.due(o.every, o.start, o.stop):
            parameters = self._grow(parameters, between)
            parameters = self._prune(parameters, between)
            self._forget(len(parameters))
        if o.reset_every and between.due(o.reset_every, o.start, o.stop):
            parameters = reset(parameters, o.reset_opacity)
            between.moments.forget("logit_opacities")
        counts = {"cloned": self.cloned, "split": self.split, "pruned": self.pruned}
        return parameters, {name: float(value) for name, value in counts.items()}

    def _accumulate(self, render: Render) -> None:
        """Gradients are of one view's loss by its picture position in half image widths, as in the paper's code."""
        gradient, radii = render["means2d"].grad, render["radii"]
        views, _, height, width = render["rgb"].shape
        visible = radii > 0
        if gradient is not None:
            half = gradient.new_tensor([width / 2, height / 2])
            self.pull += ((gradient * half * views).norm(dim=2) * visible).sum(0).cpu()
        self.seen += visible.sum(0).cpu()
        self.width = torch.maximum(self.width, (radii.amax(0) / max(height, width)).cpu().float())

    def _hot(self, parameters: Parameters) -> Bool[Tensor, " n"]:
        """The Gaussians to add to: those above the threshold, the most pulled first where the cap is near."""
        o = self.options
        mean = self.pull / self.seen.clamp_min(1)
        threshold = o.gradient
        if o.gradient_unit == "relative":
            threshold *= float(self.pull.sum() / self.seen.sum().clamp_min(1))
        # one that is about to be pruned is not worth a copy
        hot = (mean > threshold) & (parameters.opacities.cpu() >= o.prune_opacity)
        room = max(0, o.cap - len(parameters))
        if int(hot.sum()) > room:
            order = torch.where(hot, mean, torch.full_like(mean, -1.0)).argsort(descending=True, stable=True)
            hot = torch.zeros_like(hot)
            hot[order[:room]] = True
        return hot

    def _grow(self, parameters: Parameters, between: Between) -> Parameters:
        """Small hot Gaussians are cloned, large ones replaced by two samples of themselves."""
        o, hot = self.options, self._hot(parameters)
        large = hot & (parameters.scales.amax(1).cpu() > o.split_scale)
        clone, split = (hot & ~large).nonzero()[:, 0], large.nonzero()[:, 0]
        keep = (~large).nonzero()[:, 0]
        kept, cloned = parameters.take(keep), parameters.take(clone)
        if o.keep_opacity:
            mine = hot[keep].to(kept.means.device)
            kept = replace(kept, logit_opacities=torch.where(mine, halved(kept), kept.logit_opacities))
            cloned = replace(cloned, logit_opacities=halved(cloned))
        noise = between.streams.normal((2, len(split), 3), "gaussians-split", step=between.step)[0]
        halves = [half_of(parameters.take(split), noise[side], o) for side in range(2)]
        self.cloned += len(clone)
        self.split += len(split)
        fresh = torch.full((len(clone) + 2 * len(split),), -1)
        self.width = torch.cat([self.width[keep], self.width[clone], self.width[split].repeat(2) / o.shrink])
        return rearrange(concatenate([kept, cloned, *halves]), torch.cat([keep, fresh]), between.moments)

    def _prune(self, parameters: Parameters, between: Between) -> Parameters:
        """Faint and oversized Gaussians go; the most opaque one always stays."""
        o, opacity = self.options, parameters.opacities.cpu()
        good = opacity >= o.prune_opacity
        good &= parameters.scales.amax(1).cpu() <= o.prune_scale
        good &= self.width <= o.prune_screen
        if not bool(good.any()):
            good[opacity.argmax()] = True
        keep = good.nonzero()[:, 0]
        if len(keep) == len(parameters):
            return parameters
        self.pruned += len(parameters) - len(keep)
        return rearrange(parameters.take(keep), keep, between.moments)

    def state_dict(self) -> Tree:
        """Counters and accumulators."""
        return {
            "cloned": self.cloned,
            "split": self.split,
            "pruned": self.pruned,
            "pull": self.pull,
            "seen": self.seen,
            "width": self.width,
        }

    def load_state_dict(self, state: Tree) -> None:
        """Restore counters and accumulators."""
        self.cloned, self.split, self.pruned = (int(state[k]) for k in ("cloned", "split", "pruned"))
        self.pull, self.seen, self.width = (state[k].cpu().clone() for k in ("pull", "seen", "width"))


def halved(parameters: Parameters) -> Float[Tensor, " n"]:
    """Logits of the opacity of each of two copies that together cover as one did: 1 - sqrt(1 - o)."""
    return logit(-torch.expm1(0.5 * torch.log1p(-parameters.opacities.double().clamp(max=1 - 1e-6))))


def half_of(parameters: Parameters, noise: Float[Tensor, "n 3"], options: DensifyOptions) -> Parameters:
    """One of two samples of each Gaussian: drawn from its density, smaller by `shrink`."""
    half = replace(
        parameters,
        means=parameters.means + times_root(parameters, noise.to(parameters.means)),
        log_scales=parameters.log_scales - math.log(options.shrink),
    )
    return replace(half, logit_opacities=halved(half)) if options.keep_opacity else half


def reset(parameters: Parameters, opacity: float) -> Parameters:
    """Opacities above the value lowered to it."""
    ceiling = float(logit(torch.tensor([opacity]))[0])
    return replace(parameters, logit_opacities=parameters.logit_opacities.detach().clamp(max=ceiling))
