"""Every guidance method keeps its promises where views, state and prior lie on a device that is not the CPU."""

from __future__ import annotations

import pytest
from fakes.second_device import SECOND, computing

from sds3d.jobs.schema import GUIDANCE
from sds3d.testing.guidance import check_guidance

METHODS = [
    pytest.param(name, marks=[] if name in ("sds", "vsd") else pytest.mark.slow)
    for name in GUIDANCE.choices()
]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_works_elsewhere(method) -> None:
    with computing():
        check_guidance(method, device=str(SECOND))


@pytest.mark.cuda
@pytest.mark.parametrize("method", GUIDANCE.choices())
def test_a_method_works_on_a_gpu(method) -> None:
    check_guidance(method, device="cuda")
