"""A type checker that looks at jaxtyping annotations only: shapes and dtypes on every call, in tests.

jaxtyping's import hook puts `check` on every function of the package; names of axes bind across the
arguments and the result of one call.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing

from jaxtyping import AbstractArray


def _arrays(hint: object) -> tuple[type, ...]:
    """The jaxtyping types that an annotation allows beside None; () when it is about something else."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(hint) if m is not type(None)]
        found = [_arrays(m) for m in members]
        return sum(found, ()) if all(found) else ()
    return (hint,) if isinstance(hint, type) and issubclass(hint, AbstractArray) else ()


def check(function):
    """Wrap a function so that tensors which contradict their annotation raise TypeError."""
    if not inspect.isfunction(function):
        return function
    signature = inspect.signature(function)
    plan: dict[str, tuple[type, ...]] | None = None

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        nonlocal plan
        if plan is None:  # at the first call: annotations may name things defined further down
            hints = typing.get_type_hints(function)
            plan = {name: arrays for name, hint in hints.items() if (arrays := _arrays(hint))}
        bound = signature.bind(*args, **kwargs).arguments
        for name, kinds in plan.items():
            if name != "return":
                _look(bound.get(name), kinds, f"{function.__qualname__}({name})")
        result = function(*args, **kwargs)
        if "return" in plan:
            _look(result, plan["return"], f"{function.__qualname__} -> result")
        return result

    return wrapper


def _look(value, kinds, where) -> None:
    if value is None or not hasattr(value, "shape") or any(isinstance(value, k) for k in kinds):
        return
    expected = " or ".join(k.__name__ for k in kinds)
    raise TypeError(f"{where}: expected {expected}, got {value.dtype} {tuple(value.shape)}")
