"""What the server does under load: 50 runs from 10 clients at a time, the page's answers meanwhile, and its memory.

    python benchmarks/web_load.py [out.json]

Starts `sds3d web` on this machine with an analytic prior's small runs, whose worker takes all the cores that it gets.
Tells how the runs ended, how long a request took while they ran (median and worst), and the server's memory before and
after. Exits with 1 where a run was lost, the median is above 200 ms or the memory grew by more than a tenth.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

CLIENTS, EACH = 10, 5
RUN = """prompt: a colour
seed: {seed}
prior: {{kind: analytic, shape: [3, 8, 8]}}
representation: {{kind: grid, resolutions: [3, 8], samples: 8, picture_samples: 8}}
optimize: {{steps: 60, views: 2, preview_size: 16}}
pictures: {{turntable_frames: 2, turntable_size: 32, contact_views: 2, contact_size: 16}}
"""


def ask(address: str, browser: str, path: str, body: str | None = None) -> object:
    """The JSON that the server answers to a browser."""
    headers = {"cookie": f"sds3d_browser={browser}", "content-type": "application/yaml"}
    data = None if body is None else body.encode()
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers), timeout=60) as answer:
        return json.load(answer)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(runs: Path) -> tuple[subprocess.Popen, str]:
    """A server and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "sds3d", "web", "--port", str(port), "--runs", str(runs)]
    server, address = subprocess.Popen(words), f"http://127.0.0.1:{port}"
    while True:
        try:
            ask(address, "x", "/api/queue")
            return server, address
        except OSError:
            time.sleep(0.3)


def client(address: str, number: int, waits: list[float], ends: list[str]) -> None:
    """Submit runs, then look at them until they have ended."""
    names = []
    for k in range(EACH):
        names += ask(address, f"c{number}", "/api/runs", RUN.format(seed=100 * number + k))["runs"]  # type: ignore[index]
    left = list(names)
    while left:
        for name in list(left):
            began = time.perf_counter()
            run = ask(address, f"c{number}", f"/api/runs/{name}")
            waits.append(time.perf_counter() - began)
            if run["state"] in ("finished", "failed", "stopped"):  # type: ignore[index]
                ends.append(run["state"])  # type: ignore[index]
                left.remove(name)
        time.sleep(0.7)


def main(out: str | None) -> int:
    """Run the load, tell, compare."""
    with tempfile.TemporaryDirectory() as folder:
        server, address = start(Path(folder))
        try:
            time.sleep(2)
            before = memory_mb(server.pid)
            waits: list[float] = []
            ends: list[str] = []
            people = [threading.Thread(target=client, args=(address, n, waits, ends)) for n in range(CLIENTS)]
            began = time.perf_counter()
            for person in people:
                person.start()
            for person in people:
                person.join()
            told = {
                "runs": CLIENTS * EACH, "finished": ends.count("finished"), "ended": len(ends),
                "minutes": round((time.perf_counter() - began) / 60, 2), "requests": len(waits),
                "median_ms": round(1e3 * statistics.median(waits), 1), "worst_ms": round(1e3 * max(waits), 1),
                "memory_before_mb": round(before, 1), "memory_after_mb": round(memory_mb(server.pid), 1),
            }  # fmt: skip
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    print(json.dumps(told, indent=1))
    if out:
        Path(out).write_text(json.dumps(told, indent=1) + "\n")
    good = told["ended"] == told["runs"] and told["median_ms"] < 200
    return int(not (good and told["memory_after_mb"] < 1.1 * told["memory_before_mb"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
