"""The branch "src": what an original that is edited shows, in the words of every prior that reads words."""

from __future__ import annotations

import functools

import pytest
import torch
from family_cases import folder_of as tiny
from family_cases import load, look, noise

from sds3d.core.cameras import orbit
from sds3d.core.errors import PromptError
from sds3d.core.look import Look
from sds3d.priors.attention import EDITED, attention_maps, edited_tokens, recorded
from sds3d.priors.base import Cond, Prompts
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


def test_edited_tokens():
    assert edited_tokens([0, 5, 6, 7, 1, 1], [0, 5, 8, 7, 9, 1], frozenset({0, 1})).tolist() == [
        0,
        0,
        1,
        0,
        1,
        0,
    ]
    assert edited_tokens([0, 5, 1], [0, 5, 1], frozenset({0, 1})).sum() == 0


@functools.cache
def box():
    return create_prior(embedded.Options(precision="float32"))


def asked(prior, target: str, source: str, views: Look = VIEWS):
    """(the branch edited, noisy latents, times) of an edit."""
    cond = prior.condition(prior.prepare(Prompts(target, source=source)), views, {})
    t = torch.linspace(0.3, 0.7, len(views), dtype=torch.float64)
    return cond[EDITED], noise(len(views), *prior.info.latent_shape), t


def test_the_embedded_prior_says_where_an_edit_acts():
    prior = box()
    assert prior.info.attention
    cond, z_t, t = asked(prior, "a snowman with a red hat", "a snowman with a black hat")
    assert cond.tensors[EDITED].sum(1).tolist() == [1.0, 1.0, 1.0]
    before = prior.predict(z_t, t, cond).eps
    processors = dict(prior.unet.attn_processors)
    found = prior.attention_maps(z_t, t, cond)
    assert dict(prior.unet.attn_processors) == processors
    assert found.shape == (3, 1, *prior.info.size)
    assert float(found.amin()) >= 0.0
    torch.testing.assert_close(found.flatten(1).amax(1), torch.ones(3), rtol=0.0, atol=0.2)
    assert float(found.flatten(1).std(1).min()) > 0.01
    torch.testing.assert_close(prior.predict(z_t, t, cond).eps, before)
    same, z_t, t = asked(prior, "a red car", "a red car")
    assert torch.equal(prior.attention_maps(z_t, t, same), torch.ones(3, 1, *prior.info.size))


@pytest.mark.parametrize("name", ["sd1", "embedded"])
def test_maps_are_what_the_layers_attend_to(name):
    """The recorded scores are distributions, and the map is minmax(A_self A_cross[edited]) by loops."""
    prior = box() if name == "embedded" else load(tiny(name))
    views = VIEWS if name == "embedded" else look()
    cond, z_t, t = asked(prior, "a red car", "a blue car", views)
    plain = Cond({k: v for k, v in cond.tensors.items() if k != EDITED}, cond.weight)
    network = prior.unet if name == "embedded" else prior.network
    with recorded(network) as (own, cross):
        prior.predict(z_t, t, plain)
    for layers in (*own.values(), *cross.values()):
        for scores in layers:
            torch.testing.assert_close(scores.sum(-1), torch.ones(scores.shape[:2]), rtol=1e-3, atol=1e-3)
    assert all(scores.shape[1] == scores.shape[2] for layers in own.values() for scores in layers)
    size, edited = tuple(z_t.shape[2:]), cond.tensors[EDITED]
    found = attention_maps(network, lambda: prior.predict(z_t, t, plain), edited, size)
    torch.testing.assert_close(found, prior.attention_maps(z_t, t, cond))
    near = min(own, key=lambda n: abs(n - size[0] * size[1] // 4))
    if near not in cross or min(cross, key=lambda n: abs(n - size[0] * size[1] // 16)) != near:
        return
    spread, words = (sum(layers[near]) / len(layers[near]) for layers in (own, cross))
    for b in range(len(z_t)):
        chosen = [float(sum(w for w, e in zip(row, edited[b], strict=True) if e)) for row in words[b]]
        said = torch.tensor(
            [sum(s * c for s, c in zip(row.tolist(), chosen, strict=True)) for row in spread[b]]
        )
        flat = (said - said.min()) / (said.max() - said.min())
        side = round(near**0.5)
        grown = torch.nn.functional.interpolate(flat.view(1, 1, side, side), size, mode="bilinear")
        torch.testing.assert_close(found[b : b + 1], grown, rtol=1e-2, atol=5e-3)
