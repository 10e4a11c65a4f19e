"""Which side a noisy picture shows: found from its view among those that the words allow, whatever its colours."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.truth import truth_of
from sds3d.priors.base import Prompts
from sds3d.priors.kinds import embedded
from sds3d.priors.lora import LoraSpec
from sds3d.priors.placing import DIRECTIONS, best_directions, directions_said, unexplained
from sds3d.priors.text_volume import PAINTS, TextVolume
from sds3d.priors.views import VIEW_WORDS, side_seen

SEEDS = st.integers(0, 2**31)
ALL = torch.ones(1, len(DIRECTIONS), dtype=torch.bool)
CAPTION = "a yellow duck"


def drawn(seed: int) -> TextVolume:
    """A volume of lumps without any symmetry."""
    volume = TextVolume(text=6, hidden=8, side=5, samples=8)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in volume.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    return volume.requires_grad_(False)


def painted(volume: TextVolume, pooled: torch.Tensor, number: int, seed: int) -> torch.Tensor:
    """(1, 3, 8, 8) the volume from one of DIRECTIONS, ground and paints in random colours."""
    waves = [torch.deg2rad(torch.tensor([angle])) for angle in DIRECTIONS[number]]
    maps = volume(pooled, *(torch.stack([w.sin(), w.cos()], -1) for w in waves), 8)
    basis = torch.cat([1 - maps[:, :1], maps[:, 1 : 1 + PAINTS]], 1)
    colours = torch.rand(basis.shape[1], 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.einsum("bkhw,kc->bchw", basis, colours)


def test_each_direction_is_what_one_of_the_words_says():
    said = directions_said()
    assert said.shape == (len(VIEW_WORDS), len(DIRECTIONS))
    assert said.sum(0).eq(1).all()
    assert said.any(1).all()
    for row, direction in zip(said.T, DIRECTIONS, strict=True):
        assert row[side_seen(*direction)]


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, len(DIRECTIONS) - 1))
def test_the_direction_is_found_whatever_the_colours(seed, number):
    volume, pooled = drawn(seed), torch.randn(1, 6, generator=torch.Generator().manual_seed(seed))
    one, other = (painted(volume, pooled, number, seed + k) for k in (0, 1))
    for picture in (one, other):
        assert best_directions(picture, volume, pooled, ALL).tolist() == [list(DIRECTIONS[number])]


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, len(DIRECTIONS) - 1), st.integers(0, 3))
def test_only_what_the_words_allow_is_found(seed, number, word):
    volume, pooled = drawn(seed), torch.randn(1, 6, generator=torch.Generator().manual_seed(seed))
    picture = painted(volume, pooled, number, seed)
    allowed = directions_said()[word : word + 1]
    azimuth, elevation = best_directions(picture, volume, pooled, allowed)[0].tolist()
    assert side_seen(azimuth, elevation) == word
    # a row has its own words and its own text
    both = torch.cat([allowed, ALL])
    rows = best_directions(picture.expand(2, -1, -1, -1), volume, pooled.expand(2, -1), both)
    assert rows[0].tolist() == [azimuth, elevation]
    assert rows[1].tolist() == list(DIRECTIONS[number])


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_what_is_unexplained_is_what_least_squares_leaves(seed):
    g = torch.Generator().manual_seed(seed)
    maps, picture = torch.rand(2, 6, 8, 8, generator=g), torch.randn(2, 64, 3, generator=g)
    coverage, paints = maps[:, :1], maps[:, 1:5]
    basis = torch.cat([1 - coverage, paints, coverage], 1).flatten(2).mT
    left = picture - basis @ torch.linalg.lstsq(basis, picture).solution
    torch.testing.assert_close(unexplained(picture, maps), left.square().sum((1, 2)), rtol=1e-2, atol=1e-3)


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
    labels = prior.placed(z_t, cond)
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
    look, picture = true_views([90.0, 180.0])
    z_t, t = noisy(untold, picture, 0.4)
    embedding = untold.prepare(Prompts(CAPTION, view_words=True))
    cond = untold.condition(embedding, look, {})
    labels = untold.placed(z_t, cond["y"])
    pairs = best_directions(
        z_t,
        untold.view_features.volume,
        labels[:, untold.view_features.width :],
        cond["y"].tensors["allowed"],
    )
    seen = Look(orbit(pairs[:, 0], pairs[:, 1]), look.size, look.background)
    same = told.condition(embedding, seen, {})["y"]
    asked = torch.equal(labels, same.tensors["class_labels"])
    assert asked, "the words of the found directions are those of the cameras"
    torch.testing.assert_close(untold.predict(z_t, t, cond["y"]).x0, told.predict(z_t, t, same).x0)
    # the empty prompt is told nothing
    null = cond["null"]
    torch.testing.assert_close(untold.placed(z_t, null), null.tensors["class_labels"], rtol=0, atol=0)
    assert float(null.tensors["class_labels"][:, : untold.view_features.camera_width].abs().max()) == 0


def test_a_picture_without_any_camera_is_placed_too(told):
    look, picture = true_views([90.0])
    z_t, _ = noisy(told, picture, 0.3)
    flat = Look(None, look.size, look.background)
    assert float((found(told, flat, z_t, False) - 90).abs()) <= 31


def test_who_is_told_the_camera_is_not_placed(told):
    look, picture = true_views([30.0])
    z_t, _ = noisy(told, picture, 0.3)
    cond = told.condition(told.prepare(Prompts(CAPTION)), look, {})["y"]
    assert told.placed(z_t, cond) is cond.tensors["class_labels"]


def test_without_a_volume_words_are_all_there_is():
    prior = embedded.create(embedded.Options(model="prior32", precision="float32", condition_on_camera=False))
    look, picture = true_views([30.0], 32)
    cond = prior.condition(prior.prepare(Prompts(CAPTION, view_words=True)), look, {})["y"]
    assert prior.placed(picture, cond) is cond.tensors["class_labels"]


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
