"""Colours of a field baked into a texture, for viewers that want one in place of colours at the vertices."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.assetio.topology import vertex_normals
from sds3d.core.assets import Mesh
from sds3d.core.color import linear_to_srgb, srgb_to_linear

from .bake import ColorAt, colors_of, decimate
from .mesh.atlas import spread, texels, unwrap

EDGE = 2
"""Texels around each chart that bilinear filtering reaches: their colour is the field's beside the surface."""


def bake_texture(mesh: Mesh, color_at: ColorAt | None, size: int, padding: int = 4) -> Mesh:
    """The mesh with a texture of size x size texels in place of colours at its vertices.

    The surface is cut into charts (mesh.atlas.unwrap). A texel whose centre lies on a chart gets the colour at that
    point of the surface; the texels around a chart get the colour on the continued plane of its border, so that
    bilinear filtering shows no seams; all others repeat the nearest colour, which fills holes and feeds mip-maps.

    Args:
        mesh: with or without colours; one that has a texture is returned as it is.
        color_at: (P, 3) points to (P, 3) sRGB; None takes the mesh's own colours between its vertices.
        size: texels a side. padding: least number of texels between charts.

    Raises:
        AssetError: the mesh has no faces, or cannot be unwrapped. MissingPackageError: xatlas is absent.
        ValueError: there are no colours to bake.
    """
    if mesh.texture is not None:
        return mesh
    if color_at is None and mesh.colors is None:
        raise ValueError("the mesh has no colours and no function gives them: there is nothing to bake")
    uv, corner = unwrap(mesh.vertices, mesh.faces, size, padding)
    seen = texels(uv, size)
    face = seen.face[0].long()
    known = face >= 0
    owner = spread(face[..., None].float(), known, EDGE)[
        ..., 0
    ].long()  # floats hold faces up to 2^24 exactly
    near = owner >= 0
    weights = _barycentric(uv[owner[near]], _centres(size)[near])
    corners = mesh.vertices[mesh.faces[owner[near]]]
    low, high = mesh.vertices.min(0).values, mesh.vertices.max(0).values
    points = torch.minimum(torch.maximum((weights[..., None] * corners).sum(1), low), high)
    texture = torch.zeros(size, size, 3)
    if color_at is not None:
        texture[near] = colors_of(points, color_at)
    elif mesh.colors is not None:
        linear = srgb_to_linear(mesh.colors.clamp(0, 1))[mesh.faces[owner[near]]]
        texture[near] = linear_to_srgb((weights[..., None] * linear).sum(1).clamp(0, 1))
    texture = spread(texture, near)
    return _with_atlas(mesh, uv, corner, texture.permute(2, 0, 1).contiguous())


def fit(mesh: Mesh, color_at: ColorAt | None, faces: int | None, size: int) -> Mesh:
    """The mesh as an export asks for it.

    Args:
        color_at: see `bake_texture`. faces: most triangles, None for as many as there are. size: of the texture,
            0 for colours at the vertices.

    Raises:
        AssetError, MissingPackageError: as `bake_texture`; or a mesh with a texture is to lose triangles.
    """
    if faces is not None and len(mesh.faces) > faces:
        mesh = decimate(mesh, faces, color_at)
    return bake_texture(mesh, color_at, size) if size and (color_at or mesh.colors is not None) else mesh


def _centres(size: int) -> Float[Tensor, "s s 2"]:
    """(S, S, 2) texture coordinates of the texels' centres."""
    line = (torch.arange(size) + 0.5) / size
    v, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, v], dim=-1)


def _barycentric(triangle: Float[Tensor, "n 3 2"], point: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """Weights of a point in the plane of a triangle, beyond its edges too; a corner's own for one without area."""
    a, b, c = triangle.double().unbind(1)
    p = point.double()

    def area(u: Tensor, v: Tensor) -> Tensor:
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    whole = area(b - a, c - a)
    flat = whole.abs() < 1e-14
    safe = torch.where(flat, torch.ones_like(whole), whole)
    second, third = area(p - a, c - a) / safe, area(b - a, p - a) / safe
    second, third = second.masked_fill(flat, 0.0), third.masked_fill(flat, 0.0)
    return torch.stack([1 - second - third, second, third], dim=1).float()


def _with_atlas(mesh: Mesh, uv: Tensor, corner: Tensor, texture: Tensor) -> Mesh:
    """One vertex for each of the atlas's; normals, which seams must not break, are those of the uncut surface."""
    count = int(corner.max()) + 1
    source = torch.empty(count, dtype=torch.int64)
    source[corner.reshape(-1)] = mesh.faces.reshape(-1)
    place = torch.empty(count, 2)
    place[corner.reshape(-1)] = uv.reshape(-1, 2)
    normals = mesh.normals
    if normals is None:
        arrays = mesh.vertices.double().numpy(), mesh.faces.numpy()
        normals = torch.from_numpy(vertex_normals(*arrays)).float()
    return replace(
        mesh,
        vertices=mesh.vertices[source],
        faces=corner,
        colors=None,
        normals=normals[source],
        uv=place,
        texture=texture,
    )
