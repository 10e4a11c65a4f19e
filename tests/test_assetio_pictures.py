"""Pictures: what a viewer shows equals the tensors that went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from sds3d.assetio import describe, pictures
from sds3d.core.errors import AssetError


def views(count: int, height: int = 24, width: int = 32) -> list[Tensor]:
    """Smooth frames that differ: red grows to the right, green downwards, blue from frame to frame."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return [torch.stack([x, y, torch.full_like(x, i / max(count - 1, 1))]) for i in range(count)]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_png_returns_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, height, width))
    image = torch.from_numpy(pixels).float() / 255
    path = pictures.save_png(image, tmp_path_factory.mktemp("png") / "a.png")
    assert torch.equal(pictures.load_image(path), image)
    assert np.array_equal(np.asarray(Image.open(path)).transpose(2, 0, 1), pixels)


def test_sixteen_bits_of_grey_are_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0x4040, np.uint16)).save(tmp_path / "a.png")
    assert torch.equal(pictures.load_image(tmp_path / "a.png"), torch.full((3, 4, 4), 64 / 255))


def test_contact_sheet_has_two_rows_of_four(tmp_path: Path) -> None:
    images = views(8)
    sheet = pictures.load_image(pictures.contact_sheet(images, tmp_path / "contact.png"))
    assert sheet.shape == (3, 2 * 24 + 2, 4 * 32 + 6)
    for index, image in enumerate(images):
        y, x = index // 4 * 26, index % 4 * 34
        assert (sheet[:, y : y + 24, x : x + 32] - image).abs().max() <= 0.51 / 255
    assert (sheet[:, 24:26] == 1).all(), "white between the rows"


def test_empty_cells_are_white() -> None:
    sheet = pictures.grid(views(3), columns=2)
    assert sheet.shape == (3, 50, 66)
    assert (sheet[:, 26:, 34:] == 1).all()


@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_turntable_plays_in_a_browser(tmp_path: Path, size: tuple[int, int]) -> None:
    av = pytest.importorskip("av")
    frames = views(12, *size)
    path = pictures.turntable(frames, tmp_path / "turntable.mp4", fps=12)
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat"), "the index comes first: playback starts while loading"
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert (stream.height, stream.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert stream.average_rate == 12
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1), (
            "BT.709, video range"
        )
        decoded = [f.to_ndarray(format="rgb24") for f in film.decode(stream)]
    assert len(decoded) == len(frames)
    for shown, frame in zip(decoded, frames, strict=True):
        error = torch.from_numpy(shown[: size[0], : size[1]]).permute(2, 0, 1) / 255 - frame
        assert error.abs().mean() < 0.015
        assert error.mean(dim=(1, 2)).abs().max() < 0.012, "no colour cast"


def test_turntable_repeats_bit_for_bit(tmp_path: Path) -> None:
    pytest.importorskip("av")
    films = set()
    for index in range(12):
        # Memory in another state each time: an encoder that reads beyond its frames gives another film.
        junk = [torch.full((500 * (index + 1),), float(value)) for value in range(8)]
        films.add(pictures.turntable(views(6), tmp_path / f"{index}.mp4").read_bytes())
        del junk
    assert len(films) == 1


def test_an_animation_repeats_its_frames(tmp_path: Path) -> None:
    frames = views(6)
    path = pictures.animation(frames, tmp_path / "a.gif", fps=12)
    with Image.open(path) as film:
        assert (film.n_frames, film.info["loop"], film.info["duration"]) == (6, 0, 80)
        for index, frame in enumerate(frames):
            film.seek(index)
            shown = torch.from_numpy(np.array(film.convert("RGB"))).permute(2, 0, 1) / 255
            assert (shown - frame).abs().mean() < 0.02
            assert (shown - frame).abs().max() < 0.08
    assert path.read_bytes() == pictures.animation(frames, tmp_path / "b.gif", fps=12).read_bytes()


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], "no images"),
        ([torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)], "image 1 has the shape"),
        ([torch.zeros(1, 4, 4)], "image 0 has the shape"),
        ([torch.full((3, 4, 4), float("nan"))], "not finite"),
    ],
)
def test_wrong_images_are_named(tmp_path: Path, images: list[Tensor], reason: str) -> None:
    for make in (pictures.contact_sheet, pictures.turntable, pictures.animation):
        with pytest.raises(AssetError, match=reason):
            make(images, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_pictures_do_not_overwrite_unasked(tmp_path: Path) -> None:
    path = pictures.save_png(torch.zeros(3, 2, 2), tmp_path / "a.png")
    with pytest.raises(AssetError, match="exists already"):
        pictures.save_png(torch.ones(3, 2, 2), path)
    pictures.save_png(torch.ones(3, 2, 2), path, overwrite=True)
    assert (pictures.load_image(path) == 1).all()


def test_films_are_read_back(tmp_path: Path) -> None:
    pytest.importorskip("av")
    frames = views(6, 64, 96)
    for path in (
        pictures.turntable(frames, tmp_path / "a.mp4", 12),
        pictures.animation(frames, tmp_path / "a.gif", 10),
    ):
        found, rate = pictures.read_film(path)
        assert rate == pytest.approx({".mp4": 12, ".gif": 10}[path.suffix])
        assert len(found) == 6
        for back, frame in zip(found, frames, strict=True):
            assert (back - frame).abs().mean() < 0.03
        assert describe(path)["film"] == {"frames": 6, "width": 96, "height": 64, "fps": rate}
    (tmp_path / "b.mp4").write_bytes(b"no film")
    with pytest.raises(AssetError, match=r"b\.mp4"):
        pictures.read_film(tmp_path / "b.mp4")
