"""What the oracles of the guidance methods share: laws by seed, closed forms by linear solves, comparisons."""

from __future__ import annotations

import pytest
import torch
from guidance_cases import (
    PREDICTIONS,
    RF,
    SD,
    levels,
    random_gauss,
)
from hypothesis import settings
from hypothesis import strategies as st

f64 = torch.float64
seeds, indices = st.integers(0, 10**6), st.integers(20, 980)
schedules, predictions = st.sampled_from([SD, RF]), st.sampled_from(PREDICTIONS)
scales = st.floats(0.0, 20.0)
VIEWS = 2
few = settings(max_examples=8)
few_each = settings(max_examples=3)
"""For tests that run in every form."""
in_every_form = pytest.mark.parametrize("prediction", PREDICTIONS)
"""Once with a prior of each native prediction."""

in_every_form_slowly = pytest.mark.parametrize(
    "prediction", [p if p == "v" else pytest.param(p, marks=pytest.mark.slow) for p in PREDICTIONS]
)
"""The same for what takes long: by default with one of them."""


def table_of(seed: int) -> dict:
    return {name: random_gauss(seed + 100 * k) for k, name in enumerate(["y", "null", "neg"])}


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7)


def far(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert float((actual - expected).abs().max()) > 1e-3 * float(expected.abs().max())


def sds_by_hand(table, z, index, schedule, s, eps) -> torch.Tensor:
    """(B, D) eps_null + s (eps_y - eps_null) - eps by linear solves."""
    a, sigma = levels(index, schedule)
    x = a * z + sigma * eps
    y, null = table["y"].eps(x, a, sigma), table["null"].eps(x, a, sigma)
    return null + s * (y - null) - eps


def csd_by_hand(table, z, index, schedule, w1, w2, eps) -> torch.Tensor:
    """(B, D) w1 (eps_y - eps_null) + w2 (eps_null - eps_neg) by linear solves."""
    a, s = levels(index, schedule)
    x = a * z + s * eps
    y, null, neg = (table[n].eps(x, a, s) for n in ("y", "null", "neg"))
    return w1 * (y - null) + w2 * (null - neg)


def mirrored(normal):
    """`Streams.normal` with the sign turned: the antithetic draw."""
    return lambda self, *args, **kwargs: -normal(self, *args, **kwargs)
