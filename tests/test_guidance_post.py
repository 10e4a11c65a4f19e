"""Slots of a recipe: what is done to the gradient at the end."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sds3d.guidance.post import ClipNorm, ClipPixels, ClipValue, UnitNorm

from sds3d.core.schedules import constant, parse

RAMP = parse({"linear": [1.0, 0.5]})


@given(st.integers(0, 1000), st.floats(0.05, 3.0))
def test_clip_value(seed, limit):
    g = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    out = ClipValue(constant(limit))(g, 0.0)
    small = g.abs() <= limit
    assert torch.equal(out[small], g[small])
    torch.testing.assert_close(out[~small], limit * g[~small].sign())


def test_limits_follow_the_run():
    g = torch.full((1, 1, 2, 2), 10.0)
    assert float(ClipValue(RAMP)(g, 0.0).max()) == 1.0
    assert float(ClipValue(RAMP)(g, 1.0).max()) == 0.5
    assert float(ClipNorm(RAMP)(g, 0.0).norm()) == pytest.approx(1.0)
    assert float(ClipNorm(RAMP)(g, 1.0).norm()) == pytest.approx(0.5)


@given(st.integers(0, 1000), st.floats(0.5, 8.0))
def test_clip_norm(seed, limit):
    g = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([0.1, 1.0, 5.0])[
        :, None, None, None
    ]  # fmt: skip
    by_view = ClipNorm(constant(limit))(g, 0.0)
    for a, b in zip(by_view, g, strict=True):
        torch.testing.assert_close(a, b * min(1.0, limit / float(b.norm())))
    by_batch = ClipNorm(constant(limit), "batch")(g, 0.0)
    torch.testing.assert_close(by_batch, g * min(1.0, limit / float(g.norm())))


def test_unit_norm():
    g = torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(UnitNorm()(g, 0.0), g / g.norm())
    by_view = UnitNorm("view")(g, 0.0)
    torch.testing.assert_close(by_view.flatten(1).norm(dim=1), torch.ones(3))
    torch.testing.assert_close(by_view[1], g[1] / g[1].norm())
    torch.testing.assert_close(UnitNorm()(1e-3 * g, 0.0), g / g.norm())
    torch.testing.assert_close(UnitNorm("view")(1e-3 * g, 0.0), by_view)
    assert torch.equal(UnitNorm()(torch.zeros(1, 1, 2, 2), 0.0), torch.zeros(1, 1, 2, 2))
    half = torch.zeros(2, 1, 1, 2)
    half[0, 0, 0, 0] = 4.0
    assert UnitNorm("view")(half, 0.0).flatten().tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.oracle("O3.8")
@given(st.integers(0, 1000), st.floats(0.01, 3.0))
def test_clip_pixels(seed, limit):
    """O3.8: at most `limit` in each pixel, direction kept, identity below, idempotent; other pixels do not matter."""
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    g[0, :, 0, 0] = 0.0
    clip = ClipPixels(constant(limit))
    out = clip(g, 0.0)
    assert float(out.abs().max()) <= limit * (1 + 1e-12)
    for b, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(5)).tolist():
        before, after = g[b, :, y, x], out[b, :, y, x]
        scale = min([1.0, *(limit / abs(float(v)) for v in before if v)])
        torch.testing.assert_close(after, scale * before, rtol=1e-12, atol=0)
    small = (g.abs() <= limit).all(dim=1, keepdim=True).expand_as(g)
    assert torch.equal(out[small], g[small])
    torch.testing.assert_close(clip(out, 0.0), out, rtol=1e-12, atol=0)
    assert float((ClipValue(constant(limit))(g, 0.0) - out).abs().max()) > 0 or limit > float(g.abs().max())
    assert float(ClipPixels(RAMP)(10 * torch.ones(1, 3, 1, 1), 1.0).max()) == 0.5
