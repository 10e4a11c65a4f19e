"""Does each sample show the side that it was asked for? With the camera told, and with view words only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.cameras import Cameras, turntable
from ..core.streams import Streams
from ..evaluate.azimuth import TrueViews, azimuths_seen, true_views
from ..evaluate.headings import Headings, headings, wrapped
from ..evaluate.truth import truths_of
from ..objects.captions import colours_of, read_caption, with_article
from ..objects.colours import FIXED
from ..objects.kind import MAIN, SECOND, Kind
from ..objects.shape import build
from ..priors.base import Prior
from ..priors.kinds.embedded import Options, load_folder
from ..priors.words import read_vocabulary
from .layers import compose, render_layers
from .options import TrainOptions
from .plan import learned_kinds
from .sampling import ddim
from .start import start_folder

VIEWS, ELEVATION_DEG = 8, 15.0
TRUE_BUILDS = 3
"""Varied builds that a view may look like, beside the typical one."""
_OTHER_BUILDS = (100, 101, 102)
"""Builds that are in no truth: what the matcher says of their true pictures is its ceiling."""
_FOUND_DEG, _FRONT_DEG = 15.0, 45.0
_NEUTRAL = ("white", "gray", "black")
"""Light turns these paints into each other, and white cannot be told from the ground."""


def ring_cameras() -> Cameras:
    """Eight views, every 45° of azimuth."""
    return turntable(VIEWS, ELEVATION_DEG)


@dataclass(frozen=True)
class Ring:
    """Eight views of one object, matched.

    Args:
        kind: of the object. seen: what the views show.
    """

    kind: Kind
    seen: Headings

    @property
    def off_deg(self) -> Float[Tensor, " 8"]:
        """Distance of each matched azimuth from the camera's, in [0, 180]."""
        return wrapped(torch.tensor(self.seen.seen_deg) - ring_cameras().azimuth_deg).abs()

    @property
    def once_around(self) -> bool:
        """Whether the seen side goes once around with the camera."""
        return self.seen.winding == 1


def evaluate_views(
    options: TrainOptions, model: str, seeds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """How far the sampled views are from the asked ones, over all kinds with a front that can be told.

    A kind is left out where the matcher is wrong about true pictures of other builds of it: a median error over 15°,
    or a winding number other than 1.

    Args:
        options: say which kinds the model learned. model: prior32, prior64 or a folder; the run's own where empty.
            Kinds whose names it cannot read are not asked for.
        seeds: objects of each kind, each in another colour.
    """
    folder = start_folder(model, asked="--model") if model else options.folder / "model"
    words, _ = read_vocabulary(folder / "tokenizer")
    kinds = [k for k in learned_kinds(options.pictures) if k.fronted and set(k.name.split()) <= set(words)]
    captions = {
        k: [caption_for(k, number + 4 * seed) for seed in range(seeds)] for number, k in enumerate(kinds)
    }
    ceilings = {kind: true_rings(said[0]) for kind, said in captions.items()}
    told = [kind for kind, rings in ceilings.items() if _all_found(rings)]
    rings: dict[str, list[Ring]] = {"camera": [], "view words": []}
    for name in rings if told else ():
        prior = load_folder(folder, Options(condition_on_camera=name == "camera"))
        for number, kind in enumerate(told):
            rings[name] += [
                sampled_ring(prior, kind, caption, truth_views(caption), seed, name == "view words")
                for seed, caption in enumerate(captions[kind])
            ]
            say(
                f"{name} {number + 1}/{len(told)}, {kind.name}: {rings[name][-1].seen.error_deg:.0f} degrees off"
            )
    return {
        "true pictures": summary([ring for kind in told for ring in ceilings[kind]]),
        **{name: summary(sampled) for name, sampled in rings.items()},
        "not told apart": [kind.name for kind in kinds if kind not in told],
        "by kind": _by_kind(rings["camera"], rings["view words"]),
    }


def sides_can_be_told(caption: str) -> bool:
    """Whether the matcher finds every side of true pictures of other builds; no for what has no front."""
    return _all_found(true_rings(caption))


def _all_found(rings: Sequence[Ring]) -> bool:
    return all(ring.once_around and ring.seen.error_deg <= _FOUND_DEG for ring in rings)


def caption_for(kind: Kind, number: int) -> str:
    """ "a C kind" in one of the colours that training may have shown on it, the neutral ones left out."""
    paints = [c for c in colours_of(kind) if c not in _NEUTRAL]
    return with_article(f"{paints[number % len(paints)]} {kind.name}")


def truth_views(caption: str) -> TrueViews:
    """The builds of a caption's object from all around, to match with views from ELEVATION_DEG on white.

    Raises:
        ObjectError: the generator does not understand the caption.
    """
    read_caption(caption)
    builds = [truth.mesh for truth in truths_of(caption, TRUE_BUILDS)]
    return true_views(builds, ELEVATION_DEG)


def true_rings(caption: str) -> list[Ring]:
    """What the matcher says of training pictures, lit and all, of builds that it does not know."""
    subject, named = read_caption(caption)
    kind, truth = subject.kinds[0], truth_views(caption)
    pictures = (shaded_views(kind, named["main"], number) for number in _OTHER_BUILDS)
    return [_ring(kind, shown, truth) for shown in pictures]


def shaded_views(kind: Kind, colour: str, number: int, size: int = 64) -> Float[Tensor, "8 3 s s"]:
    """A build as training shows it: lit, its main parts in a named colour, on white."""
    shape = build(kind, Streams(0), number)
    azimuths = ring_cameras().azimuth_deg.tolist()
    layers = torch.stack([render_layers(shape, azimuth, ELEVATION_DEG, size) for azimuth in azimuths])
    usual = {MAIN: FIXED[colour], SECOND: FIXED[kind.second_natural], "third": FIXED[colour]}
    paints = torch.tensor(list(usual.values())).expand(VIEWS, -1, -1)
    return compose(layers, paints, torch.zeros(VIEWS), torch.ones(VIEWS, 3))


def sampled_ring(
    prior: Prior, kind: Kind, caption: str, truth: TrueViews, seed: int, view_words: bool
) -> Ring:
    """Eight independent samples of a caption, 20 DDIM steps each, one a side."""
    ground = torch.ones(VIEWS, 3)
    shown = ddim(prior, [caption] * VIEWS, ring_cameras(), ground, seed=seed, view_words=view_words)
    return _ring(kind, shown, truth)


def _ring(kind: Kind, shown: Float[Tensor, "8 3 s s"], truth: TrueViews) -> Ring:
    seen = azimuths_seen(shown, truth)
    return Ring(kind, headings(ring_cameras().azimuth_deg.tolist(), seen.tolist()))


def summary(rings: Sequence[Ring]) -> Mapping[str, Any]:
    """The numbers of many rings.

    "front shown" is the share of the views from azimuth 0 that look like a side within 45° of it, "back shown" the same
    of those from 180°; sides at random would have .29 of each.
    """
    if not rings:
        return {"objects": 0}
    off = torch.stack([ring.off_deg for ring in rings])
    animals = [ring for ring in rings if ring.kind.group == "animals"]
    front, back = 0, VIEWS // 2
    return {
        "objects": len(rings),
        "median error, degrees": float(torch.quantile(off, 0.5)),
        "views within 15 degrees": float((off <= _FOUND_DEG).float().mean()),
        "front shown": float((off[:, front] <= _FRONT_DEG).float().mean()),
        "back shown": float((off[:, back] <= _FRONT_DEG).float().mean()),
        "winding number 1": _count(rings),
        "of animals": _count(animals),
    }


def _count(rings: Sequence[Ring]) -> str:
    return f"{sum(r.once_around for r in rings)} of {len(rings)}"


def _by_kind(camera: Sequence[Ring], words: Sequence[Ring]) -> dict[str, str]:
    """Kind -> the median error of its objects and their winding numbers, either way of telling."""
    out = {}
    for name in dict.fromkeys(r.kind.name for r in camera):
        said = []
        for told, rings in (("camera", camera), ("words", words)):
            own = [r.seen for r in rings if r.kind.name == name]
            turns = " ".join(str(s.winding) for s in own)
            said.append(f"{told} {median(s.error_deg for s in own):.0f}° (winding {turns})")
        out[name] = ", ".join(said)
    return out
