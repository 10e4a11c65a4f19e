"""The web page: runs started in processes of their own, watched through their folders."""

import json
import time
import urllib.request

import pytest
from sds3d.apps.report import write_report
from sds3d.apps.report.curves import line_chart, split_bar, thin
from sds3d.apps.web import app, watch
from small_run import SMALL

from sds3d.core.errors import ConfigError
from sds3d.jobs import configs
from sds3d.jobs.runfolder import RunFolder, Status

WORDS = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in SMALL.items()]


def wait(folder: RunFolder, seconds: float = 300.0) -> watch.Glance:
    """Poll until the run is done."""
    end = time.monotonic() + seconds
    while not (now := watch.glance(folder)).done:
        assert time.monotonic() < end, now.line()
        time.sleep(0.3)
    return now


def test_a_run_in_a_process_of_its_own(tmp_path):
    folder = watch.start(WORDS, tmp_path)
    assert folder.status().state in ("queued", "running")
    now = wait(folder)
    assert now.line() == "Finished at step 8 of 8."
    assert now.model.name == "asset.glb"
    assert {"turntable.mp4", "contact.png", "report.html"} <= {f.name for f in now.files}
    assert now.preview.name.endswith("_render.png")
    assert now.x0.name.endswith("_x0.png")
    page = folder.report.read_text()
    assert "a colour" in page
    assert page.count("data:image/png;base64,") >= 2
    assert "data:video/mp4;base64," in page
    assert "http://" not in page  # self-contained
    assert "https://" not in page


def test_a_stop_is_kept_and_words_are_checked_before_anything_is_made(tmp_path):
    with pytest.raises(ConfigError, match="optimize"):
        watch.start(["a colour", "optimise.steps=3"], tmp_path)
    assert not list(tmp_path.iterdir())
    folder = watch.start([*WORDS, "optimize.steps=200000"], tmp_path)
    deadline = time.monotonic() + 300
    while watch.glance(folder).status.step < 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "left" in watch.glance(folder).line()
    watch.request_stop(folder)
    now = wait(folder)
    assert now.status.state == "stopped"
    assert now.line().startswith("Stopped at step ")
    assert not now.files


def test_a_worker_that_dies_at_once_is_noted_with_its_last_words(tmp_path, monkeypatch):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho no such thing\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(watch.sys, "executable", str(fake))
    folder = watch.start(WORDS, tmp_path / "runs")
    now = wait(folder, 20)
    assert now.status.state == "failed"
    assert now.line() == "Failed at step 0 of 8. no such thing"


def test_a_glance_at_a_folder_without_anything(tmp_path):
    from small_run import small_folder

    folder = small_folder(tmp_path)
    now = watch.glance(folder)
    assert (now.preview, now.x0, now.model, now.film, now.files) == (None, None, None, None, ())
    assert now.line() == "Starting …"
    watch.request_stop(folder)  # nothing runs: nothing happens
    folder.set_status(Status("failed", "it broke", 3, 8))
    assert watch.glance(folder).line() == "Failed at step 3 of 8. it broke"
    write_report(folder)
    assert "it broke" in folder.report.read_text()


def test_the_page_is_served(tmp_path):
    pytest.importorskip("gradio", reason="the web page needs the extra sds3d[web]")
    page = app.build(tmp_path / "runs")
    page.launch(server_name="127.0.0.1", server_port=None, prevent_thread_lock=True, quiet=True)
    try:
        body = urllib.request.urlopen(page.local_url, timeout=30).read().decode()
    finally:
        page.close()
    assert "sds3d" in body
    assert "Create" in body
    assert "fonts.googleapis.com" not in body


def test_prompts_with_markup_stay_words(tmp_path):
    from small_run import small_folder

    folder = small_folder(tmp_path, prompt="<script>alert(1)</script> & co")
    write_report(folder)
    page = folder.report.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("prompt", ['say "hi": [x] #1', "null", "3", "a blue mushroom", "a=b"])
def test_the_form_says_what_the_command_line_says(prompt):
    config = configs.from_words(app.words(f" {prompt} ", 3.0, "gaussians"))
    assert (config.prompt, config.seed, config.representation.kind) == (prompt, 3, "gaussians")
    assert configs.from_words(app.words("x", None, "grid")).seed == 0


def test_curves():
    assert line_chart("x", [(0, 1.0)]) == ""
    assert line_chart("x", [(0, 1.0), (1, float("nan"))]) == ""
    chart = line_chart("<b>", [(0, 1.0), (1, 100.0), (2, 10.0)], log_scale=True)
    assert "&lt;b&gt;" in chart
    points = chart.split('points="')[1].split('"')[0].split()
    heights = [float(p.split(",")[1]) for p in points]
    assert heights[2] == pytest.approx((heights[0] + heights[1]) / 2, abs=0.1)  # 10 is midway from 1 to 100
    assert heights[1] < heights[0]  # larger is higher up
    assert thin([(k, float(k)) for k in range(10)], most=5) == [
        (1, 0.5),
        (3, 2.5),
        (5, 4.5),
        (7, 6.5),
        (9, 8.5),
    ]
    bar = split_bar([("prior", 3.0), ("rest", 1.0)])
    assert "prior 3.0 s (75 %)" in bar
    assert 'width="25.00"' in bar
