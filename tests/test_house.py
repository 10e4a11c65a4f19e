"""The house rules, checked: who may import whom, sizes, docstrings, forbidden calls."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ROOMS = (
    "core",
    "objects",
    "sounds",
    "config",
    "assetio",
    "representations",
    "priors",
    "guidance",
    "evaluate",
    "optimize",
    "jobs",
    "training",
    "testing",
    "apps",
    "cli",
)
"""From the ground floor up: a room imports rooms before it in this tuple, never one after."""

STRANGERS = {("guidance", "representations"), ("priors", "representations"), ("representations", "priors")}
"""Neighbours that never import each other, whatever their order."""

TOP = "top"
"""sds3d/api.py, __init__.py and __main__.py stand above every room."""

MAX_FILE, MAX_FUNCTION = 400, 60

LONG: dict[str, str] = {}
"""`path` or `path::function` -> why it may be longer than the house allows."""

CORE_PACKAGES = {"torch", "numpy", "jaxtyping"}

HEAVY = {
    "diffusers",
    "transformers",
    "gradio",
    "trimesh",
    "skimage",
    "av",
    "gsplat",
    "rich",
    "scipy",
    "PIL",
    "zstandard",
    "DracoPy",
}
"""Imported inside the function that uses them, never at the top of a module."""


def product_files() -> list[Path]:
    """Every Python file that is installed."""
    folders = ("sds3d", "guidance", "representations", "apps")
    return sorted(
        p for folder in folders for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts
    )


def names() -> list[str]:
    """The same as paths from the root, for test ids."""
    return [str(p.relative_to(ROOT)) for p in product_files()]


@cache
def tree(name: str) -> ast.Module:
    """The parsed file."""
    return ast.parse((ROOT / name).read_text())


def module_of(name: str) -> str:
    """`sds3d.core.cameras` for sds3d/core/cameras.py and `sds3d.guidance.engine` for guidance/engine.py."""
    parts = list(Path(name).with_suffix("").parts)
    if parts[0] != "sds3d":
        parts.insert(0, "sds3d")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room that a module lies in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else TOP


def imports(name: str) -> list[tuple[str, int, bool]]:
    """(module, line, at the top of the file?) of every import; relative ones are resolved, TYPE_CHECKING is skipped."""
    module = module_of(name)
    package = module.split(".") if name.endswith("__init__.py") else module.split(".")[:-1]
    skipped = {
        id(child)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    top = {id(node) for node in tree(name).body}
    found = []
    for node in ast.walk(tree(name)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *(node.module.split(".") if node.module else [])])
            # `from ..core import schedules` names a module; `from ..core.x import y` only the part before
            found += [(f"{target}.{alias.name}", node.lineno, id(node) in top) for alias in node.names]
    return found


def climbs(source: str, target: str) -> bool:
    """Whether a room may not import another."""
    if source in (target, TOP):
        return False
    if target == TOP or (source, target) in STRANGERS:
        return True
    return ROOMS.index(target) > ROOMS.index(source)


@pytest.mark.parametrize("name", names())
def test_imports_point_down(name):
    room = room_of(module_of(name))
    wrong = []
    for target, line, _ in imports(name):
        if target.startswith("sds3d") and target != "sds3d.__version__" and climbs(room, room_of(target)):
            wrong.append(f"{name}:{line} imports {target}: {room} stands below or beside {room_of(target)}")
    assert not wrong, "\n".join(wrong)


def test_the_import_check_would_notice():
    assert climbs("core", "config")
    assert climbs("priors", "representations")
    assert climbs("representations", "priors")
    assert climbs("guidance", "representations")
    assert climbs("jobs", "apps")
    assert climbs("evaluate", TOP)
    assert not climbs("guidance", "priors")
    assert not climbs("cli", "apps")
    assert room_of(module_of("guidance/engine.py")) == "guidance"
    assert module_of("sds3d/core/__init__.py") == "sds3d.core"
    assert ("sds3d.core.errors.ConfigError") in {target for target, _, _ in imports("sds3d/config/load.py")}


def test_core_imports_little():
    allowed = CORE_PACKAGES | {"sds3d"}
    for name in names():
        if room_of(module_of(name)) == "core":
            for target, line, _ in imports(name):
                first = target.split(".")[0]
                assert first in allowed or first == "sds3d" or first in sys.stdlib_module_names, (
                    f"{name}:{line} {first}"
                )


@pytest.mark.parametrize("name", names())
def test_heavy_packages_are_imported_where_they_are_used(name):
    wrong = [f"{name}:{line} {t}" for t, line, top in imports(name) if top and t.split(".")[0] in HEAVY]
    assert not wrong


@pytest.mark.parametrize("name", names())
def test_sizes(name):
    lines = (ROOT / name).read_text().count("\n")
    assert lines <= MAX_FILE or name in LONG, f"{name} has {lines} lines, the house allows {MAX_FILE}"
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = code_lines(node)
            allowed = length <= MAX_FUNCTION or f"{name}::{node.name}" in LONG
            assert allowed, (
                f"{name}:{node.lineno} {node.name} has {length} lines, the house allows {MAX_FUNCTION}"
            )


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which may be as long as it needs to be."""
    whole = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is None:
        return whole
    first = node.body[0]
    return whole - ((first.end_lineno or first.lineno) - first.lineno + 1)


def test_exceptions_are_still_needed():
    for entry in LONG:
        assert (ROOT / entry.partition("::")[0]).is_file(), f"{entry} is gone: drop it from LONG"


def undocumented(name: str) -> list[str]:
    """Public classes, functions and methods without a docstring; a test double or an override counts too."""
    missing = [] if ast.get_docstring(tree(name)) or not tree(name).body else [f"{name}: the module"]

    def visit(body: list[ast.stmt], owner: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if node.name.startswith("_"):
                    continue
                if not ast.get_docstring(node) and not overloads(node):
                    missing.append(f"{name}:{node.lineno} {owner}{node.name}")
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{node.name}.")

    visit(tree(name).body, "")
    return missing


def overloads(node: ast.stmt) -> bool:
    """A property's setter or a typing overload says what it is elsewhere."""
    return any(
        "overload" in ast.unparse(d) or ".setter" in ast.unparse(d)
        for d in getattr(node, "decorator_list", [])
    )


@pytest.mark.parametrize("name", names())
def test_public_things_have_docstrings(name):
    assert not undocumented(name)


FORBIDDEN = {
    "torch.rand",
    "torch.randn",
    "torch.randint",
    "torch.randperm",
    "torch.rand_like",
    "torch.randn_like",
    "torch.normal",
    "torch.bernoulli",
    "torch.multinomial",
    "torch.manual_seed",
    "torch.nan_to_num",
    "np.nan_to_num",
    "numpy.nan_to_num",
    "os._exit",
    "torch.load",
    "pickle.load",
    "pickle.loads",
    "yaml.load",
    "eval",
    "exec",
}
"""Random numbers come from core.streams; nothing replaces NaN; nothing runs what a file says."""


def forbidden_calls(source: ast.Module) -> list[str]:
    """Calls and handlers that the house forbids: `line what`."""
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            random = called.startswith(("np.random.", "numpy.random.", "random.")) and "Philox" not in called
            method = called.rpartition(".")[2] in (
                "nan_to_num",
                "nan_to_num_",
                "normal_",
                "uniform_",
                "random_",
            )
            # torch's restricted reader makes tensors and runs nothing
            restricted = called == "torch.load" and any(
                k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords
            )
            if (called in FORBIDDEN and not restricted) or random or method:
                found.append(f"{node.lineno} {called}")
        elif isinstance(node, ast.ExceptHandler):
            silent = all(isinstance(s, ast.Pass) or s_is_ellipsis(s) for s in node.body)
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if node.type is None or (broad and silent):
                found.append(f"{node.lineno} an except that hides everything")
        elif (
            isinstance(node, ast.Raise)
            and node.exc is not None
            and "NotImplementedError" in ast.unparse(node.exc)
        ):
            found.append(f"{node.lineno} NotImplementedError")
    return found


def s_is_ellipsis(node: ast.stmt) -> bool:
    """A body of `...`."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


@pytest.mark.parametrize("name", names())
def test_forbidden_calls(name):
    assert not [f"{name}:{what}" for what in forbidden_calls(tree(name))]
    text = (ROOT / name).read_text()
    assert "TODO" not in text
    assert "FIXME" not in text


@pytest.mark.parametrize(
    "code",
    [
        "torch.randn(3)",
        "np.random.default_rng(0)",
        "x.nan_to_num()",
        "x.normal_()",
        "try:\n    f()\nexcept:\n    g()",
        "try:\n    f()\nexcept Exception:\n    pass",
        "raise NotImplementedError",
        "eval('1')",
    ],
)
def test_the_check_of_calls_would_notice(code):
    assert forbidden_calls(ast.parse(code))


def test_honest_code_passes():
    assert not forbidden_calls(
        ast.parse("np.random.Philox(key=1)\ntry:\n    f()\nexcept OSError:\n    pass\nstreams.normal(1)")
    )
