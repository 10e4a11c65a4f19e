"""The scores of one finished run, in 3D and of a flat picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.representations.base import Representation

from ...assetio.kinds import read
from ...core.assets import Mesh
from ...core.cameras import Cameras, orbit, turntable
from ...core.look import Look
from ...evaluate.captions import caption_of
from ...evaluate.colour import colour, foreground
from ...evaluate.consistency import view_consistency
from ...evaluate.faces import faces
from ...evaluate.headings import headings, match
from ...evaluate.mesh_render import render_mesh
from ...evaluate.pictures import psnr
from ...evaluate.retrieval import Judge, Verdict
from ...evaluate.silhouette import dilate, mask, silhouette_iou
from ...evaluate.truth import truth_of
from ...evaluate.views import judge_cameras, outline_cameras, render_views, unseen_cameras
from ...priors.kinds.oracle_scene import Options as OracleOptions
from ..schema import RunConfig

Scores = dict[str, float | None]
_SIZE = 128
_RING, _TRUE_RING, _ELEVATION_DEG = 24, 72, 15.0
_OUTPUTS = frozenset({"rgb", "alpha", "depth"})


@dataclass(frozen=True)
class Target:
    """What a prompt should look like, where that is known.

    Args:
        mesh: the shape. fronted: whether it has a front. exact: whether this very asset is asked for, colours and all.
    """

    mesh: Mesh
    fronted: bool
    exact: bool


def target_of(config: RunConfig) -> Target | None:
    """The asset that an oracle_scene prior knows, else the procedural object that the prompt speaks of, else None."""
    prompt = config.prompt or ""
    if isinstance(config.prior, OracleOptions):
        mesh = read(prompt).mesh
        return None if mesh is None else Target(mesh, fronted=True, exact=True)
    truth = truth_of(prompt)
    return None if truth is None else Target(truth.mesh, truth.fronted, exact=False)


def score(config: RunConfig, representation: Representation, judge: Judge | None) -> tuple[Scores, str]:
    """(scores by name, the caption that the judge would have chosen or "")."""
    if config.representation.flat:
        return _flat(config, representation, judge)
    target, prompt = target_of(config), config.prompt or ""
    own = render_views(representation.render, outline_cameras(), (_SIZE, _SIZE))
    shown = colour(own["rgb"], mask(own["alpha"]))
    scores: Scores = {"saturation": shown.saturation, "clipped": shown.clipped}
    ring = turntable(_RING, _ELEVATION_DEG)
    around = render_views(representation.render, ring, (_SIZE, _SIZE), want=_OUTPUTS)
    if target is not None:
        scores |= _shape(own["alpha"], target)
        scores |= _fronts(around, ring, target) if target.fronted else {}
        scores |= _likeness(representation, target) if target.exact else {}
    best = ""
    if judge is not None:
        scores["consistency"] = view_consistency(judge.model, around["rgb"].clamp(0.0, 1.0))
        if caption_of(prompt) is not None:
            judged = render_views(representation.render, judge_cameras(), (64, 64))["rgb"]
            verdict = judge.rank(judged.clamp(0.0, 1.0), prompt)
            scores, best = scores | _ranks(verdict), verdict.best
            if target is not None and target.fronted:
                seen = faces(judge.model, around["rgb"].clamp(0.0, 1.0), prompt)
                scores["judged_faces"] = float(seen.second_face)
    return scores, best


def _ranks(verdict: Verdict) -> Scores:
    return {
        "r1": float(verdict.rank == 1),
        "r5": float(verdict.rank <= 5),
        "cosine": verdict.score,
    }


def _shape(alpha: Float[Tensor, "b 1 h w"], target: Target) -> Scores:
    """Outlines against the true shape: as they stand, and at the best of the eight headings."""
    expected = render_mesh(target.mesh, outline_cameras(), (_SIZE, _SIZE))["alpha"]
    turned = [float(silhouette_iou(alpha.roll(k, 0), expected).mean()) for k in range(len(alpha))]
    return {"iou": turned[0], "iou_turned": max(turned)}


def _fronts(around: dict[str, Tensor], ring: Cameras, target: Target) -> Scores:
    """How often the front is seen, by matching with the true shape from all around."""
    true_ring = turntable(_TRUE_RING, _ELEVATION_DEG)
    truth = render_mesh(target.mesh, true_ring, (_SIZE, _SIZE))
    unlike = match(around, dict(truth), shape_only=not target.exact)
    seen = true_ring.azimuth_deg[unlike.argmin(1)]
    found = headings(ring.azimuth_deg.tolist(), seen.tolist())
    return {"second_face": float(found.second_face), "heading_error": found.turned_error_deg}


def _likeness(representation: Representation, target: Target) -> Scores:
    """PSNR over unseen views on white, inside the true outline and a little around it."""
    cameras = unseen_cameras()
    own = render_views(representation.render, cameras, (_SIZE, _SIZE))["rgb"].clamp(0.0, 1.0)
    true = render_mesh(target.mesh, cameras, (_SIZE, _SIZE), samples=2)
    each = psnr(own, true["rgb"], dilate(mask(true["alpha"]), _SIZE // 32))
    return {"psnr": float(each.clamp_max(99.0).mean())}


@torch.no_grad()
def _flat(config: RunConfig, representation: Representation, judge: Judge | None) -> tuple[Scores, str]:
    """A picture: its caption, its colours, and its outline from the camera that the prior was told."""
    look = Look(None, (_SIZE, _SIZE), torch.ones(1, 3))
    rgb = representation.render(look)["rgb"].float().cpu().clamp(0.0, 1.0)
    inside = foreground(rgb)
    shown = colour(rgb, inside)
    scores: Scores = {"saturation": shown.saturation, "clipped": shown.clipped}
    sampler, target = config.representation.sampler(config.cameras.sampler()), target_of(config)
    azimuth, elevation = getattr(sampler, "azimuth_deg", None), getattr(sampler, "elevation_deg", None)
    if target is not None and azimuth is not None and elevation is not None:
        scores |= _outline(inside, target, azimuth, elevation)
    best = ""
    if judge is not None and caption_of(config.prompt or "") is not None:
        verdict = judge.rank(rgb, config.prompt or "")
        scores, best = scores | _ranks(verdict), verdict.best
    return scores, best


def _outline(inside: Bool[Tensor, "1 1 h w"], target: Target, azimuth: float, elevation: float) -> Scores:
    """Outline of one picture: from the told camera, and from the best of sixteen azimuths."""
    cameras = orbit([azimuth + 22.5 * k for k in range(16)], elevation)
    alpha = render_mesh(target.mesh, cameras, (_SIZE, _SIZE))["alpha"]
    each = silhouette_iou(inside.float().expand(len(alpha), -1, -1, -1), alpha)
    best = float(each.max())
    assert math.isfinite(best)
    return {"iou": float(each[0]), "iou_turned": best}
