"""A user's own assets as training pictures: a folder of GLB, OBJ or PLY files whose names are their captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from jaxtyping import Float, UInt8
from torch import Tensor

from ..assetio import read
from ..assetio.sample import vertex_colors
from ..core.assets import Mesh
from ..core.cameras import orbit
from ..core.errors import Sds3dError
from ..core.streams import Streams
from ..objects.captions import with_article
from ..priors.views import VIEW_WORDS, side_seen
from ..representations.raster.triangles import interpolate, rasterize
from .batches import Batch, Source
from .layers import LAYERS, SHADE_LIMIT, compose, shade

SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
CAPTIONS = "captions.yaml"
RADIUS = 0.8
"""Assets are moved and scaled into the ball that every object fills."""
_GREY = 0.7
_SUPERSAMPLE = 2


@dataclass(frozen=True)
class OwnAsset:
    """A file and the sentences that speak of it."""

    path: Path
    captions: tuple[str, ...]


def find_assets(folder: Path) -> list[OwnAsset]:
    """The assets of a folder in the order of their names.

    red_dragon.glb is "a red dragon"; a file captions.yaml ({red_dragon.glb: [a red dragon, a dragon]}) says other
    sentences.

    Raises:
        Sds3dError: no asset there, or captions.yaml is broken or names a file that is not there.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise Sds3dError(f"{folder}: holds no {', '.join(SUFFIXES)} file to train on")
    said = _read_captions(folder / CAPTIONS)
    unknown = sorted(set(said) - {p.name for p in paths})
    if unknown:
        raise Sds3dError(f"{folder / CAPTIONS}: names files that are not there: {', '.join(unknown)}")
    return [OwnAsset(p, said.get(p.name, (_caption_of(p),))) for p in paths]


def _caption_of(path: Path) -> str:
    words = path.stem.replace("_", " ").replace("-", " ").lower().split()
    return " ".join(words) if words[:1] in (["a"], ["an"], ["the"]) else with_article(" ".join(words))


def _read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise Sds3dError(f"{path}: no YAML: {error}") from error
    if not isinstance(found, dict):
        raise Sds3dError(f"{path}: holds no mapping from file names to sentences")
    out = {}
    for name, value in found.items():
        sentences = [value] if isinstance(value, str) else value
        if not isinstance(sentences, list) or not sentences or not all(isinstance(s, str) for s in sentences):
            raise Sds3dError(f"{path}: {name}: say one sentence or a list of them")
        out[str(name)] = tuple(s.strip().lower() for s in sentences)
    return out


def own_words(assets: Sequence[OwnAsset]) -> list[str]:
    """Every word of the captions, sorted."""
    return sorted({word for a in assets for c in a.captions for word in c.replace(",", " , ").split()})


def load_mesh(path: Path) -> Mesh:
    """A file's mesh with vertex colours, in the ball of RADIUS around the origin.

    Raises:
        Sds3dError: the file is broken, or has no triangles.
    """
    mesh = read(path).mesh
    if mesh is None or len(mesh.faces) == 0:
        raise Sds3dError(f"{path}: has no triangles to draw")
    low, high = mesh.vertices.min(0).values, mesh.vertices.max(0).values
    centred = mesh.vertices - (low + high) / 2
    size = float(centred.norm(dim=1).max())
    if size == 0:
        raise Sds3dError(f"{path}: all of its vertices are one point")
    colors = vertex_colors(mesh)
    plain = torch.full_like(mesh.vertices, _GREY)
    return Mesh(centred * (RADIUS / size), mesh.faces, plain if colors is None else colors, name=mesh.name)


def mesh_layers(mesh: Mesh, azimuth_deg: float, elevation_deg: float, size: int) -> Float[Tensor, "s s 8"]:
    """The layers of one view (see training.layers); the colours are fixed, so no paint has any share."""
    cameras, side = orbit([azimuth_deg], [elevation_deg]), size * _SUPERSAMPLE
    corners = mesh.vertices[mesh.faces]
    flat = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = torch.zeros_like(mesh.vertices).index_add_(
        0, mesh.faces.flatten(), flat.repeat_interleave(3, 0)
    )
    fragments = rasterize(mesh.vertices, mesh.faces, cameras, (side, side))
    seen = fragments.face[0] >= 0
    assert mesh.colors is not None
    values = interpolate(torch.cat([normals, mesh.vertices, mesh.colors], 1), fragments, mesh.faces)[0][seen]
    normal = torch.nn.functional.normalize(values[:, :3], dim=-1)
    to_camera = torch.nn.functional.normalize(cameras.c2w[0, :3, 3] - values[:, 3:6], dim=-1)
    diffuse, highlight = shade(normal, to_camera)
    out = torch.zeros(side, side, LAYERS)
    out[seen] = torch.cat(
        [torch.zeros(len(values), 3), values[:, 6:] * (diffuse / SHADE_LIMIT)[:, None], highlight[:, None],
         torch.ones(len(values), 1)], dim=1,
    )  # fmt: skip
    return out.reshape(size, _SUPERSAMPLE, size, _SUPERSAMPLE, LAYERS).mean((1, 3))


class OwnBatches:
    """Draws batches from a user's assets; rendered once, when it is made.

    Args:
        views: pictures of each asset, from anywhere around it. size: their side in pixels.
        elevation_deg: range of the camera's elevation. view_words: share of captions that say the side.
    """

    def __init__(
        self,
        assets: Sequence[OwnAsset],
        streams: Streams,
        size: int,
        views: int,
        elevation_deg: tuple[float, float],
        view_words: float = 0.3,
    ):
        self.assets, self.streams, self.views, self.view_words = assets, streams, views, view_words
        low, high = elevation_deg
        drawn = streams.uniform((len(assets) * views, 2), "own camera")[0]
        self.azimuth_deg, self.elevation_deg = (
            360 * drawn[:, 0].float(),
            (low + (high - low) * drawn[:, 1]).float(),
        )
        self.layers = torch.cat([self._render(i, asset, size) for i, asset in enumerate(assets)])

    def _render(self, number: int, asset: OwnAsset, size: int) -> UInt8[Tensor, "v s s 8"]:
        mesh, start = load_mesh(asset.path), number * self.views
        rows = range(start, start + self.views)
        pictures = [
            mesh_layers(mesh, float(self.azimuth_deg[i]), float(self.elevation_deg[i]), size) for i in rows
        ]
        return (torch.stack(pictures).clamp(0, 1) * 255 + 0.5).byte()

    def draw(self, step: int, count: int) -> Batch:
        """The batch of a step."""
        drawn = self.streams.uniform((count, 7), "own batch", step=step)[0]
        rows = (drawn[:, 0] * len(self.layers)).long().clamp(max=len(self.layers) - 1)
        ground = torch.where(drawn[:, 1:2] < 0.5, 1.0, drawn[:, 2:5]).float()
        layers = self.layers[rows].float() / 255
        captions = [
            self._caption(int(i), float(u), float(v))
            for i, u, v in zip(rows, drawn[:, 5], drawn[:, 6], strict=True)
        ]
        return Batch(
            compose(layers, torch.zeros(count, 3, 3), torch.zeros(count), ground), tuple(captions),
            self.azimuth_deg[rows], self.elevation_deg[rows], ground,
        )  # fmt: skip

    def _caption(self, row: int, which: float, side: float) -> str:
        said = self.assets[row // self.views].captions
        text = said[int(which * len(said))]
        if side >= self.view_words:
            return text
        words = VIEW_WORDS[side_seen(float(self.azimuth_deg[row]), float(self.elevation_deg[row]))]
        return f"{text}, {words}"


class Mixed:
    """Batches of which a share comes from the second source."""

    def __init__(self, first: Source, second: Source, share: float):
        self.first, self.second, self.share = first, second, share

    def draw(self, step: int, count: int) -> Batch:
        """The batch of a step: the first source's pictures, then the second's."""
        own = round(count * self.share)
        a, b = self.first.draw(step, count - own), self.second.draw(step, own)
        return Batch(
            torch.cat([a.rgb, b.rgb]), a.captions + b.captions, torch.cat([a.azimuth_deg, b.azimuth_deg]),
            torch.cat([a.elevation_deg, b.elevation_deg]), torch.cat([a.background, b.background]),
        )  # fmt: skip
