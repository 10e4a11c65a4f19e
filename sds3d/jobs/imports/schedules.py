"""threestudio's numbers over a run: a number, or [start_step, start_value, end_value, end_step]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.errors import ConfigError


def schedule(value: Any, steps: int, tell: Callable[[str], None]) -> Any:
    """Our number or schedule over progress: linear between the two steps, constant outside (guidance card §1.10).

    Args:
        value: theirs; three values begin at step 0. steps: of the whole run. tell: told what could not be kept.

    Raises:
        ConfigError: neither a number nor such a list.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, list)):
        raise ConfigError(f"expected a number or [step, value, value, step], got {value!r}")
    if not isinstance(value, list):
        return value
    if len(value) == 3:
        value = [0, *value]
    if len(value) != 4:
        tell(f"{value} has several legs; only the first is taken")
        value = value[:4]
    first, start, end, last = value
    if isinstance(last, float):
        tell(f"{value} counts in epochs there; they are taken for steps")
    low, high = first / steps, last / steps
    if high > 1:
        # the run ends on the way
        end, high = start + (end - start) * (1 - low) / (high - low), 1.0
    if low >= 1 or start == end:
        return start
    if low == 0 and high == 1:
        return {"linear": [start, end]}
    return {"piecewise": [[low, start], [high, end]]}
