"""What the kernel benchmarks share: CPU time of a call, and the arithmetic limit of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def least(call: Callable[[], object], repeats: int) -> float:
    """Milliseconds of CPU time of the fastest of several calls."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return 1e3 * min(times)


def peak_flops(dtype: torch.dtype, repeats: int) -> float:
    """Operations per second of a 768 x 768 matrix product."""
    a = torch.rand(768, 768, dtype=dtype)
    return 2 * 768**3 / (1e-3 * least(lambda: a @ a, repeats))
