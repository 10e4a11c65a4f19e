"""The page as people use it, in a real browser: prompt, preview, pause, result, download; two of them; a restart."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from edit_cases import mesh_file
from web_cases import small_yaml

from sds3d.assetio import kinds
from sds3d.jobs.runfolder import list_runs

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser test needs playwright (extra dev)"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
PATIENCE = 240_000  # milliseconds; a busy machine is no defect


class Server:
    """`sds3d web` in a process of its own, on a port of its own."""

    def __init__(self, runs: Path):
        self.runs = runs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        words = [sys.executable, "-m", "sds3d", "web", "--port", str(self.port), "--runs", str(self.runs)]
        self.process = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"})
        end = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(self.address + "/api/runs", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None
                time.sleep(0.3)
        raise AssertionError("the server does not answer")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=PATIENCE / 1000)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("runs"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        started = p.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"],
        )
        yield started
        started.close()


@pytest.fixture
def person(browser, server):
    """Makes people: pages of browsers that know nothing of each other; every request and error is kept."""
    made = []

    def come():
        context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.asked, page.broken = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.broken.append(str(error)))
        page.goto(server.address)
        page.wait_for_selector("#prompt textarea")
        made.append(context)
        return page

    yield come
    for context in made:
        context.close()


def fill(page, **changes):
    """Load the small run's YAML into the form, through the page."""
    page.click("text=YAML >> nth=-1")
    page.locator("#yaml .cm-content").fill(small_yaml(**changes))
    page.click("#load")
    page.wait_for_function("document.querySelector('#prompt textarea').value === 'a colour'")


def status(page):
    return page.inner_text(".live .status")


def until_status(page, word):
    page.wait_for_function(
        f"(document.querySelector('.live .status') || {{}}).textContent?.includes({word!r})"
    )


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
    time.sleep(1.5)
    assert status(page) == step
    page.click(".live button[data-action=run]")
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


@pytest.mark.slow
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
