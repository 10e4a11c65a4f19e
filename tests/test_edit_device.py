"""Edits on a device that is not the CPU: nothing of them mixes the two, and the results are the CPU's."""

from __future__ import annotations

import pytest
import torch
from edit_cases import CONDITIONS, edit_config, mesh_file, splat_file, two_part_glb
from fakes.second_device import SECOND, There, computing
from sds3d.representations.raster import dispatch

from sds3d.jobs import assemble
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch


def steps(config) -> Session:
    session = Session(assemble.assemble(config, Stopwatch()))
    for _ in range(2):
        session.apply(session.gradients())
    return session


@pytest.mark.parametrize("make", [splat_file, mesh_file, two_part_glb], ids=lambda f: f.__name__)
def test_an_edit_elsewhere_is_that_of_the_cpu(tmp_path, monkeypatch, make):
    config = edit_config(
        tmp_path / "runs",
        make(tmp_path),
        edit__fidelity=0.1,
        optimize__size=8,
        representation__rasterizer="twin",
        prior={"kind": "analytic", "shape": [3, 8, 8], "conditions": CONDITIONS},
    )
    here = steps(config)
    monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", {"cpu": ("native", "twin"), SECOND.type: ("twin",)})
    monkeypatch.setattr(assemble, "device_of", lambda config: SECOND)
    with computing():
        there = steps(config)
        params = [p for g in there.stage.representation.param_groups() for p in g.params.values()]
        assert params
        assert all(isinstance(p, There) for p in params)
    for name, value in here.stage.representation.differences.values.items():
        other = there.stage.representation.differences.values[name]
        torch.testing.assert_close(other.cpu(), value, rtol=1e-3, atol=1e-4)
    there.stage.representation.to(torch.device("cpu"))
    assert there.stage.representation.patched()
