"""The presets for published models, the page about models, and how big models are told of on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sds3d.cli.models_page import page
from sds3d.jobs import configs
from sds3d.jobs.schema import GUIDANCE
from sds3d.priors.models.table import built_in, find

ROOT = Path(__file__).resolve().parents[1]
PRESETS = sorted((ROOT / "configs/sd").glob("*.yaml"))


@pytest.mark.parametrize("file", PRESETS, ids=lambda p: p.stem)
def test_a_preset_is_a_config_of_a_model_that_can_be_read(file):
    config = configs.read(file)
    entry = find(config.prior.folder)
    assert entry is not None
    assert entry.readable
    assert config.guidance.method in GUIDANCE.choices()
    text = file.read_text()
    assert "predicted (not measured)" in text
    assert " GB" in text
    assert "§1.8" in text


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
