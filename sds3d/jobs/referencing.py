"""Pictures that runs follow: found, read, kept in the run folder, and shown beside what became of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch

from sds3d.representations.base import Representation
from sds3d.representations.particles import members_of

from ..assetio import pictures
from ..assetio.cutout import Cutout, cut_out
from ..assetio.files import write_atomic
from ..assetio.photo import SUFFIXES, photo_bytes, read_photo
from ..config.source import Document, KeyPath
from ..core.errors import AssetError, ConfigError
from ..optimize.placing import place_look
from ..optimize.reference import Reference
from ..priors.words import read_vocabulary, split_words
from .reference_options import ReferenceOptions
from .schema import PRIORS, RunConfig

log = logging.getLogger(__name__)

READS = "embedded"
"""The prior whose captions the bundled judge reads: what it says can be asked of that prior."""
_SHOWN = 3


def is_picture(word: str) -> bool:
    """Whether a word means a picture file rather than a sentence."""
    return Path(word).suffix.lower() in SUFFIXES and len(word) < 4096


def complete(document: Document) -> None:
    """Write into a document what follows from its pictures, in place: where they lie, their hashes, and the prompt
    where there is none.

    A document that is malformed where this would look is left as it is: validation reports it.

    Raises:
        ConfigError: there is no such picture, it cannot be used, or it is not the one whose hash is given.
    """
    for path, reference in _sections(document):
        try:
            file = _absolute(document, path, reference["image"])
            digest = hashlib.sha256(photo_bytes(file)).hexdigest()
            if reference.get("sha256") not in (None, digest):
                raise AssetError(
                    f"{file}: is not the picture that this run began with; its bytes have changed."
                )
        except AssetError as error:
            raise _at(document, (*path, "image"), error) from error
        reference |= {"image": str(file), "sha256": digest}
    _name(document)


def _sections(document: Document) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """The run's reference and those of its stages, with their paths."""
    data = document.data if isinstance(document.data, dict) else {}
    stages = data.get("stages")
    found: list[tuple[KeyPath, Any]] = [(("reference",), data.get("reference"))]
    for index, stage in enumerate(stages if isinstance(stages, list) else []):
        if isinstance(stage, dict):
            found.append((("stages", index, "reference"), stage.get("reference")))
    for path, section in found:
        if isinstance(section, dict) and isinstance(section.get("image"), str) and section["image"]:
            yield path, section


def _absolute(document: Document, path: KeyPath, image: str) -> Path:
    """The picture that a text means: relative to the YAML file where one named it."""
    file = Path(document.mark((*path, "image")).file)
    base = file.parent if file.suffix.lower() in (".yaml", ".yml") else Path()
    return (base / Path(image).expanduser()).absolute()


def _at(document: Document, path: KeyPath, error: AssetError) -> ConfigError:
    mark = document.mark(path)
    return ConfigError(str(error), file=mark.file or None, line=mark.line, key=".".join(map(str, path)))


def _name(document: Document) -> None:
    """The prompt of a document that has none, as the judge reads it in the picture."""
    data = document.data if isinstance(document.data, dict) else {}
    reference = dict(_sections(document)).get(("reference",))
    if reference is None or data.get("prompt") is not None or data.get("prompts"):
        return
    prior = PRIORS.expand(data.get("prior") or {"kind": READS})
    if not isinstance(prior, dict) or prior.get("kind") != READS:
        return
    try:
        options = ReferenceOptions.model_validate(reference)
    except ValueError:
        return  # told by validation
    try:
        found = captions_of(options, words_of(prior))
    except AssetError as error:
        raise _at(document, ("reference", "image"), error) from error
    data["prompt"], reference["captions"] = found[0], found


def words_of(prior: dict[str, Any]) -> Collection[str] | None:
    """The words that the embedded prior reads; None where its options are wrong, which validation tells."""
    from ..priors.kinds import embedded

    try:
        options = embedded.Options.model_validate(prior)
    except ValueError:
        return None
    return read_vocabulary(embedded.model_folder(options) / "tokenizer")[0]


def captions_of(options: ReferenceOptions, words: Collection[str] | None = None) -> list[str]:
    """What the bundled judge reads in a picture, the best first, of captions in these words (all without them).

    Raises:
        AssetError: the picture cannot be used, or no caption is in these words.
    """
    from ..evaluate.reading import read_captions

    def serves(caption: str) -> bool:
        return words is None or set(words).issuperset(split_words(caption))

    found = [read.caption for read in read_captions(cutout_of(options), _SHOWN, serves)]
    if not found:
        raise AssetError("no caption of the bundled judge is in words that this prior reads; say a prompt")
    return found


def cutout_of(options: ReferenceOptions) -> Cutout:
    """The object of the picture.

    Raises:
        AssetError: the picture cannot be read, was changed, or its object cannot be told from what is behind it.
    """
    file = Path(options.image)
    data = photo_bytes(file)
    if options.sha256 not in (None, hashlib.sha256(data).hexdigest()):
        raise AssetError(f"{file}: is not the picture that this run began with; its bytes have changed.")
    return cut_out(read_photo(data, file), options.background, options.fit, str(file))


def reference_of(options: ReferenceOptions | None) -> Reference | None:
    """What the loop compares with; None where nothing is.

    Raises:
        AssetError: see `cutout_of`.
    """
    if options is None:
        return None
    return Reference(
        cutout_of(options),
        options.azimuth_deg,
        options.elevation_deg,
        options.distance,
        options.fov_y_deg,
        options.weight,
        options.mask_weight,
        options.every,
    )


def check_reference(config: RunConfig) -> None:
    """Refuse a picture that cannot be used, and a representation that it cannot be compared with.

    Raises:
        ConfigError: says which, and what to do.
    """
    if config.reference is None:
        return
    if config.capture is not None:
        raise ConfigError("a fit has photographs, and takes no other picture.", key="reference")
    if config.representation.flat:
        raise ConfigError(
            f"{config.representation.kind} is seen by no camera, so that it cannot be compared with a picture of an "  # type: ignore[attr-defined]
            "object.",
            key="reference",
            hint="Take representation=grid, nerf, gaussians, tetmesh or mesh, or leave the picture out.",
        )
    behind = getattr(config.representation, "background", None)
    if getattr(behind, "kind", "none") != "none":
        raise ConfigError(
            "the background is learned, so that the object cannot be compared with a picture of it alone.",
            key="representation.background",
            hint="Leave it at none, or leave the picture out.",
        )
    try:
        cutout_of(config.reference)
    except AssetError as error:
        raise ConfigError(str(error), key="reference.image") from error


def kept(config: RunConfig, folder: Path) -> RunConfig:
    """The config as a run's folder holds it: its pictures are copied there, and named from there.

    Raises:
        AssetError: a picture cannot be read or written.
    """
    change: dict[str, Any] = {"reference": _kept(config.reference, folder)}
    if config.stages:
        change["stages"] = tuple(
            stage.model_copy(update={"reference": _kept(stage.reference, folder)}) for stage in config.stages
        )
    return config.model_copy(update=change)


def _kept(options: ReferenceOptions | None, folder: Path) -> ReferenceOptions | None:
    if options is None:
        return None
    data = photo_bytes(Path(options.image))
    digest = hashlib.sha256(data).hexdigest()
    name = f"reference_{digest[:8]}{Path(options.image).suffix.lower()}"
    write_atomic(folder / name, data, overwrite=True)
    return options.model_copy(update={"image": name, "sha256": digest})


def write_reference(
    path: Path, reference: Reference, representation: Representation, side: int, device: torch.device
) -> None:
    """The picture, and beside it each particle as its camera sees it, over white."""
    white = torch.ones(1, 3)
    shown = [reference.cutout.at(side).over(white)[0]]
    for member in members_of(representation):
        look = place_look(reference.look(side, white), device)
        with torch.no_grad():
            shown.append(member.render(look)["rgb"][0].clamp(0, 1).cpu())
    pictures.contact_sheet(shown, path, len(shown), overwrite=True)
