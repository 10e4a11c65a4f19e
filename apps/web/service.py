"""What a person can do with runs, whoever asks: the page and the HTTP interface are two faces of this.

Everything is asked by somebody, `who`: "" is the person at this machine, others are browsers and keys. A run belongs
to whoever submitted it; nobody else sees it. Runs without an owner (the command line's) are seen by all where the
server says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal, get_args

from sds3d.config import overrides, source
from sds3d.config.dump import plain
from sds3d.core.errors import ConfigError, RunFolderError, Sds3dError
from sds3d.jobs import configs, trash
from sds3d.jobs.batch import create_folders
from sds3d.jobs.export import formats, write_apart
from sds3d.jobs.fork import changed, fork
from sds3d.jobs.queue import ticket as tickets
from sds3d.jobs.queue.queue import Job, Queue
from sds3d.jobs.queue.ticket import Ticket
from sds3d.jobs.runfolder import RunFolder, list_runs
from sds3d.jobs.schema import RunConfig

from . import paths
from .facts import facts_of

Action = Literal["pause", "run", "cancel", "keep"]
MOST_PROMPTS, MOST_WAITING, MOST_TEXT = 200, 1000, 200_000
"""Prompts of one submission, runs that wait in all, and characters of a YAML."""


class NotThereError(Sds3dError):
    """There is no such run, or it is somebody else's: the two look alike."""


class BusyError(Sds3dError):
    """The queue is full."""


@dataclass(frozen=True)
class Limits:
    """What this server lets people do.

    Args:
        shared: runs without an owner are seen by all. any_file: configs may name any file of this machine (right
            where the only user sits at it); otherwise only uploads and own runs.
    """

    shared: bool = True
    any_file: bool = True


class Service:
    """Runs of one folder, and the queue that works them off."""

    def __init__(self, queue: Queue, limits: Limits | None = None):
        self.queue, self.runs, self.limits = queue, queue.runs, limits or Limits()
        self._writing = Lock()

    # ── seeing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, who: str, name: str) -> RunFolder:
        """A run by the name of its folder.

        Raises:
            NotThereError: there is none that this person may see.
        """
        folder = RunFolder(self.runs / paths.plain_name(name)) if paths.plain_name(name) else None
        if folder is None or not folder.config_file.is_file() or not self.may_see(who, folder):
            raise NotThereError(f"there is no run {name!r} here")
        return RunFolder.open(folder.path)

    def may_see(self, who: str, folder: RunFolder) -> bool:
        """Whether a run is this person's, or nobody's where those are shared."""
        try:
            ticket = tickets.read(folder)
        except RunFolderError:
            ticket = None
        owner = ticket.owner if ticket else ""
        return owner == who if owner else self.limits.shared

    def runs_of(self, who: str, words: str = "", state: str = "") -> list[Job]:
        """This person's runs, newest change first.

        Args:
            words: all of them must be in the prompt, the name, the method, the representation or the tags.
            state: only runs in that state; "" takes all.
        """
        asked = words.lower().split()
        jobs = self.queue.jobs_of([f for f in list_runs(self.runs) if self.may_see(who, f)])
        return [
            job
            for job in jobs
            if (not state or job.state == state) and all(w in haystack(job) for w in asked)
        ]

    def waiting(self, who: str) -> list[Job]:
        """What runs and what waits; other people's runs are told as places without a name."""
        return [j if self.may_see(who, j.folder) else _hidden(j) for j in self.queue.jobs()]

    def file(self, who: str, name: str, inside: str) -> Path:
        """A file of a run that may be handed out.

        Raises:
            NotThereError: there is none, it lies outside of the run, or is the server's own.
        """
        folder = self.find(who, name)
        found = paths.inside(folder.path, inside)
        if found is None or not paths.may_be_shown(found.relative_to(folder.path.resolve())):
            raise NotThereError(f"the run {name!r} has no file {inside!r}")
        return found

    # ── doing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, who: str, text: str) -> RunConfig:
        """The config of a YAML text, as it would be submitted.

        Raises:
            ConfigError: it is wrong, or names a file that this person may not read.
        """
        if len(text) > MOST_TEXT:
            raise ConfigError(f"the text is longer than {MOST_TEXT} characters", file="your YAML")
        document = source.parse(text, "your YAML")
        if isinstance(document.data, dict):
            document.data["runs"] = str(self.runs)
        self.check_files(who, document.data)  # before any of them is opened
        config = configs.from_document(document)
        if len(config.all_prompts()) > MOST_PROMPTS:
            raise ConfigError(f"at most {MOST_PROMPTS} prompts at a time", key="prompts", file="your YAML")
        self.check_files(who, plain(config))
        return config.model_copy(update={"runs": str(self.runs)})

    def submit(self, who: str, text: str, priority: int = 0) -> tuple[list[RunFolder], list[str]]:
        """Put the runs of a YAML into the queue: one a prompt.

        Args:
            priority: −10 to 10.

        Returns:
            The folders, and for each prompt that the prior cannot serve, why.

        Raises:
            BusyError: too many wait already. ConfigError, PromptError, ModelError: see batch.create_folders; nothing
                was made.
        """
        config = self.read(who, text)
        if len(self.queue.jobs()) + len(config.all_prompts()) > MOST_WAITING:
            raise BusyError(f"{MOST_WAITING} runs wait already; try again when some are done")
        folders, refused = create_folders(config)
        for folder in folders:
            self.queue.add(folder, who, max(-10, min(10, priority)))
        return folders, [f'"{r.prompt}": {r.reason}' for r in refused]

    def act(self, who: str, name: str, action: str) -> Job:
        """Pause a run, let it go on, cancel it, or stop it and keep the asset as it is.

        Raises:
            NotThereError: there is no such run. ConfigError: there is no such action. RunFolderError: the run's state
                allows no such action.
        """
        if action not in get_args(Action):
            raise ConfigError(f"there is no action {action!r}; there are {', '.join(get_args(Action))}")
        folder = self.find(who, name)
        state = self.queue.job(folder).state
        if state == "finished" or (state == "failed" and action != "run"):
            raise RunFolderError(f"{name} has {state}, so that there is nothing to {action}")
        self.queue.wish(folder, action)  # type: ignore[arg-type]
        return self.queue.job(folder)

    def fork(self, who: str, name: str, changes: Sequence[str]) -> RunFolder:
        """A queued run that goes on from this one's last checkpoint with changes; see jobs.fork.

        Raises:
            NotThereError, ConfigError, PromptError, RunFolderError: nothing was made.
        """
        folder = self.find(who, name)
        words = [c.strip() for c in changes if c.strip()]
        if any(not overrides.is_override(word) for word in words):
            raise ConfigError("changes are written as key=value, one a line, such as optimize.steps=800")
        for word in words:
            key, _, value = word.partition("=")
            self.check_files(who, {key: source.parse_value(value)})
        self.check_files(who, plain(changed(folder, words)))
        return self.queue.add(fork(folder, words), who)

    def check_files(self, who: str, values: Any) -> None:
        """Refuse plain data of a config that names files which are not this person's."""
        paths.check_named_files(values, self.runs, lambda file: self._may_read(who, file))

    def _may_read(self, who: str, file: Path) -> bool:
        """Whether a person's runs may read a file, of which links are followed already."""
        root = self.runs.resolve()
        if not file.is_relative_to(root):
            return self.limits.any_file
        if file.is_relative_to(self.uploads(who).resolve()):
            return True
        inside = file.relative_to(root).parts
        return (
            bool(inside)
            and bool(paths.plain_name(inside[0]))
            and self.may_see(who, RunFolder(root / inside[0]))
        )

    def discard(self, who: str, name: str) -> None:
        """Move a run to the trash; one that runs is stopped first, by the person.

        Raises:
            NotThereError: there is no such run. RunFolderError: it runs.
        """
        folder = self.find(who, name)
        if self.queue.job(folder).state in ("running", "stopping"):
            raise RunFolderError(f"{name} is at work; stop it first")
        self.queue.wish(folder, "cancel")
        trash.discard(folder)

    def deleted(self, who: str) -> Sequence[Path]:
        """This person's runs in the trash."""
        return [p for p in trash.deleted(self.runs) if self.may_see(who, RunFolder(p))]

    def restore(self, who: str, name: str) -> RunFolder:
        """Take a run out of the trash.

        Raises:
            NotThereError: it does not lie there.
        """
        for path in self.deleted(who):
            if path.name == name:
                return trash.restore(path)
        raise NotThereError(f"there is no run {name!r} in the trash")

    def tag(self, who: str, name: str, words: str) -> tuple[str, ...]:
        """Set the tags of a run: words apart by spaces or commas, at most 12 of 40 letters."""
        folder = self.find(who, name)
        tags = tuple(dict.fromkeys(w[:40] for w in re.split(r"[\s,]+", words) if w))[:12]
        self.queue.tag(folder, tags)
        return tags

    def zip(self, who: str, name: str, out: BinaryIO) -> None:
        """Write a run, without checkpoints, as a zip archive."""
        trash.pack(self.find(who, name), out)

    def export(self, who: str, name: str, kinds: Sequence[str]) -> None:
        """Write a run's asset in further formats, beside the files that are there.

        Raises:
            NotThereError: there is no such run. ConfigError: it cannot be written so. BusyError: another is being
                written. RunFolderError: the run is at work, or writing failed.
        """
        folder = self.find(who, name)
        known = formats(folder)
        for kind in kinds:
            if kind not in known:
                raise ConfigError(f"{name} cannot be written as {kind!r}; there are {', '.join(known)}")
        if self.queue.job(folder).state in ("waiting", "running", "stopping"):
            raise RunFolderError(f"{name} is not done yet; its files are written at its end")
        if not self._writing.acquire(blocking=False):
            raise BusyError("another file is being written; try again in a moment")
        try:
            write_apart(folder, kinds)
        finally:
            self._writing.release()

    # ── files that people bring ──────────────────────────────────────────────────────────────────────────────────

    def uploads(self, who: str) -> Path:
        """The folder of this person's uploads; it need not be there."""
        return self.runs / ".uploads" / (who or "local")

    def upload(self, who: str, name: str, data: bytes) -> Path:
        """Keep an uploaded file, under its own cleaned name and a number where that is taken.

        Raises:
            ConfigError: its type is none that can be read, or it is too large.
        """
        return paths.keep_upload(self.uploads(who), name, data)


def haystack(job: Job) -> str:
    """The text of a run that searches look through."""
    known = facts_of(job.folder)
    words = [known.prompt, known.representation, known.method, job.folder.path.name, *job.ticket.tags]
    return " ".join(words).lower()


def _hidden(job: Job) -> Job:
    """A job of somebody else: that it is there, and nothing of it."""
    return replace(job, folder=RunFolder(Path("")), ticket=Ticket(priority=job.ticket.priority))
