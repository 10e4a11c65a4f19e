"""Error types: each says what is wrong, where, and what to do."""

from __future__ import annotations


class Sds3dError(Exception):
    """Base of every error that sds3d raises on purpose; the CLI prints its text without a traceback."""


class ConfigError(Sds3dError):
    """A configuration is wrong.

    Args:
        message: what is wrong and what was expected.
        file: the YAML file, or a name such as "command line".
        line: 1-based line in that file, or None where it is not known.
        key: dotted key such as "guidance.cfg_scale", or "" for the whole document.
        hint: what to do, such as the nearest valid key.
    """

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, key: str = "", hint: str = ""
    ):
        place = file or ""
        if line is not None:
            place += f":{line}"
        head = ": ".join(part for part in (place, key) if part)
        super().__init__((f"{head}: " if head else "") + message + (f" {hint}" if hint else ""))
        self.message, self.file, self.line, self.key, self.hint = message, file, line, key, hint


class AssetError(Sds3dError):
    """A 3D file cannot be read or written; the text names the file and the reason."""


class PromptError(Sds3dError):
    """A prior cannot serve a prompt; the text names the words and what to do."""


class MissingPackageError(Sds3dError):
    """An optional package is needed; the text holds the command that installs it."""

    def __init__(self, package: str, purpose: str, install: str):
        super().__init__(f"{purpose} needs the package '{package}'; install it with: {install}")


class RunFolderError(Sds3dError):
    """A run folder is locked, broken, of another version, or cannot be written."""


class NonFiniteError(Sds3dError):
    """A tensor became NaN or infinite; the text names it, the step and where the repro file lies."""


class StopRequested(Sds3dError):
    """The user asked the run to stop; the state is saved at the current step boundary."""
