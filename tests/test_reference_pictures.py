"""Pictures that runs follow: hostile and odd files, the object without what is behind it, and how it is framed."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sds3d.assetio import photo
from sds3d.assetio.cutout import SHARE, cut_out
from sds3d.assetio.photo import Photo, photo_bytes, read_photo
from sds3d.core.errors import AssetError

BLUE = (30, 60, 220)


def encoded(image: Image.Image, kind: str = "PNG", **how) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def read(data: bytes, tmp_path) -> Photo:
    return read_photo(data, tmp_path / "picture.png")


def flat(mode: str = "RGB", size=(20, 10), color=BLUE) -> Image.Image:
    return Image.new(mode, size, color)


def disc(
    side: int = 96, centre=(0.5, 0.5), radius: float = 0.3, color=(0.2, 0.4, 0.9), behind=(1.0, 1.0, 1.0)
) -> torch.Tensor:
    """(3, side, side): a smooth-edged disc; centre and radius as shares of the side."""
    axis = (torch.arange(side) + 0.5) / side
    r = ((axis[None] - centre[0]) ** 2 + (axis[:, None] - centre[1]) ** 2).sqrt()
    cover = ((radius - r) * side + 0.5).clamp(0, 1)
    return torch.tensor(color)[:, None, None] * cover + torch.tensor(behind)[:, None, None] * (1 - cover)


def test_modes_are_read_as_what_they_show(tmp_path):
    blue = torch.tensor(BLUE).float() / 255
    palette = flat().convert("P", palette=Image.Palette.ADAPTIVE)
    pictures = {
        "RGB": encoded(flat()),
        "P": encoded(palette),
        "RGBA": encoded(flat("RGBA", color=(*BLUE, 255))),
        "WEBP": encoded(flat(), "WEBP", lossless=True),
    }
    for name, data in pictures.items():
        found = read(data, tmp_path)
        assert found.alpha is None, name
        assert torch.allclose(found.rgb[:, 5, 5], blue, atol=1e-3), name
    jpeg = read(encoded(flat("CMYK", color=(255, 0, 0, 0)), "JPEG", quality=95), tmp_path).rgb[:, 5, 5]
    assert torch.allclose(jpeg, torch.tensor([0.0, 1.0, 1.0]), atol=0.03)  # pure cyan ink


def test_sixteen_bits_are_not_clipped(tmp_path):
    grey = np.full((12, 12), 0x8000, dtype=np.uint16)
    found = read(encoded(Image.fromarray(grey)), tmp_path)
    assert torch.allclose(found.rgb, torch.full((3, 12, 12), 0.5), atol=0.01)


def test_the_turn_that_a_camera_noted_is_carried_out(tmp_path):
    image = flat(size=(20, 10))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture is to be turned clockwise
    found = read(encoded(image, exif=exif), tmp_path)
    assert tuple(found.rgb.shape) == (3, 20, 10)
    assert found.rgb[:, 0, 9].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is no PNG"),
        (b"GIF89a" + bytes(40), "is no PNG"),
        (encoded(flat(), "BMP"), "is no PNG"),
        (encoded(flat(), "GIF"), "is no PNG"),
        (encoded(flat(size=(200, 200)))[:120], "is broken"),
        (encoded(flat(size=(1, 1))), "show nothing"),
        (encoded(flat(size=(4000, 2))), "show nothing"),
        (encoded(flat(), "PNG", save_all=True, append_images=[flat(color=(0, 0, 0))]), "moves"),
        (encoded(flat(), "WEBP", save_all=True, append_images=[flat(color=(0, 0, 0))]), "moves"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, data, told):
    with pytest.raises(AssetError, match=told):
        read(data, tmp_path)


def test_sizes_are_refused_by_the_head_alone(tmp_path, monkeypatch):
    data = encoded(flat(size=(64, 64)))
    monkeypatch.setattr(photo, "MOST_PIXELS", 64 * 64 - 1)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(AssetError, match="64 x 64 pixels"):
        read(data, tmp_path)


def test_files_that_are_too_large_or_absent_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    with pytest.raises(AssetError, match="does not exist"):
        photo_bytes(path)
    with pytest.raises(AssetError, match="is no regular file"):
        photo_bytes(tmp_path)
    path.write_bytes(bytes(100))
    monkeypatch.setattr(photo, "MOST_BYTES", 99)
    with pytest.raises(AssetError, match="picture may have"):
        photo_bytes(path)


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(8, 2000), flip=st.integers(0, 2000), value=st.integers(0, 255))
def test_damaged_files_are_read_or_refused(tmp_path_factory, cut, flip, value):
    data = bytearray(encoded(flat(size=(40, 40)), "JPEG", quality=90))
    data[flip % len(data)] = value
    try:
        found = read_photo(bytes(data[:cut]), tmp_path_factory.getbasetemp() / "x.jpg")
    except AssetError:
        return
    assert bool(torch.isfinite(found.rgb).all())


def test_large_pictures_are_averaged(tmp_path, monkeypatch):
    monkeypatch.setattr(photo, "WORKED_SIDE", 16)
    checks = np.indices((32, 32)).sum(0) % 2 * 255
    found = read(encoded(Image.fromarray(checks.astype(np.uint8))), tmp_path)
    assert tuple(found.rgb.shape) == (3, 16, 16)
    assert torch.allclose(found.rgb, torch.full((3, 16, 16), 0.5), atol=0.01)


@pytest.mark.parametrize("behind", [(1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0.9, 0.2, 0.3)])
def test_an_object_on_an_even_background_is_cut_out(behind):
    found = cut_out(Photo(disc(behind=behind), None), "auto", False, "it")
    wanted = disc(color=(1.0, 1.0, 1.0), behind=(0.0, 0.0, 0.0))[:1]
    assert float((found.alpha - wanted).abs().max()) < 0.12
    over = found.over(torch.tensor([[0.0, 0.0, 0.0]]))[0]
    assert float((over - disc(behind=(0.0, 0.0, 0.0))).abs().max()) < 0.12  # no fringe of the old background


def test_what_the_object_encloses_stays_unless_it_is_a_hole():
    ring = disc(radius=0.4)
    ring = torch.where(disc(radius=0.2, color=(0.0, 0.0, 0.0))[:1] < 0.5, torch.ones(3, 96, 96), ring)
    assert float(cut_out(Photo(ring, None), "auto", False, "it").alpha[0, 48, 48]) == 0.0
    eye = disc(radius=0.4)
    eye[:, 40:56, 40:56] = 0.96  # nearly white, but not the background's own
    assert float(cut_out(Photo(eye, None), "auto", False, "it").alpha[0, 48, 48]) == 1.0


def test_noise_of_a_camera_is_no_object():
    noise = torch.sin(torch.arange(3 * 96 * 96) * 12.9898).reshape(3, 96, 96) * 0.02
    found = cut_out(Photo((disc(behind=(0.8, 0.8, 0.8)) + noise).clamp(0, 1), None), "auto", False, "it")
    wanted = disc(color=(1.0, 1.0, 1.0), behind=(0.0, 0.0, 0.0))[:1]
    assert float((found.alpha - wanted).abs().mean()) < 0.01


def test_transparency_wins_over_the_border():
    rgb = torch.full((3, 40, 40), 0.3)
    alpha = torch.zeros(1, 40, 40)
    alpha[:, 10:30, 10:30] = 1.0
    found = cut_out(Photo(rgb, alpha), "auto", False, "it")
    assert torch.allclose(found.alpha, alpha)
    assert torch.allclose(found.color, rgb * alpha)


def test_a_border_of_many_colours_is_refused_and_a_named_colour_is_taken():
    rainbow = disc()
    rainbow[0] *= torch.linspace(0, 1, 96)[None]
    with pytest.raises(AssetError, match="Cut the object out"):
        cut_out(Photo(rainbow, None), "auto", True, "it")
    red = disc(behind=(1.0, 0.0, 0.0))
    with pytest.raises(AssetError, match="shows no object"):
        cut_out(Photo(torch.ones(3, 32, 32), None), "auto", True, "it")
    assert float(cut_out(Photo(red, None), (1.0, 0.0, 0.0), True, "it").alpha.mean()) < 0.5


@settings(max_examples=12, deadline=None)
@given(
    x=st.floats(0.3, 0.7),
    y=st.floats(0.3, 0.7),
    radius=st.floats(0.15, 0.25),
    side=st.sampled_from([180, 300, 700]),
    wide=st.integers(0, 40),
)
def test_fitting_undoes_place_and_size(x, y, radius, side, wide):
    picture = disc(side, (x, y), radius)
    picture = torch.nn.functional.pad(picture, (wide, 0, 0, 0), value=1.0)
    found = cut_out(Photo(picture, None), "auto", True, "it").at(64)
    wanted = disc(64, (0.5, 0.5), SHARE / 2, color=(1.0, 1.0, 1.0), behind=(0.0, 0.0, 0.0))[:1]
    assert float((found.alpha - wanted).abs().mean()) < 0.03


def test_what_lies_as_in_training_pictures_is_left_there():
    picture = disc(128, (0.5, 0.47), 0.35)
    found = cut_out(Photo(picture, None), "auto", True, "it")
    assert torch.equal(found.alpha, cut_out(Photo(picture, None), "auto", False, "it").alpha)
    low = disc(128, (0.5, 0.6), 0.35)
    found = cut_out(Photo(low, None), "auto", True, "it")
    assert not torch.equal(found.alpha, cut_out(Photo(low, None), "auto", False, "it").alpha)


def test_without_fitting_a_square_picture_is_the_frame():
    picture = disc(128, (0.4, 0.45), 0.2)
    found = cut_out(Photo(picture, None), "auto", False, "it")
    assert float((found.over(torch.ones(1, 3))[0] - picture).abs().max()) < 0.12
