"""Adam with explicit state (Kingma and Ba, 2015), whose moments can be edited row by row."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from ..core.tree import Tree


class Adam:
    """Adam over named parameters; one step counter for all, as the densifying methods assume.

    Args:
        betas: decay of the first and second moment. eps: added to the root of the second.
    """

    def __init__(self, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8):
        self.betas, self.eps = betas, eps
        self.count = 0
        self.first: dict[str, Tensor] = {}
        self.second: dict[str, Tensor] = {}

    @torch.no_grad()
    def step(self, groups: Iterable[tuple[dict[str, Tensor], dict[str, Tensor], float]]) -> None:
        """One update in place.

        Args:
            groups: (parameters, gradients, learning rate) each; a parameter without gradient is left alone.
        """
        for params, grads, lr in groups:
            names = [n for n in params if n in grads]
            for n in names:
                if n not in self.first:
                    self.first[n], self.second[n] = torch.zeros_like(params[n]), torch.zeros_like(params[n])
            if not names:
                continue
            torch_adam(
                [params[n].data for n in names],
                [grads[n] for n in names],
                [self.first[n] for n in names],
                [self.second[n] for n in names],
                [],
                # beside the parameter: the fused CUDA kernel reads it there
                [torch.tensor(float(self.count), device=params[n].device) for n in names],
                fused=True,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=lr,
                weight_decay=0.0,
                eps=self.eps,
                maximize=False,
            )
        self.count += 1

    def rearrange(self, name: str, value: Tensor, rows: Tensor) -> None:
        """Row i of the new parameter inherits the moments of old row rows[i]; -1 starts at zero."""
        if name not in self.first:
            return
        rows = rows.to(value.device)
        keep = (rows >= 0).reshape(-1, *[1] * (value.ndim - 1))
        for moments in (self.first, self.second):
            gathered = moments[name][rows.clamp(min=0)]
            moments[name] = torch.where(keep, gathered, torch.zeros_like(gathered))

    def forget(self, name: str, rows: Tensor | None = None) -> None:
        """Zero the moments of some rows, or of all."""
        for moments in (self.first, self.second):
            if name in moments:
                moments[name][slice(None) if rows is None else rows] = 0.0

    def state_dict(self) -> Tree:
        """Counter and moments, exact."""
        return {"count": self.count, "first": dict(self.first), "second": dict(self.second)}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value."""
        self.count = int(state["count"])
        self.first = {k: v.clone() for k, v in state["first"].items()}
        self.second = {k: v.clone() for k, v in state["second"].items()}
