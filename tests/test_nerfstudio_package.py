"""The side package for nerfstudio: Gaussians go out, are edited and come back; nothing that exists is changed."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from edit_cases import some_splats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "apps" / "nerfstudio"))

from sds3d_nerfstudio.command import asset_of, bring_back, edit, main
from sds3d_nerfstudio.plain_pickle import load_plain
from sds3d_nerfstudio.runs import Run, open_run
from sds3d_nerfstudio.splats import NAMES, PREFIX, ExchangeError, from_ply, parameters_of, put_into, to_ply

from sds3d import assetio
from sds3d.assetio.splats import encode_splats

ROOT = Path(__file__).resolve().parents[1] / "apps" / "nerfstudio"

CONFIG = """!!python/object:nerfstudio.engine.trainer.TrainerConfig
experiment_name: garden
method_name: splatfacto
output_dir: !!python/object/apply:pathlib.PosixPath
- outputs
timestamp: 2026-11-30_101500
"""


def parameters(count: int = 7) -> dict[str, torch.Tensor]:
    """Splatfacto's tensors of random Gaussians of degree 3."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"means": (3,), "scales": (3,), "quats": (4,), "features_dc": (3,), "features_rest": (15, 3)}
    out = {n: torch.randn(count, *s, generator=generator) for n, s in shapes.items()}
    return {**out, "opacities": torch.randn(count, 1, generator=generator)}


def run(folder: Path) -> Run:
    """A run folder as ns-train leaves it."""
    place = folder / "outputs" / "garden" / "splatfacto" / "2026-11-30_101500"
    (place / "nerfstudio_models").mkdir(parents=True)
    (place / "config.yml").write_text(CONFIG)
    (place / "dataparser_transforms.json").write_text('{"scale": 0.5}')
    pipeline = {PREFIX + name: value for name, value in parameters().items()}
    pipeline["_model.device_indicator_param"] = torch.empty(0)
    for step in (100, 29999):
        # schedulers of nerfstudio leave numpy's numbers behind
        state = {"step": step, "pipeline": pipeline, "optimizers": {"means": {"state": {}}}, "scalers": {}}
        state["schedulers"] = {"means": {"_last_lr": [np.float64(1.6e-6)], "last_epoch": step}}
        torch.save(state, place / "nerfstudio_models" / f"step-{step:09d}.ckpt")
    return Run(place / "config.yml")


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_parameters_survive_the_file() -> None:
    before = parameters()
    after = from_ply(to_ply(before))
    assert after.keys() == set(NAMES)
    assert all(torch.equal(before[name], after[name]) for name in NAMES)


def test_the_file_is_what_sds3d_reads_and_what_it_writes_comes_back(tmp_path: Path) -> None:
    p = parameters()
    (tmp_path / "a.ply").write_bytes(to_ply(p))
    splats = assetio.read(tmp_path / "a.ply").splats
    assert torch.equal(splats.means, p["means"])
    assert torch.allclose(splats.scales, p["scales"].exp())
    assert torch.allclose(splats.opacities, torch.sigmoid(p["opacities"][:, 0]))
    assert torch.equal(splats.sh[:, 0], p["features_dc"])
    assert torch.equal(splats.sh[:, 1:], p["features_rest"])
    ours = some_splats(5, 3)
    again = from_ply(encode_splats(ours, {"prompt": "a thing"}))
    assert torch.equal(again["features_rest"], ours.sh[:, 1:])
    assert torch.equal(again["quats"], ours.rotations)


def test_a_run_beside_differs_in_its_gaussians_alone(tmp_path: Path) -> None:
    one = run(tmp_path)
    before = hashes(tmp_path)
    changed = parameters()
    changed["features_dc"] = changed["features_dc"] + 1
    (tmp_path / "edited.ply").write_bytes(to_ply(changed))
    new = bring_back(one, tmp_path / "edited.ply", "edited")
    assert {k: v for k, v in hashes(tmp_path).items() if k in before} == before
    assert new.folder == one.folder.with_name("2026-11-30_101500-edited")
    assert new.config.read_text() == CONFIG.replace("2026-11-30_101500", "2026-11-30_101500-edited")
    assert (new.folder / "dataparser_transforms.json").read_text() == '{"scale": 0.5}'
    assert new.checkpoint().name == "step-000029999.ckpt"
    a, b = one.state()["pipeline"], new.state()["pipeline"]
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == [PREFIX + "features_dc"]
    with pytest.raises(ExchangeError, match="exists already"):
        bring_back(one, tmp_path / "edited.ply", "edited")


def stand_in(folder: Path, source: str) -> Path:
    """A program in the place of sds3d."""
    path = folder / "sds3d"
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)
    return path


EDITOR = """
import json, pathlib, shutil, sys
ply = pathlib.Path(sys.argv[2])
out = ply.parent.parent / "asset.3dgs.ply"
shutil.copy(ply, out)
pathlib.Path(__file__).with_suffix(".told").write_text(json.dumps(sys.argv[1:]))
print(json.dumps([{"run": "r", "state": "finished", "reason": "", "assets": {"3dgs": str(out)}}]))
"""


def test_the_command_asks_sds3d_and_brings_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, program = run(tmp_path), stand_in(tmp_path, EDITOR)
    words = ["--from", "a red car", "--to", "a blue car", "--keep", "shape"]
    assert main(["edit", str(one.folder), "--sds3d", str(program), *words]) == 0
    new = open_run(Path(capsys.readouterr().out.strip()))
    assert torch.equal(new.state()["pipeline"][PREFIX + "means"], parameters()["means"])
    told = json.loads((tmp_path / "sds3d.told").read_text())
    assert told[0] == "edit"
    assert told[2:] == ["--up", "+z", *words, "--json"]
    again = edit(one, "twice", str(program), ["--to", "x", "--up", "-y"])
    assert again.folder.name.endswith("-twice")
    assert "+z" not in json.loads((tmp_path / "sds3d.told").read_text())


def test_the_halves_by_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = run(tmp_path)
    assert main(["export", str(one.config), str(tmp_path / "out" / "s.ply")]) == 0
    assert main(["export", str(one.config), str(tmp_path / "out" / "s.ply")]) == 1
    assert "left as it is" in capsys.readouterr().err
    assert main(["import", str(one.config), str(tmp_path / "out" / "s.ply"), "--name", "n"]) == 0
    assert (one.folder.with_name("2026-11-30_101500-n") / "config.yml").is_file()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match=r"no config\.yml"):
        open_run(tmp_path)
    one = run(tmp_path)
    with pytest.raises(ExchangeError, match="no command"):
        edit(one, "x", str(tmp_path / "nothing"), [])
    with pytest.raises(ExchangeError, match="another model than splatfacto"):
        parameters_of({"_model.field.encoder": torch.zeros(1)})
    flat = {PREFIX + n: v for n, v in parameters().items()} | {PREFIX + "features_rest": torch.zeros(7, 0, 3)}
    with pytest.raises(ExchangeError, match="sh_degree 0"):
        parameters_of(flat)
    with pytest.raises(ExchangeError, match="status 1: the words"):
        asset_of(1, json.dumps([{"assets": {}, "reason": "the words"}]))
    with pytest.raises(ExchangeError, match="told of no run"):
        asset_of(2, "")
    low = {**parameters(), "features_rest": torch.zeros(7, 3, 3)}
    with pytest.raises(ExchangeError, match="another degree"):
        put_into({PREFIX + n: v for n, v in parameters().items()}, low)
    one.config.write_text("{}")
    with pytest.raises(ExchangeError, match="timestamp"):
        one.beside("x", {})


def test_a_checkpoint_that_is_code_is_not_run(tmp_path: Path) -> None:
    one = run(tmp_path)
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (mark.write_text, ("x",))

    torch.save({"pipeline": Evil()}, one.checkpoint())
    with pytest.raises(ExchangeError, match="cannot be read"):
        one.state()
    assert not mark.exists()


def test_tensors_of_every_kind_are_read_as_torch_wrote_them(tmp_path: Path) -> None:
    kinds = {
        "view": torch.arange(10.0).reshape(2, 5).t(),
        "empty": torch.empty(0),
        "half": torch.tensor([1.5, -2.0]).half(),
        "whole": torch.arange(5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    torch.save({"pipeline": kinds, "lr": np.float64(1.5e-6)}, tmp_path / "a.ckpt")
    found = load_plain(tmp_path / "a.ckpt")
    assert all(torch.equal(found["pipeline"][name], value) for name, value in kinds.items())
    assert all(found["pipeline"][name].dtype == value.dtype for name, value in kinds.items())
    assert found["lr"] == 1.5e-6


@pytest.mark.parametrize("cut", [0, 10, 200, -1, -4])
def test_cut_files_are_refused(cut: int) -> None:
    with pytest.raises(ExchangeError):
        from_ply(to_ply(parameters())[:cut])


def test_numbers_and_counts_that_are_none_are_refused() -> None:
    bad = parameters()
    bad["means"][3, 1] = float("nan")
    with pytest.raises(ExchangeError, match="finite"):
        from_ply(to_ply(bad))
    with pytest.raises(ExchangeError):
        from_ply(to_ply(parameters()).replace(b"element vertex 7", b"element vertex 99999999999"))


def test_the_package_says_where_nerfstudio_finds_it() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"]["nerfstudio.method_configs"].values()
    module, _, name = entry.partition(":")
    source = (ROOT / (module.replace(".", "/") + ".py")).read_text()
    assert f"\n{name} = MethodSpecification(" in source
    assert "import nerfstudio.configs.method_configs" not in source
    assert "from nerfstudio.configs.method_configs" not in source, "a circle, when nerfstudio looks it up"


def test_the_method_is_one_of_nerfstudio() -> None:
    pytest.importorskip("nerfstudio", reason="contract with nerfstudio, in an environment that has it")
    from nerfstudio.plugins.types import MethodSpecification
    from sds3d_nerfstudio.method import StartedModelConfig, specification

    assert isinstance(specification, MethodSpecification)
    assert specification.config.method_name == "sds3d-splatfacto"
    assert isinstance(specification.config.pipeline.model, StartedModelConfig)
    assert set(NAMES) <= set(specification.config.optimizers)
