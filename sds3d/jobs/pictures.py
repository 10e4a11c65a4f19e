"""Pictures of a finished asset: a contact sheet and a turntable film; of a flat one, the sheet alone."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from sds3d.representations.base import Representation
from sds3d.representations.particles import members_of

from ..assetio import pictures
from ..core.cameras import Cameras, turntable
from ..core.look import Look, Render
from ..evaluate import views
from ..optimize.loop import sheet
from ..optimize.placing import place_look
from .runfolder import RunFolder
from .schema import RunConfig

_AT_ONCE = 4
_LONG = 3
"""Width of a sound's picture over its height."""
_PALE = 0.65
"""How far to white what an edit may not change is shown."""


def render_views(
    representation: Representation, cameras: Cameras, side: int, device: torch.device = torch.device("cpu")
) -> list[Tensor]:
    """Views (3, side, side) on white, rendered a few at a time to spare memory, on the CPU again.

    Args:
        device: where the representation lies.
    """

    def render(look: Look) -> Render:
        return {"rgb": representation.render(place_look(look, device))["rgb"].cpu()}

    shown = views.render_views(render, cameras, (side, side), want=frozenset({"rgb"}), batch=_AT_ONCE)
    return list(shown["rgb"].clamp(0, 1))


def write_pictures(
    folder: RunFolder, representation: Representation, config: RunConfig, device: torch.device
) -> None:
    """contact.png and turntable.mp4, as far as the options ask for them; no film of what is flat.

    Several particles: rows of the sheet (of flat ones: its pictures; sounds lie one below the other), and one frame
    of the film shows all.
    """
    options, members = config.pictures, members_of(representation)
    if config.representation.flat:
        if options.contact_views:
            side, sounds = options.contact_size, "sound" in config.representation.forms
            look = Look(None, (side, _LONG * side if sounds else side), torch.ones(1, 3))
            look = place_look(look, device)
            with torch.no_grad():
                shown = [member.render(look)["rgb"][0].clamp(0, 1).cpu() for member in members]
            pictures.contact_sheet(shown, folder.contact, 1 if sounds else 4, overwrite=True)
        return
    if options.contact_views:
        cameras = turntable(options.contact_views, options.elevation_deg)
        each = [render_views(member, cameras, options.contact_size, device) for member in members]
        columns = 4 if len(members) == 1 else options.contact_views
        pictures.contact_sheet(list(chain(*each)), folder.contact, columns, overwrite=True)
    if options.turntable_frames:
        cameras = turntable(options.turntable_frames, options.elevation_deg)
        each = [render_views(member, cameras, options.turntable_size, device) for member in members]
        frames = [sheet(torch.stack(turn)) for turn in zip(*each, strict=True)]
        pictures.turntable(frames, folder.turntable, options.turntable_fps, overwrite=True)


def write_before_after(
    folder: RunFolder,
    original: Representation,
    scene: Representation,
    config: RunConfig,
    device: torch.device,
) -> None:
    """before_after.png: a row of views of the original, and the same views of the result below."""
    options = config.pictures
    if not options.contact_views:
        return
    cameras = turntable(options.contact_views, options.elevation_deg)
    rows = [render_views(one, cameras, options.contact_size, device) for one in (original, scene)]
    pictures.contact_sheet(list(chain(*rows)), folder.before_after, options.contact_views, overwrite=True)


def write_region(path: Path, scene: Representation, config: RunConfig, device: torch.device) -> Path:
    """Views of what is edited, in which all that may not change is pale and grey; a file there is replaced."""
    options = config.pictures
    cameras = turntable(max(1, options.contact_views), options.elevation_deg)

    def shown(look: Look) -> Render:
        render = scene.render(place_look(look, device))
        rgb, free = render["rgb"].cpu().clamp(0, 1), render["region"].cpu().clamp(0, 1)
        pale = _PALE + (1 - _PALE) * rgb.mean(1, keepdim=True)
        return {"rgb": free * rgb + (1 - free) * pale, "region": free}

    size = (options.contact_size, options.contact_size)
    sheets = views.render_views(shown, cameras, size, want=frozenset({"rgb", "region"}), batch=_AT_ONCE)
    return pictures.contact_sheet(list(sheets["rgb"]), path, len(cameras), overwrite=True)
