"""One model as the table of models holds it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ...config.options import Options
from ..trust import Trust

Alias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)]
_BOX = "box:"
RepositoryId = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", max_length=200)]


class Repository(Options):
    """One place on the hub that holds a model."""

    id: RepositoryId
    """Owner and name, such as owner/name."""
    revision: str = "main"
    """Branch, tag or commit."""
    checked: Literal["files", "named", "memory"] = "memory"
    """How far the name was verified: its list of files was read, others name it, or not at all."""
    note: str = ""
    """What to know about it, such as that it is a mirror."""


class ModelEntry(Options):
    """A model that has a name here."""

    title: str = Field(min_length=1)
    """Its name for people."""
    family: str | None = None
    """Family of the adapter that reads it; none: listed, but not readable yet."""
    base: Alias | None = None
    """Name of the model that `loras` or the ControlNet are added to; such an entry has no family of its own."""
    loras: tuple[str, ...] = ()
    """LoRA files of the repository (or of `folder`) that are added to the base."""
    control: Literal["depth", "normal"] | None = None
    """A ControlNet beside the base: the map of the render that it is shown."""
    repositories: tuple[Repository, ...] = ()
    """Where it is fetched from, tried in this order."""
    folder: str | None = None
    """Where it lies on this disk already; then nothing is fetched. "box:NAME" came with sds3d."""
    variant: str = ""
    """Which weight files to prefer where a repository has several, such as fp16."""
    shape: str | None = None
    """Name of the architecture in shapes/, for predictions of memory."""
    licence: str = "unknown"
    """Licence of the weights."""
    commercial: Literal["yes", "limited", "no", "unknown"] = "unknown"
    """Whether the licence allows commercial use: yes (use restrictions apply), up to a size of business, no."""
    gated: bool = False
    """Whether its terms have to be accepted on its page before it can be fetched."""
    download_gb: float | None = Field(default=None, gt=0)
    """Size of the files that are fetched, in GB (10^9 bytes)."""
    vram_gb: float | None = Field(default=None, gt=0)
    """Predicted peak memory of a GPU in GB for 4 views a step with prior.memory=lean; see `sds3d run --dry-run`."""
    prediction: Literal["epsilon", "v", "x0", "velocity"] | None = None
    """What its network predicts."""
    size: int | None = Field(default=None, ge=8)
    """Side of the pictures that it was trained at, in pixels."""
    use: str = ""
    """What it is good for."""
    prior: dict[str, Any] = Field(default_factory=dict)
    """Options of the prior that it wants, such as {few_step: lcm}; what a config says wins."""

    @model_validator(mode="after")
    def _has_a_place(self) -> ModelEntry:
        if self.folder == _BOX:
            raise ValueError("folder: box: needs a name, such as box:latent32")
        if not self.repositories and self.folder is None:
            raise ValueError("needs repositories: [{id: owner/name}] or folder: /path")
        if bool(self.loras or self.control) != (self.base is not None):
            raise ValueError("base and loras, or base and control, go together; give both or neither")
        return self

    @property
    def in_the_box(self) -> str:
        """The folder's name among the models that came with sds3d, "" where it is not one of them."""
        return self.folder.removeprefix(_BOX) if self.folder and self.folder.startswith(_BOX) else ""

    @property
    def readable(self) -> bool:
        """Whether there is an adapter for it."""
        return self.family is not None or self.base is not None


class Table(Options):
    """A file of models."""

    models: dict[Alias, ModelEntry] = Field(default_factory=dict)
    """Name -> model."""


def trust_of(entry: ModelEntry) -> Trust:
    """What a models.yaml allows a model by name, among its options of the prior."""
    given = entry.prior
    return Trust(tuple(given.get("allow_pickle", ())), tuple(given.get("trust_remote_code", ())))
