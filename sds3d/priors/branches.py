"""The conditions of some views, branch by branch, put together when they are asked for.

Perp-Neg (Armandpour et al., "Re-imagine the negative prompt algorithm", 2023, arXiv 2304.04968) between view prompts,
as threestudio weighs them (guidance card §1.6): with the azimuth wrapped to ±180°, 0 = front, a view between two sides
has the mixed text "mix" as its positive, and two sides as negatives "neg0" and "neg1" with weights that vanish where
the camera stands exactly there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ..core.cameras import Cameras
from ..core.look import Look
from .attention import EDITED, edited_branch
from .base import Cond
from .views import view_index

FRONT, SIDE, BACK, OVERHEAD = range(4)
"""Positions in views.VIEW_WORDS."""

Mix = tuple[int, int, float]
"""(view prompt, view prompt, share of the first)."""


class Branches(Mapping[str, Cond]):
    """Branch name -> Cond: y, null, neg; src where a source is edited; with view prompts also mix, neg0, neg1 and
    plain, the prompt without view words; of an edit also edited, see attention; where layers can be left out, skip.

    Args:
        texts: "edited" and "name.tensor" -> (...) of the texts y, null, neg, perhaps src and, where views are told in
            words, y0 … y3 and src0 … src3.
        look: B views. extra: inputs that all branches share, each (B, ...). skip: offer "skip", y without layers.
        blank: names of those that are zeros in the branch null.
    """

    NAMES: ClassVar[tuple[str, ...]] = ("y", "null", "neg", "mix", "neg0", "neg1", "plain")

    def __init__(
        self,
        texts: Mapping[str, Tensor],
        look: Look,
        extra: Mapping[str, Tensor],
        device: torch.device,
        skip: bool = False,
        blank: frozenset[str] = frozenset(),
    ):
        self._texts, self._extra, self._device, self._skip = texts, dict(extra), device, skip
        self._blank = {k: torch.zeros_like(v) for k, v in extra.items() if k in blank}
        self._count, self._cameras = len(look.background), look.cameras
        self._by_view = look.cameras is not None and any(k.startswith("y0.") for k in texts)

    def __iter__(self) -> Iterator[str]:
        names = self.NAMES if self._by_view else self.NAMES[:3]
        source = ("src",) if any(k.startswith("src.") for k in self._texts) else ()
        edited = (EDITED,) if EDITED in self._texts else ()
        return iter((*names, *source, *edited, *(("skip",) if self._skip else ())))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, name: str) -> Cond:
        if name not in list(self):
            raise KeyError(name)
        if name == EDITED:
            return edited_branch(self["y"], self._texts[EDITED])
        cond = self._plain("y" if name == "skip" else name)
        if name == "null" and self._blank:
            cond = Cond({**cond.tensors, **self._blank}, cond.weight)
        if not self._skip:
            return cond
        skips = torch.full((self._count,), name == "skip", device=self._device)
        return Cond({**cond.tensors, "skips": skips}, cond.weight)

    def _plain(self, name: str) -> Cond:
        """A branch of the whole network."""
        if name in ("null", "neg", "plain") or not self._by_view:
            return self._rows([{"y" if name == "plain" else name: 1.0}] * self._count, [1.0] * self._count)
        assert self._cameras is not None
        if name in ("y", "src"):
            rows = [{f"{name}{i}": 1.0} for i in view_index(self._cameras)]
            return self._rows(rows, [1.0] * self._count)
        column = ("mix", "neg0", "neg1").index(name)
        views = perp_neg(self._cameras)
        return self._rows([view[column][0] for view in views], [view[column][1] for view in views])

    def _rows(self, rows: list[dict[str, float]], weights: list[float]) -> Cond:
        """One row a view: a weighted sum of texts; masks, which are no numbers to average, are united."""
        names = [k.removeprefix("y.") for k in self._texts if k.startswith("y.")]
        tensors = {name: torch.stack([self._sum(row, name) for row in rows]) for name in names}
        weight = torch.tensor(weights, device=self._device)
        return Cond({k: v.to(self._device) for k, v in tensors.items()} | self._extra, weight)

    def _sum(self, row: dict[str, float], name: str) -> Tensor:
        parts = [(self._texts[f"{text}.{name}"], share) for text, share in row.items() if share > 0.0]
        if len(parts) == 1:
            return parts[0][0]
        if parts[0][0].is_floating_point():
            return sum((share * value for value, share in parts[1:]), parts[0][1] * parts[0][0])
        return torch.stack([value for value, _ in parts]).amax(0)


def perp_neg(
    cameras: Cameras, overhead_deg: float = 55.0
) -> list[tuple[tuple[dict[str, float], float], ...]]:
    """For each view (positive, negative 1, negative 2), each a mix of texts and its weight.

    Weights of negatives are ≤ 0: -f(a, b, c; r) with f = a e^(-b r) + c (guidance card §1.6).
    """
    out = []
    for azimuth, elevation in zip(cameras.azimuth_deg.tolist(), cameras.elevation_deg.tolist(), strict=True):
        off_front = abs((azimuth + 180.0) % 360.0 - 180.0)
        out.append(_between(off_front, elevation > overhead_deg))
    return out


def _between(off_front: float, overhead: bool) -> tuple[tuple[dict[str, float], float], ...]:
    def text(view: int) -> dict[str, float]:
        return {f"y{view}": 1.0}

    def push(a: float, b: float, c: float, r: float) -> float:
        return -(a * math.exp(-b * r) + c)

    if overhead:
        return (text(OVERHEAD), 1.0), (text(SIDE), 0.0), (text(FRONT), 0.0)
    if off_front < 90.0:
        r = 1.0 - off_front / 90.0
        positive = {f"y{FRONT}": r, f"y{SIDE}": 1.0 - r}
        return (
            (positive, 1.0),
            (text(FRONT), push(4, 0.5, -2.426, r)),
            (text(SIDE), push(4, 0.5, -2.426, 1.0 - r)),
        )
    r = 2.0 - off_front / 90.0
    positive = {f"y{SIDE}": r, f"y{BACK}": 1.0 - r}
    return (
        (positive, 1.0),
        (text(SIDE), push(1, 0.5, -0.606, r)),
        (text(FRONT), push(1, 0.5, 0.967, r)),
    )
