"""Mode coverage and diversity of every method on an exact mixture in the plane; writes docs/evidence/guidance-modes.*.

    python benchmarks/guidance_modes.py

Five narrow modes on a circle are what the prompt may mean, a broad Gaussian what the empty prompt may. Of each method
64 particles start at the centre and follow its preset through the real engine, with Adam at one rate, in four
repetitions with random numbers of their own; critics know the particles' law exactly. Beside them the DDIM sampler.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from guidance_modes_plot import Sheet, draw_dots, draw_sheet
from sds3d.guidance.base import Views
from sds3d.guidance.build import bind
from sds3d.guidance.exact_critic import ExactCritic, own_point
from sds3d.guidance.registry import parse, preset
from sds3d.guidance.rewards import LinearReward
from torch import Tensor

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.analytic import AnalyticPrior
from sds3d.priors.mixtures import Mixture, mixture
from sds3d.priors.noise_schedule import stable_diffusion_schedule

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "evidence"
MODES, RADIUS, WIDTH, BROAD = 5, 2.0, 0.25, 2.0
SEEDS, PARTICLES, STEPS, START = 4, 64, 300, 0.3
ROWS, f64 = SEEDS * PARTICLES, torch.float64
SCALES = (1.0, 7.5)


def centres() -> Tensor:
    """(K, 2) the modes of the prompt."""
    angle = 2 * math.pi * torch.arange(MODES, dtype=f64) / MODES + math.pi / 2
    return RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)


def make_prior() -> AnalyticPrior:
    """y: the modes; null: a broad Gaussian; neg: one of the modes, which is to be kept away from."""
    one, eye = torch.ones(1, dtype=f64), torch.ones(2, dtype=f64)
    ring = mixture(torch.ones(MODES, dtype=f64), list(centres()), [WIDTH**2 * eye] * MODES)
    laws = {
        "y": ring,
        "null": mixture(one, [torch.zeros(2, dtype=f64)], [BROAD**2 * eye]),
        "neg": mixture(one, [centres()[0]], [4 * WIDTH**2 * eye]),
    }
    return AnalyticPrior(laws, (1, 1, 2), stable_diffusion_schedule(), "v")


def particles_of_a_repetition(views: Views) -> Mixture:
    """For each view the law of all particles of its repetition."""
    points = views.z.flatten(1).view(SEEDS, PARTICLES, 2).repeat_interleave(PARTICLES, dim=0)
    return Mixture(points.new_full(points.shape[:2], 1.0 / PARTICLES), points, points.new_zeros(PARTICLES, 2))


EXACT = ExactCritic(own_point, particles_of_a_repetition)
SHARED = ExactCritic(particles_of_a_repetition, particles_of_a_repetition)
REWARD = LinearReward(torch.tensor([1.0, 0.0], dtype=f64).view(1, 1, 2))
"""The further right, the better."""


@dataclass(frozen=True)
class Run:
    """A line of the table: `own` options of its method; `scaled` methods are run at each guidance scale.

    `critic`: who stands in for the trained one. `sampler`: plain steps of 1 - kappa' / kappa in the place of Adam.
    """

    name: str
    method: str
    own: dict[str, Any]
    scaled: bool = True
    critic: ExactCritic | None = None
    sampler: bool = False


FALLING = {"linear": [0.98, 0.02]}
ONE_TIME = {"low": FALLING, "high": FALLING, "scale": "native", "shared": True}
REWARDED = {"draws": 4, "reward": {"rollout_steps": 5, "until": 1.0}}
RUNS = (
    Run("SDS", "sds", {}),
    Run("SJC", "sjc", {}),
    Run("HiFA", "hifa", {"image_loss": 0}),
    Run("CSD", "csd", {}, scaled=False),
    Run("NFSD", "nfsd", {}),
    Run("ISM", "ism", {}),
    Run("TSM", "tsm", {}),
    Run("SDI", "sdi", {}),
    Run("ASD", "asd", {}),
    Run("VSD, n particles", "vsd", {}, critic=SHARED),
    Run("VSD, one by one", "vsd", {}, critic=ExactCritic(own_point, own_point)),
    Run("ESD, lambda 0.5", "esd", {}, critic=EXACT),
    Run("CFD, Adam", "cfd", {"noise": "fixed"}),
    Run("CFD, plain steps", "cfd", {"noise": "fixed", "times": ONE_TIME}, sampler=True),
    Run("RewardSDS", "rewardsds", REWARDED),
    Run("RewardVSD", "rewardvsd", REWARDED, critic=SHARED),
)  # fmt: skip


def views_at(prior: AnalyticPrior, z: Tensor) -> Views:
    """Every particle is an object of its own."""
    index = torch.arange(len(z))
    look = Look(orbit([0.0] * len(z), 0.0, ids=index, group=index), (1, 2), torch.ones(len(z), 3))
    return Views(look, {}, z.view(-1, 1, 1, 2), prior.condition(prior.prepare(Prompts("")), look, {}))


def follow(run: Run, scale: float, prior: AnalyticPrior) -> tuple[Tensor, float]:
    """(SEEDS, PARTICLES, 2) where the particles end, and predictions a particle and step."""
    options = parse({"method": run.method} | ({"cfg_scale": scale} if run.scaled else {}) | run.own)
    recipe = preset(run.method)(options)
    if run.critic is not None:
        recipe = replace(recipe, critic=run.critic)
    if recipe.draw_weights is not None:
        recipe = replace(recipe, draw_weights=replace(recipe.draw_weights, reward=REWARD))
    guidance, streams = bind(recipe, prior, STEPS), Streams(0)
    state, asked = guidance.init(streams), 0.0
    begin = START * streams.normal((2,), "start", ids=range(ROWS)).double()
    z = torch.zeros_like(begin) if run.sampler else begin
    z.requires_grad_()
    adam = torch.optim.Adam([z], lr=1.0, betas=(0.9, 0.99))
    kappas = [float(prior.schedule.kappa(torch.tensor([t], dtype=f64))) for t in falling()] + [0.0]
    for step in range(STEPS):
        cotangents, state, log = guidance.guide(views_at(prior, z.detach()), step, streams, state)
        g, asked = ROWS * cotangents["z"].flatten(1), asked + float(log["nfe"])
        if run.sampler:
            with torch.no_grad():
                z -= (1.0 - kappas[step + 1] / kappas[step]) * g
        else:
            z.grad = g
            adam.param_groups[0]["lr"] = 0.08 * (1.0 - 0.9 * step / STEPS)
            adam.step()
    return z.detach().view(SEEDS, PARTICLES, 2), asked / STEPS


def falling() -> list[float]:
    """t of the plain steps, of the prior's own."""
    return [0.98 - 0.96 * k / STEPS for k in range(STEPS)]


def ddim(scale: float, prior: AnalyticPrior) -> Tensor:
    """(SEEDS, PARTICLES, 2) samples from the noise that CFD's slots hold, on the same grid of times."""
    t = torch.tensor(falling(), dtype=f64)
    alpha = [*prior.schedule.alpha(t).tolist(), 1.0]
    sigma = [*prior.schedule.sigma(t).tolist(), 0.0]
    x = sigma[0] * Streams(0).normal((1, 1, 2), "guidance-noise", 0, ids=range(ROWS)).double().flatten(1)
    for k in range(STEPS):
        a, s = (torch.full((ROWS,), v, dtype=f64) for v in (alpha[k], sigma[k]))
        (y, _), (null, _) = (prior.table[name].predict(x, a, s) for name in ("y", "null"))
        eps = null + scale * (y - null)
        x = alpha[k + 1] * (x - sigma[k] * eps) / alpha[k] + sigma[k + 1] * eps
    return x.view(SEEDS, PARTICLES, 2)


def exact(count: int, seed: int) -> Tensor:
    """(count, 2) samples of the prompt's law."""
    g = torch.Generator().manual_seed(seed)
    mode = torch.randint(MODES, (count,), generator=g)
    return centres()[mode] + WIDTH * torch.randn(count, 2, generator=g, dtype=f64)


@dataclass(frozen=True)
class Score:
    """What a set of particles (n, 2) is worth; see the page for the words."""

    covered: float
    on_modes: float
    spread: float
    energy: float


def score(points: Tensor, truth: Tensor) -> Score:
    """See Score."""
    away = torch.cdist(points, centres())
    near, mode = away.min(dim=1)
    on = near < 3 * WIDTH
    shares = torch.bincount(mode[on], minlength=MODES) / len(points)
    inside = [points[on & (mode == k)] for k in range(MODES)]
    widths = [float(p.std(dim=0).mean()) / WIDTH for p in inside if len(p) >= 3]
    between = 2 * torch.cdist(points, truth).mean()
    energy = between - torch.cdist(points, points).mean() - torch.cdist(truth, truth).mean()
    return Score(
        float((shares >= 0.05).sum()),
        float(on.double().mean()),
        sum(widths) / len(widths) if widths else 0.0,
        float(energy.clamp(min=0).sqrt()),
    )


@dataclass(frozen=True)
class Line:
    """A method at a scale: its particles, its scores by repetition, and its calls."""

    name: str
    scale: float
    points: Tensor
    scores: tuple[Score, ...]
    calls: float


def study(prior: AnalyticPrior) -> list[Line]:
    """Every line of the table."""
    truth, lines = exact(1000, 1), []

    def add(name: str, scale: float, points: Tensor, calls: float) -> None:
        lines.append(Line(name, scale, points, tuple(score(p, truth) for p in points), calls))

    for scale in SCALES:
        if scale == 1.0:
            add("exact samples", scale, exact(ROWS, 2).view(SEEDS, PARTICLES, 2), 0.0)
        add("DDIM sampler", scale, ddim(scale, prior), 2.0 if scale != 1.0 else 1.0)
        for run in RUNS:
            if run.scaled or scale == SCALES[0]:
                add(run.name, scale, *follow(run, scale, prior))
    return lines


def gap_to_the_sampler(lines: list[Line]) -> float:
    """Largest distance between a particle of CFD's plain steps and the sample of the same noise."""
    found = {(line.name, line.scale): line.points for line in lines}
    return max(
        float((found["CFD, plain steps", scale] - found["DDIM sampler", scale]).abs().max())
        for scale in SCALES
    )


def page(lines: list[Line], seconds: float) -> str:
    """The table and what it means."""

    def cell(line: Line, of: Callable[[Score], float], digits: int) -> str:
        values = torch.tensor([of(s) for s in line.scores], dtype=f64)
        return f"{float(values.mean()):.{digits}f} ± {float(values.std()):.{digits}f}"

    rows = [
        f"| {line.name} | {line.scale:g} | {cell(line, lambda s: s.covered, 1)} | "
        f"{cell(line, lambda s: s.on_modes, 2)} | {cell(line, lambda s: s.spread, 2)} | "
        f"{cell(line, lambda s: s.energy, 2)} | {line.calls:.1f} |"
        for line in lines
    ]
    return TEXT.format(
        rows="\n".join(rows),
        gap=f"{gap_to_the_sampler(lines):.1e}",
        seeds=SEEDS,
        particles=PARTICLES,
        steps=STEPS,
        modes=MODES,
        seconds=round(seconds),
    )


TEXT = """# Modes and diversity, on an exact prior in the plane

Written by `python benchmarks/guidance_modes.py` ({seconds} s of one core when this was written; nothing is trained,
no network is asked). The prompt's law is a mixture of {modes} narrow Gaussians on a circle, the empty prompt's a broad
one. {particles} particles start near the centre and follow each preset through the engine for {steps} steps, with Adam
at one rate; {seeds} repetitions, each with random numbers of its own (mean ± standard deviation over them). Critics of
VSD, ESD and RewardVSD know the law of the particles exactly. Rewards: the further right, the better.

![Particles at guidance scale 1](guidance-modes-s1.png)
![Particles at guidance scale 7.5](guidance-modes-s7.5.png)
![Scores by repetition](guidance-modes-scores.png)

- **covered**: modes (of {modes}) that hold at least 5 % of the particles. **on modes**: share of the particles within
  three standard deviations of a mode. **spread**: standard deviation inside a mode over the law's own; 1 keeps it, 0 is
  a point. **distance**: energy distance to the prompt's law, 0 for a perfect sample. **calls**: predictions a particle
  and step, the critic's among them.
- CFD with plain steps of 1 - kappa'/kappa ends at the DDIM sample of the same noise up to {gap}, at both scales.

What there is to see, at scale 1: SDS and HiFA settle between the modes, at the mean that they seek. VSD whose critic
sees all particles keeps every mode and the law's own spread; particle by particle it is SDS at VSD's falling times.
ESD lies between the two. ISM, TSM and SDI find every mode and shrink to a point in it; so does CFD under Adam in part,
while its plain steps are the sampler. NFSD, which has no force back, leaves the picture. Rewards pull SDS off the law,
and VSD along it. At scale 7.5 guidance itself narrows what is sought: the sampler too ends in points.

| method | s | covered | on modes | spread | distance | calls |
|---|---|---|---|---|---|---|
{rows}
"""


def main() -> None:
    """Run, draw, write."""
    torch.set_num_threads(1)
    began = time.process_time()
    lines = study(make_prior())
    for scale in SCALES:
        found = [
            Sheet(line.name, line.points, line.scores[0].covered) for line in lines if line.scale == scale
        ]
        draw_sheet(found, centres(), WIDTH, OUT / f"guidance-modes-s{scale:g}.png")
    draw_dots(
        [
            (
                f"{line.name}, s = {line.scale:g}",
                [(s.covered / MODES, s.on_modes, s.spread) for s in line.scores],
            )
            for line in lines
        ],
        ("modes covered", "on modes", "spread inside"),
        OUT / "guidance-modes-scores.png",
    )
    (OUT / "guidance-modes.md").write_text(page(lines, time.process_time() - began))
    print(OUT / "guidance-modes.md")


if __name__ == "__main__":
    main()
