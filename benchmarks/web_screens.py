"""Pictures of the web app's tabs, light, dark and as wide as a phone: docs/images/web-*.png.

    pip install playwright     (and a Chromium: apt-get install chromium)
    python benchmarks/web_screens.py RUNS [docs/images]

RUNS holds at least one finished run; its newest one is shown.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from web_load import start

TABS = ("Create", "Edit", "Compare", "Batch", "Gallery")
LOOKS = {"light": (1280, 860, "light"), "dark": (1280, 860, "dark"), "phone": (390, 844, "light")}


def main(runs: Path, out: Path) -> None:
    """Take the pictures."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    from sds3d.jobs.runfolder import list_runs

    shown = next(f for f in list_runs(runs) if f.status().state == "finished")
    server, address = start(runs)
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--enable-unsafe-swiftshader"]
            )
            for look, (width, height, scheme) in LOOKS.items():
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.goto(f"{address}/?run={shown.path.name}&__theme={scheme}")
                page.wait_for_selector("#model canvas", timeout=120_000)
                time.sleep(8)
                for tab in TABS:
                    page.get_by_role("tab", name=tab).click()
                    time.sleep(3)
                    path = out / f"web-{tab.lower()}-{look}.png"
                    page.screenshot(path=path)
                    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
                        path, optimize=True
                    )
                    print(path, path.stat().st_size // 1000, "kB")
                page.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images"))
