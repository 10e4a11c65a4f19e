"""Shared set-up of the tests: one thread, no network, deterministic hypothesis."""

from __future__ import annotations

import os
import tempfile
import zlib

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("SDS3D_CACHE", tempfile.mkdtemp(prefix="sds3d-cache-"))

import pytest
import torch
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# shape annotations are checked on every call, in tests only
install_import_hook("sds3d", "shape_check.check")

torch.set_num_threads(1)
# a busy machine is no defect: neither deadlines nor the check that examples come quickly
settings.register_profile(
    "repo", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repo")


@pytest.fixture(autouse=True)
def _the_same_draws_each_time(request: pytest.FixtureRequest) -> None:
    """A test's unseeded draws depend on its name alone: not on what ran before it, nor on the clock."""
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True)
def _on_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a GPU, runs of tests that do not ask for it by their mark find none: bits are compared there."""
    if torch.cuda.is_available() and not request.node.get_closest_marker("cuda"):
        from sds3d.core.devices import Cuda

        monkeypatch.setattr("sds3d.jobs.device.probe", lambda: Cuda(torch.__version__))


CUDA_TESTS = pytest.StashKey[int]()
"""How many tests marked `cuda` this run found and did not run."""


@pytest.hookimpl(tryfirst=True)  # before `-m` takes them out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `cuda` are skipped, with the reason, where there is no device; they are counted there."""
    waiting = [item for item in items if item.get_closest_marker("cuda")]
    if torch.cuda.is_available():
        return
    config.stash[CUDA_TESTS] = len(waiting)
    skip = pytest.mark.skip(reason="no CUDA device here")
    for item in waiting:
        item.add_marker(skip)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells its count to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cuda_tests"] = session.config.stash.get(CUDA_TESTS, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Every worker collects all tests: their counts are equal."""
    node.config.stash[CUDA_TESTS] = getattr(node, "workeroutput", {}).get("cuda_tests", 0)


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Say how many tests of real CUDA devices have not been run."""
    count = config.stash.get(CUDA_TESTS, 0)
    if count:
        terminalreporter.write_line(f"{count} tests need a CUDA device and were NOT RUN: there is none here.")
