"""Regions that pictures tell, looked for once, before an edit begins: painted masks, words, and "auto"."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.representations.edited import Edited
from sds3d.representations.painted_mask import SIDE, lifted
from sds3d.representations.region import Ballot, Elements, views_of
from sds3d.representations.told_region import packed

from ..core.cameras import Cameras, orbit
from ..core.errors import ConfigError
from ..core.look import Look
from ..core.streams import Streams
from ..priors.base import Cond, Prior, Prompts
from ..priors.evidence import evidence
from .assemble import PriorCache, build_representation, check_model, check_prompt, load_prior
from .contrasts import Contrast, of_edit, of_words
from .device import device_of
from .editing import check_edit
from .pictures import write_region
from .schema import EditOptions, RunConfig

log = logging.getLogger(__name__)

AZIMUTHS = (0.0, 90.0, 180.0, 270.0, 45.0, 135.0, 225.0, 315.0)
ELEVATIONS = (15.0,) * 4 + (40.0,) * 4
"""Where the views stand that are asked; each four of them go around the object, for priors that see several."""


def settled(config: RunConfig, cache: PriorCache | None = None) -> RunConfig:
    """The config with what its region comes to written down, where pictures tell it; see SceneEdit.told.

    Args:
        cache: priors already loaded.

    Raises:
        ConfigError: a region holds nothing, or cannot be looked for. AssetError: a mask or the file cannot be used.
        PromptError, ModelError: the prior cannot be asked.
    """
    edit = config.edit
    if edit is None or not edit.open_questions():
        return config
    check_edit(config)
    bare = config.model_copy(update={"edit": edit.model_copy(update={"region": (), "told": {}})})
    if not all(atom.startswith("mask:") for atom in edit.open_questions()):
        check_prompt(bare)
        check_model(bare)
    scene = build_representation(bare)
    scene.to(device_of(config))
    assert isinstance(scene, Edited), "check_edit refuses representations that edit nothing"
    told = dict(edit.told)
    for atom in edit.open_questions():
        try:
            found = (
                lifted(views_of(atom), scene.ballots)
                if atom.startswith("mask:")
                else _sought(config, contrast_of(atom, edit, config.prompt or ""), scene, cache)
            )
        except ValueError as error:
            raise ConfigError(str(error), key="edit.region") from error
        _tell(atom, found)
        told[atom] = packed(found)
    return config.model_copy(update={"edit": edit.model_copy(update={"told": told})})


def show(config: RunConfig, path: Path) -> Path:
    """Write a picture of what may change in an edit; a file there is replaced.

    Raises:
        Sds3dError: see `settled`; or nothing is edited.
    """
    scene = build_representation(settled(config))
    device = device_of(config)
    scene.to(device)
    return write_region(path, scene, config, device)


def contrast_of(atom: str, edit: EditOptions, prompt: str) -> Contrast:
    """The sentences that tell a region of words, or of the edit itself."""
    if atom == "auto":
        return of_edit(edit.prompt, prompt)
    return of_words(edit.prompt, atom.partition(":")[2].strip())


def _tell(atom: str, found: Elements) -> None:
    """Say how much a region is; refuse one that is nothing."""
    if not any(bool(which.any()) for which in found.values()):
        raise ConfigError(
            f"the region {atom!r} holds nothing of the object.",
            key="edit.region",
            hint="Other words may; or name a place: box, sphere, part, colour or a painted mask.",
        )
    sizes = [f"{int(w.sum())} of {len(w)} {name.rstrip('0123456789')}" for name, w in found.items()]
    log.info("region %s: %s", atom, ", ".join(sizes))


def _sought(config: RunConfig, contrast: Contrast, scene: Edited, cache: PriorCache | None) -> Elements:
    """The elements at which the contrast's own sentence explains better what is seen than the others do."""
    one = config.apart()[0].config
    prior = load_prior(one.prior, cache, device_of(config))
    cameras = orbit(AZIMUTHS, ELEVATIONS)
    at_once = max(prior.info.views_per_group, config.optimize.views)
    maps, solid = [], []
    for begin in range(0, len(cameras), at_once):
        rows = list(range(begin, min(begin + at_once, len(cameras))))
        d, alpha = _evidence(one, prior, contrast, scene, cameras[rows], rows)
        maps.append(d)
        solid.append(alpha)
    found = filled(torch.cat(maps), torch.cat(solid))
    size = (SIDE, SIDE)
    unit, low, high = scaled(F.interpolate(found[:, None], size, mode="bilinear", align_corners=False)[:, 0])
    ballots = scene.ballots(cameras, unit)
    cut = threshold(ballots)
    log.info("evidence from %.3g to %.3g, cut at %.3g", low, high, low + cut * (high - low))
    return {name: (ballot.mean() > cut) & ballot.seen().any(0) for name, ballot in ballots.items()}


def _evidence(
    config: RunConfig, prior: Prior, contrast: Contrast, scene: Edited, cameras: Cameras, rows: list[int]
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Evidence at the latent's size, and how solid the object is there."""
    device = device_of(config)
    side = config.optimize.size
    size = prior.info.size if side is None else (round(side(1.0)),) * 2
    white = torch.ones(len(cameras), 3, device=device)
    wants = frozenset({"rgb", "alpha"}) | (prior.info.maps & frozenset({"depth", "normal"}))
    look = Look(cameras.to(device), size, white, want=wants)
    with torch.no_grad():
        render = scene.original().render(look)
        z = prior.encode(render["rgb"])
    maps = {**render, "source": render["rgb"], "region": torch.ones_like(render["alpha"])}
    words = config.view_words if config.view_words is not None else not prior.info.uses_camera

    def told(text: str) -> Cond:
        return prior.condition(prior.prepare(Prompts(text, "", words)), look, maps)["y"]

    others = [told(text) for text in contrast.others]
    d = evidence(prior, z, told(contrast.own), others, Streams(0), rows)
    alpha = F.interpolate(render["alpha"].float().cpu(), d.shape[1:], mode="area")[:, 0]
    return d, alpha


def filled(values: Float[Tensor, "b h w"], alpha: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """The values, where the object is not solid those of its nearest solid pixels: outlines tell of background too."""
    known = (alpha > 0.5).float()
    out = values * known
    for reach in (3, 5, 9):
        mean, share = (F.avg_pool2d(v[:, None], reach, 1, reach // 2)[:, 0] for v in (out, known))
        new = (known == 0) & (share > 0)
        out = torch.where(new, mean / share.clamp_min(1e-12), out)
        known = torch.where(new, torch.ones_like(known), known)
    return out


def scaled(values: Float[Tensor, "b h w"]) -> tuple[Float[Tensor, "b h w"], float, float]:
    """The values from 0 to 1, and which two these were."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-12), low, high


def threshold(ballots: Mapping[str, Ballot]) -> float:
    """The value that parts elements best in two, each counted by how much of it is seen.

    Otsu, "A threshold selection method from gray-level histograms", IEEE SMC 1979: the largest variance between.
    """
    values = torch.cat([b.mean()[b.seen().any(0)] for b in ballots.values()]).double()
    weights = torch.cat([b.shares.mean(0)[b.seen().any(0)] for b in ballots.values()]).double()
    if len(values) < 2:
        return 0.5
    order = values.argsort()
    values, weights = values[order], weights[order]
    below, sums = weights.cumsum(0), (weights * values).cumsum(0)
    total, whole = below[-1], sums[-1]
    left, right = below[:-1], (total - below[:-1]).clamp_min(1e-12)
    between = left * right * (sums[:-1] / left.clamp_min(1e-12) - (whole - sums[:-1]) / right) ** 2
    k = int(between.argmax())
    return float((values[k] + values[k + 1]) / 2)
