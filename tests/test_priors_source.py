"""The branch "src": what an original that is edited shows, in the words of every prior that reads words."""

from __future__ import annotations

import pytest
import torch

from sds3d.core.cameras import orbit
from sds3d.core.errors import PromptError
from sds3d.core.look import Look
from sds3d.priors.base import Prompts
from sds3d.priors.kinds import embedded
from sds3d.priors.registry import create_prior
from sds3d.priors.views import VIEW_WORDS

VIEWS = Look(orbit([0.0, 90.0, 180.0], 0.0), (32, 32), torch.ones(3, 3))


def test_texts_by_name():
    assert Prompts("a", "b").texts(VIEW_WORDS) == {"y": "a", "null": "", "neg": "b"}
    told = Prompts("a", view_words=True, source="c").texts(("left", "right"))
    assert told["src"] == "c"
    assert [told[name] for name in ("y0", "y1", "src0", "src1")] == [
        "a, left",
        "a, right",
        "c, left",
        "c, right",
    ]


def test_the_embedded_prior_tells_the_source():
    prior = create_prior(embedded.Options())
    assert "src" in prior.info.branches
    cond = prior.condition(prior.prepare(Prompts("a blue car", source="a red car")), VIEWS, {})
    alone = prior.condition(prior.prepare(Prompts("a red car")), VIEWS, {})
    assert "src" not in alone
    for name, value in cond["src"].tensors.items():
        torch.testing.assert_close(value, alone["y"].tensors[name])
    with pytest.raises(PromptError, match="zeppelin"):
        prior.prepare(Prompts("a blue car", source="a red zeppelin"))
    with pytest.raises(PromptError, match="zeppelin"):
        embedded.check_prompts(embedded.Options(), "a blue car", "", None, "a red zeppelin")


def test_view_words_of_the_source():
    prior = create_prior(embedded.Options(condition_on_camera=False))
    told = prior.prepare(Prompts("a blue car", view_words=True, source="a red car"))
    cond = prior.condition(told, VIEWS, {})
    torch.testing.assert_close(cond["src"].tensors["states"][2], told.tensors["src2.states"])
    assert float((told.tensors["src0.states"] - told.tensors["src2.states"]).abs().max()) > 1e-3
