"""Blender opens exported files the right way up: runs where `blender` is on the PATH (Debian: apt install blender
python3-numpy), or where BLENDER_PYTHON names a Python that has bpy (pip install bpy)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sds3d import assetio
from sds3d.core.assets import Material, Mesh

SCRIPT = """
import json, sys
import numpy
if "bool" not in vars(numpy):
    numpy.bool = bool  # Blender 3.4's importer, with NumPy 1.24 as Debian 12 pairs them, looks it up
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
path = sys.argv[-1]
if path.endswith(".glb"):
    bpy.ops.import_scene.gltf(filepath=path)
else:
    operators = {"obj": "obj_import", "stl": "stl_import", "usdz": "usd_import"}
    getattr(bpy.ops.wm, operators[path.rpartition(".")[2]])(filepath=path)
item = next(o for o in bpy.data.objects if o.type == "MESH")
colors = item.data.color_attributes[0] if item.data.color_attributes else None
materials = [m for m in item.data.materials if m]
print("RESULT" + json.dumps({
    "name": item.name,
    "vertices": [list(item.matrix_world @ v.co) for v in item.data.vertices],
    "faces": [list(p.vertices) for p in item.data.polygons],
    "corner_vertices": [l.vertex_index for l in item.data.loops],
    "colors": [list(c.color) for c in colors.data] if colors else [],
    "nodes": [n.bl_idname for m in materials for n in m.node_tree.nodes],
    "images": {i.name: [list(i.size), i.colorspace_settings.name] for i in bpy.data.images},
    "uv": [list(u.uv) for u in item.data.uv_layers[0].data] if item.data.uv_layers else [],
}))
"""


PYTHON = os.environ.get("BLENDER_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON and shutil.which("blender") is None, reason="neither blender nor BLENDER_PYTHON"
    ),
]
UP, FRONT, RIGHT = 0.7, 0.5, 0.3
PLACES = [[0, 0, 0], [RIGHT, 0, 0], [0, 0, UP], [0, -FRONT, 0]]
"""Where Blender, whose up is +Z and whose front view looks at -Y, shall have the four vertices."""


def corner() -> Mesh:
    """A tetrahedron with legs of its own to the right, up and to the front."""
    return Mesh(
        vertices=torch.tensor([[0.0, 0.0, 0.0], [RIGHT, 0.0, 0.0], [0.0, UP, 0.0], [0.0, 0.0, FRONT]]),
        faces=torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
        name="a red cube",
    )


def imported(path: Path) -> dict:
    """What Blender makes of a file."""
    script = path.parent / "script.py"
    script.write_text(SCRIPT)
    command = ["blender", "-b", "--factory-startup", "--python-exit-code", "1", "--python", str(script), "--"]
    done = subprocess.run(
        [*([PYTHON, str(script)] if PYTHON else command), str(path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))[6:])


def test_blender_imports_upright_facing_front_and_coloured(tmp_path: Path) -> None:
    colors = torch.tensor([[1.0, 0.2, 0.0], [0.5, 0.5, 0.5], [0.05, 0.1, 0.2], [0.0, 1.0, 0.0]])
    mesh = replace(corner(), colors=colors)
    found = imported(assetio.write(mesh, tmp_path / "mesh.glb")[-1])
    assert found["vertices"] == [pytest.approx(v) for v in PLACES]
    assert found["faces"] == mesh.faces.tolist()
    assert found["name"] == "a red cube"
    linear = {0: [1.0, 0.0331, 0.0], 1: [0.2140] * 3, 2: [0.0039, 0.0100, 0.0331], 3: [0.0, 1.0, 0.0]}
    for vertex, color in zip(found["corner_vertices"], found["colors"], strict=True):
        assert color[:3] == pytest.approx(linear[vertex], abs=0.004)
    assert "ShaderNodeEmission" in found["nodes"], "unlit: Blender does not shade it again"
    assert "ShaderNodeVertexColor" in found["nodes"]


@pytest.mark.parametrize("kind", ["glb", "obj", "usdz", "stl"])
def test_every_mesh_format_stands_upright_with_its_textures(kind: str, tmp_path: Path) -> None:
    uv = torch.tensor([[0.0, 0.25], [1.0, 0.25], [0.0, 1.0], [0.5, 0.5]])
    look = Material(0.2, 0.4, torch.rand(2, 4, 4), torch.rand(3, 4, 4))
    mesh = replace(corner(), uv=uv, texture=torch.rand(3, 8, 8), material=look)
    found = imported(assetio.write(mesh, tmp_path / f"mesh.{kind}")[-1])
    rounded = {tuple(round(x, 5) + 0.0 for x in v) for v in found["vertices"]}
    assert rounded == {tuple(round(float(x), 5) + 0.0 for x in v) for v in PLACES}
    if kind == "stl":
        return
    for vertex, place in zip(found["corner_vertices"], found["uv"], strict=True):
        u, v = uv[vertex].tolist()
        assert place == pytest.approx([u, 1 - v], abs=1e-5), "Blender counts v from the bottom"
    if kind == "obj":  # its importer passes over `norm`, and takes every other picture for a colour
        assert len(found["images"]) == 3
        return
    spaces = sorted(space for _, space in found["images"].values())
    assert spaces.count("sRGB") == 1, "the base colour alone is sRGB"
    assert len(spaces) == {"glb": 3, "usdz": 4}[kind]
    assert "ShaderNodeNormalMap" in found["nodes"]
