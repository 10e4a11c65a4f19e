"""Each kernel against its twin: values, gradients, the same again, and how fast it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds3d.representations.raster.dispatch import RasterError, choose, native_status

from ...core.streams import Streams
from .bench import Bench
from .cases import MAKERS, Arrays, Case
from .finding import REPORT, Outcome

MOST_VALUE, MOST_GRADIENT, MOST_REPEAT = 1e-3, 1e-2, 1e-5
LEFT_OUT = 1e-3
REPEATS = 5


@dataclass(frozen=True)
class Answer:
    """What an implementation gives: outputs, and gradients by name, for fixed upstream gradients."""

    values: list[Tensor]
    gradients: dict[str, Tensor]


def difference(mine: Tensor, exact: Tensor) -> float:
    """|mine - exact| / |exact|, both without the thousandth of elements that differ most; inf for NaN or infinity.

    A contribution at its threshold, or a pixel centre on an edge, counts on one side and not on the other by rounding.
    """
    mine, exact = mine.detach().double().cpu(), exact.detach().double().cpu()
    if not bool(torch.isfinite(mine).all()):
        return float("inf")
    wrong = (mine - exact).abs().flatten()
    kept = wrong.sort().values[: wrong.numel() - int(LEFT_OUT * wrong.numel())]
    return float(kept.norm() / exact.norm().clamp_min(1e-30))


def answer(case: Case, implementation: str, device: torch.device, dtype: torch.dtype) -> Answer:
    """Values and gradients of a case."""
    given = placed(case, device, dtype)
    values = [*case.call(given, implementation)]
    upstream = [Streams(0).normal(tuple(v.shape), "upstream", n)[0].to(v) for n, v in enumerate(values)]
    found = torch.autograd.grad(values, [*given.values()], upstream, allow_unused=True)
    zero = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(given.values(), found, strict=True)]
    return Answer([v.detach() for v in values], dict(zip(given, zero, strict=True)))


def placed(case: Case, device: torch.device, dtype: torch.dtype) -> Arrays:
    """The case's arrays there, as leaves."""
    return {name: value.detach().to(device, dtype).requires_grad_() for name, value in case.arrays.items()}


def milliseconds(
    case: Case, implementation: str, device: torch.device, settle: Callable[[], None], repeats: int = REPEATS
) -> float:
    """Median time of values and gradients, the first two calls left out."""
    given = placed(case, device, torch.float32)
    leaves, times = [*given.values()], []
    for _ in range(2 + repeats):
        settle()
        start = time.perf_counter()
        values = case.call(given, implementation)
        total = torch.stack([v.square().mean() for v in values]).sum()
        torch.autograd.grad(total, leaves, allow_unused=True)
        settle()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[2:])


@dataclass(frozen=True)
class Agreement:
    """A check of one function by one implementation; see finding.Check.

    Args:
        function: a key of MAKERS.
    """

    function: str
    implementation: str
    needs: tuple[str, ...] = ("driver", "warp")

    @property
    def name(self) -> str:
        """See finding.Check."""
        return f"{self.function} by {self.implementation}"

    @property
    def does(self) -> str:
        """See finding.Check."""
        return (
            f"{self.function} by {self.implementation} on the GPU against plain PyTorch on the CPU: values, gradients, "
            "the same again, time"
        )

    def run(self, bench: Bench) -> Outcome:
        """Compare."""
        device, make = bench.gpu.device, MAKERS[self.function][0]
        try:
            offers = ("native", "twin", self.implementation)
            choose(self.function, self.implementation, device, torch.float32, offers=offers)  # type: ignore[arg-type]
        except RasterError as error:
            return Outcome(str(error), skipped=True)
        case = make(Streams(3), bench.sizes.agree)
        mine = answer(case, self.implementation, device, torch.float32)
        exact = answer(case, "twin", torch.device("cpu"), case.exact)
        again = answer(case, self.implementation, device, torch.float32)
        row = _row(mine, exact, again)
        wrong = _verdict(row)
        row |= {"function": self.function, "implementation": self.implementation}
        if not wrong:
            row |= self._speed(bench)
        detail = f"value {row['value']:.1e}, gradient {row['gradient']:.1e} ({row['of']}), again {row['again']:.1e}"
        if "ms" in row:
            detail += f"; {row['ms']:.2f} ms"
        if "cpu_ms" in row:
            detail += f", {row['cpu_ms']:.2f} ms on the CPU"
        return Outcome(detail, self._advice(wrong) if wrong else "", row)

    def _speed(self, bench: Bench) -> dict[str, float]:
        large, gpu = MAKERS[self.function][0](Streams(4), bench.sizes.speed), bench.gpu
        out = {"ms": round(milliseconds(large, self.implementation, gpu.device, gpu.settle), 3)}
        if native_status()["built"]:  # the twins would take minutes
            cpu = milliseconds(large, "native", torch.device("cpu"), lambda: None, repeats=1)
            out["cpu_ms"] = round(cpu, 3)
        return out

    def _advice(self, wrong: str) -> str:
        others = [name for name in MAKERS[self.function][1] if name != self.implementation]
        instead = f"representation.rasterizer={others[0]} where it is installed, or " if others else ""
        return f"The kernel {wrong}. Until it is mended use {instead}device=cpu. {REPORT}"


def _row(mine: Answer, exact: Answer, again: Answer) -> dict[str, object]:
    value = max(difference(a, b) for a, b in zip(mine.values, exact.values, strict=True))
    by_name = {name: difference(g, exact.gradients[name]) for name, g in mine.gradients.items()}
    worst = max(by_name, key=lambda name: by_name[name])
    pairs = [*zip(mine.values, again.values, strict=True)]
    pairs += [(g, again.gradients[name]) for name, g in mine.gradients.items()]
    repeat = max(difference(a, b) for a, b in pairs)
    return {"value": value, "gradient": by_name[worst], "of": worst, "again": repeat}


def _verdict(row: dict) -> str:
    """What is wrong with a comparison, "" where nothing is."""
    if row["value"] == float("inf"):
        return "gives NaN or infinity"
    if row["value"] > MOST_VALUE:
        return f"gives wrong values (off by {row['value']:.1e}, at most {MOST_VALUE:g})"
    if row["gradient"] == float("inf"):
        return f"gives NaN or infinity in the gradient of {row['of']}"
    if row["gradient"] > MOST_GRADIENT:
        return (
            f"gives a wrong gradient of {row['of']} (off by {row['gradient']:.1e}, at most {MOST_GRADIENT:g})"
        )
    if row["again"] > MOST_REPEAT:
        return f"does not repeat (off by {row['again']:.1e}, at most {MOST_REPEAT:g}): its threads race"
    return ""


def agreements(implementations: Sequence[str]) -> list[Agreement]:
    """A check for each function and each of its implementations."""
    return [
        Agreement(function, name)
        for function, (_, offers) in MAKERS.items()
        for name in offers
        if name in implementations
    ]
