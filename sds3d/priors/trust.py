"""What a user trusts by name: pickled weights and code that comes with a model; nothing else of either is read.

A pickle is a program: opening one with Python's own reader does what its maker wrote. Named ones are opened with
torch's restricted reader (`weights_only`), which builds tensors and refuses everything else.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import Sds3dError

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
LIBRARIES = ("diffusers", "transformers")
"""Libraries whose classes are used without asking."""


@dataclass(frozen=True)
class Trust:
    """Names of `prior.allow_pickle` and `prior.trust_remote_code`.

    Args:
        pickles: file names, such as fox.ckpt, or with their folder, such as unet/diffusion_pytorch_model.bin.
        code: repositories (owner/name) or folder names whose own code may be run.
    """

    pickles: tuple[str, ...] = ()
    code: tuple[str, ...] = ()

    def allows(self, file: Path) -> bool:
        """Whether a pickle may be opened."""
        return bool({file.name, f"{file.parent.name}/{file.name}", str(file)} & set(self.pickles))

    def runs(self, folder: Path) -> bool:
        """Whether the code in a model folder may be run."""
        return bool(set(names_of(folder)) & set(self.code))


NOTHING = Trust()


def refuse_pickle(file: Path | str, name: str | None = None) -> str:
    """The message for a pickle that nobody allowed; `name`: how it is allowed, by default its file name."""
    name = name or Path(file).name
    return (
        f"{file}: refused, it is a pickle, and opening one can run any program that its maker put in. Fetch the "
        f".safetensors files of the same model; or, if you trust its maker, set prior.allow_pickle=[{name}]."
    )


def read_pickle(file: Path) -> dict[str, Any]:
    """The mapping that a pickle holds, on the CPU, by the restricted reader.

    Raises:
        Sds3dError: it is broken, holds more than tensors and plain values, or no mapping.
    """
    import pickle
    import zipfile

    import torch

    try:
        # the older form of pickles cannot be mapped into memory
        mapped = zipfile.is_zipfile(file)
        value = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        line = next((part.strip() for part in str(error).splitlines() if part.strip()), type(error).__name__)
        raise Sds3dError(
            f"{file}: cannot be read as weights alone: {line} It is broken, or holds programs; those are not run "
            "even where prior.allow_pickle names it."
        ) from error
    while isinstance(value, dict) and "state_dict" in value:
        value = value["state_dict"]
    if not isinstance(value, dict):
        raise Sds3dError(f"{file}: holds a {type(value).__name__} instead of named tensors.")
    return value


def names_of(folder: Path) -> list[str]:
    """How a model folder may be named: its own name, and owner/name where it lies in the hub's cache."""
    names = [folder.name]
    for part in (*folder.parts, *folder.resolve().parts):
        found = re.fullmatch(r"models--(.+?)--(.+)", part)
        if found:
            names.insert(0, f"{found[1]}/{found[2]}")
    return list(dict.fromkeys(names))


def refuse_code(folder: Path, library: str, kind: str) -> str:
    """The message for a class that comes with a model, which nobody allowed to run."""
    return (
        f"{folder}: model_index.json names the class {kind} of {library!r}, code that comes with the model; it is not "
        f"run. If you trust its maker, set prior.trust_remote_code=[{names_of(folder)[0]}]."
    )


def own_class(folder: Path, part: str, library: str, kind: str) -> Any:
    """A class from the code in a trusted model folder: <part>/<library>.py, or <library>.py at its top.

    Raises:
        Sds3dError: there is no such file or class, or it cannot be imported.
    """
    places = [folder / part / f"{library}.py", folder / f"{library}.py"]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise Sds3dError(
            f"{folder}: there is no {library}.py that could hold the class {kind} of its {part}."
        )
    spec = importlib.util.spec_from_file_location(f"_sds3d_trusted_{library}", file)
    assert spec is not None, "a .py file has a loader"
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    assert loader is not None, "a .py file has a loader"
    try:
        loader.exec_module(module)
    except Exception as error:  # it is somebody else's program: anything may come out
        raise Sds3dError(f"{file}: its code cannot be run: {type(error).__name__}: {error}") from error
    if not hasattr(module, kind):
        raise Sds3dError(f"{file}: holds no class {kind}.")
    return getattr(module, kind)
