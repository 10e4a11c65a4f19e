"""The bundled scorer: unit vectors, resizing, gradients, and that it tells colours and balls from cones."""

import copy
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.errors import PromptError, Sds3dError
from sds3d.core.streams import Streams
from sds3d.evaluate.captions import COLOURS
from sds3d.priors.kinds.embedded import assets_folder
from sds3d.priors.scorer import load_judge, load_scorer, packed, unpacked

RGB = {
    "red": (0.85, 0.1, 0.1),
    "green": (0.15, 0.65, 0.2),
    "blue": (0.12, 0.3, 0.88),
    "yellow": (0.96, 0.83, 0.12),
    "purple": (0.5, 0.15, 0.7),
    "pink": (0.98, 0.55, 0.74),
}


@pytest.fixture(scope="module")
def scorer():
    return load_scorer()


def ball(colour: tuple[float, float, float], size: int = 64) -> torch.Tensor:
    """(1, 3, S, S): a shaded ball on white, drawn from the formula of its normals."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    inside = x**2 + y**2 < 0.7**2
    z = (0.49 - x**2 - y**2).clamp(min=0).sqrt()
    normal = torch.stack([x, y, z]) / 0.7
    key = torch.nn.functional.normalize(torch.tensor([0.5, 0.65, 0.45]), dim=0)
    shade = (
        0.38
        + 0.11 * (1 + normal[1])
        + 0.32 * (normal * key[:, None, None]).sum(0).clamp(min=0)
        + 0.13 * normal[2]
    )
    return torch.where(inside, torch.tensor(colour)[:, None, None] * shade, torch.ones(3, size, size))[None]


@pytest.mark.parametrize("name", sorted(RGB))
def test_a_drawn_ball_is_a_ball_of_its_colour(scorer, name):
    captions = [f"a {c} sphere" for c in COLOURS] + [
        f"a {name} {o}" for o in ("cone", "star", "chair", "duck")
    ]
    best = scorer.score(ball(RGB[name]), captions)[0].argmax()
    assert captions[int(best)] == f"a {name} sphere"


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), factor=st.integers(2, 4))
def test_enlarging_by_repetition_changes_nothing(scorer, seed, factor):
    small = Streams(seed).uniform((3, 32, 32), "picture", ids=[0, 1]).float()
    large = small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    a, b = scorer.embed_images(small), scorer.embed_images(large)
    assert torch.allclose(a, b, atol=1e-4)
    assert torch.allclose(a.norm(dim=-1), torch.ones(2), atol=1e-5)


def test_captions_are_unit_vectors_that_ignore_case_and_batch(scorer):
    texts = ["a red car", "a blue mushroom", "a teddy bear"]
    together = scorer.embed_texts(texts)
    assert torch.allclose(together.norm(dim=-1), torch.ones(3), atol=1e-5)
    assert torch.allclose(together[1:2], scorer.embed_texts(["A BLUE mushroom"]), atol=1e-5)
    assert float(together[0] @ together[1]) < 0.9


def test_the_gradient_is_the_slope_of_the_score(scorer):
    picture = ball(RGB["red"], 32).requires_grad_(True)
    caption = ["a red sphere"]
    (gradient,) = torch.autograd.grad(scorer.score(picture, caption).sum(), picture)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        up, down = (scorer.score(picture + s * 1e-2 * direction, caption).sum() for s in (1, -1))
    assert float(up - down) / 2e-2 == pytest.approx(float(gradient.norm()), rel=0.05)
    assert not any(p.requires_grad for p in scorer.parameters())


def test_words_it_does_not_know_are_refused_by_name(scorer):
    with pytest.raises(PromptError, match=r"'zebra'.*'charr' \(near: .*chair"):
        scorer.embed_texts(["a red car", "a blue zebra on a charr"])
    with pytest.raises(PromptError, match="at most 22 words"):
        scorer.embed_texts(["a red " * 12 + "car"])
    assert scorer.unknown_words(["a red, car"]) == {}


def test_a_picture_of_the_wrong_shape_is_refused(scorer):
    with pytest.raises((ValueError, TypeError), match=r"b 3 h w|\(B, 3, H, W\)"):
        scorer.embed_images(torch.zeros(3, 32, 32))


@given(seed=st.integers(0, 2**31), spread=st.floats(-30, 4))
def test_a_packed_weight_is_off_by_half_a_step_of_its_row_at_most(seed, spread):
    generator = torch.Generator().manual_seed(seed)
    kernel = 10**spread * torch.randn(5, 3, 2, 2, generator=generator)
    kernel[2] = 0  # a row that learned nothing
    bias = torch.randn(5, generator=generator).half().float()
    stored = packed({"kernel": kernel, "bias": bias})
    assert stored["kernel"].dtype == torch.int8
    again = unpacked(stored)
    assert set(again) == {"kernel", "bias"}
    step = kernel.flatten(1).abs().amax(1) / 127
    assert ((again["kernel"] - kernel).flatten(1).abs() <= 0.501 * step[:, None]).all()
    torch.testing.assert_close(again["bias"], bias, rtol=0, atol=0)


def test_packing_hardly_moves_a_cosine(scorer):
    """The file's own weights are on the grid already, so they are moved off it first."""
    again = copy.deepcopy(scorer)
    jittered = {
        name: value * (1 + 0.002 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1)))
        for name, value in again.state_dict().items()
        if not name.startswith("text_encoder.")
    }
    again.load_state_dict(unpacked(packed(jittered)), strict=False)
    before = copy.deepcopy(scorer)
    before.load_state_dict(jittered, strict=False)
    pictures = Streams(4).uniform((16, 3, 32, 32), "pictures")[0].float()
    captions = ["a red car", "a blue dragon", "a white mug"]
    change = (again.score(pictures, captions) - before.score(pictures, captions)).abs().max()
    assert 0 < float(change) < 0.02


def test_judge_and_scorer_are_two(scorer):
    judge = load_judge()
    assert judge.image_size != scorer.image_size
    mine, theirs = (s.text_encoder.state_dict() for s in (judge, scorer))
    assert not any(
        torch.equal(mine[k], theirs[k]) for k in mine if mine[k].is_floating_point() and mine[k].ndim > 1
    )


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_is_cut_off_is_refused_by_name(tmp_path, name):
    folder = tmp_path / "judge"
    shutil.copytree(assets_folder() / "judge", folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:90])
    with pytest.raises(Sds3dError, match="no whole image–text scorer"):
        load_scorer(folder)
    (folder / name).unlink()
    with pytest.raises(Sds3dError, match="no whole image–text scorer"):
        load_scorer(folder)
