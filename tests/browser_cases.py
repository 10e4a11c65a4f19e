"""A server in a process of its own and people who look at it with a real browser; the tests import the fixtures."""

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
from web_cases import small_yaml

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser test needs playwright (extra dev)"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
FLAGS = (
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
)
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
            args=FLAGS,
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
