"""What the engine costs beside the network: a step of SDS against the bare forward that it makes.

    python benchmarks/guidance_overhead.py [repetitions]

With the bundled prior, 4 views. Both are measured in turns in one run, as CPU time of the thread, and compared by their
medians. Exits with 1 where the engine costs more than 5 %.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from sds3d.guidance.base import Views
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.jobs import configs
from sds3d.jobs.assemble import load_prior
from sds3d.priors.base import Prior, Prompts, concatenate
from sds3d.priors.noise_schedule import over

VIEWS, LIMIT = 4, 0.05


def views_of(prior: Prior) -> Views:
    """Random pictures from four sides."""
    look = Look(orbit([0.0, 90.0, 180.0, 270.0], 15.0), prior.info.size, torch.ones(VIEWS, 3))
    rgb = Streams(0).uniform((3, *prior.info.size), "pictures", ids=range(VIEWS)).float()
    cond = prior.condition(prior.prepare(Prompts("a red mushroom")), look, {})
    return Views(look, {"rgb": rgb}, prior.encode(rgb).detach(), cond)


def calls(method: str, prior: Prior) -> tuple[Callable[[], object], Callable[[], object]]:
    """(a step of the method, the bare forward of the same rows as far as the eps that a rule reads)."""
    views, steps = views_of(prior), 1000
    config = configs.from_mapping({"prompt": "a red mushroom", "guidance": method})
    guidance = build_guidance(parse(config.guidance), prior, steps)  # type: ignore[arg-type]
    streams, count = Streams(0), iter(range(10**9))
    state = guidance.init(streams)
    t = torch.full((VIEWS,), 0.5, dtype=torch.float64)
    noise = Streams(1).normal(tuple(views.z.shape[1:]), "noise", ids=range(VIEWS)).to(views.z)
    alpha, sigma = (over(v, views.z) for v in (prior.schedule.alpha(t), prior.schedule.sigma(t)))
    z_t = (alpha * views.z + sigma * noise).repeat(2, 1, 1, 1)
    cond = concatenate([views.cond["y"], views.cond["null"]])

    def step() -> object:
        return guidance.guide(views, next(count) % steps, streams, state)

    def bare() -> object:
        with torch.no_grad():
            return prior.predict(z_t, t.repeat(2), cond).eps

    return step, bare


def seconds(call: Callable[[], object]) -> float:
    """CPU time of the thread."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


def main(repetitions: int) -> int:
    """Measure in turns, tell, compare."""
    torch.set_num_threads(1)
    prior = load_prior(configs.from_mapping({"prompt": "a red mushroom"}).prior)
    step, bare = calls("sds", prior)
    for call in (step, bare, step, bare):
        call()
    pairs = [(seconds(step), seconds(bare)) for _ in range(repetitions)]
    whole, network = (statistics.median(column) for column in zip(*pairs, strict=True))
    overhead = whole / network - 1.0
    print(f"a step of SDS {1e3 * whole:.2f} ms, its forward of {2 * VIEWS} rows alone {1e3 * network:.2f} ms")
    print(f"overhead of the engine {overhead:.1%}, median of {repetitions} in turns; allowed {LIMIT:.0%}")
    return int(overhead > LIMIT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
