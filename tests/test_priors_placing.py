"""Which side a noisy picture shows: found from its view among those that the words allow, whatever its colours."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_cases import drawn

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.truth import truth_of
from sds3d.priors.base import Prompts, concatenate
from sds3d.priors.kinds import embedded
from sds3d.priors.lora import LoraSpec
from sds3d.priors.placing import (
    DIRECTIONS,
    best_directions,
    directions_photographed,
    directions_said,
    views_of,
)
from sds3d.priors.text_volume import PAINTS, TextVolume
from sds3d.priors.views import side_seen

SEEDS = st.integers(0, 2**31)
ALL = torch.ones(1, len(DIRECTIONS), dtype=torch.bool)
CAPTION = "a yellow duck"


def basis(volume: TextVolume, pooled: torch.Tensor, number: int) -> torch.Tensor:
    """(64, 6) ground, paints and coverage of the volume's view from one of DIRECTIONS."""
    waves = [torch.deg2rad(torch.tensor([angle])) for angle in DIRECTIONS[number]]
    maps = volume(pooled[None], *(torch.stack([w.sin(), w.cos()], -1) for w in waves), 8)
    return torch.cat([1 - maps[:, :1], maps[:, 1 : 1 + PAINTS], maps[:, :1]], 1).flatten(2)[0].mT


def painted(volume: TextVolume, pooled: torch.Tensor, number: int, seed: int) -> torch.Tensor:
    """(3, 8, 8) that view, ground and paints in random colours."""
    columns = basis(volume, pooled, number)
    colours = torch.rand(6, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return (columns @ colours).mT.reshape(3, 8, 8)


def text_of(seed: int) -> torch.Tensor:
    return torch.randn(6, generator=torch.Generator().manual_seed(seed))


def test_what_the_words_allow():
    front, side, back, overhead = (
        {DIRECTIONS[i] for i in row.nonzero()[:, 0].tolist()} for row in directions_said()
    )
    low = (0.0, 20.0, 40.0)
    assert front == {(a, e) for a in (-30.0, 0.0, 30.0) for e in low}
    assert side == {(a, e) for a in (-120.0, -90.0, -60.0, 60.0, 90.0, 120.0) for e in low}
    assert back == {(a, e) for a in (-180.0, -150.0, 150.0) for e in low}
    assert overhead == {d for d in DIRECTIONS if d[1] == 62.0}
    usual = {DIRECTIONS[i] for i in directions_photographed().nonzero()[:, 0].tolist()}
    assert usual == {d for d in DIRECTIONS if d[1] in (0.0, 20.0)}


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, len(DIRECTIONS) - 1))
def test_the_direction_is_found_whatever_the_colours(seed, number):
    volume, pooled = drawn(seed), text_of(seed)
    views = views_of(volume, pooled)[None]
    for k in (0, 1):
        picture = painted(volume, pooled, number, seed + k)[None]
        assert best_directions(picture, views, ALL).tolist() == [list(DIRECTIONS[number])]


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, len(DIRECTIONS) - 1), st.integers(0, 3))
def test_each_row_has_its_own_words_text_and_picture(seed, number, word):
    volume, texts, other = drawn(seed), [text_of(seed), text_of(seed + 1)], (number + 7) % len(DIRECTIONS)
    allowed = torch.cat([directions_said()[word : word + 1], ALL, ALL])
    views = torch.stack([views_of(volume, texts[i]) for i in (0, 0, 1)])
    pictures = [painted(volume, texts[i], n, seed) for i, n in ((0, number), (0, number), (1, other))]
    rows = best_directions(torch.stack(pictures), views, allowed).tolist()
    assert side_seen(*rows[0]) == word
    assert rows[1:] == [list(DIRECTIONS[number]), list(DIRECTIONS[other])]


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, len(DIRECTIONS) - 1))
def test_what_a_view_explains_is_what_ridge_regression_explains(seed, number):
    volume, pooled = drawn(seed), text_of(seed)
    columns = basis(volume, pooled, number).double()
    picture = torch.randn(64, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    gram = columns.mT @ columns + 1e-3 * torch.eye(6, dtype=torch.float64)
    colours = torch.linalg.solve(gram, columns.mT @ picture)
    misfit = (picture - columns @ colours).square().sum() + 1e-3 * colours.square().sum()
    explained = (views_of(volume, pooled)[number].double().mT @ picture).square().sum()
    torch.testing.assert_close(picture.square().sum() - explained, misfit, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def told():
    return embedded.create(embedded.Options(precision="float32"))


@pytest.fixture(scope="module")
def untold():
    return embedded.create(embedded.Options(precision="float32", condition_on_camera=False))


def true_views(azimuths: list[float], size: int = 64) -> tuple[Look, torch.Tensor]:
    """Views of the true duck from elevation 20 degrees, and their pixels in [-1, 1]."""
    look = Look(orbit(azimuths, 20.0), (size, size), torch.ones(len(azimuths), 3))
    picture = render_mesh(truth_of(CAPTION).mesh, look.cameras, look.size, look.background)["rgb"]
    return look, 2 * picture - 1


def noisy(prior, picture: torch.Tensor, time: float) -> tuple[torch.Tensor, torch.Tensor]:
    t = torch.full((len(picture),), time, dtype=torch.float64)
    alpha, sigma = (level.to(picture)[:, None, None, None] for level in prior.schedule.levels(t))
    noise = Streams(0).normal(picture.shape[1:], "noise", ids=range(len(picture)))
    return alpha * picture + sigma * noise, t


def found(prior, look: Look, z_t: torch.Tensor, view_words: bool) -> torch.Tensor:
    """The azimuths that the network is told."""
    cond = prior.condition(prior.prepare(Prompts(CAPTION, view_words=view_words)), look, {})["y"]
    labels = prior.labels_of(z_t, cond)
    return torch.rad2deg(torch.atan2(labels[:, 0], labels[:, 1]))


@pytest.mark.parametrize("time", [0.05, 0.5])
def test_a_duck_is_seen_to_face_where_it_faces(untold, time):
    """Words tell front from back, the noisy picture left from right."""
    azimuths = [float(a) for a in range(-180, 180, 30)]
    look, picture = true_views(azimuths)
    z_t, _ = noisy(untold, picture, time)
    off = (found(untold, look, z_t, True) - torch.tensor(azimuths) + 180) % 360 - 180
    assert float(off.abs().max()) <= 31
    # without words the flanks can be told from each other
    flanks = [i for i, a in enumerate(azimuths) if abs(a) == 90]
    off = (found(untold, look, z_t, False) - torch.tensor(azimuths) + 180) % 360 - 180
    assert float(off[flanks].abs().max()) <= 31


def test_it_answers_as_if_told_that_direction(told, untold):
    """The duck stands at 90 and 180 degrees and 20 up, which are among the directions."""
    look, picture = true_views([90.0, 180.0])
    z_t, t = noisy(untold, picture, 0.3)
    embedding = untold.prepare(Prompts(CAPTION, view_words=True))
    guessed = untold.predict(z_t, t, untold.condition(embedding, look, {})["y"]).x0
    said = told.predict(z_t, t, told.condition(embedding, look, {})["y"]).x0
    torch.testing.assert_close(guessed, said)


def test_the_empty_prompt_is_told_nothing_beside_others_in_a_batch(untold):
    look, picture = true_views([90.0, 180.0])
    z_t, _ = noisy(untold, picture, 0.3)
    cond = untold.condition(untold.prepare(Prompts(CAPTION, view_words=True)), look, {})
    null = cond["null"].tensors["class_labels"]
    assert float(null[:, : untold.view_features.camera_width].abs().max()) == 0
    alone = untold.labels_of(z_t, cond["y"])
    both = untold.labels_of(z_t.repeat(2, 1, 1, 1), concatenate([cond["y"], cond["null"]]))
    assert torch.equal(both, torch.cat([alone, null]))


def test_a_picture_without_any_camera_is_placed_too(told):
    look, picture = true_views([90.0])
    z_t, _ = noisy(told, picture, 0.3)
    flat = Look(None, look.size, look.background)
    assert float((found(told, flat, z_t, False) - 90).abs()) <= 31


def test_who_is_told_the_camera_is_not_placed(told):
    look, picture = true_views([30.0])
    z_t, _ = noisy(told, picture, 0.3)
    cond = told.condition(told.prepare(Prompts(CAPTION)), look, {})["y"]
    assert told.labels_of(z_t, cond) is cond.tensors["class_labels"]


def test_without_a_volume_words_are_all_there_is():
    prior = embedded.create(embedded.Options(model="prior32", precision="float32", condition_on_camera=False))
    look, picture = true_views([30.0], 32)
    cond = prior.condition(prior.prepare(Prompts(CAPTION, view_words=True)), look, {})["y"]
    assert prior.labels_of(picture, cond) is cond.tensors["class_labels"]


def test_a_critic_hears_either_the_camera_or_what_its_prior_hears(untold):
    look, picture = true_views([100.0, 100.0])
    z_t, t = noisy(untold, picture, 0.4)
    cond = untold.condition(untold.prepare(Prompts(CAPTION, view_words=True)), look, {})["y"]
    adapter = untold.make_adapter(LoraSpec())
    hears = torch.tensor([True, False])
    said = adapter.predict(adapter.init(Streams(0)), z_t, t, cond, look.cameras, hears).x0
    alone = untold.predict(z_t, t, cond).x0
    torch.testing.assert_close(said[1], alone[1])
    assert float((said[0] - alone[0]).abs().max()) > 1e-4, "no direction is at 100 degrees"


def test_what_each_branch_allows(told, untold):
    """Directions: 9 in front, 18 at the sides, 9 behind, 12 overhead; those of ordinary photographs are 24."""
    look = Look(orbit([0.0, 90.0, 180.0, 0.0], [15.0, 15.0, 15.0, 62.0]), (64, 64), torch.ones(4, 3))
    prompts = Prompts(CAPTION, "a red car", view_words=True, source="a red duck")
    said = {
        name: branch.tensors["allowed"].sum(1).tolist()
        for name, branch in untold.condition(untold.prepare(prompts), look, {}).items()
    }
    words, every = [9, 18, 9, 12], [48] * 4
    assert said == {
        "y": words, "src": words, "edited": words, "plain": every, "neg": every, "null": [0] * 4,
    }  # fmt: skip
    flat = told.condition(told.prepare(prompts), Look(None, (64, 64), torch.ones(1, 3)), {})
    assert {name: int(branch.tensors["allowed"].sum()) for name, branch in flat.items()} == {
        "y": 24, "src": 24, "edited": 24, "neg": 24, "null": 0,
    }  # fmt: skip


def test_an_empty_negative_prompt_is_the_empty_prompt(untold):
    look, picture = true_views([90.0])
    z_t, t = noisy(untold, picture, 0.4)
    cond = untold.condition(untold.prepare(Prompts(CAPTION, "", True)), look, {})
    assert torch.equal(untold.predict(z_t, t, cond["neg"]).x0, untold.predict(z_t, t, cond["null"]).x0)


def test_a_critic_that_hears_no_view_words_is_placed_by_the_picture(untold):
    look, picture = true_views([90.0])
    z_t, t = noisy(untold, picture, 0.3)
    plain = untold.condition(untold.prepare(Prompts(CAPTION, view_words=True)), look, {})["plain"]
    adapter = untold.make_adapter(LoraSpec())
    said = adapter.predict(adapter.init(Streams(0)), z_t, t, plain, look.cameras, torch.tensor([False])).x0
    torch.testing.assert_close(said, untold.predict(z_t, t, plain).x0)


@pytest.mark.parametrize("hears", [True, False])
def test_a_fresh_critic_of_a_flat_picture_is_its_prior(told, hears):
    _, picture = true_views([90.0])
    z_t, t = noisy(told, picture, 0.4)
    cond = told.condition(told.prepare(Prompts(CAPTION)), Look(None, (64, 64), torch.ones(1, 3)), {})["y"]
    adapter = told.make_adapter(LoraSpec())
    said = adapter.predict(adapter.init(Streams(0)), z_t, t, cond, None, torch.tensor([hears]))
    torch.testing.assert_close(said.x0, told.predict(z_t, t, cond).x0)
