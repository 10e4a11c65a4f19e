"""A neural field that learns a box, starts from a mesh or another field, and is stopped and resumed."""

from __future__ import annotations

import pytest
import torch
from nerf_cases import options, trainable
from sds3d.representations.nerf import create, from_asset
from small_run import StopAt, small_folder
from torch import Tensor

from sds3d.core.assets import Mesh
from sds3d.core.cameras import orbit
from sds3d.core.errors import StopRequested
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.pictures import psnr
from sds3d.jobs import execute
from sds3d.optimize.adam import Adam
from sds3d.optimize.checkpoint import CheckpointStore


def box_and_views(size: int) -> tuple[Mesh, Look, Tensor]:
    """A box with a colour a side, and eight pictures of it."""
    corners = torch.tensor([[x, y, z] for x in (-0.4, 0.4) for y in (-0.3, 0.3) for z in (-0.5, 0.5)])
    sides = torch.tensor([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    colors = torch.tensor(
        [[0.9, 0.2, 0.2], [0.2, 0.8, 0.2], [0.2, 0.3, 0.9], [0.9, 0.9, 0.2], [0.8, 0.3, 0.8]]
    )
    first = 4 * torch.arange(6)[:, None]
    faces = torch.cat([first + torch.tensor([0, 1, 2]), first + torch.tensor([0, 2, 3])])
    shade = colors[torch.tensor([0, 1, 2, 3, 4, 0])].repeat_interleave(4, dim=0)
    mesh = Mesh(corners[sides.reshape(-1)], faces, shade)
    cameras = orbit([45.0 * k + 10 for k in range(8)], [25.0, -15.0] * 4)
    request = Look(cameras, (size, size), torch.ones(8, 3))
    return mesh, request, render_mesh(mesh, cameras, (size, size), torch.ones(8, 3), samples=2)["rgb"]


def test_a_small_field_learns_a_coloured_box() -> None:
    _, request, truth = box_and_views(24)
    o = options(
        encoding={"levels": 5, "finest": 24, "log2_size": 13, "grow_until": 0.0}, hidden=16, samples=24
    )
    model, adam = create(o, Streams(0)), Adam()
    for step in range(60):
        params = trainable(model)
        render = model.render(request)
        ((render["rgb"] - truth) ** 2).sum().backward()
        adam.step(
            (dict(g.params), {n: params[n].grad for n in g.params}, 3 * g.lr(0.05))
            for g in model.param_groups()
        )
        model.after_step(step, 60, render, adam, Streams(0))
    with torch.no_grad():
        assert psnr(model.render(request)["rgb"], truth).mean() > 24


def test_a_field_starts_from_a_mesh_and_from_another_field(monkeypatch) -> None:
    monkeypatch.setattr("sds3d.representations.nerf.start.RESOLUTION", 48)
    monkeypatch.setattr("sds3d.representations.nerf.start.STEPS", 200)
    mesh, request, truth = box_and_views(24)
    o = options(encoding={"levels": 5, "finest": 24, "log2_size": 13}, hidden=16, picture_samples=48)
    model = from_asset(mesh, o, Streams(0))
    with torch.no_grad():
        first = model.render(request)["rgb"]
        assert psnr(first, truth).mean() > 22
        copy = from_asset(model, o, Streams(7))
        assert torch.equal(copy.render(request)["rgb"], first)
        copy.field.table.zero_()
        assert torch.equal(model.render(request)["rgb"], first), "the copy shares memory"
        other = from_asset(model, o.model_copy(update={"hidden": 12, "half_extent": 0.8}), Streams(1))
        assert psnr(other.render(request)["rgb"], first).mean() > 21


def test_a_stopped_run_ends_with_the_same_bits(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sds3d.representations.nerf.surface.RESOLUTION", 24)
    kind = {
        "kind": "nerf",
        "encoding": {"levels": 3, "log2_size": 9, "base": 3, "finest": 12, "start": 1},
        "occupancy": {"resolution": 6, "every": 2},
        "hidden": 8,
        "samples": 8,
        "picture_samples": 8,
        "blob_bias": 2.0,
    }
    plain = {"representation": kind, "optimize__preview_steps": 0, "pictures__turntable_frames": 0}
    whole, stopped = (small_folder(tmp_path / name, **plain) for name in ("whole", "stopped"))
    execute.execute(whole)
    with pytest.raises(StopRequested):
        execute.execute(stopped, StopAt(5))
    execute.execute(stopped)
    ends = [CheckpointStore(folder.checkpoints).latest().hash() for folder in (whole, stopped)]
    assert ends[0] == ends[1]
    assert (whole.path / "asset.glb").read_bytes() == (stopped.path / "asset.glb").read_bytes()
