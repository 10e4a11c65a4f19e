"""report.html: self-contained, escaped, with its curves."""

import base64
import re
from xml.etree import ElementTree

import pytest
from sds3d.apps.report import write_report
from sds3d.apps.report.curves import line_chart, split_bar, thin
from small_run import small_folder

from sds3d.jobs.execute import execute
from sds3d.jobs.runfolder import Status


def test_the_report_holds_all_it_shows(tmp_path):
    folder = small_folder(tmp_path)
    execute(folder, finishers=[write_report])
    page = folder.report.read_text()
    assert "a colour" in page
    assert page.count("data:image/png;base64,") >= 2
    assert "data:video/mp4;base64," in page
    assert "http://" not in page  # self-contained
    assert "https://" not in page


def test_a_report_of_a_run_that_failed(tmp_path):
    folder = small_folder(tmp_path)
    folder.set_status(Status("failed", "it broke", 3, 8))
    write_report(folder)
    assert "it broke" in folder.report.read_text()


def test_the_report_shows_what_was_planned_and_where_stages_meet(tmp_path):
    stages = [
        {"name": "rough", "optimize": {"steps": 4}},
        {"name": "fine", "optimize": {"steps": 3}, "guidance": {"cfg_scale": {"linear": [6, 2]}}},
    ]
    folder = small_folder(tmp_path, stages=stages)
    execute(folder, finishers=[write_report])
    page = folder.report.read_text()
    (plan,) = re.findall('data:image/svg\\+xml;base64,([^"]+)"', page)
    drawn = ElementTree.fromstring(base64.b64decode(plan))
    words = [t.text for t in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"guidance.cfg_scale", "rough", "fine", "step 7"} <= set(words)
    chart = page[page.index('aria-label="residual"') :]
    chart = chart[: chart.index("</svg>")]
    first, second = re.findall('<polyline points="([^"]+)"', chart)
    assert (len(first.split()), len(second.split())) == (4, 3)
    seams = re.findall('<line x1="([^"]+)"[^>]*class="seam"/><text[^>]*>([^<]+)<', chart)
    assert [name for _, name in seams] == ["rough", "fine"]
    assert second.startswith(seams[1][0] + ",")


def test_a_curve_of_one_stage_alone_has_its_name():
    chart = line_chart("x", [(5, 1.0), (6, 2.0)], seams=[("a", 1), ("b", 5), ("c", 7)])
    assert chart.count("<polyline") == 1
    assert ">b<" in chart
    assert ">a<" not in chart
    assert ">c<" not in chart


def test_prompts_with_markup_stay_words(tmp_path):
    folder = small_folder(tmp_path, prompt="<script>alert(1)</script> & co")
    write_report(folder)
    page = folder.report.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


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
