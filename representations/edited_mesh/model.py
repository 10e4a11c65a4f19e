"""A mesh file as a representation that is edited."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.assetio.gltf_read import decode_gltf
from sds3d.assetio.original import source_of
from sds3d.assetio.original_mesh import Changes, MeshOriginal, Part, open_mesh
from sds3d.assetio.ply import decode_ply
from sds3d.assetio.sample import sample_texture
from sds3d.core.assets import Asset
from sds3d.core.cameras import Cameras
from sds3d.core.errors import AssetError, ConfigError
from sds3d.core.frame import Frame
from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..base import Moments, ParamGroup
from ..edited import Differences, SceneEdit
from ..faces import beside_neighbours
from ..mesh.model import MeshModel
from ..mesh.options import Options as MeshOptions
from ..region import Asked, Ballot, Region
from .footprint import TexelTest, readable
from .merged import Merged, merged, world_places
from .options import Options
from .skin import COLORS, Skin, texels
from .votes import VERTICES, ballots, counts

OFFSETS = "offsets"


class EditedMesh:
    """A Representation (see representations.base) of a mesh file; also an `Edited`.

    Args:
        options: see Options. file: the file. frame: where our world lies in it. scene: its parts as one surface.
        group: see Skin. free: name of what moves -> the rows that may.
    """

    provides = MeshModel.provides | {"region"}

    def __init__(
        self,
        options: Options,
        file: MeshOriginal,
        frame: Frame,
        scene: Merged,
        group: Int[Tensor, " v"],
        free: dict[str, Tensor],
    ):
        self.options, self.file, self.frame, self.scene, self.group = options, file, frame, scene, group
        self.kind, self.notes = file.kind, file.notes
        self.differences = Differences(dict.fromkeys(free, (3,)), free)
        reference = max([max(t.shape[1:]) for t in file.textures], default=256)
        self.skin = Skin(options, file, scene, group, self.differences, reference)
        lit = any(p.reflection is not None for p in file.parts)
        shading = options.shading if options.shading != "auto" else "pbr" if lit else "unlit"
        # level of detail is counted in texels of that size
        drawing = MeshOptions.model_construct(
            **MeshOptions().model_dump()
            | {"shading": shading, "texture_size": reference, "samples": options.samples}
            | {"rasterizer": options.rasterizer, "max_offset": options.max_offset if OFFSETS in free else 0.0}
        )
        self.mesh = MeshModel(drawing, scene.surface, self.skin)
        self.bounds = self.mesh.bounds

    def to(self, device: torch.device) -> None:
        """Move everything that is drawn."""
        self.differences.to(device)
        self.mesh.to(device)

    def offsets(self) -> Float[Tensor, "v 3"]:
        """How far the vertices of the surface moved, world units; differentiable."""
        return self.differences.added(OFFSETS, torch.zeros_like(self.mesh.surface.vertices))

    def render(self, look: Look) -> Render:
        """As MeshModel; where it is wanted also region (B, 1, H, W), how much of a pixel may change."""
        self.mesh.offsets = self.offsets()
        render = dict(self.mesh.render(look))
        if "region" in look.want:
            plain = MeshModel(
                self.mesh.options.model_copy(update={"shading": "unlit"}),
                self.mesh.surface,
                self.skin.region(),
            )
            plain.offsets = self.mesh.offsets
            with torch.no_grad():
                black = replace(look, background=torch.zeros_like(look.background))
                render["region"] = plain.render(black)["rgb"][:, :1]
        return render

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Of colours: smoothness and anchor of the changes; of the shape: Laplacian and anchor of the offsets."""
        o, out = self.options, self.skin.losses(progress)
        if OFFSETS in self.differences.values:
            moved = self.offsets()
            if weight := o.laplacian(progress):
                out["laplacian"] = weight * beside_neighbours(moved, self.mesh.surface.faces).square().sum()
            if weight := o.anchor_offsets(progress):
                out["anchor_offsets"] = 0.5 * weight * moved.square().sum()
        return out

    def param_groups(self) -> list[ParamGroup]:
        """What may change."""
        groups, values = self.skin.param_groups(), self.differences.values
        if OFFSETS in values:
            groups.append(ParamGroup(OFFSETS, {OFFSETS: values[OFFSETS]}, self.options.lr_offsets))
        return groups

    @torch.no_grad()
    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Put everything back into its range."""
        self.skin.project()
        if OFFSETS not in self.differences.values:
            return {}
        value = self.differences.values[OFFSETS]
        length = value.norm(dim=1, keepdim=True)
        value.mul_((self.options.max_offset / length.clamp_min(1e-12)).clamp_max(1.0))
        return {"offset": float(length.max()) if len(length) else 0.0}

    def state_dict(self) -> Tree:
        """The differences; the rest is the file's."""
        return {"differences": self.differences.state_dict(), "sha256": self.file.source.sha256}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: other rows were free. AssetError: it was saved of another file.
        """
        source_of(self.file.source.path, state["sha256"])
        self.differences.load_state_dict(state["differences"])

    def ballots(self, cameras: Cameras, maps: Float[Tensor, "b h w"]) -> dict[str, Ballot]:
        """See Edited: of the vertices of all parts, and of the texels of each picture; as the file is."""
        return ballots(self.mesh.options, self.skin, self.group, cameras, maps)

    def original(self) -> EditedMesh:
        """See Edited."""
        out = EditedMesh(self.options, self.file, self.frame, self.scene, self.group, {})
        out.to(self.mesh.surface.vertices.device)
        return out

    @torch.no_grad()
    def patched(self) -> bytes:
        """See Edited."""
        points, normals = self._shape()
        named, skin = self.differences.values, self.skin
        textures = {
            k: skin.texture(k).cpu().movedim(2, 0) for k in range(len(skin.textures)) if texels(k) in named
        }
        colors = {}
        if COLORS in named:
            now = self.differences.added(COLORS, skin.colors).cpu()[self.group]
            for number, part in enumerate(self.file.parts):
                if part.texture is None:
                    colors[part.look] = now[self.scene.rows(number)]
        return self.file.patched(Changes(points, normals, textures, colors))

    def _shape(self) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """New positions by array and new normals by look, in the parts' own spaces."""
        if OFFSETS not in self.differences.values:
            return {}, {}
        scene, frame, moved = self.scene, self.frame, self.offsets().cpu().double()
        step = moved @ (frame.scale * torch.tensor(frame.turn, dtype=torch.float64)).T
        shown = (scene.welded >= 0)[:, None]
        asset = torch.where(shown, step[scene.welded.clamp_min(0)], torch.zeros(1, dtype=torch.float64))
        surface = self.mesh.surface
        bent = surface.moved_normals(surface.vertices + self.offsets()).cpu() - surface.normals.cpu()
        changed = torch.zeros(len(scene.welded), 3, dtype=torch.float64)
        changed[scene.corner.reshape(-1)] = bent.reshape(-1, 3).double()
        points, normals = {}, {}
        for number, part in enumerate(self.file.parts):
            rows, linear = scene.rows(number), part.transform[:3, :3]
            away = asset[rows]
            if not bool(away.any()):
                continue
            own = self.file.points[part.points]
            there = (own.double() + away @ torch.linalg.inv(linear).T).float()
            points[part.points] = torch.where((away != 0).any(1, keepdim=True), there, own)
            if part.normals is not None:
                turned = changed[rows] @ torch.tensor(frame.turn, dtype=torch.float64).T @ linear
                unit = F.normalize(part.normals.double(), dim=1)
                new = F.normalize(unit + turned, dim=1).float()
                normals[part.look] = torch.where((turned != 0).any(1, keepdim=True), new, part.normals)
        return points, normals

    def to_asset(self, kind: str) -> Asset:
        """Export as "mesh", in the file's own space: the edited file, read again.

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "mesh":
            raise AssetError(f'an edited mesh exports as "mesh", not as "{kind}"')
        decode = decode_ply if self.kind == "ply" else decode_gltf
        mesh = decode(self.patched(), self.file.source.path).mesh
        assert mesh is not None
        return mesh


def create(options: Options, streams: Streams, edit: SceneEdit | None = None) -> EditedMesh:
    """The mesh of the file that is edited.

    Raises:
        AssetError: the file cannot be read, was changed since, or holds no mesh. ConfigError: nothing is edited, or
            nothing in the region can change.
    """
    if edit is None or edit.file is None:
        raise ConfigError(
            "edited_mesh draws a file that is edited, and the config edits none.",
            key="representation",
            hint="Use `sds3d edit FILE`, or name the file under edit.source.",
        )
    file = open_mesh(source_of(edit.file, edit.sha256))
    places = world_places(file)
    frame = edit.frame(
        torch.cat([v[p.faces.unique()] for v, p in zip(places, file.parts, strict=True)]), "+y"
    )
    scene = merged(file, places, frame)
    group = _groups(file, scene)
    plain = EditedMesh(options, file, frame, scene, group, {})
    region = edit.parsed_region(plain.ballots, counts(file))
    free: dict[str, Tensor] = {}
    if edit.keep != "colour":
        free |= _free_colors(file, scene, group, region)
    if edit.keep != "shape":
        free |= {OFFSETS: _free_vertices(file, scene, region)}
    free = {name: rows for name, rows in free.items() if len(rows)}
    if not free:
        raise ConfigError(
            f"nothing in {file.source.path.name} may change: no vertex and no texel of its own lies in the region.",
            key="edit.region",
            hint="`sds3d info FILE` tells the file's extent; texels that parts outside the region show too stay.",
        )
    return EditedMesh(options, file, frame, scene, group, free)


def _groups(file: MeshOriginal, scene: Merged) -> Int[Tensor, " v"]:
    """(V,) of all vertices the number of their colour: equal places, looks and colours share one."""
    parts = file.parts
    look = torch.cat([torch.full((len(p.colors),), p.look) for p in parts])
    colors = torch.cat([p.colors.float() for p in parts])
    key = np.concatenate(
        [look[:, None].numpy(), scene.welded[:, None].numpy(), (colors * 65535).round().long().numpy()],
        axis=1,
    )
    # vertices that a second node shows again share the colours of the first showing
    rows: dict[int, slice] = {}
    for number, part in enumerate(parts):
        if part.look in rows:
            key[scene.rows(number)] = key[rows[part.look]]
        else:
            rows[part.look] = scene.rows(number)
    return torch.from_numpy(np.unique(key, axis=0, return_inverse=True)[1].reshape(-1)).long()


def _allowed(file: MeshOriginal, scene: Merged, region: Region) -> Tensor:
    """(V,) of all vertices whether they may change."""
    return torch.cat(
        [
            region.holds(
                Asked(
                    scene.places[scene.rows(number)],
                    vertex_colors(file, part),
                    part.name,
                    part.material,
                    (VERTICES, torch.arange(*scene.rows(number).indices(len(scene.places)))),
                )
            )
            for number, part in enumerate(file.parts)
        ]
    )


def vertex_colors(file: MeshOriginal, part: Part) -> Float[Tensor, "v 3"]:
    """sRGB of a part's vertices: their own, or the picture's there."""
    if part.texture is None or part.uv is None:
        return part.colors.float()
    texels = file.textures[part.texture].numpy().transpose(1, 2, 0)
    return torch.from_numpy(sample_texture(texels, part.uv.numpy()))


def _free_vertices(file: MeshOriginal, scene: Merged, region: Region) -> Int[Tensor, " n"]:
    """Vertices of the surface all of whose rows may move; of parts that several nodes show none may."""
    may = _allowed(file, scene, region)
    for number, part in enumerate(file.parts):
        again = [p for p in file.parts if p.points == part.points and not p.transform.equal(part.transform)]
        if again:
            may[scene.rows(number)] = False
    shown = scene.welded >= 0
    free = torch.ones(len(scene.surface.vertices), dtype=torch.bool)
    free[scene.welded[shown & ~may]] = False
    return free.nonzero()[:, 0]


def _free_colors(file: MeshOriginal, scene: Merged, group: Tensor, region: Region) -> dict[str, Tensor]:
    """Rows of the vertices' colours and of each picture's texels that may change: all that read them may."""
    may = _allowed(file, scene, region)
    bare = torch.zeros(len(may), dtype=torch.bool)
    for number, part in enumerate(file.parts):
        bare[scene.rows(number)] = part.texture is None
    shown = torch.zeros(len(may), dtype=torch.bool)
    shown[scene.corner.reshape(-1)] = True
    free = torch.zeros(int(group.max()) + 1, dtype=torch.bool)
    free[group[bare & shown & may]] = True
    free[group[bare & shown & ~may]] = False
    out = {COLORS: free.nonzero()[:, 0]}
    for k, image in enumerate(file.textures):
        size = (image.shape[1], image.shape[2])
        read, fixed = (torch.zeros(size, dtype=torch.bool) for _ in range(2))
        for number, part in enumerate(file.parts):
            if part.texture != k:
                continue
            faces = scene.part == number
            a, b = readable(
                scene.surface.uv[faces],
                scene.places[scene.corner[faces]],
                _texel_test(region, part, image, texels(k)),
                size,
            )
            read, fixed = read | a, fixed | b
        out[texels(k)] = (read & ~fixed).reshape(-1).nonzero()[:, 0]
    return out


def _texel_test(region: Region, part: Part, image: Tensor, name: str) -> TexelTest:
    colors = image.movedim(0, 2)

    def test(points: Tensor, column: Tensor, row: Tensor) -> Tensor:
        element = (name, row * colors.shape[1] + column)
        return region.holds(Asked(points, colors[row, column], part.name, part.material, element))

    return test
