"""Carrying a comparison out: one failure of many, stopping and going on, and what is written in the end."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from compare_cases import FLAT, SOLID, Stops, carried_out, compared
from sds3d.apps.report.compare import write_comparison

from sds3d.cli.main import main
from sds3d.core.errors import RunFolderError
from sds3d.jobs.compare import workers
from sds3d.jobs.compare.cells import SCORES_FORMAT, Result, folder_of, folder_path, read_result, write_result
from sds3d.jobs.compare.files import in_words, write_csv, write_json
from sds3d.jobs.compare.measures import MEASURES
from sds3d.jobs.compare.memory import peak_bytes, reset_peak
from sds3d.jobs.compare.summary import summarise
from sds3d.optimize.checkpoint import CheckpointStore


@pytest.fixture(autouse=True)
def nobody_ranks(monkeypatch):
    monkeypatch.setattr(workers, "judge_or_none", lambda: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A comparison that ran through, and its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "judge_or_none", lambda: None)
        folder = tmp_path_factory.mktemp("whole")
        comparison = compared(folder)
        assert carried_out(comparison)[0]
    return comparison, folder


def results(comparison):
    """Every run's picture, final state and scores but those of the clock."""
    out = {}
    for cell in comparison.cells:
        folder = folder_of(cell.config)
        scores = {k: v for k, v in read_result(folder).scores.items() if k not in ("seconds", "peak")}
        state = CheckpointStore(folder.checkpoints).latest().hash()
        out[cell.label, cell.prompt, cell.seed] = (state, folder.assets()["png"].read_bytes(), scores)
    return out


def test_every_cell_is_an_ordinary_run_with_scores(whole):
    comparison, _ = whole
    for cell in comparison.cells:
        folder = folder_of(cell.config)
        assert folder.status().state == "finished"
        assert folder.assets()["png"].is_file()
        scores = read_result(folder).scores
        assert (scores["steps"], scores["calls"], scores["pictures"]) == (6.0, 12.0, 12.0)
        assert scores["seconds"] > 0.0
        assert 50 < scores["peak"] < 50_000


@pytest.mark.parametrize("after", [2, 9, 13])
def test_a_stopped_comparison_goes_on_to_the_same_bits(tmp_path, whole, after):
    """Between two runs, or in the middle of one: what is kept is kept, and the rest is as if it had never stopped."""
    comparison = compared(tmp_path)
    ended, told = carried_out(comparison, Stops(after))
    assert not ended
    assert len(told) < len(comparison.cells)
    before = {name: (tmp_path / "cells" / name / "scores.json").stat().st_mtime_ns for name in told}
    assert carried_out(comparison) == (True, dict.fromkeys(map(name_of, comparison.cells), ""))
    after_all = {name: (tmp_path / "cells" / name / "scores.json").stat().st_mtime_ns for name in told}
    assert after_all == before
    assert results(comparison) == results(whole[0])


def name_of(cell):
    return folder_path(cell.config).name


def test_scores_of_an_older_meaning_are_made_again(tmp_path):
    comparison = compared(tmp_path, seeds=1, methods="sds")
    carried_out(comparison)
    folder = folder_of(comparison.cells[0].config)
    good, file = read_result(folder), folder.path / "scores.json"
    older = file.read_text().replace(f'"format": {SCORES_FORMAT}', f'"format": {SCORES_FORMAT - 1}')
    assert older != file.read_text()
    file.write_text(older)
    assert read_result(folder) is None
    file.write_text("{")
    assert read_result(folder) is None
    carried_out(comparison)
    again = read_result(folder)
    assert {k: v for k, v in again.scores.items() if k != "peak"} == {
        k: v for k, v in good.scores.items() if k != "peak"
    }
    # the run itself was not made again, so nobody knows what it held
    assert again.scores["peak"] is None


def test_a_failure_stops_none_of_the_others(tmp_path, monkeypatch):
    comparison = compared(tmp_path, seeds=1)
    bad = folder_of(comparison.cells[0].config)
    (bad.path / "checkpoints").mkdir()
    (bad.path / "checkpoints" / "stage0_step000003.safetensors").write_bytes(b"torn")
    ended, told = carried_out(comparison)
    assert ended
    reasons = [reason for reason in told.values() if reason]
    assert len(reasons) == 1
    assert "none of its checkpoints can be read" in reasons[0]
    assert len(told) == 4
    summary = summarise(comparison)
    assert summary.done == 4 - len(reasons)
    assert [row.reason for row in summary.rows if row.reason] == reasons


def test_what_is_there_but_changed_is_refused(tmp_path):
    comparison = compared(tmp_path, seeds=1, methods="sds")
    cell = comparison.cells[0]
    folder = folder_of(cell.config)
    folder.config_file.write_text(folder.config_file.read_text().replace("lr: 1.0", "lr: 1.5"))
    with pytest.raises(RunFolderError, match=r"config\.yaml was changed"):
        folder_of(cell.config)


def test_runs_of_other_weights_are_refused(tmp_path, monkeypatch):
    comparison = compared(tmp_path, seeds=1, methods="sds")
    cell, file = comparison.cells[0], tmp_path / "net" / "model.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"old")
    monkeypatch.setattr("sds3d.jobs.compare.cells.weight_files", lambda options: [file])
    monkeypatch.setattr("sds3d.jobs.execute.weight_files", lambda options: [file])
    carried_out(comparison)
    assert folder_of(cell.config).status().state == "finished"
    file.write_bytes(b"new")
    with pytest.raises(RunFolderError, match="other weights"):
        folder_of(cell.config)


def given_scores(comparison, of):
    """Finished folders with scores that `of(label, prompt, seed)` returns; nothing is run."""
    from dataclasses import replace

    for cell in comparison.cells:
        folder, scores = folder_of(cell.config), of(cell.label, cell.prompt, cell.seed)
        if scores is not None:
            folder.set_status(replace(folder.status(), state="finished"))
            write_result(folder, Result(scores, "a green cube"))
    return summarise(comparison)


def test_means_and_differences_are_over_seeds_and_pairs(tmp_path):
    def of(label, prompt, seed):
        level = (10.0 if "car" in prompt else 30.0) + seed
        value = level + (4.0 if label == "csd" else 0.0)
        return {"iou": value, "r1": float(label == "csd" or seed == 0), "psnr": None}

    summary = given_scores(compared(tmp_path, seeds=3), of)
    assert [m.name for m in summary.measures] == ["r1", "iou"]
    sds, csd = summary.means["sds"], summary.means["csd"]
    assert sds["iou"].mean == pytest.approx(21.0)
    # three seeds at -1, 0, 1 around each of two prompts: variance 1, four degrees of freedom
    assert sds["iou"].high - 21.0 == pytest.approx(2.7764451 / math.sqrt(6), rel=1e-6)
    assert (csd["r1"].mean, sds["r1"].mean) == (1.0, pytest.approx(1 / 3))
    difference = summary.differences["csd"]
    assert difference["iou"].mean == pytest.approx(4.0)
    assert difference["iou"].high - difference["iou"].low == pytest.approx(0.0, abs=1e-9)
    assert difference["r1"].mean == pytest.approx(2 / 3)
    assert difference["r1"].low > 0.0
    assert "sds" not in summary.differences


def test_pairs_need_both_sides(tmp_path):
    def of(label, prompt, seed):
        missing = label == "sds" and "car" in prompt
        return None if missing else {"iou": 5.0 if label == "csd" else 1.0}

    summary = given_scores(compared(tmp_path, seeds=2), of)
    assert summary.done == 6
    assert summary.means["sds"]["iou"].count == 2
    assert summary.differences["csd"]["iou"].count == 2


def test_json_and_csv_hold_every_run(whole, tmp_path):
    comparison, _ = whole
    summary = summarise(comparison)
    write_json(summary, tmp_path / "c.json")
    write_csv(summary, tmp_path / "c.csv")

    def no_constants(word):
        raise AssertionError(f"{word} is no JSON")

    told = json.loads((tmp_path / "c.json").read_text(), parse_constant=no_constants)
    assert (told["mode"], told["equal"], len(told["runs"])) == ("2d", "steps", 8)
    assert told["means"]["sds"]["saturation"]["count"] == 4
    assert str(tmp_path.parent) not in json.dumps(told)
    with open(tmp_path / "c.csv") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["method"], line["prompt"], line["seed"]) for line in lines][:2] == [
        ("sds", "a red car", "0"),
        ("csd", "a red car", "0"),
    ]
    for line, run in zip(lines, told["runs"], strict=True):
        assert float(line["saturation"]) == run["scores"]["saturation"]


def test_the_page_holds_everything_and_asks_for_nothing(whole, tmp_path):
    comparison, _ = whole
    page = write_comparison(summarise(comparison), tmp_path / "c.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 8
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in page.replace("http-equiv", "")
    assert "@import" not in page
    assert "url(" not in page
    for text in ("prefers-color-scheme: dark", "width=device-width", "aria-sort", "a green sphere", "csd"):
        assert text in page
    assert page.count("<tr>") == 1 + 2 + 1 + 1
    values = re.findall(r'<td data-value="([^"]*)"', page)
    assert all(v == "" or v in ("sds", "csd") or math.isfinite(float(v)) for v in values)


def test_what_is_missing_is_told_on_the_page(tmp_path):
    comparison = compared(tmp_path, 'prompts: ["a <b>red</b> car"]\n' + FLAT.split("\n", 1)[1], seeds=1)
    page = write_comparison(summarise(comparison), tmp_path / "c.html").read_text()
    assert "0 of 2 runs" in page
    assert page.count("not made yet") == 2
    assert "<b>red</b>" not in page
    assert "&lt;b&gt;red" in page


def test_numbers_in_words(tmp_path):
    summary = given_scores(compared(tmp_path, seeds=2), lambda label, prompt, seed: {"iou": 0.5, "r1": 1.0})
    by_name = {m.name: m for m in MEASURES}
    assert in_words(summary.means["sds"]["iou"], by_name["iou"]) == "0.500 [0.500, 0.500]"
    assert in_words(summary.differences["csd"]["iou"], by_name["iou"], True).startswith("+0.000")
    assert in_words(None, by_name["iou"]) == ""


def test_from_the_command_line_twice(tmp_path, capsys):
    """Turntables in 3D; the second time nothing is left to do."""
    file = tmp_path / "some.yaml"
    file.write_text(SOLID + "methods: {sds: {}, weak: {method: sds, cfg_scale: 1}}\n")
    words = ["compare", str(file), "--seeds", "1", "--set", "seed=4", "-o", str(tmp_path / "out"), "--equal"]
    for turn in range(2):
        with pytest.raises(SystemExit) as left:
            main([*words, "nfe", "--budget", "9"])
        assert left.value.code == 0
        told = capsys.readouterr()
        assert ("1 runs" if turn else "0 of them done") in told.err or "2 of them done" in told.err
        assert str(tmp_path / "out" / "comparison.html") in told.out
        assert told.out.splitlines()[1].startswith("sds")
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("data:video/mp4;base64,") == 2
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"]
    assert [(row["seed"], row["scores"]["steps"]) for row in rows] == [(4, 4.0), (4, 9.0)]
    assert rows[0]["scores"]["iou"] is not None


def test_the_peak_of_one_piece_of_work_is_not_that_of_the_last():
    if peak_bytes() is None:
        pytest.skip("this system does not tell")
    reset_peak()
    low = peak_bytes()
    held = torch.zeros(40_000_000)
    assert peak_bytes() - low > 120e6
    del held
    high = peak_bytes()
    reset_peak()
    assert high - peak_bytes() > 120e6


def die(folder):
    """A finisher that ends its process as too little memory would."""
    if "sds-0-a-red-car" in folder.path.name:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_two_processes_make_what_one_makes(tmp_path, whole):
    comparison = compared(tmp_path)
    ended, told = carried_out(comparison, jobs=2)
    assert ended
    assert set(told.values()) == {""}
    assert {k: v[:2] for k, v in results(comparison).items()} == {
        k: v[:2] for k, v in results(whole[0]).items()
    }


@pytest.mark.slow
def test_a_process_that_dies_costs_one_cell(tmp_path):
    comparison = compared(tmp_path)
    ended, told = carried_out(comparison, jobs=2, finishers=(die,))
    assert ended
    assert [name for name, reason in told.items() if reason] == [
        name for name in told if name.startswith("sds-0-a-red-car")
    ]
    assert len(told) == 8


@pytest.mark.slow
def test_processes_stop_when_they_are_told(tmp_path):
    comparison = compared(tmp_path)
    ended, told = carried_out(comparison, Stops(3), jobs=2)
    assert not ended
    assert len(told) < 8
    assert carried_out(comparison)[0]


def test_workers_are_started_deaf_to_ctrl_c():
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    with workers._interrupts_held():
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert inside.stdout.strip() == "True"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
