"""How views of a mesh file vote about its vertices and texels: by how much each shows in a view, and what lies there.

A picture is linear in the colours of what it shows. Its gradient by them tells how much of an element each pixel is,
occlusion, filtering and outlines included, so that a map over the view comes back as each element's mean of it.
"""

from __future__ import annotations

from copy import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.assetio.original_mesh import MeshOriginal
from sds3d.core.cameras import Cameras
from sds3d.core.look import Look

from ..edited import Differences
from ..mesh.model import MeshModel
from ..mesh.options import Options as MeshOptions
from ..region import Ballot
from .skin import Skin, texels

VERTICES = "vertices"
"""Name of the rows of all parts' vertices, one part after another."""
GREY = 0.5
"""What everything looks like, background too: then no encoding of colours bends what the gradient says."""
LEVELS = 12
"""Sizes of the textures that are looked up, so that a pixel reaches all texels that it covers."""


def ballots(
    drawing: MeshOptions,
    skin: Skin,
    group: Int[Tensor, " v"],
    cameras: Cameras,
    maps: Float[Tensor, "b h w"],
) -> dict[str, Ballot]:
    """What each view says of every vertex and of every texel of each picture.

    Args:
        drawing: how the mesh is drawn. skin, group: of the file, see Skin; vertices of one group have one voice.
        maps: what is asked, in [0, 1].
    """
    scene = skin.merged
    plain = drawing.model_copy(update={"shading": "unlit", "max_offset": 0.0, "samples": 1})
    vertex, texel = _grey(skin), _grey(skin)
    vertex.picture = torch.full_like(vertex.picture, -1)
    vertex.colors.requires_grad_()
    said = _asked(MeshModel(plain, scene.surface, vertex), [vertex.colors], cameras, maps)[0]
    out = {VERTICES: Ballot(said.values[:, group], said.shares[:, group] / group.bincount()[group])}
    if texel.textures:
        for image in texel.textures:
            image.requires_grad_()
        found = _asked(MeshModel(plain, scene.surface, texel), texel.textures, cameras, maps)
        out |= {texels(number): one for number, one in enumerate(found)}
    return out


def counts(file: MeshOriginal) -> dict[str, int]:
    """How many elements of each name a file has."""
    images = {texels(k): int(t.shape[1] * t.shape[2]) for k, t in enumerate(file.textures)}
    return {VERTICES: sum(len(file.points[p.points]) for p in file.parts)} | images


def _grey(skin: Skin) -> Skin:
    """The same skin without its colours."""
    out = copy(skin)
    out.options = skin.options.model_copy(update={"mip_levels": LEVELS})
    out.differences, out.factor = Differences({}, {}), torch.ones_like(skin.factor)
    out.colors = torch.full_like(skin.colors, GREY)
    out.textures = [torch.full_like(image, GREY) for image in skin.textures]
    return out


def _asked(
    model: MeshModel, elements: list[Tensor], cameras: Cameras, maps: Float[Tensor, "b h w"]
) -> list[Ballot]:
    """A ballot for each tensor of colours (…, 3), by the gradient of their first channel; on the CPU."""
    size = (maps.shape[1], maps.shape[2])
    values: list[list[Tensor]] = [[] for _ in elements]
    shares: list[list[Tensor]] = [[] for _ in elements]
    for view in range(len(cameras)):
        look = Look(cameras[[view]], size, torch.full((1, 3), GREY, device=elements[0].device))
        shown = model.render(look)["rgb"][0, 0]
        weight = torch.autograd.grad(shown.sum(), elements, retain_graph=True)
        value = torch.autograd.grad((shown * maps[view].to(shown)).sum(), elements)
        for k, (w, v) in enumerate(zip(weight, value, strict=True)):
            share = w[..., 0].reshape(-1).clamp_min(0.0)
            shares[k].append(share.cpu())
            values[k].append((v[..., 0].reshape(-1) / share.clamp_min(1e-12)).clamp(0.0, 1.0).cpu())
    return [Ballot(torch.stack(v), torch.stack(s)) for v, s in zip(values, shares, strict=True)]
