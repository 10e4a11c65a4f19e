"""Texture sampling: texel centres, ramps, repetition, mip levels against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.triangles import interpolate, rasterize
from sds3d.representations.raster.triangles_texture import mip_level, pyramid, texture
from triangle_cases import ahead, best_kernels, soup, use, views

from sds3d.core.errors import NonFiniteError

SAME_CHOICE = [HealthCheck.function_scoped_fixture]  # the choice of implementation holds for all inputs
seeds = st.integers(0, 2**31)


@pytest.fixture
def implementation(request, monkeypatch) -> str:
    """The value of the argument `implementation` for a parametrized name."""
    return use(monkeypatch, request.param)


everywhere = pytest.mark.parametrize("implementation", ["twin", *best_kernels()], indirect=True)


def centres(height: int, width: int) -> torch.Tensor:
    """(1, H, W, 2) coordinates of the texels' centres."""
    v, u = torch.meshgrid(
        (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
    )
    return torch.stack([u, v], dim=-1)[None]


@everywhere
@pytest.mark.parametrize("boundary", ["wrap", "clamp"])
def test_texel_centres_give_the_texels(implementation, boundary) -> None:
    image = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(0))
    out = texture(image, centres(5, 7), boundary=boundary, implementation=implementation)
    torch.testing.assert_close(out[0], image, rtol=0, atol=1e-6)


@everywhere
@settings(max_examples=20, suppress_health_check=SAME_CHOICE)
@given(seed=seeds)
def test_a_ramp_is_a_ramp_up_to_its_ends(implementation, seed) -> None:
    ramp = centres(6, 10)[0]
    uv = 3 * torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(seed)) - 1
    out = texture(ramp, uv, boundary="clamp", implementation=implementation)
    half = torch.tensor([0.5 / 10, 0.5 / 6])
    torch.testing.assert_close(out, torch.minimum(torch.maximum(uv, half), 1 - half), rtol=0, atol=1e-6)


@everywhere
@settings(max_examples=20, suppress_health_check=SAME_CHOICE)
@given(seed=seeds, by=st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
def test_a_repeated_texture_repeats(implementation, seed, by) -> None:
    generator = torch.Generator().manual_seed(seed)
    image, uv = torch.rand(4, 6, 2, generator=generator), torch.rand(1, 5, 5, 2, generator=generator)
    first = texture(image, uv, implementation=implementation)
    again = texture(image, uv + torch.tensor(by).float(), implementation=implementation)
    torch.testing.assert_close(again, first, rtol=0, atol=2e-5)
    # across the seam it goes from the last texel to the first
    seam = texture(image, torch.tensor([[[[0.0, 0.5 / 4]]]]), implementation=implementation)
    torch.testing.assert_close(seam[0, 0, 0], 0.5 * (image[0, 0] + image[0, -1]))


@everywhere
def test_levels_of_the_pyramid(implementation) -> None:
    image = torch.rand(8, 16, 3, generator=torch.Generator().manual_seed(1))
    levels = pyramid(image)
    assert [tuple(t.shape[:2]) for t in levels] == [(8, 16), (4, 8), (2, 4), (1, 2), (1, 1)]
    assert [tuple(t.shape[:2]) for t in pyramid(torch.zeros(7, 5, 1))] == [(7, 5), (3, 2), (1, 1)]
    assert len(pyramid(image, 2)) == 2
    for coarse in levels:
        torch.testing.assert_close(coarse.mean((0, 1)), image.mean((0, 1)))
    uv = centres(4, 8)

    def at(level: float) -> torch.Tensor:
        return texture(levels, uv, torch.full((1, 4, 8), level), implementation=implementation)

    torch.testing.assert_close(at(1.0)[0], levels[1])
    torch.testing.assert_close(at(1.25), 0.75 * at(1.0) + 0.25 * at(2.0))
    torch.testing.assert_close(at(9.0)[0], levels[4].expand(4, 8, 3))
    torch.testing.assert_close(at(-1.0), texture(image, uv, implementation=implementation))


def sheet(depth: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A square of edge 2 before the camera, with texture coordinates over all of it."""
    corners = torch.tensor([[-1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    vertices = torch.cat([corners, torch.full((4, 1), -depth)], dim=1)
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]), corners * torch.tensor([0.5, -0.5]) + 0.5


@everywhere
@settings(max_examples=10, suppress_health_check=SAME_CHOICE)
@given(depth=st.floats(1.1, 8.0), turn=st.floats(-1.3, 1.3))
def test_the_mip_level_of_a_sheet(implementation, depth, turn) -> None:
    vertices, faces, uv = sheet(depth)
    size, texels = (32, 32), (256, 64)
    seen = rasterize(vertices, faces, ahead(), size, implementation=implementation)
    level = mip_level(uv, seen, vertices, faces, ahead(), texels, implementation=implementation)
    focal = float(ahead().focal(32))
    wanted = max(0.0, math.log2(256 / 2 * depth / focal))  # the larger side's texels decide
    torch.testing.assert_close(level, (seen.face >= 0) * wanted, rtol=0, atol=1e-4)
    # turned about the vertical axis, against the neighbours' coordinates
    spun = torch.stack(
        [vertices[:, 0] * math.cos(turn), vertices[:, 1], -depth + vertices[:, 0] * math.sin(turn)], dim=1
    )
    seen = rasterize(spun, faces, ahead(), (256, 256), implementation=implementation)
    level = mip_level(uv[faces], seen, spun, faces, ahead(), (512, 512), implementation=implementation)
    place = 512 * interpolate(uv, seen, faces, implementation=implementation)[0]
    columns, rows = (place[1:-1, 2:] - place[1:-1, :-2]) / 2, (place[2:, 1:-1] - place[:-2, 1:-1]) / 2
    jacobian = torch.stack([columns, rows], dim=-1)
    hit = (seen.face[0] >= 0).float()
    inside = torch.nn.functional.avg_pool2d(hit[None], 3, 1)[0] > 0.999
    stretch = torch.linalg.matrix_norm(jacobian[inside], ord=2).clamp_min(1)
    torch.testing.assert_close(level[0, 1:-1, 1:-1][inside], stretch.log2(), rtol=0, atol=0.05)


@pytest.mark.parametrize("name", best_kernels())
@settings(max_examples=10, suppress_health_check=SAME_CHOICE)
@given(seed=seeds)
def test_mip_levels_are_the_twins(monkeypatch, name, seed) -> None:
    vertices, faces = soup(seed, 15, 0.8)
    cameras, size = views(seed), (20, 16)
    uv = torch.rand(len(vertices), 2, generator=torch.Generator().manual_seed(seed))
    seen = rasterize(vertices, faces, cameras, size, implementation="twin")
    twin, native = (
        mip_level(uv, seen, vertices, faces, cameras, (300, 200), implementation=choice)
        for choice in ("twin", use(monkeypatch, name))
    )
    torch.testing.assert_close(native, twin, rtol=0, atol=1e-5)


@everywhere
def test_bad_input_is_refused_by_name(implementation) -> None:
    which = {"implementation": implementation}
    image, uv = torch.zeros(4, 4, 3), torch.zeros(1, 2, 2, 2)
    broken = uv.clone()
    broken[0, 1, 0, 1] = math.nan
    with pytest.raises(NonFiniteError, match=r"uv\[0, 1, 0, 1\] is nan"):
        texture(image, broken, **which)
    with pytest.raises(NonFiniteError, match=r"levels\[0\]\[1, 2, 0\] is inf"):
        texture(
            image.index_put((torch.tensor(1), torch.tensor(2), torch.tensor(0)), torch.tensor(math.inf)),
            uv,
            **which,
        )
    with pytest.raises(RasterError, match="boundary 'mirror'"):
        texture(image, uv, boundary="mirror", **which)
    with pytest.raises(RasterError, match=r"levels\[1\] must be floats \(any, any, 3\)"):
        texture([image, torch.zeros(2, 2, 1)], uv, **which)
    with pytest.raises(RasterError, match="empty"):
        texture(image[:0], uv, **which)
    vertices, faces, corners = sheet(2.0)
    seen = rasterize(vertices, faces, ahead(), (4, 4), **which)
    with pytest.raises(RasterError, match=r"faces\[0\] is \[0, 1, 4\], but there are 4 vertices"):
        mip_level(corners, seen, vertices, torch.tensor([[0, 1, 4], [0, 1, 2]]), ahead(), (8, 8), **which)
    with pytest.raises(NonFiniteError, match=r"uv\["):
        mip_level(corners * math.nan, seen, vertices, faces, ahead(), (8, 8), **which)
