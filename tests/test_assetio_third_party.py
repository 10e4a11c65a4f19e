"""Other people's programs accept the files: the Khronos validator and PlayCanvas's splat-transform.

Slow, and only where node finds them: npm install gltf-validator @playcanvas/splat-transform in some folder, and
NODE_PATH set to its node_modules. docs/evidence/exports.md tells what they said.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from assetio_cases import tetrahedron, two_splats

from sds3d import assetio
from sds3d.core.assets import Material, Splats

MODULES = Path(os.environ.get("NODE_PATH", "nowhere").split(os.pathsep)[0])
VALIDATE = """
const validator = require("gltf-validator"), fs = require("fs");
const data = new Uint8Array(fs.readFileSync(process.argv[2]));
validator.validateBytes(data).then(report => console.log(JSON.stringify(report.issues)));
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not on the PATH"),
]


@pytest.mark.skipif(not (MODULES / "gltf-validator").is_dir(), reason="NODE_PATH has no gltf-validator")
@pytest.mark.parametrize("kind", ["bare", "coloured", "textured", "material"])
def test_khronos_finds_no_errors(kind: str, tmp_path: Path) -> None:
    bare = replace(tetrahedron(), colors=None)
    textured = replace(bare, uv=torch.rand(4, 2), texture=torch.rand(3, 4, 4))
    look = Material(0.2, 0.4, torch.rand(2, 4, 4), torch.rand(3, 4, 4))
    mesh = {
        "bare": bare,
        "coloured": tetrahedron(),
        "textured": textured,
        "material": replace(textured, material=look, normals=torch.nn.functional.normalize(torch.rand(4, 3))),
    }[kind]
    path = assetio.write(mesh, tmp_path / "a.glb", provenance={"prompt": "a cube"})[-1]
    (tmp_path / "validate.cjs").write_text(VALIDATE)
    done = subprocess.run(
        ["node", str(tmp_path / "validate.cjs"), str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    issues = json.loads(done.stdout)
    assert issues["numErrors"] == 0, issues["messages"]
    allowed = {"MESH_PRIMITIVE_GENERATED_TANGENT_SPACE"}  # viewers make tangents from uv, as the format says
    assert {m["code"] for m in issues["messages"] if m["severity"] == 1} <= allowed


@pytest.mark.skipif(
    not (MODULES / ".bin" / "splat-transform").exists(), reason="NODE_PATH has no splat-transform"
)
@pytest.mark.parametrize("kind", ["3dgs", "compressed", "splat", "spz"])
def test_splat_transform_reads_the_same_splats(kind: str, tmp_path: Path) -> None:
    original = replace(two_splats(), sh=two_splats().sh / 4)
    path = assetio.write(original, tmp_path / f"a{assetio.KINDS[kind]}", kind)[-1]
    out = tmp_path / "out.ply"
    command = ["node", str(MODULES / ".bin" / "splat-transform"), str(path), str(out)]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    found = assetio.read(out).splats
    assert found is not None
    means, turn = found.means, found.rotations
    if kind == "spz":  # its axes are told: splat-transform's PLY has y down and z ahead
        means = means * torch.tensor([1.0, -1.0, -1.0])
        turn = turn * torch.tensor([1.0, 1.0, -1.0, -1.0])
    order = means[:, 0].argsort()
    found = Splats(
        means[order], found.scales[order], turn[order], found.opacities[order], found.sh[order], "found"
    )
    assert torch.allclose(found.means, original.means, atol=2e-3)
    assert torch.allclose(found.scales.log(), original.scales.log(), atol=0.04)
    assert torch.allclose(found.opacities, original.opacities, atol=0.003)
    assert ((found.rotations * original.rotations).sum(1).abs() > 0.999).all()
    assert torch.allclose(found.sh[:, 0], original.sh[:, 0], atol=0.02)
