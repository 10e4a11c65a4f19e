"""Verdicts on meshes: each defect is found, and only it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from assetio_cases import tetrahedron, two_splats

from sds3d import assetio
from sds3d.cli import main as cli
from sds3d.core.assets import Mesh
from sds3d.evaluate.mesh_verdicts import verdicts
from sds3d.evaluate.uv_quality import uv_quality


def quads(places: list[list[float]], size: float = 0.25) -> Mesh:
    """Unit squares in the plane, each with a square of the texture of that size at a place."""
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    vertices = torch.cat([square + torch.tensor([2.0 * i, 0, 0]) for i in range(len(places))])
    uv = torch.cat([square[:, :2] * size + torch.tensor(place) for place in places])
    faces = torch.cat([torch.tensor([[0, 1, 2], [0, 2, 3]]) + 4 * i for i in range(len(places))])
    return Mesh(vertices, faces, uv=uv, texture=torch.ones(3, 64, 64))


def bad(mesh: Mesh) -> set[str]:
    return {line.name for line in verdicts(mesh)[0] if line.verdict == "bad"}


def test_a_sound_mesh_has_nothing_bad() -> None:
    lines, shape, texture = verdicts(tetrahedron())
    assert bad(tetrahedron()) == set()
    assert shape.watertight
    assert texture is None
    assert all(line.meaning == "" for line in lines if line.verdict == "ok")


def test_defects_are_named() -> None:
    mesh = tetrahedron()
    assert bad(Mesh(mesh.vertices, mesh.faces[1:])) == {"watertight", "open edges"}
    assert bad(Mesh(mesh.vertices, mesh.faces.flip(1))) == {"volume"}
    doubled = torch.cat([mesh.faces, mesh.faces[:1]])
    assert bad(Mesh(mesh.vertices, doubled)) == {"watertight", "non-manifold edges"}
    thin = torch.cat([mesh.faces, torch.tensor([[0, 0, 1]])])
    assert "degenerate faces" in bad(Mesh(mesh.vertices, thin))


def test_texture_coverage_and_density() -> None:
    apart = uv_quality(quads([[0.0, 0.0], [0.5, 0.5]]))
    assert apart is not None
    assert apart.used == pytest.approx(2 / 16, abs=1e-3)
    assert apart.overlap == pytest.approx(0.0, abs=5e-3)
    assert apart.texels_per_unit == pytest.approx(64 * 0.25)
    assert apart.spread == pytest.approx(1.0)
    same = uv_quality(quads([[0.1, 0.1], [0.1, 0.1]]))
    assert same is not None
    assert same.overlap == pytest.approx(0.5, abs=5e-3)
    half = uv_quality(quads([[0.1, 0.1], [0.225, 0.1]]))
    assert half is not None
    assert half.overlap == pytest.approx(0.25, abs=5e-3)
    out = uv_quality(quads([[0.0, 0.0], [0.9, 0.5]]))
    assert out is not None
    assert out.outside == 0.5
    flat = uv_quality(replace(quads([[0.2, 0.2]]), uv=torch.full((4, 2), 0.5)))
    assert flat is not None
    assert (flat.flat, flat.overlap, flat.spread) == (1.0, 0.0, 0.0)


def test_an_uneven_texture_is_noted() -> None:
    mesh = quads([[0.0, 0.0], [0.5, 0.5]])
    uv = mesh.uv.clone()
    uv[4:] = 0.5 + (uv[4:] - 0.5) / 20
    lines = {line.name: line for line in verdicts(replace(mesh, uv=uv))[0]}
    assert lines["texel density"].verdict == "note"
    assert {line.name: line for line in verdicts(mesh)[0]}["texel density"].verdict == "ok"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        cli.main(["mesh-qa", *words])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = assetio.write(tetrahedron(), tmp_path / "a.glb")[-1]
    status, out, _ = run(capsys, str(sound))
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["ok"] * 9
    torn = assetio.write(Mesh(tetrahedron().vertices, tetrahedron().faces[1:]), tmp_path / "b.stl")[-1]
    status, out, _ = run(capsys, str(torn), "--json")
    assert status == 1
    found = json.loads(out)
    assert found["shape"]["open_edges"] == 3
    assert {v["name"] for v in found["verdicts"] if v["verdict"] == "bad"} == {"watertight", "open edges"}
    splats = assetio.write(two_splats(), tmp_path / "c.spz")[-1]
    status, _, err = run(capsys, str(splats))
    assert status == 1
    assert "holds no mesh" in err
