"""Pictures of the web app's tabs, light, dark and as wide as a phone: docs/images/web-*.png.

    pip install playwright     (and a Chromium: apt-get install chromium)
    python benchmarks/web_screens.py RUNS [docs/images [LOOK …]]

RUNS holds at least one finished run. The newest object is shown in Create; the newest sound and the newest edit, where
there are any, as `web-sound-*` and `web-edited-*`. LOOK is light, dark or phone; without one, all are taken.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from web_load import start

TABS = ("Create", "Edit", "Compare", "Batch", "Gallery")
LOOKS = {"light": (1280, 860, "light"), "dark": (1280, 860, "dark"), "phone": (390, 844, "light")}
MOST_COLOURS = 128


def shown_runs(runs: Path) -> dict[str, str]:
    """Names of the runs that are shown: object, sound, edited."""
    from sds3d.apps.web.facts import facts_of, sounds_of

    from sds3d.jobs.runfolder import list_runs

    found: dict[str, str] = {}
    for folder in list_runs(runs):
        if folder.status().state == "finished":
            kind = "edited" if facts_of(folder).edited else "sound" if sounds_of(folder) else "object"
            found.setdefault(kind, folder.path.name)
    return found


def open_tab(page: Any, name: str) -> None:
    """Click a tab; on a narrow page some are behind the button with three dots."""
    tab = page.locator(f"button[role=tab]:visible:text-is('{name}')")
    if not tab.count():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(f".overflow-dropdown button:text-is('{name}')")
    tab.first.click()
    time.sleep(3)


def take(page: Any, path: Path) -> None:
    """Save what is seen, with few colours: these pages have no more."""
    from PIL import Image

    page.screenshot(path=path)
    few = Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=MOST_COLOURS)
    few.save(path, optimize=True)
    print(path, path.stat().st_size // 1000, "kB", flush=True)


def main(runs: Path, out: Path, looks: list[str]) -> None:
    """Take the pictures."""
    from playwright.sync_api import sync_playwright

    names = shown_runs(runs)
    server, address = start(runs)
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--enable-unsafe-swiftshader"]
            )
            for look in looks:
                width, height, scheme = LOOKS[look]
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.goto(f"{address}/?run={names['object']}&__theme={scheme}")
                page.wait_for_selector("#model canvas", timeout=120_000)
                time.sleep(8)
                for tab in TABS:
                    open_tab(page, tab)
                    take(page, out / f"web-{tab.lower()}-{look}.png")
                for kind in ("sound", "edited"):
                    if kind in names:
                        page.goto(f"{address}/?run={names[kind]}&__theme={scheme}")
                        page.wait_for_selector(".live[data-state=finished]", timeout=120_000)
                        time.sleep(8)
                        take(page, out / f"web-{kind}-{look}.png")
                page.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images"),
        sys.argv[3:] or list(LOOKS),
    )
