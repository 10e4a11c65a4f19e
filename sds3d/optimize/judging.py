"""One step's judgements: what each active term saw and said, and what of it is pulled back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sds3d.guidance.base import Cotangents, Log, Views
from sds3d.representations.base import Representation

from ..core.look import Look, Render
from ..core.tree import Tree
from .placing import place_look, place_tree
from .stage import Original, Stage
from .terms import Term

Section = Callable[[str], AbstractContextManager[None]]
"""Charges the time of its body to a name."""


@dataclass(frozen=True)
class Judgement:
    """What one term saw and said in a step.

    Args:
        term, factor: who, and how much it counts. render: with its graph. z: of that render, on the graph.
        views: the same, detached. cotangents, log: of the term alone. state: its guidance's new memory.
        original: of an edit, the same views of what there was before; None where nobody asked for them.
    """

    term: Term
    factor: float
    render: Render
    z: Tensor
    views: Views
    cotangents: Cotangents
    log: Log
    state: Tree
    original: Render | None = None

    def name(self, what: str) -> str:
        """`what`, behind the term's name where the stage has several."""
        return f"{self.term.name}.{what}" if self.term.name else what


def initial_state(stage: Stage) -> Tree:
    """The guidance's memory at step 0; by term where there are several."""
    states = {term.name: term.stage.guidance.init(term.stage.streams) for term in stage.judges}
    return states if stage.terms else states[""]


def placed_state(stage: Stage, state: Tree) -> Tree:
    """The guidance's memory where each term's latents lie; what was read from a disk lies on the CPU."""
    if not stage.terms:
        return place_tree(state, stage.judge)
    return {term.name: place_tree(state[term.name], term.stage.judge) for term in stage.judges}


def judge(stage: Stage, step: int, state: Tree, section: Section) -> list[Judgement]:
    """Ask every term that is active at this step."""
    active = stage.active(step)
    want = frozenset[str]().union(*(term.stage.wants for term, _ in active))
    pictures = _Pictures(stage, step, want, section)
    out = []
    for term, factor in active:
        own = term.stage
        look, render, z = pictures.of(own)
        before = None
        if own.original is not None and own.compares(step):
            _, before, z_before = pictures.of(own, own.original)
        views = views_of(own, look, render, z, before)
        if own.original is not None and before is not None and own.guidance.needs.source:
            views = beside_original(own.original, views, before, z_before)
        memory = state[term.name] if stage.terms else state
        with section("guidance"):
            cotangents, memory, log = own.guidance.guide(views, step, own.streams, memory)
        out.append(Judgement(term, factor, render, z, views, cotangents, log, memory, before))
    return out


class _Pictures:
    """A step's renders and their encodings, each made once: terms that look alike share a render, and an encoding
    too where they share the prior."""

    def __init__(self, stage: Stage, step: int, want: frozenset[str], section: Section):
        self.stage, self.step, self.want, self.section = stage, step, want, section
        self.renders: dict[object, tuple[Look, Render]] = {}
        self.encoded: dict[object, Tensor] = {}

    def of(self, own: Stage, original: Original | None = None) -> tuple[Look, Render, Tensor]:
        """Request, render and encoding of a term's views: of the scene, or without a graph of its original."""
        if original is not None:
            with torch.no_grad():
                return self._of(own, original.representation)
        return self._of(own, own.representation)

    def _of(self, own: Stage, scene: Representation) -> tuple[Look, Render, Tensor]:
        seen = (id(scene), own.sight(self.step))
        if seen not in self.renders:
            look = place_look(replace(own.look(self.step), want=self.want), self.stage.device)
            with self.section("render"):
                self.renders[seen] = look, scene.render(look)
        look, render = self.renders[seen]
        key = (seen, id(own.prior))
        if key not in self.encoded:
            self.encoded[key] = render["z"] if "z" in render else encode(own, medium(render))
        return look, render, self.encoded[key]


def fidelity(stage: Stage, step: int, found: Judgement) -> dict[str, Tensor]:
    """The pull of an edit's views to those of its original; {} where there is none."""
    weight = stage.fidelity(step)
    if found.original is None or not weight:
        return {}
    away = found.render["rgb"] - found.original["rgb"]
    return {"fidelity": 0.5 * weight * away.square().sum() / len(away)}


def medium(render: Render) -> Tensor:
    """What a prior sees or hears of a render."""
    return render["audio"] if "audio" in render else render["rgb"]


def encode(stage: Stage, media: Tensor) -> Tensor:
    """z in float32, computed in the precision that the options name."""
    if stage.options.precision == "float32":
        return stage.prior.encode(media)
    with torch.autocast(media.device.type, getattr(torch, stage.options.precision)):
        z = stage.prior.encode(media)
    return z.float()


def views_of(stage: Stage, look: Look, render: Render, z: Tensor, before: Render | None = None) -> Views:
    """What a guidance may see of a render: everything detached, with the prior's conditions.

    Args:
        before: of an edit, the original's render, for priors that look at it.
    """
    media = {k: v.detach() for k, v in render.items() if isinstance(v, Tensor)}
    maps = media if before is None or "rgb" not in before else media | {"source": before["rgb"].detach()}
    cond = stage.prior.condition(stage.embedded, look, maps)
    return Views(look, media, z.detach(), cond, prompt=stage.prompt)


def beside_original(original: Original, views: Views, render: Render, z: Tensor) -> Views:
    """The views of an edit, with those of its original as `source`; the conditions know its words as "src"."""
    media = {k: v.detach() for k, v in render.items() if isinstance(v, Tensor)}
    return replace(views, source=Views(views.look, media, z.detach(), views.cond, prompt=original.prompt))


def to_pull_back(found: Sequence[Judgement], progress: float, scale: float) -> list[tuple[Tensor, Tensor]]:
    """(tensor of a render's graph, d loss / d that tensor) for everything that was judged, times `scale`."""
    out = []
    for one in found:
        cotangents = one.cotangents
        if one.term.stage.guidance.image_post:
            # a graph that other terms go through as well has to outlive this walk
            cotangents = _at_the_picture(one, progress, scale, keep=len(found) > 1)
        out += [
            (one.z if name == "z" else one.render[name], scale * one.factor * g)
            for name, g in cotangents.items()
        ]
    return out


def _at_the_picture(one: Judgement, progress: float, scale: float, keep: bool) -> Cotangents:
    """The cotangents with those of z and rgb become one of rgb, through the encoder and the guidance's steps.

    What regularisers ask of the picture is not part of it.
    """
    out = {name: g for name, g in one.cotangents.items() if name != "z"}
    rgb = one.render["rgb"]
    g = torch.autograd.grad(one.z, rgb, scale * one.cotangents["z"], retain_graph=keep)[0] / scale
    g = g + out["rgb"] if "rgb" in out else g
    for post in one.term.stage.guidance.image_post:
        g = post(g, progress)
    return out | {"rgb": g}


def merged_state(stage: Stage, state: Tree, found: Sequence[Judgement]) -> Tree:
    """The guidance's memory after a step's judgements."""
    return state | {one.term.name: one.state for one in found} if stage.terms else found[0].state


def merged_log(stage: Stage, found: Sequence[Judgement]) -> Log:
    """Numbers by term and the cost of all; pictures are those of the first."""
    if not stage.terms:
        return found[0].log
    out: Log = {k: v for k, v in found[0].log.items() if isinstance(v, Tensor) and v.ndim > 0}
    for one in found:
        out |= {one.name(k): v for k, v in one.log.items() if not isinstance(v, Tensor) or v.ndim == 0}
    rows = [float(one.log.get("rows", 0.0)) for one in found]
    trained = [
        r * float(one.log["nfe_train"]) / float(one.log["nfe"]) if one.log.get("nfe") else 0.0
        for r, one in zip(rows, found, strict=True)
    ]
    views = stage.options.views * stage.particles
    return out | {"nfe": sum(rows) / views, "nfe_train": sum(trained) / views, "rows": sum(rows)}


def learned(stage: Stage, step: int, state: Tree, found: Sequence[Judgement]) -> Tree:
    """The guidance's memory after those who judged have trained their critics."""
    for one in found:
        own = one.term.stage
        memory = own.guidance.learn(
            one.views, step, own.streams, state[one.term.name] if stage.terms else state
        )
        state = state | {one.term.name: memory} if stage.terms else memory
    return state
