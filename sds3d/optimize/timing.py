"""Where the time of a step goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor

from ..core.look import Look, Render
from ..priors.base import Cond, Conditioning, Embedded, Prediction, Prior, Prompts
from ..priors.lora import Adapter, LoraSpec, make_adapter


class Stopwatch:
    """Seconds by name since the last `read`; nested sections are charged to the inner one only.

    Args:
        settle: called before each look at the clock. A GPU works on while the program runs ahead: without waiting
            for it, a part's time would be charged to whoever needs its result.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self._settle = settle
        self._seconds: dict[str, float] = {}
        self._inner = [0.0]
        self._start = time.perf_counter()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Charge the time of the body, less that of inner sections, to `name`."""
        start = self._now()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = self._now() - start
            own = spent - self._inner.pop()
            self._inner[-1] += spent
            self._seconds[name] = self._seconds.get(name, 0.0) + own

    def read(self) -> dict[str, float]:
        """The sections, "rest" for what lies outside them, and "total"; starts anew."""
        now = self._now()
        total = now - self._start
        out = dict(self._seconds)
        out["rest"] = total - sum(out.values())
        out["total"] = total
        self._seconds, self._inner, self._start = {}, [0.0], now
        return out

    def _now(self) -> float:
        self._settle()
        return time.perf_counter()


class TimedPrior:
    """A prior whose forwards are charged to "prior" and whose encoder to "encode"."""

    def __init__(self, prior: Prior, watch: Stopwatch):
        self._prior, self._watch = prior, watch
        self.info, self.schedule = prior.info, prior.schedule
        self.device = getattr(prior, "device", None)

    def prepare(self, prompts: Prompts) -> Embedded:
        """See Prior."""
        return self._prior.prepare(prompts)

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """See Prior."""
        return self._prior.condition(embedded, look, maps)

    def encode(self, media: Tensor) -> Tensor:
        """See Prior."""
        with self._watch.section("encode"):
            return self._prior.encode(media)

    def decode(self, z: Tensor) -> Tensor:
        """See Prior."""
        return self._prior.decode(z)

    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """See Prior."""
        with self._watch.section("prior"):
            return self._prior.predict(z_t, t, cond)

    def attention_maps(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b 1 h w"]:
        """See priors.base.Attentive."""
        with self._watch.section("prior"):
            return self._prior.attention_maps(z_t, t, cond)  # type: ignore[attr-defined]

    def make_adapter(self, spec: LoraSpec) -> Adapter:
        """See priors.lora; its calls are charged to whoever makes them."""
        return make_adapter(self._prior, spec)
