"""Run folders: names, locks, status, migrations, damage."""

from __future__ import annotations

import json
import os

import pytest
from small_run import small_config, small_folder

from sds3d.core.errors import ConfigError, RunFolderError
from sds3d.jobs import configs, metrics
from sds3d.jobs.runfolder import FORMAT, RunFolder, Status, list_runs


def test_a_second_run_of_a_config_gets_its_own_folder(tmp_path):
    first, second, third = (small_folder(tmp_path) for _ in range(3))
    assert first.path.name == f"colour-{configs.hash_of(first.config())[:6]}"
    assert second.path.name == first.path.name + "-2"
    assert third.path.name == first.path.name + "-3"
    assert first.status().state == "queued"


def test_the_resolved_config_comes_back_equal(tmp_path):
    config = small_config(tmp_path, guidance__cfg_scale={"linear": [7, 3]}, negative_prompt="a: b")
    assert RunFolder.create(config).config() == config


def test_the_hash_is_of_what_can_change_the_result(tmp_path):
    config = small_config(tmp_path)
    assert configs.hash_of(config) == configs.hash_of(small_config(tmp_path / "elsewhere", threads=2))
    assert configs.hash_of(config) != configs.hash_of(small_config(tmp_path, seed=1))
    assert configs.hash_of(config) != configs.hash_of(small_config(tmp_path, prompt="another"))


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"prompt": "a Blue  Mushroom!"}, "blue-mushroom"),
        ({"prompt": "A"}, "a"),
        ({"prompt": "Ein Bär aus Öl"}, "ein-bar-aus-ol"),
        ({"prompt": "茶"}, "run"),
        ({"prompt": "../../etc"}, "etc"),
        ({"prompt": "word " * 40}, "word-" * 7 + "word"),
        ({"prompt": "a duck", "name": "The Duck"}, "the-duck"),
    ],
)
def test_names_of_folders(tmp_path, changes, slug):
    assert small_config(tmp_path, **changes).slug() == slug


def test_several_prompts_become_one_config_each(tmp_path):
    config = small_config(tmp_path, prompt=None, prompts=["a duck", "a car"])
    assert [c.prompt for c in config.one_each()] == ["a duck", "a car"]
    assert all(c.prompts == () for c in config.one_each())
    with pytest.raises(ConfigError, match="both prompt and prompts"):
        small_config(tmp_path, prompts=["a duck"])
    with pytest.raises(ConfigError, match="needs a prompt"):
        small_config(tmp_path, prompt=None)
    with pytest.raises(ConfigError, match="empty prompt"):
        small_config(tmp_path, prompt=" ")


def test_the_second_process_is_refused_and_told_the_first(tmp_path):
    folder = small_folder(tmp_path)
    folder.lock_file.write_text("1234567890123\n")  # left behind by a process with a longer pid
    with folder.lock():
        assert folder.is_running()
        with pytest.raises(RunFolderError, match=rf"\(pid {os.getpid()}\)"), folder.lock():
            pass
    assert not folder.is_running()
    with folder.lock():
        pass


def test_a_vanished_process_counts_as_stopped(tmp_path):
    folder = small_folder(tmp_path)
    folder.set_status(Status("running", step=5, steps=8))
    assert folder.status().state == "stopped"
    assert folder.status().step == 5
    with folder.lock():
        assert folder.status().state == "running"


def test_opening_what_is_no_run(tmp_path):
    folder = small_folder(tmp_path)
    assert RunFolder.open(folder.config_file).path == folder.path
    with pytest.raises(RunFolderError, match=f"Did you mean .*{folder.path.name}"):
        RunFolder.open(tmp_path / folder.path.name[:-1])
    with pytest.raises(RunFolderError, match=f"holds the runs {folder.path.name}"):
        RunFolder.open(tmp_path)


def test_older_folders_are_brought_up_to_date_newer_ones_refused(tmp_path):
    folder = small_folder(tmp_path)
    steps = {FORMAT: lambda p: (p / "a").touch(), FORMAT + 1: lambda p: (p / "a").rename(p / "b")}
    RunFolder.open(folder.path, steps)
    assert (folder.path / "b").exists()
    assert json.loads(folder.status_file.read_text())["format"] == FORMAT + 2
    assert json.loads(folder.status_file.read_text())["state"] == "queued"
    with pytest.raises(RunFolderError, match="newer sds3d"):
        RunFolder.open(folder.path)


def test_damaged_files_are_named(tmp_path):
    folder = small_folder(tmp_path)
    folder.status_file.write_text('{"state": "run')
    with pytest.raises(RunFolderError, match=r"status\.json.*damaged"):
        RunFolder.open(folder.path)
    folder.status_file.unlink()
    assert RunFolder.open(folder.path).status().state == "queued"
    folder.provenance_file.write_text("{")
    with pytest.raises(RunFolderError, match=r"provenance\.json.*damaged"):
        folder.provenance()
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace("seed: 0", "seed: [0"))
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        folder.config()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="runs=FOLDER"):
        small_folder(tmp_path / "file" / "runs")


def test_runs_are_listed_newest_first(tmp_path):
    first, second = small_folder(tmp_path), small_folder(tmp_path)
    os.utime(first.status_file, (2e9, 2e9))
    assert [f.path for f in list_runs(tmp_path)] == [first.path, second.path]
    assert list_runs(tmp_path / "nowhere") == []


def test_metrics_are_cut_back_and_torn_lines_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics.cut_back(path, 3)
    with metrics.MetricsWriter(path) as writer:
        for step in range(1, 6):
            writer.append({"step": step, "t": 0.5})
    with open(path, "ab") as stream:
        stream.write(b'{"step":6,"t')
    assert [row["step"] for row in metrics.read(path)] == [1, 2, 3, 4, 5]
    metrics.cut_back(path, 9)
    assert path.read_bytes().count(b"\n") == 5
    assert path.read_bytes().endswith(b"\n")
    metrics.cut_back(path, 3)
    assert [row["step"] for row in metrics.read(path)] == [1, 2, 3]
    with metrics.MetricsWriter(path) as writer:
        writer.append({"step": 4})
    assert [row["step"] for row in metrics.read(path)] == [1, 2, 3, 4]
    metrics.cut_back(path, 0)
    assert path.read_bytes() == b""


def test_metrics_on_a_full_disk_say_what_to_do(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(RunFolderError, match="Free some space"), metrics.MetricsWriter(path) as writer:
        writer.append({"step": 1})


def test_the_texture_of_an_obj_is_no_asset_of_its_own(tmp_path):
    folder = small_folder(tmp_path)
    for name in ("asset.obj", "asset.mtl", "asset.png", "asset_2.png"):
        (folder.path / name).write_bytes(b"")
    assert list(folder.assets()) == ["obj"]
    assert [list(files) for files in folder.particles()] == [["obj"], ["png"]]
