"""What the queue knows of a run, beside what the run folder says of itself: job.json in the folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ...core.errors import RunFolderError
from ..runfolder import RunFolder

NAME = "job.json"

Wish = Literal["run", "pause", "cancel", "keep"]
"""run: go on to the end; pause: stop with a checkpoint and wait; cancel: the same, and leave the queue; keep: stop and
write the asset as it is."""


@dataclass(frozen=True)
class Ticket:
    """A run's place in the queue.

    Args:
        owner: who may see it; "" for a run that a person started by hand.
        priority: higher ones go first. submitted: seconds since 1970; among equals the older goes first.
        wish: what shall become of it. tries: how often a worker began it. tags: words for the gallery.
    """

    owner: str = ""
    priority: int = 0
    submitted: float = 0.0
    wish: Wish = "run"
    tries: int = 0
    tags: tuple[str, ...] = ()


def read(folder: RunFolder) -> Ticket | None:
    """The ticket of a run, None for a run that never was in a queue.

    Raises:
        RunFolderError: job.json is damaged.
    """
    path = folder.path / NAME
    try:
        values: Any = json.loads(path.read_bytes())
        known = {k: v for k, v in values.items() if k in Ticket.__dataclass_fields__}
        ticket = Ticket(**known | {"tags": tuple(known.get("tags", ()))})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RunFolderError(f"{path}: is damaged ({error}). Delete that one file; the run stays.") from error
    if not _is_whole(ticket):
        raise RunFolderError(f"{path}: is damaged ({values}). Delete that one file; the run stays.")
    return ticket


def _is_whole(ticket: Ticket) -> bool:
    """Whether every value is of its kind: one odd ticket must not disturb the order of all."""
    numbers = isinstance(ticket.priority, int) and isinstance(ticket.tries, int)
    words = [ticket.owner, *ticket.tags]
    known = isinstance(ticket.wish, str) and ticket.wish in get_args(Wish)
    return (
        known
        and numbers
        and isinstance(ticket.submitted, int | float)
        and all(isinstance(w, str) for w in words)
    )


def write(folder: RunFolder, ticket: Ticket) -> None:
    """Replace the ticket in one step."""
    folder.write(folder.path / NAME, json.dumps(asdict(ticket), ensure_ascii=False, indent=1).encode())
