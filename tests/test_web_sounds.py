"""Sounds in a real browser: made from words on the page, taken apart, and heard there and in the report."""

import math
import struct

import pytest
from browser_cases import browser, needs_browser, person, server, until_status

from sds3d.jobs import configs, separating
from sds3d.jobs.runfolder import list_runs

__all__ = ["browser", "person", "server"]
pytestmark = needs_browser
SECONDS = 16_384 / 16_000
"""Length of every sound of the prior in the box."""
HEARD = """async (player) => {
  if (player.error) throw new Error(player.error.message);
  player.volume = 0.1;
  await player.play();
  await new Promise((done) => player.addEventListener("ended", done, { once: true }));
  return [player.currentTime, player.duration, player.error === null];
}"""
QUICK = {"optimize.steps": 2, "optimize.preview_steps": 1, "threads": 1}


def tone(hz):
    """A WAV file of one second."""
    samples = [round(9000 * math.sin(2 * math.pi * hz * k / 16_000)) for k in range(16_000)]
    data = struct.pack(f"<{len(samples)}h", *samples)
    form = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVEfmt ", 16, 1, 1, 16_000, 32_000, 2, 16,
                       b"data", len(data))  # fmt: skip
    return form + data


def hear_all(page, count):
    """Play every player of a page to its end."""
    page.wait_for_function(f"document.querySelectorAll('audio').length === {count}")
    for player in page.locator("audio").all():
        place, length, well = player.evaluate(HEARD)
        assert well
        assert length == pytest.approx(SECONDS, abs=0.01)
        assert place == pytest.approx(length, abs=0.01)


def test_a_sentence_is_heard_on_the_page_and_in_the_report(person, server, tmp_path):
    page = person()
    page.fill("#prompt textarea", "a high bell")
    page.click("#kind input")
    page.get_by_role("option", name="fm").click()
    page.click("text=YAML >> nth=-1")
    page.wait_for_function("document.querySelector('#yaml')?.innerText.includes('prior: audio')")
    page.locator("#yaml .cm-content").fill(configs_text())
    page.click("#load")
    page.wait_for_function("document.querySelector('#yaml').innerText.includes('preview_steps')")
    page.click("#create")
    until_status(page, "Finished")
    page.wait_for_selector(".live .sounds figure")
    assert "What the prior hears in it" in page.inner_text(".live")
    assert (
        page.locator(".live .sounds .spectrogram").evaluate("n => getComputedStyle(n).backgroundImage")
        != "none"
    )
    assert page.locator(".live img.contact").is_hidden()
    assert not page.locator(".live button[data-action=edit]").count()  # edits are of things
    hear_all(page, 1)
    with page.expect_download() as caught:
        page.click(".live .files a[download='asset.wav']")
    caught.value.save_as(tmp_path / "asset.wav")
    assert (tmp_path / "asset.wav").read_bytes()[:4] == b"RIFF"
    assert page.broken == []
    name = page.evaluate("document.querySelector('.live[data-run]').dataset.run")
    page.click("button[role=tab]:has-text('Gallery')")
    page.wait_for_selector(f".card[data-run='{name}'] img")
    page.goto((server.runs / name / "report.html").as_uri())
    hear_all(page, 1)


def configs_text():
    """The YAML of a run of two steps."""
    return "prompt: a high bell\nrepresentation: fm\nthreads: 1\noptimize: {steps: 2, preview_steps: 1}\n"


def test_a_recording_taken_apart_is_heard_by_its_words(person, server):
    page = person()
    answer = page.request.post(
        f"{server.address}/api/uploads",
        multipart={"file": {"name": "mix.wav", "mimeType": "audio/wav", "buffer": tone(440)}},
    )
    config = separating.separation(
        answer.json()["file"], ["a drum", "a bell"], [f"{k}={v}" for k, v in QUICK.items()]
    )
    answer = page.request.post(
        f"{server.address}/api/runs",
        data=configs.to_yaml(config),
        headers={"content-type": "application/yaml"},
    )
    (name,) = answer.json()["runs"]
    page.goto(f"{server.address}/?run={name}")
    until_status(page, "Finished")
    page.wait_for_selector(".live .sounds figure")
    captions = page.locator(".live .sounds figcaption").all_inner_texts()
    assert captions == ["a drum · asset.wav", "a bell · asset_2.wav"]
    hear_all(page, 2)
    assert page.locator(".live .curves svg").count() >= 2  # each source has a residual of its own
    files = page.locator(".live .files a").all_inner_texts()
    assert [f.split(" ")[0] for f in files[:2]] == ["asset.wav", "asset_2.wav"]
    (folder,) = (f for f in list_runs(server.runs) if f.path.name == name)
    page.goto(folder.report.as_uri())
    assert "a bell" in page.inner_text(".sound >> nth=1")
    hear_all(page, 2)
