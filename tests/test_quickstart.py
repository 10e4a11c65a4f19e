"""The quickstart, whole: the command of README in a process of its own, judged by its pictures."""

import json
import subprocess
import sys
from pathlib import Path

from sds3d.assetio import read
from sds3d.evaluate.mesh_quality import mesh_quality
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.retrieval import Judge
from sds3d.evaluate.views import judge_cameras

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"


def test_a_sentence_becomes_the_thing_it_names(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sds3d", "run", str(QUICKSTART), f"runs={tmp_path}", "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)
    assert outcome["state"] == "finished"
    folder = Path(outcome["run"])
    for name in (
        "config.yaml",
        "provenance.json",
        "metrics.jsonl",
        "turntable.mp4",
        "contact.png",
        "report.html",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert list((folder / "checkpoints").glob("*.safetensors"))
    assert list((folder / "previews").glob("*_render.png"))
    mesh = read(folder / "asset.glb").mesh
    quality = mesh_quality(mesh)
    assert quality.watertight
    assert quality.components == 1
    cameras = judge_cameras()
    seen = render_mesh(mesh, cameras, (64, 64))
    verdict = Judge.bundled().rank(seen["rgb"], "a blue mushroom")
    assert verdict.rank <= 5, verdict
    color = seen["rgb"].permute(0, 2, 3, 1)[seen["alpha"][:, 0] > 0.9].mean(0)
    assert color.argmax() == 2  # blue
