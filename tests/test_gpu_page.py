"""docs/gpu.md says what was not run: the tests that need a GPU, by number and by file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sds3d.priors.kinds import embedded
from sds3d.testing.gpu import examination
from sds3d.testing.gpu.bench import Bench, Gpu
from sds3d.testing.gpu.kernels import Agreement

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "gpu.md").read_text()


def test_the_page_names_every_file_with_tests_of_real_gpus() -> None:
    marked = {f.name for f in Path(__file__).parent.glob("test_*.py") if "mark.cuda" in f.read_text()}
    marked.discard(Path(__file__).name)
    told = PAGE[PAGE.index("were never run") :]
    assert {Path(name).name for name in re.findall(r"`(tests/test_\w+\.py)`", told)} == marked


def test_the_page_names_every_check() -> None:
    table = PAGE[PAGE.index("| check |") : PAGE.index("A finding is")]
    checks = examination.all_checks(Bench(Gpu(), Path(), embedded.Options()))
    for check in checks:
        assert isinstance(check, Agreement) or re.search(rf"\b{check.name}\b", table), check.name


@pytest.mark.slow
def test_the_page_tells_how_many_tests_need_a_gpu() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n", "0", "-m", "cuda", "tests"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    counts = [int(n) for n in re.findall(r"^tests/test_\w+\.py: (\d+)$", out, re.MULTILINE)]
    assert re.search(r"\*\*(\d+) tests need a CUDA device", PAGE)[1] == str(sum(counts))
