"""Blender opens the exported GLB the right way up: runs where `blender` is on the PATH (Debian: apt install blender
python3-numpy)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from sds3d import assetio
from sds3d.core.assets import Mesh

SCRIPT = """
import json, sys
import numpy
if "bool" not in vars(numpy):
    numpy.bool = bool  # Blender 3.4's importer, with NumPy 1.24 as Debian 12 pairs them, looks it up
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[-1])
item = next(o for o in bpy.data.objects if o.type == "MESH")
colors = item.data.color_attributes[0]
print("RESULT" + json.dumps({
    "name": item.name,
    "vertices": [list(item.matrix_world @ v.co) for v in item.data.vertices],
    "faces": [list(p.vertices) for p in item.data.polygons],
    "corner_vertices": [l.vertex_index for l in item.data.loops],
    "colors": [list(c.color) for c in colors.data],
    "domain": colors.domain,
    "nodes": [n.bl_idname for n in item.data.materials[0].node_tree.nodes],
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("blender") is None, reason="blender is not on the PATH")
def test_blender_imports_upright_facing_front_and_coloured(tmp_path: Path) -> None:
    up, front, right = 0.7, 0.5, 0.3
    mesh = Mesh(
        vertices=torch.tensor([[0.0, 0.0, 0.0], [right, 0.0, 0.0], [0.0, up, 0.0], [0.0, 0.0, front]]),
        faces=torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
        colors=torch.tensor([[1.0, 0.2, 0.0], [0.5, 0.5, 0.5], [0.05, 0.1, 0.2], [0.0, 1.0, 0.0]]),
        name="a red cube",
    )
    (tmp_path / "script.py").write_text(SCRIPT)
    path = assetio.write(mesh, tmp_path / "mesh.glb")[-1]
    command = ["blender", "-b", "--factory-startup", "--python-exit-code", "1"]
    command += ["--python", str(tmp_path / "script.py"), "--", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))[6:])
    # Blender's own axes: up is +Z, the front view looks at -Y.
    assert found["vertices"] == [
        pytest.approx(v) for v in ([0, 0, 0], [right, 0, 0], [0, 0, up], [0, -front, 0])
    ]
    assert found["faces"] == mesh.faces.tolist()
    assert found["name"] == "a red cube"
    linear = {0: [1.0, 0.0331, 0.0], 1: [0.2140] * 3, 2: [0.0039, 0.0100, 0.0331], 3: [0.0, 1.0, 0.0]}
    for vertex, color in zip(found["corner_vertices"], found["colors"], strict=True):
        assert color[:3] == pytest.approx(linear[vertex], abs=0.004)
    assert "ShaderNodeEmission" in found["nodes"], "unlit: Blender does not shade it again"
    assert "ShaderNodeVertexColor" in found["nodes"]
