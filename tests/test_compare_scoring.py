"""Scores of scenes whose truth is known: the object itself, turned, doubled; and of pictures."""

from __future__ import annotations

import pytest
import torch
from test_evaluate_faces import janus_of

from sds3d.assetio import kinds
from sds3d.core.assets import Mesh
from sds3d.core.cameras import orbit
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.retrieval import Judge
from sds3d.evaluate.truth import truth_of
from sds3d.jobs import configs
from sds3d.jobs.compare.scoring import score

PROMPT = "a red car"


class Scene:
    """A mesh in the place of a representation."""

    def __init__(self, mesh: Mesh):
        self.mesh = mesh

    def render(self, look):
        return render_mesh(self.mesh, look.cameras, look.size, look.background, samples=2)


class Frame:
    """A picture in the place of a representation."""

    def __init__(self, rgb):
        self.rgb = rgb

    def render(self, look):
        return {"rgb": torch.nn.functional.interpolate(self.rgb[None], look.size)}


class RedEye:
    """A judge that embeds a picture as its mean colour; a red thing lacks green and blue, a blue one red and green."""

    def embed_images(self, rgb):
        return torch.nn.functional.normalize(1.0 - rgb.mean((2, 3)), dim=-1)

    def embed_texts(self, texts):
        return torch.tensor([[0.0, 0.7, 0.7] if "red" in t else [0.7, 0.7, 0.0] for t in texts])


def solid(**change):
    return configs.from_mapping({"prompt": PROMPT, "representation": "grid", **change})


def turned(mesh: Mesh, quarter: int) -> Mesh:
    """The mesh turned about +Y by quarters."""
    angle = torch.tensor(quarter * torch.pi / 2)
    c, s = angle.cos(), angle.sin()
    about = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return Mesh(mesh.vertices @ about.T, mesh.faces, colors=mesh.colors)


@pytest.fixture(scope="module")
def car():
    return truth_of(PROMPT).mesh


def test_the_true_object_has_full_marks(car):
    scores, best = score(solid(), Scene(car), None)
    assert scores["iou"] == pytest.approx(1.0, abs=0.03)
    assert (scores["second_face"], scores["heading_error"]) == (0.0, 0.0)
    assert 0.2 < scores["saturation"] <= 1.0
    assert best == ""
    assert not {"r1", "psnr", "consistency"} & set(scores)


def test_a_turned_object_is_wrong_only_in_its_heading(car):
    scores, _ = score(solid(), Scene(turned(car, 1)), None)
    assert scores["iou"] < 0.95
    assert scores["iou_turned"] == pytest.approx(1.0, abs=0.03)
    assert (scores["second_face"], scores["heading_error"]) == (0.0, 0.0)


def test_two_fronts_are_a_second_face(car):
    scores, _ = score(solid(), Scene(janus_of(car)), None)
    assert scores["second_face"] == 1.0


def test_a_judge_ranks_and_tells_consistency(car):
    judge = Judge(RedEye(), ["a blue car", PROMPT])
    scores, best = score(solid(), Scene(car), judge)
    assert (scores["r1"], scores["r5"], best) == (1.0, 1.0, PROMPT)
    assert 0.9 < scores["consistency"] <= 1.0
    blue, best = score(solid(), Scene(Mesh(car.vertices, car.faces, colors=car.colors.flip(1))), judge)
    assert (blue["r1"], best) == (0.0, "a blue car")


def test_what_nobody_knows_has_fewer_scores(car):
    scores, _ = score(solid(prompt="a brass astrolabe", prior={"kind": "analytic"}), Scene(car), None)
    assert set(scores) == {"saturation", "clipped"}


def test_a_known_asset_is_the_truth_itself(car, tmp_path):
    file = tmp_path / "car.glb"
    kinds.write(car, file, "glb")
    config = solid(prompt=str(file), prior={"kind": "oracle_scene", "assets": [str(file)], "size": 16})
    same, _ = score(config, Scene(kinds.read(file).mesh), None)
    assert same["psnr"] > 60.0
    assert same["iou"] == pytest.approx(1.0, abs=0.03)
    other, _ = score(config, Scene(turned(car, 2)), None)
    assert other["psnr"] < 20.0


def flat(**picture):
    return configs.from_mapping({"prompt": PROMPT, "representation": {"kind": "image", **picture}})


def test_a_picture_is_judged_from_the_told_camera(car):
    seen = render_mesh(car, orbit([30.0], 15.0), (128, 128))["rgb"][0]
    told, _ = score(flat(azimuth_deg=30.0), Frame(seen), None)
    assert told["iou"] > 0.97
    assert told["iou_turned"] == told["iou"]
    elsewhere, _ = score(flat(azimuth_deg=120.0), Frame(seen), None)
    assert elsewhere["iou"] < 0.9
    assert elsewhere["iou_turned"] == pytest.approx(told["iou"], abs=1e-6)
    nowhere, _ = score(flat(), Frame(seen), None)
    assert set(nowhere) == {"saturation", "clipped"}


def test_an_empty_picture_has_no_object():
    scores, _ = score(flat(azimuth_deg=0.0), Frame(torch.full((3, 32, 32), 0.5)), None)
    assert scores == {"saturation": 0.0, "clipped": 0.0, "iou": 0.0, "iou_turned": 0.0}
