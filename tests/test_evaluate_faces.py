"""Second faces: by the true shape, and by a judge."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.assets import Mesh
from sds3d.core.cameras import turntable
from sds3d.evaluate.faces import faces
from sds3d.evaluate.headings import headings, match, without_lone, wrapped
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.truth import truth_of

RING = [15.0 * k for k in range(24)]
DEGREES = st.floats(-720, 720)


@settings(max_examples=50, deadline=None)
@given(angle=DEGREES)
def test_angles_are_wrapped_to_the_half_open_turn(angle):
    found = float(wrapped(torch.tensor([angle], dtype=torch.float64)))
    assert -180.0 < found <= 180.0
    assert math.cos(math.radians(found - angle)) == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(turn=st.integers(-11, 12).map(lambda k: 15.0 * k))
def test_a_turned_object_is_told_from_a_wrong_one(turn):
    found = headings(RING, [a + turn for a in RING])
    assert (found.winding, found.fronts, found.second_face) == (1, 1, False)
    assert found.error_deg == pytest.approx(abs(turn))
    assert found.turned_error_deg == 0.0
    assert found.turn_deg == turn


def test_two_fronts_are_found():
    janus = [a if abs(a) <= 90 else 180.0 - a for a in wrapped(torch.tensor(RING)).tolist()]
    two_headed = headings(RING, [2 * a for a in RING])
    assert (two_headed.fronts, two_headed.winding, two_headed.second_face) == (2, 2, True)
    mirrored = headings(RING, janus)
    assert (mirrored.fronts, mirrored.winding) == (2, 0)
    nowhere = headings(RING, [180.0] * 24)
    assert (nowhere.fronts, nowhere.winding) == (0, 0)
    everywhere = headings(RING, [0.0] * 24)
    assert (everywhere.fronts, everywhere.winding) == (1, 0)


@given(number=st.integers(0, 23), turn=st.integers(-11, 12), off=st.floats(120.0, 240.0))
def test_a_lone_view_is_put_between_its_neighbours(number, turn, off):
    true = [a + 15.0 * turn for a in RING]
    seen = list(true)
    seen[number] += off
    calm = without_lone(seen)
    torch.testing.assert_close(wrapped(torch.tensor(calm) - torch.tensor(true)), torch.zeros(24))
    assert (headings(RING, calm).winding, headings(RING, calm).fronts) == (1, 1)


def test_no_face_is_smoothed_away():
    janus = [a if abs(a) <= 90 else 180.0 - a for a in wrapped(torch.tensor(RING)).tolist()]
    for seen in (RING, [2 * a for a in RING], janus, [0.0] * 24):
        back = wrapped(torch.tensor(without_lone(seen)) - torch.tensor(seen))
        torch.testing.assert_close(back, torch.zeros(24))
    # two neighbours that agree are a face; eight views are too few to know
    twice = [180.0 if k in (5, 6) else a for k, a in enumerate(RING)]
    assert wrapped(torch.tensor(without_lone(twice)))[5:7].abs().tolist() == [180.0, 180.0]
    eight = [45.0 * k for k in range(8)]
    eight[0] = 180.0
    assert abs(without_lone(eight)[0]) == 180.0


def test_a_single_mistaken_view_is_no_face():
    seen = list(RING)
    seen[12] = 0.0
    assert headings(RING, seen).fronts == 1
    seen[13] = 0.0
    assert headings(RING, seen).fronts == 2


@settings(max_examples=30, deadline=None)
@given(seen=st.lists(DEGREES, min_size=24, max_size=24), shift=st.integers(0, 23))
def test_where_the_ring_begins_does_not_matter(seen, shift):
    camera, around = RING[shift:] + RING[:shift], seen[shift:] + seen[:shift]
    one, other = headings(RING, seen), headings(camera, around)
    assert one.fronts == other.fronts
    assert one.error_deg == pytest.approx(other.error_deg)
    assert one.turned_error_deg == pytest.approx(other.turned_error_deg)


def test_headings_ask_for_a_match_each():
    with pytest.raises(ValueError, match="a match each"):
        headings(RING, RING[:-1])
    with pytest.raises(ValueError, match="four views"):
        headings(RING[:3], RING[:3])


def shown(mesh: Mesh, cameras):
    return dict(render_mesh(mesh, cameras, (48, 48)))


def janus_of(mesh: Mesh) -> Mesh:
    """The front half of a mesh, and the same half turned to the back: two faces."""
    middle = mesh.vertices[mesh.faces].mean(1)
    front = mesh.faces[middle[:, 2] > 0]
    back = mesh.vertices * torch.tensor([-1.0, 1.0, -1.0])
    colors = None if mesh.colors is None else torch.cat([mesh.colors, mesh.colors])
    return Mesh(torch.cat([mesh.vertices, back]), torch.cat([front, front + len(back)]), colors=colors)


@pytest.mark.parametrize("prompt", ["a red duck", "a blue car"])
def test_the_true_shape_has_one_face_and_its_doubled_front_two(prompt):
    mesh = truth_of(prompt).mesh
    ring, true_ring = turntable(24), turntable(72)
    truth = shown(mesh, true_ring)
    for shape_only in (False, True):
        unlike = match(shown(mesh, ring), truth, shape_only)
        found = headings(ring.azimuth_deg.tolist(), true_ring.azimuth_deg[unlike.argmin(1)].tolist())
        assert (found.error_deg, found.winding, found.fronts) == (0.0, 1, 1)
        assert float(unlike.min(1).values.max()) == 0.0
    two = match(shown(janus_of(mesh), ring), truth, shape_only=True)
    found = headings(ring.azimuth_deg.tolist(), true_ring.azimuth_deg[two.argmin(1)].tolist())
    assert found.second_face
    assert found.winding != 1


def test_unlikeness_is_one_apart_and_half_the_colour_inside():
    def square(left, rgb, depth):
        alpha, picture = torch.zeros(1, 1, 8, 8), torch.ones(1, 3, 8, 8)
        alpha[..., 2:6, left : left + 2] = 1.0
        picture = torch.where(alpha > 0, torch.tensor(rgb)[None, :, None, None], picture)
        return {"rgb": picture, "alpha": alpha, "depth": alpha * depth}

    here, aside = square(1, (1.0, 0.0, 0.0), 2.0), square(5, (1.0, 0.0, 0.0), 2.0)
    assert float(match(here, here)) == 0.0
    assert float(match(here, aside)) == 1.0
    other = square(1, (0.0, 0.0, 0.0), 2.0)
    assert float(match(here, other)) == pytest.approx(0.5 / 3)
    assert float(match(here, other, shape_only=True)) == 0.0
    farther = square(1, (1.0, 0.0, 0.0), 2.5)
    assert (
        float(match(farther, here, shape_only=True)) == 1.0
    )  # the true object is flat: any depth is too much


class FrontJudge:
    """A judge whose words are two axes; a picture's first two values are its cosines with them."""

    def embed_images(self, rgb):
        return rgb[:, 0, 0, :2].double()

    def embed_texts(self, texts):
        assert texts == ["a duck, front view", "a duck, back view"]
        return torch.eye(2)


def with_profile(values):
    pictures = torch.zeros(len(values), 3, 2, 2)
    pictures[:, 0, 0, 0] = 0.5 + torch.tensor(values)
    pictures[:, 0, 0, 1] = 0.5
    return pictures


@settings(max_examples=30, deadline=None)
@given(turns=st.integers(1, 3), phase=st.floats(0, 6.3), size=st.floats(0.01, 0.4), count=st.integers(8, 25))
def test_a_profile_of_whole_turns_is_told_by_their_number(turns, phase, size, count):
    wave = [size * math.cos(turns * 2 * math.pi * k / count + phase) for k in range(count)]
    found = faces(FrontJudge(), with_profile(wave), "a duck")
    assert found.share == pytest.approx(float(turns == 1), abs=1e-4)
    assert found.twofold == pytest.approx(float(turns == 2), abs=1e-4)
    assert found.second_face == (turns == 2)
    assert found.contrast == pytest.approx(size / math.sqrt(2), rel=1e-3)


def test_the_shares_of_a_mixed_profile_are_those_of_its_power():
    wave = [0.3 * math.cos(2 * math.pi * k / 12) + 0.1 * math.sin(4 * math.pi * k / 12) for k in range(12)]
    found = faces(FrontJudge(), with_profile(wave), "a duck")
    assert (found.share, found.twofold) == pytest.approx((0.9, 0.1), abs=1e-5)


def test_a_judge_that_sees_no_difference_finds_no_face():
    flat = faces(FrontJudge(), with_profile([0.0] * 8), "a duck")
    assert (flat.share, flat.twofold, flat.contrast, flat.second_face) == (0.0, 0.0, 0.0, False)
    with pytest.raises(ValueError, match="six views"):
        faces(FrontJudge(), with_profile([0.0] * 5), "a duck")


def test_the_truth_behind_a_prompt():
    car, ball = truth_of("a red car"), truth_of("a green sphere")
    assert car.fronted
    assert car.painted
    assert not ball.fronted
    assert truth_of("a  Red car").mesh.vertices.shape == car.mesh.vertices.shape
    assert truth_of("democracy") is None
    assert truth_of("a mug with a dent") is None
    painted = car.mesh.colors.mean(0)
    assert painted[0] > painted[1]
    assert painted[0] > painted[2]
    # the front faces +Z: a car is longer than wide
    low, high = (torch.tensor(v) for v in (car.mesh.bounds().low, car.mesh.bounds().high))
    assert (high - low)[2] > (high - low)[0]
    two = truth_of("a red cube on a blue sphere")
    assert not two.fronted
    assert len(two.mesh.faces) > len(ball.mesh.faces) // 2
