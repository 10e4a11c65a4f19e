"""The presets for published models, the page about models, and how big models are told of on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from sds3d.cli.models_page import page
from sds3d.jobs import configs
from sds3d.jobs.plan import make_plan
from sds3d.jobs.schema import GUIDANCE
from sds3d.priors.kinds.diffusers import Options as PriorOptions
from sds3d.priors.models.architecture import load_shape
from sds3d.priors.models.table import built_in, find
from sds3d.priors.models.tiers import predict_tier, workload_of

ROOT = Path(__file__).resolve().parents[1]
PREDICTED = "predicted (not measured)"
PRESETS = sorted((ROOT / "configs/sd").glob("*.yaml"))


@pytest.mark.parametrize("file", PRESETS, ids=lambda p: p.stem)
def test_a_preset_is_a_config_of_a_model_that_can_be_read(file):
    config = configs.read(file)
    entry = find(config.prior.folder)
    assert entry is not None
    assert entry.readable
    assert config.guidance.method in GUIDANCE.choices()
    text = file.read_text()
    assert PREDICTED in text
    assert " GB" in text
    assert "§1.8" in text


@pytest.mark.slow
@pytest.mark.parametrize("file", PRESETS, ids=lambda p: p.stem)
def test_a_preset_states_the_memory_that_is_predicted(file):
    """Every number of its sentence is the peak of one tier; the dry run counts its predictions."""
    plan = make_plan(configs.read(file))
    assert not plan.problem
    assert plan.seconds
    sentence = re.split(
        r"[;.]\s", " ".join(file.read_text().replace("#", "").split()).partition(PREDICTED)[2]
    )[0]
    stated = [float(number) for number in re.findall(r"([\d.]+) GB", sentence)]
    assert stated
    peaks = [round(need / 1e9, 1) for need in plan.tiers.values()]
    assert set(stated) <= set(peaks), (stated, peaks)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, e in built_in().items() if e.vram_gb])
def test_the_table_states_the_memory_that_is_predicted(name):
    entry = built_in()[name]
    options = PriorOptions(folder=name, **entry.prior)
    dtype = torch.float16 if options.precision == "auto" else getattr(torch, options.precision)
    work = workload_of(options, entry.size, dtype)
    peak = predict_tier(load_shape(entry.shape), work, "lean").peak
    assert entry.vram_gb == pytest.approx(peak / 1e9, abs=0.051)


def test_every_model_that_can_be_read_has_a_prediction():
    for name, entry in built_in().items():
        assert entry.family is None or entry.in_the_box or (entry.shape and entry.vram_gb), name


def test_the_presets_that_people_look_for_are_there():
    assert {"dreamfusion-sd", "csd-sd", "mvdream", "sdxl", "magic3d-coarse"} <= {p.stem for p in PRESETS}


def test_a_pixel_prior_is_judged_at_its_size():
    for file in PRESETS:
        config = configs.read(file)
        if config.prior.folder == "deepfloyd-if":
            assert config.optimize.size(0) == find("deepfloyd-if").size
        if config.prior.folder == "mvdream":
            assert config.optimize.views % 4 == 0


def test_the_page_is_current():
    assert (ROOT / "docs/models.md").read_text() == page(), (
        "run: python -m sds3d.cli.models_page docs/models.md"
    )


def test_the_page_names_every_model_with_licence_and_repository():
    text = page()
    for name, entry in built_in().items():
        assert f"`{name}`" in text
        assert entry.licence in text
        assert all(r.id in text for r in entry.repositories)
