"""Splats of a file as a representation that is edited."""

from __future__ import annotations

from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.assetio.original import source_of
from sds3d.assetio.original_splats import SplatsOriginal, open_splats
from sds3d.core.assets import Asset, Box
from sds3d.core.cameras import Cameras
from sds3d.core.errors import AssetError, ConfigError
from sds3d.core.frame import Axis, Frame
from sds3d.core.look import Look, Render
from sds3d.core.raw_splats import RawSplats
from sds3d.core.schedules import Schedule
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..base import Moments, ParamGroup
from ..edited import Differences, SceneEdit
from ..gaussians.parameters import SH_0, Parameters
from ..gaussians.regularise import gamut
from ..mesh.paint import edge_cost
from ..raster.gaussians import GaussianRender, rasterize_gaussians
from ..region import Asked, Ballot
from .options import Options
from .votes import SPLATS, ballot

SHAPE = ("means", "log_scales", "rotations", "logit_opacities")
COLOUR = ("sh_dc", "sh_rest")
NEAR = 0.01
"""World units in front of a camera in which nothing is drawn."""
NEIGHBOURS = 5
"""Nearest splats whose changes of colour are compared."""
COUNTED, FAINT = 0.98, 0.1
"""Share of the Gaussians, by their place, that the cameras are fitted to; those that are fainter do not count."""


class EditedSplats:
    """A Representation (see representations.base) of a splat file; also an `Edited`.

    Args:
        options: see Options. file: the file. frame: where our world lies in it. free: name of a column -> the rows
            that may change.
    """

    provides = frozenset({"rgb", "alpha", "depth", "region"})

    def __init__(self, options: Options, file: SplatsOriginal, frame: Frame, free: dict[str, Tensor]):
        self.options, self.file, self.frame = options, file, frame
        self.kind, self.notes = file.kind, file.notes
        self.columns = Parameters(**file.columns.named())
        named = self.columns.named()
        self.differences = Differences({name: tuple(named[name].shape[1:]) for name in free}, free)
        self.pairs = neighbours(self.columns.means[free["sh_dc"]]) if "sh_dc" in free else None
        self.bounds = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))

    def to(self, device: torch.device) -> None:
        """Move the file's columns and the differences."""
        self.columns = self.columns.map(lambda value: value.to(device))
        self.differences.to(device)
        self.pairs = None if self.pairs is None else self.pairs.to(device)

    def parameters(self) -> Parameters:
        """The Gaussians as they are now, in the file's own space; differentiable in the differences."""
        add, named = self.differences.added, self.columns.named()
        moved = {name: add(name, value, self._unit(name)) for name, value in named.items()}
        return Parameters(**moved)

    def _unit(self, name: str) -> float:
        """Of the file's own units in one of ours."""
        return self.frame.scale if name == "means" else 1.0

    def render(self, look: Look) -> Render:
        """rgb over the background, alpha, depth in our units; the cameras are moved into the file's space.

        Where it is wanted also region (B, 1, H, W), how much of a pixel is of splats that may change.
        """
        p = self.parameters()
        out = self._drawn(p, p.sh(1 + p.sh_rest.shape[1]), look, look.background)
        render = {"rgb": gamut(out.rgb), "alpha": out.alpha, "depth": out.depth / self.frame.scale}
        if "region" in look.want:
            with torch.no_grad():
                free = torch.zeros_like(p.sh_dc)
                for rows in self.differences.rows.values():
                    free[rows] = 1.0
                mask = self._drawn(p, ((free - 0.5) / SH_0)[:, None], look, torch.zeros_like(look.background))
                render["region"] = mask.rgb[:, :1].clamp(0, 1)
        return render

    def _drawn(self, p: Parameters, sh: Tensor, look: Look, background: Tensor) -> GaussianRender:
        """The Gaussians with those harmonics."""
        if look.cameras is None:
            raise ValueError("splats need cameras in their look")
        device = p.means.device
        return rasterize_gaussians(
            p.means,
            p.scales,
            torch.nn.functional.normalize(p.rotations, dim=1),
            p.opacities,
            sh,
            self.frame.cameras(look.cameras).to(device),
            look.size,
            background.to(device),
            near=NEAR * self.frame.scale,
            implementation=self.options.rasterizer,
        )

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Anchors, half the squared differences from the file, and smoothness of the changes of colours, weighted."""
        o, d = self.options, self.differences.values
        terms: dict[str, tuple[Schedule, tuple[str, ...], float]] = {
            "anchor_means": (o.anchor_means, ("means",), 1.0),
            "anchor_scales": (o.anchor_scales, ("log_scales", "logit_opacities"), 1.0),
            "anchor_colors": (o.anchor_colors, COLOUR, SH_0),
        }
        out = {}
        for name, (weight, of, unit) in terms.items():
            found = [unit * d[n] for n in of if n in d]
            if found and (w := weight(progress)):
                out[name] = 0.5 * w * sum((v.square().sum() for v in found), found[0].new_zeros(()))
        if self.pairs is not None and (w := o.smoothness(progress)):
            change = SH_0 * d["sh_dc"]
            out["smoothness"] = w * edge_cost(change[self.pairs[:, 0]] - change[self.pairs[:, 1]], o.edge)
        return out

    def param_groups(self) -> list[ParamGroup]:
        """One group a column that may change."""
        o = self.options
        rates = {
            "means": o.lr_means,
            "log_scales": o.lr_scales,
            "rotations": o.lr_rotations,
            "logit_opacities": o.lr_opacities,
            "sh_dc": o.lr_colors,
            "sh_rest": o.lr_harmonics,
        }
        return [ParamGroup(n, {n: v}, rates[n]) for n, v in self.differences.values.items()]

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Base colours stay in [0, 1], or where the file had them beyond."""
        self.differences.limit("sh_dc", self.columns.sh_dc, -0.5 / SH_0, 0.5 / SH_0)
        return {}

    def state_dict(self) -> Tree:
        """The differences; the rest is the file's."""
        return {"differences": self.differences.state_dict(), "sha256": self.file.source.sha256}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: other rows were free. AssetError: it was saved of another file.
        """
        source_of(self.file.source.path, state["sha256"])
        self.differences.load_state_dict(state["differences"])

    def ballots(self, cameras: Cameras, maps: Float[Tensor, "b h w"]) -> dict[str, Ballot]:
        """See Edited: of all splats, as the file is."""
        c = self.columns
        sizes = c.log_scales.cpu().amax(1).exp() / self.frame.scale
        place = self.frame.to_world(c.means.cpu())
        return {SPLATS: ballot(place, sizes, self.original().render, cameras, maps)}

    def original(self) -> EditedSplats:
        """See Edited."""
        out = EditedSplats(self.options, self.file, self.frame, {})
        out.to(self.columns.means.device)
        return out

    @torch.no_grad()
    def _columns(self) -> RawSplats:
        return RawSplats(**{name: v.detach().cpu() for name, v in self.parameters().named().items()})

    def patched(self) -> bytes:
        """See Edited."""
        return self.file.patched(self._columns())

    def to_asset(self, kind: str) -> Asset:
        """Export as "splats", in the file's own space.

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "splats":
            raise AssetError(f'edited splats export as "splats", not as "{kind}"')
        return self.parameters().to_splats(self.file.source.path.stem)


def neighbours(means: Float[Tensor, "n 3"]) -> Int[Tensor, "p 2"]:
    """Pairs of rows: each with its nearest."""
    from scipy.spatial import cKDTree

    place = means.double().numpy()
    count = min(NEIGHBOURS, len(place) - 1)
    near = cKDTree(place).query(place, k=count + 1)[1].reshape(len(place), -1)
    pairs = torch.stack(
        [torch.arange(len(place)).repeat_interleave(count + 1), torch.from_numpy(near.reshape(-1))], 1
    )
    return pairs[pairs[:, 0] != pairs[:, 1]]


def create(options: Options, streams: Streams, edit: SceneEdit | None = None) -> EditedSplats:
    """The splats of the file that is edited.

    Raises:
        AssetError: the file cannot be read, was changed since, or holds no splats. ConfigError: nothing is edited.
    """
    if edit is None or edit.file is None:
        raise ConfigError(
            "edited_splats draws a file that is edited, and the config edits none.",
            key="representation",
            hint="Use `sds3d edit FILE`, or name the file under edit.source.",
        )
    file = open_splats(source_of(edit.file, edit.sha256))
    c = file.columns
    seen = torch.sigmoid(c.logit_opacities) > FAINT
    # of a capture's object a smooth part has few Gaussians, large ones, and counts by what they cover
    cover = torch.sigmoid(c.logit_opacities) * c.log_scales.sort(dim=1).values[:, 1:].sum(1).exp()
    rows = seen.nonzero()[:, 0] if bool(seen.any()) else torch.arange(len(seen))
    frame = edit.frame(c.means[rows], up_of(file), COUNTED, cover[rows] if edit.placed else None)
    free: tuple[str, ...] = {"nothing": SHAPE + COLOUR, "shape": COLOUR, "colour": SHAPE}[edit.keep]
    plain = EditedSplats(options, file, frame, {})
    region = edit.parsed_region(plain.ballots, {SPLATS: len(c.means)})
    every = (SPLATS, torch.arange(len(c.means)))
    rows = region.holds(Asked(c.means, 0.5 + SH_0 * c.sh_dc, elements=every)).nonzero()[:, 0]
    if not len(rows):
        raise ConfigError(
            f"nothing in {file.source.path.name} may change: no Gaussian's centre lies in the region.",
            key="edit.region",
            hint="`sds3d info FILE` tells the file's extent.",
        )
    out = EditedSplats(options, file, frame, {n: rows for n in free if n != "sh_rest" or c.sh_rest.shape[1]})
    if edit.placed is None and edit.up == "auto" and up_of(file) == "-y":
        name = file.source.path.name
        out.notes += (f"{name} is taken for a capture, whose up axis is -y; --up +y says otherwise",)
    return out


def up_of(file: SplatsOriginal) -> Axis:
    """The up axis that a splat file is taken to have: SPZ tells its axes, fits of captures wrote theirs down, and
    other files of sds3d are +y."""
    data = file.source.data
    head = data[:4096] if data.startswith(b"ply") else b""
    told = [axis for axis in get_args(Axis) if b'sds3d.up "%s"' % axis.encode() in head]
    if told:
        return told[0]
    return "+y" if b"sds3d" in head or data.startswith(b"\x1f\x8b") else "-y"
