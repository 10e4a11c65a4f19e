"""Which implementation runs, and what it says."""

from __future__ import annotations

import logging

import pytest
import torch
from gaussian_cases import random_case
from raster_cases import native_levels
from sds3d.representations.raster import dispatch
from sds3d.representations.raster.dispatch import RasterError, choose, native_status

CPU = torch.device("cpu")


@pytest.fixture
def no_native(monkeypatch) -> None:
    """As on a machine without a compiler."""
    monkeypatch.setattr(dispatch, "native_module", lambda: (None, "no compiler"))


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    """Every test hears the first announcement again."""
    dispatch._announce.cache_clear()


@pytest.mark.parametrize("name", native_levels())
def test_float32_on_the_cpu_is_native_and_said_once(caplog, monkeypatch, name) -> None:
    monkeypatch.setenv(dispatch.INSTRUCTION_SET_VARIABLE, name)
    with caplog.at_level(logging.INFO):
        assert choose("rasterize_gaussians", "auto", CPU, torch.float32) == "native"
        assert choose("rasterize_gaussians", "auto", CPU, torch.float32) == "native"
    assert [r.getMessage() for r in caplog.records] == [f"rasterize_gaussians on cpu: native ({name})"]
    assert native_status() == {
        "built": True,
        "reason": "",
        "instruction_set": name,
        "threads": torch.get_num_threads(),
    }


def test_without_the_native_core_the_twin_serves_with_a_warning(caplog, no_native) -> None:
    case = random_case(0)
    with caplog.at_level(logging.INFO):
        render = case.draw("auto")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "rasterize_gaussians on cpu: twin (no compiler)")
    ]
    assert torch.equal(render.rgb, case.draw("twin").rgb)
    assert native_status()["built"] is False
    assert native_status()["reason"] == "no compiler"
    with pytest.raises(RasterError, match="no compiler"):
        case.draw("native")


def test_float64_goes_to_the_twin(no_native) -> None:
    assert choose("f", "auto", CPU, torch.float64) == "twin"
    assert random_case(0).to(torch.float64).draw("auto").rgb.dtype == torch.float64


@pytest.mark.parametrize("name", native_levels())
def test_the_native_core_refuses_float64_by_name(name) -> None:
    with pytest.raises(RasterError, match=r"native core has no torch\.float64"):
        random_case(0).to(torch.float64).draw("native")


@pytest.mark.parametrize("implementation", ["auto", "native"])
def test_a_device_without_kernels_is_an_error_that_names_the_served_ones(implementation) -> None:
    with pytest.raises(RasterError, match="no implementation for device 'cuda'; supported: cpu"):
        choose("rasterize_gaussians", implementation, torch.device("cuda"), torch.float32)
    assert choose("rasterize_gaussians", "twin", torch.device("cuda"), torch.float32) == "twin"


def test_unknown_names_are_refused(monkeypatch) -> None:
    with pytest.raises(RasterError, match="none of auto, native, twin"):
        choose("f", "cuda", CPU, torch.float32)
    monkeypatch.setenv(dispatch.INSTRUCTION_SET_VARIABLE, "sse9")
    with pytest.raises(RasterError, match="none of baseline, avx2, avx512"):
        dispatch.instruction_level()


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch, no_native) -> None:
    monkeypatch.setenv(dispatch.INSTRUCTION_SET_VARIABLE, "avx512")
    dispatch._level.cache_clear()
    with pytest.raises(RasterError, match="goes up to baseline"):
        dispatch.instruction_level()
    dispatch._level.cache_clear()
