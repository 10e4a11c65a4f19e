"""The page as people use it, in a real browser: prompt, preview, pause, result, download; two of them; a restart."""

import time

from browser_cases import browser, fill, needs_browser, person, server, status, until_status
from edit_cases import mesh_file

from sds3d.assetio import kinds
from sds3d.jobs.runfolder import list_runs

__all__ = ["browser", "person", "server"]
pytestmark = needs_browser
PATIENT_NO_MORE = """() => {
  const later = window.setTimeout;
  window.setTimeout = (act, wait, ...rest) => (wait >= 3000 ? 0 : later(act, wait, ...rest));
}"""
"""A page that no longer asks by itself how a paused run goes."""


def test_from_a_prompt_to_a_model_in_the_hand(person, server, tmp_path):
    page = person()
    page.fill("#prompt textarea", "a quixotic zeppelin")
    page.wait_for_selector("#warning .reason")
    assert "does not know" in page.inner_text("#warning")
    fill(page, optimize__steps=4000, optimize__preview_steps=10)
    page.click("#create")
    until_status(page, "At work")
    first = page.wait_for_selector(".live img.render:not([hidden])").get_attribute("src")
    page.wait_for_function(f"document.querySelector('.live img.render').getAttribute('src') !== {first!r}")
    page.click(".live button[data-action=pause]")
    until_status(page, "Paused")
    step = status(page)
    page.evaluate(PATIENT_NO_MORE)
    time.sleep(3.2)
    assert status(page) == step
    page.click(".live button[data-action=run]")  # shows at once, not when the page would next have asked
    until_status(page, "At work")
    page.click(".live button[data-action=keep]")
    page.wait_for_selector(".live .files a[download='asset.glb']")
    with page.expect_download() as caught:
        page.click(".live .files a[download='asset.glb']")
    caught.value.save_as(tmp_path / "asset.glb")
    assert kinds.read(tmp_path / "asset.glb").mesh is not None
    page.wait_for_selector("#model canvas")
    box = page.locator("#model canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 120)
    page.mouse.up()
    elsewhere = [url for url in page.asked if not url.startswith((server.address, "data:", "blob:"))]
    assert elsewhere == []
    assert page.broken == []


def test_two_people_do_not_see_each_other(person):
    anna, berta = person(), person()
    fill(anna)
    anna.click("#create")
    until_status(anna, "Finished")
    mine = anna.evaluate("document.querySelector('.live[data-run]').dataset.run")
    berta.click("button[role=tab]:has-text('Gallery')")
    berta.wait_for_selector(".gallery .empty")
    berta.goto(berta.url.split("?")[0] + f"?run={mine}")
    berta.wait_for_selector("#live .reason")
    assert "no run" in berta.inner_text("#live")
    anna.click("button[role=tab]:has-text('Gallery')")
    anna.wait_for_selector(f".card[data-run='{mine}']")
    anna.fill(".gallery input", "nothing like it")
    anna.wait_for_selector(".gallery .empty")


def test_a_restart_of_the_server_in_the_middle(person, server):
    page = person()
    fill(page, optimize__steps=20000, seed=7)
    page.click("#create")
    until_status(page, "At work")
    name = page.evaluate("document.querySelector('.live[data-run]').dataset.run")
    server.stop()
    (folder,) = (f for f in list_runs(server.runs) if f.path.name == name)
    assert folder.status().state == "stopped"
    step = folder.status().step
    server.start()
    page.goto(f"{server.address}/?run={name}")
    until_status(page, "At work")
    page.click(".live button[data-action=keep]")
    page.wait_for_selector(".live .files a[download='asset.glb']")
    assert folder.status().step >= step


def test_an_edit_within_a_box(person, tmp_path):
    file = mesh_file(tmp_path)
    page = person()
    page.click("button[role=tab]:has-text('Edit')")
    page.set_input_files("#edited-file input[type=file]", file)
    page.fill("#from textarea", "a red cube")
    page.fill("#to textarea", "a blue cube")
    page.click("text=Where: a region")
    page.fill("#region textarea", "box:-9,0,-9,9,9,9")
    page.click("#show-view")
    page.wait_for_selector("#canvas canvas")
    page.get_by_role("button", name="More").locator("visible=true").click()
    page.get_by_label("Steps").locator("visible=true").fill("2")
    page.click("#edit")
    until_status(page, "Finished")
    page.wait_for_selector(".change:not([hidden])")
    assert "a blue cube" in page.locator(".tree").inner_text()
    assert page.broken == []
