"""Noise on the surface: white in every view, shared between views, and nothing where no surface is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from sds3d.guidance.surface_noise import (
    SAMPLES,
    SHELL,
    SurfaceNoise,
    render_noise,
    sphere_to_square,
    surface_texels,
    texel_of,
)
from toys import ColorPrior, Recorder, store, toy_stage

from sds3d.core.cameras import orbit, rays
from sds3d.core.errors import ConfigError, StopRequested
from sds3d.core.streams import Streams
from sds3d.optimize.judging import views_of
from sds3d.optimize.loop import Session, train

f64 = torch.float64
few = settings(max_examples=8)
seeds = st.integers(0, 10**6)
SIDES = [20, 40, 60, 80]


def directions(seed: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=f64), dim=-1)


@pytest.mark.oracle("O8.7")
@few
@given(seeds)
def test_the_map_of_the_sphere_keeps_areas(seed):
    """O8.7: |J| = 1 / pi, by finite differences along two tangents, away from the seams."""
    d = directions(seed, 300)
    d = d[(d.abs() > 1e-3).all(-1)]
    a = torch.linalg.cross(d, torch.tensor([0.3, -0.8, 0.5], dtype=f64).expand_as(d))
    a = a / a.norm(dim=-1, keepdim=True)
    b, h = torch.linalg.cross(d, a), 1e-6

    def along(tangent):
        ends = [sphere_to_square(torch.nn.functional.normalize(d + s * h * tangent, dim=-1)) for s in (1, -1)]
        return (ends[0] - ends[1]) / (2 * h)

    da, db = along(a), along(b)
    jacobian = (da[:, 0] * db[:, 1] - da[:, 1] * db[:, 0]).abs()
    torch.testing.assert_close(jacobian, torch.full_like(jacobian, 1 / math.pi), rtol=1e-5, atol=0)


@pytest.mark.oracle("O8.7")
def test_the_map_is_continuous_and_covers_the_square():
    angle = torch.linspace(-3.1, 3.1, 40, dtype=f64)
    for axis in (0, 1):  # where x or y changes sign, in the upper half; and the equator
        d = torch.stack([angle.cos() * 0.6, angle.sin() * 0.6, torch.full_like(angle, 0.8)], -1)
        d[:, axis] = 0.0
        d = torch.nn.functional.normalize(d, dim=-1)
        step = torch.zeros(3, dtype=f64)
        step[axis] = 1e-9
        torch.testing.assert_close(sphere_to_square(d + step), sphere_to_square(d - step), rtol=0, atol=1e-6)
    d = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], -1)
    above, below = (sphere_to_square(d + torch.tensor([0, 0, s], dtype=f64)) for s in (1e-12, -1e-12))
    torch.testing.assert_close(above, below, rtol=0, atol=1e-5)
    square = sphere_to_square(directions(0, 40000))
    cells = ((square + 1) * 2).long().clamp(0, 3)
    counts = torch.bincount(cells[:, 0] * 4 + cells[:, 1], minlength=16)
    assert float((counts / 2500 - 1).abs().max()) < 0.08  # sixteen equal cells of 2500 +- 50


@few
@given(seeds, st.floats(0.01, 3.0))
def test_texels_are_addressed_by_shell_and_direction(seed, radius):
    d = directions(seed, 50)
    index = texel_of(radius * d, SIDES)
    shell = min(int(radius / SHELL), 3)
    start = sum(s * s for s in SIDES[:shell])
    assert int(index.min()) >= start
    assert int(index.max()) < start + SIDES[shell] ** 2
    same_shell = (shell + 0.9) * SHELL if shell < 3 else 5.0
    assert torch.equal(texel_of(same_shell * d, SIDES), index)


def assignment(seed: int, views: int = 2, h: int = 3, w: int = 4, samples: int = 6, texels: int = 30):
    """Random texels (-1: none) and depths with ties."""
    generator = torch.Generator().manual_seed(seed)
    texel = torch.randint(-1, texels, (views, h, w, samples), generator=generator)
    depth = torch.randint(1, 5, texel.shape, generator=generator).double()
    return texel, depth


def owners(texel, depth) -> list[dict[int, int]]:
    """By loops: texel -> pixel, one dictionary a view."""
    out = []
    for rows, depths in zip(texel.flatten(1, 2), depth.flatten(1, 2), strict=True):
        best: dict[int, tuple[float, int]] = {}
        for pixel, (row, zs) in enumerate(zip(rows.tolist(), depths.tolist(), strict=True)):
            for t, z in zip(row, zs, strict=True):
                if t >= 0:
                    best[t] = min(best.get(t, (math.inf, 0)), (z, pixel))
        out.append({t: pixel for t, (_, pixel) in best.items()})
    return out


@few
@given(seeds)
def test_a_texel_belongs_to_one_pixel_the_nearest(seed):
    """Sum over owned texels over the root of their count; the screen's noise where none is owned."""
    texel, depth = assignment(seed)
    generator = torch.Generator().manual_seed(seed)
    texture = torch.randn(30, 2, generator=generator, dtype=f64)
    screen = torch.randn(2, 2, 3, 4, generator=generator, dtype=f64)
    noise, count = render_noise(texture, texel, depth, screen)
    for b, owner in enumerate(owners(texel, depth)):
        for pixel in range(12):
            mine = [t for t, p in owner.items() if p == pixel]
            want = texture[mine].sum(0) / math.sqrt(len(mine)) if mine else screen[b].flatten(1)[:, pixel]
            torch.testing.assert_close(noise[b].flatten(1)[:, pixel], want)
            assert int(count[b].flatten()[pixel]) == len(mine)
    again, _ = render_noise(texture, texel, depth, screen)
    assert torch.equal(again, noise)


def covariance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(pixels, pixels) over the channels, which are independent draws."""
    return a.flatten(1).T @ b.flatten(1) / len(a)


@pytest.mark.oracle("O8.6", "OX.4")
@pytest.mark.parametrize("seed", [0, 1])
def test_every_view_is_white_and_views_agree_as_their_texels_do(seed):
    """O8.6: covariance I in a view, |A and B| / sqrt(|A| |B|) between two; the plain mean and a blend fail."""
    texel, depth = assignment(seed)
    draws, owner = 20000, owners(texel, depth)
    generator = torch.Generator().manual_seed(seed)
    texture = torch.randn(30, draws, generator=generator)
    screen = torch.randn(2, draws, 3, 4, generator=generator)
    noise, count = render_noise(texture, texel, depth, screen)
    assert int(count.max()) > 2
    within = covariance(noise[0], noise[0])
    torch.testing.assert_close(within, torch.eye(12), rtol=0, atol=0.05)
    sets = [[{t for t, p in o.items() if p == pixel} for pixel in range(12)] for o in owner]
    across = torch.tensor(
        [[len(a & b) / math.sqrt(max(1, len(a)) * max(1, len(b))) for b in sets[1]] for a in sets[0]]
    )
    assert float(across.max()) > 0.3
    torch.testing.assert_close(covariance(noise[0], noise[1]), across, rtol=0, atol=0.05)
    mean = noise[0] / count[0].clamp(min=1).sqrt()
    assert float((covariance(mean, mean) - torch.eye(12)).abs().max()) > 0.3
    blend = 0.7 * texture[0] + 0.3 * texture[1]
    assert float(blend.var()) == pytest.approx(0.7**2 + 0.3**2, abs=0.03)


@pytest.mark.oracle("O8.6")
def test_one_texel_a_pixel_shows_the_texture_itself():
    texel = torch.arange(12).reshape(1, 3, 4, 1)
    texture = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    noise, count = render_noise(texture, texel, torch.ones(1, 3, 4, 1), torch.zeros(1, 2, 3, 4))
    assert torch.equal(noise[0].flatten(1).T, texture)
    assert count.tolist() == [[[1] * 4] * 3]


def ball(cameras, side: int, radius: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    """(depth, alpha) of a ball around the origin."""
    o, d = rays(cameras, (side, side))
    b = (o * d).sum(-1)
    disc = b * b - (o * o).sum(-1) + radius**2
    hit = disc > 0
    ahead = -cameras.c2w[:, None, None, :3, 2]
    depth = (-b - disc.clamp(min=0).sqrt()) * (d * ahead).sum(-1)
    return torch.where(hit, depth, 0.0)[:, None], hit[:, None].float()


@pytest.mark.parametrize("side", [64, 48, 32])
def test_a_ball_carries_its_noise_around(side):
    """From two cameras the same directions hold the same texels; pictures of other sizes than z's work."""
    cameras = orbit([0.0, 25.0], [10.0, -15.0])
    sides = SurfaceNoise().sides(32)
    depth, alpha = ball(cameras, side)
    texel, z = surface_texels(cameras, depth, alpha, (32, 32), sides)
    assert texel.shape == z.shape == (2, 32, 32, SAMPLES**2)
    first, second = (set(t[t >= 0].tolist()) for t in texel)
    seen_by_both = len(first & second) / len(first)
    assert 0.6 < seen_by_both < 0.95
    # what a point's texel must be: the direction from the centre of where its ray meets the ball
    exact, solid = ball(cameras, 32 * SAMPLES)
    o, d = rays(cameras, (32 * SAMPLES,) * 2)
    ahead = -cameras.c2w[:, None, None, :3, 2]
    point = o + d * (exact[:, 0] / (d * ahead).sum(-1))[..., None]
    want = texel_of(point, sides).reshape(2, 32, SAMPLES, 32, SAMPLES).transpose(2, 3).reshape(texel.shape)
    inner = (solid.reshape(2, 32, SAMPLES, 32, SAMPLES).amin((2, 4)) > 0)[..., None].expand_as(texel)
    hit = (texel >= 0) & inner
    assert float((texel == want)[hit].float().mean()) > 0.75
    assert float((texel >= 0)[inner].float().mean()) > 0.8
    nothing = (alpha[:, :, :: side // 16, :: side // 16] == 0).all()
    assert not nothing
    assert not bool((texel >= 0)[:, 0].any())


def test_the_ball_is_white_in_its_views_and_alike_between_them():
    cameras = orbit([0.0, 8.0], [10.0, 10.0])
    depth, alpha = ball(cameras, 64)
    source = SurfaceNoise()
    texture = source.init((1, 32, 32), Streams(0))["texture"].shape[1]
    generator = torch.Generator().manual_seed(0)
    texel, z = surface_texels(cameras, depth, alpha, (32, 32), source.sides(32))
    noise, count = render_noise(
        torch.randn(texture, 400, generator=generator), texel, z, torch.randn(2, 400, 32, 32)
    )
    within = covariance(noise[0], noise[0])
    assert float((within.diagonal() - 1).abs().mean()) < 0.07
    assert float((within - torch.diag(within.diagonal())).abs().mean()) < 0.045  # 0.8 / sqrt(400)
    owned = (count[0] > 0).flatten()
    best = covariance(noise[0], noise[1])[owned].amax(dim=1)
    assert float(best.median()) > 0.4
    assert float(count[count > 0].float().mean()) > 4


def test_edges_and_empty_places_own_nothing():
    """Two planes at different depths: no point floats between them."""
    cameras = orbit([0.0], 0.0)
    depth = torch.full((1, 1, 32, 32), 2.2)
    depth[..., 16:] = 2.9
    alpha = torch.ones_like(depth)
    alpha[..., :8, :] = 0.0
    texel, z = surface_texels(cameras, depth, alpha, (32, 32), SIDES)
    hit = texel >= 0
    assert bool((((z - 2.2).abs() < 1e-5) | ((z - 2.9).abs() < 1e-5))[hit].all())
    assert not bool(hit[:, :8].any())
    assert bool(hit[:, 9:, :15].all())
    half = hit[0, 12:].reshape(20, 32, SAMPLES, SAMPLES).all(2).all(0)
    assert half[15].tolist() == [True] * (SAMPLES // 2) + [False] * (SAMPLES // 2)


def cfd_stage(**config):
    stage = toy_stage(steps=4, prior=ColorPrior())
    options = parse({"method": "cfd", "cfg_scale": 2.0, **config})
    return replace(stage, guidance=build_guidance(options, stage.prior, 4))


def test_the_loop_carries_the_noise_and_resumes(tmp_path):
    """Depth is asked of the representation, the texture drifts in the checkpoint, and a resumed run is the same."""
    recorder = Recorder()
    whole = train(cfd_stage(drift=0.1), store(tmp_path / "a"), recorder)
    assert all(0.0 <= r.metrics["bare"] <= 1.0 for r in recorder.reports)
    assert recorder.reports[0].metrics["t"] > recorder.reports[-1].metrics["t"]
    first = store(tmp_path / "b")
    with pytest.raises(StopRequested):
        train(cfd_stage(drift=0.1), first, Recorder(stop_after=2))
    assert train(cfd_stage(drift=0.1), first, None, first.latest()).hash() == whole.hash()
    still = train(cfd_stage(drift=0), store(tmp_path / "c"))
    assert torch.equal(
        still.guidance["noise"]["texture"], Session(cfd_stage(drift=0)).guidance_state["noise"]["texture"]
    )
    assert "screen" not in still.guidance["noise"]
    assert not torch.equal(whole.guidance["noise"]["texture"], still.guidance["noise"]["texture"])
    other = train(cfd_stage(drift=0, background="fresh"), store(tmp_path / "d"))
    assert other.hash() != still.hash()


def test_depth_is_needed():
    stage = cfd_stage()
    session = Session(stage)
    render = stage.representation.render(stage.look(0))
    views = views_of(
        stage,
        stage.look(0),
        {k: v for k, v in render.items() if k != "depth"},
        stage.prior.encode(render["rgb"]),
    )
    with pytest.raises(
        ConfigError, match=r"guidance.noise: .*needs the depth of the views.* Set guidance.noise to fixed"
    ):
        stage.guidance.guide(views, 0, stage.streams, session.guidance_state)
