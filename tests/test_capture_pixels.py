"""Photographs by pixels: none moves, none bleeds, every number of a lens is the one that its file calls so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from capture_cases import write_capture, write_png
from hypothesis import given
from hypothesis import strategies as st

from sds3d.assetio.capture import Photo, read_capture
from sds3d.assetio.capture_photos import load_photos
from sds3d.core.errors import ConfigError
from sds3d.core.lenses import Lens
from sds3d.jobs import configs

HERE = torch.eye(4, dtype=torch.float64)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_a_pinholes_picture_comes_through_pixel_by_pixel(
    tmp_path_factory, height: int, width: int, seed: int
) -> None:
    """At its own size nothing is moved, not by half a pixel either."""
    file = tmp_path_factory.mktemp("own") / "a.png"
    wanted = torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed))
    write_png(file, wanted / 255)
    lens = Lens(width, height, 9.0, 9.0, width / 2, height / 2)
    found = load_photos([Photo("a", file, HERE, lens)], (height, width))
    assert torch.equal(found.rgb[0].long(), wanted)
    assert bool((found.weight == 255).all())


def test_a_principal_point_off_the_middle_moves_the_picture_back(tmp_path: Path) -> None:
    """The axis two pixels right of the middle and one below: what lay there lies in the middle."""
    wanted = torch.randint(0, 256, (3, 8, 10), generator=torch.Generator().manual_seed(0))
    write_png(tmp_path / "a.png", wanted / 255)
    lens = Lens(10, 8, 9.0, 9.0, 7.0, 5.0)
    found = load_photos([Photo("a", tmp_path / "a.png", HERE, lens)], (8, 10))
    assert torch.equal(found.rgb[0, :, :7, :8].long(), wanted[:, 1:, 2:])
    assert bool((found.weight[0, 0, :7, :8] == 255).all())
    assert not bool(found.weight[0, 0, 7:].any() or found.weight[0, 0, :, 8:].any())


@given(st.floats(0.2, 5), st.floats(0.2, 5), st.floats(-1, 1), st.floats(-1, 1))
def test_a_resized_lens_puts_points_on_the_same_part_of_the_picture(
    wide: float, high: float, x: float, y: float
) -> None:
    lens = Lens(1000, 600, 900.0, 800.0, 470.0, 330.0, "brown", (0.1, -0.02), (0.01, -0.02))
    small = lens.resized(round(1000 * wide), round(600 * high))
    point = torch.tensor([x, y, 1.5], dtype=torch.float64)
    share = lens.project(point) / torch.tensor([lens.width, lens.height])
    assert torch.allclose(small.project(point) / torch.tensor([small.width, small.height]), share)


@pytest.mark.parametrize(("side", "move"), [(8, 0.0), (16, 0.5)], ids=["shrunk", "moved"])
def test_what_shows_nothing_gives_its_colour_to_no_outline(tmp_path: Path, side: int, move: float) -> None:
    """A red stripe, odd pixels wide, in green that is wholly transparent."""
    alpha = torch.zeros(1, 16, 16)
    alpha[:, :, 4:9] = 1
    rgb = torch.where(
        alpha > 0, torch.tensor([1.0, 0, 0])[:, None, None], torch.tensor([0, 1.0, 0])[:, None, None]
    )
    write_png(tmp_path / "a.png", rgb, alpha)
    lens = Lens(16, 16, 16.0, 16.0, 8.0 + move, 8.0)
    found = load_photos([Photo("a", tmp_path / "a.png", HERE, lens)], (side, side))
    shows = found.alpha[0, 0] > 0
    assert bool((found.alpha[0, 0][shows] < 255).any()), "the outline lies within pixels"
    assert bool((found.rgb[0, 0][shows] == 255).all() & (found.rgb[0, 1][shows] == 0).all())


LENS = {"fl_x": 70.0, "fl_y": 75.0, "cx": 33.0, "cy": 21.0, "k1": 0.1, "k2": 0.2, "k3": 0.3, "k4": 0.4}
BENT = {"k5": 0.5, "k6": 0.6, "p1": 0.01, "p2": 0.02}


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (
            LENS | BENT,
            Lens(64, 48, 70, 75, 33, 21, "brown", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0.01, 0.02)),
        ),
        (
            LENS | BENT | {"camera_model": "OPENCV_FISHEYE"},
            Lens(64, 48, 70, 75, 33, 21, "fisheye", (0.1, 0.2, 0.3, 0.4)),
        ),
        ({"fl_x": 70.0}, Lens(64, 48, 70, 70, 32, 24)),
        ({"camera_angle_x": math.pi / 2}, Lens(64, 48, 32, 32, 32, 24)),
        ({"camera_angle_y": math.pi / 2}, Lens(64, 48, 24, 24, 32, 24)),
    ],
    ids=["brown", "fisheye", "one focal length", "angle across", "angle upwards"],
)
def test_every_number_of_a_lens_is_the_one_of_its_name(tmp_path: Path, told: dict, wanted: Lens) -> None:
    write_capture(tmp_path, count=1, size=(48, 64))
    file = tmp_path / "transforms.json"
    document = json.loads(file.read_text())
    frame = {key: document["frames"][0][key] for key in ("file_path", "transform_matrix")}
    file.write_text(json.dumps({"w": 64, "h": 48, "frames": [frame | told]}))
    found = read_capture(tmp_path).photos[0].lens
    assert found.numbers == pytest.approx(wanted.numbers)
    assert (found.width, found.height, found.kind) == (64, 48, wanted.kind)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("capture.up=+w", r"capture\.up: expected"),
        ("capture.front_deg=abc", r"capture\.front_deg: expected a number"),
        ("capture.centre=[1,2]", r"capture\.centre"),
        ("capture.radius=-1", r"capture\.radius: expected greater than 0"),
        ("capture.frame.scale=0", r"capture\.frame\.scale: expected greater than 0"),
        ("capture.frame=5", r"capture\.frame: expected a mapping"),
    ],
)
def test_what_a_capture_is_told_wrongly_is_named_by_its_key(tmp_path: Path, word: str, told: str) -> None:
    """The cameras are asked with what was told only once that is known to be right."""
    write_capture(tmp_path / "c", count=3, size=(8, 8))
    with pytest.raises(ConfigError, match=told):
        configs.from_words([word], {"capture.source": str(tmp_path / "c")})
