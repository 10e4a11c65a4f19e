"""Fits of photographs: the stage that the loop runs, and how good it is on pictures that were kept back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sds3d.guidance.reconstruction import Reconstruction
from sds3d.representations.base import Representation

from ..assetio import pictures
from ..assetio.capture import Capture, read_again
from ..assetio.capture_photos import Photos, check_heads, common_size, load_photos
from ..core.cameras import Cameras
from ..core.errors import AssetError, ConfigError
from ..core.look import Look
from ..core.places import FixedSampler
from ..core.streams import Streams
from ..evaluate.pictures import psnr
from ..optimize.events import Monitor, StepReport
from ..optimize.placing import place_look
from ..optimize.stage import Stage
from ..priors.absent import Absent
from ..priors.base import Embedded
from .capture_options import CaptureOptions
from .photographed import NO_SAY, cameras_of
from .runfolder import RunFolder
from .schema import RunConfig

log = logging.getLogger(__name__)

EVERY = 100
"""Steps between two looks at the pictures that were kept back."""
SHOWN = 6
"""Pictures on the sheet that compares."""
MOST_DB = 100.0
"""PSNR beyond which pictures count as equal."""
MOST_JUDGED = 64
"""Pictures that are kept back and judged; of more, so many evenly spread ones."""


@dataclass(frozen=True)
class Shown:
    """Photographs that are looked at together.

    Args:
        cameras: in our world. photos: their pictures. background: behind them, RGB; None where alpha tells.
    """

    cameras: Cameras
    photos: Photos
    background: tuple[float, float, float] | None


def kept_back(count: int, every: int) -> tuple[list[int], list[int]]:
    """(fitted, kept back): numbers of the photographs, of which every so many, beginning with the first, is kept back.

    Raises:
        ConfigError: nothing would be left to fit.
    """
    back = list(range(0, count, every)) if every else []
    fitted = sorted(set(range(count)) - set(back))
    if not fitted:
        raise ConfigError(
            f"all {count} photographs are kept back to judge by, and none is left to fit.",
            key="capture.holdout",
            hint="0 keeps none back.",
        )
    return fitted, back


def shown(options: CaptureOptions, capture: Capture, rows: list[int]) -> Shown:
    """Some photographs of a capture, straightened and seen from our world.

    Raises:
        AssetError: a picture cannot be read.
    """
    assert options.frame is not None, "a fit's config names its frame"
    some = [capture.photos[k] for k in rows]
    photos = load_photos(some, common_size([p.lens for p in capture.photos], options.size))
    cameras = cameras_of(some, options.frame.frame(), photos.fov_y_deg)
    background = options.background
    if isinstance(background, str):
        return Shown(cameras, photos, None)
    return Shown(cameras, replace(photos, alpha=torch.full_like(photos.alpha, 255)), background)


def fit_stage(config: RunConfig, scene: Representation, device: torch.device, config_hash: str) -> Stage:
    """The stage of a fit: as every other, with the photographs in the place of prior and guidance.

    Args:
        scene: what is fitted, on `device`.

    Raises:
        AssetError: the capture cannot be read, or was changed. ConfigError: nothing is left to fit.
    """
    options = config.capture
    assert options is not None, "a fit has a capture"
    assert options.file is not None, "photographed.complete has filled it in"
    capture = read_again(options.file, options.images)
    fitted, _ = kept_back(len(capture.photos), options.holdout)
    seen = shown(options, capture, fitted)
    photos = seen.photos
    return Stage(
        prior=Absent(photos.size),
        representation=scene,
        guidance=Reconstruction(photos.rgb, photos.alpha, photos.weight),
        sampler=FixedSampler(seen.cameras),
        embedded=Embedded({}),
        options=config.optimize.model_copy(update={"views": min(config.optimize.views, len(fitted))}),
        streams=Streams(config.seed),
        config_hash=config_hash,
        prompt=config.prompt or "",
        device=device,
        backdrop=seen.background,
    )


class Judge:
    """A monitor before another one: from time to time it adds the PSNR on pictures that were kept back.

    Args:
        scene: what is fitted. shown: the pictures. watcher: who is told.
    """

    def __init__(self, scene: Representation, shown: Shown, device: torch.device, watcher: Monitor):
        self.scene, self.shown, self.device, self.watcher = scene, shown, device, watcher

    def on_step(self, report: StepReport) -> None:
        """Add psnr_held_out, the mean over the pictures, in dB."""
        if report.step % EVERY == 0 or report.step == report.total:
            found = float(self.psnr().mean())
            report = replace(report, metrics={**report.metrics, "psnr_held_out": found})
        self.watcher.on_step(report)

    def on_preview(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Passed on."""
        self.watcher.on_preview(step, images)

    def on_checkpoint(self, step: int, path: str) -> None:
        """Passed on."""
        self.watcher.on_checkpoint(step, path)

    def stop_requested(self) -> bool:
        """Passed on."""
        return self.watcher.stop_requested()

    def psnr(self) -> Tensor:
        """(N,) dB of each picture, at most MOST_DB, over the pixels that count."""
        rows = [self._pair(k) for k in range(len(self.shown.cameras))]
        found = torch.cat([psnr(found, wanted, weight > 0.5) for found, wanted, weight in rows])
        return found.clamp(max=MOST_DB)  # a view in which there is nothing is equal, which is no number of dB

    def sheet(self, path: Path) -> None:
        """A picture: photographs above, the scene from the same places below."""
        count = len(self.shown.cameras)
        most = min(SHOWN, count)
        some = [round(k * (count - 1) / max(1, most - 1)) for k in range(most)]
        rows = [self._pair(k) for k in some]
        both = [wanted[0] * weight[0] for _, wanted, weight in rows] + [found[0] for found, _, _ in rows]
        pictures.contact_sheet(both, path, len(some), overwrite=True)

    @torch.no_grad()
    def _pair(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """(what the scene shows, the photograph, its weight), each (1, C, H, W)."""
        photos = self.shown.photos
        background = torch.tensor([self.shown.background or (1.0, 1.0, 1.0)])
        look = Look(self.shown.cameras[[k]], photos.size, background)
        found = self.scene.render(place_look(look, self.device))["rgb"].clamp(0, 1).cpu()
        target = Reconstruction(photos.rgb, photos.alpha, photos.weight)
        return found, *target.wanted(torch.tensor([k]), background)


def judge_of(
    config: RunConfig, scene: Representation, device: torch.device, watcher: Monitor
) -> Judge | None:
    """The judge of a fit; None where nothing was kept back, or nothing is fitted.

    Raises:
        AssetError: a picture cannot be read.
    """
    options = config.capture
    if options is None or options.file is None:
        return None
    capture = read_again(options.file, options.images)
    _, back = kept_back(len(capture.photos), options.holdout)
    if not back:
        return None
    step = max(1, len(back) // MOST_JUDGED)
    seen = shown(options, capture, back[::step][:MOST_JUDGED])
    # a picture that its mask leaves out altogether judges nothing
    counts = seen.photos.weight.flatten(1).any(1).nonzero()[:, 0]
    if not len(counts):
        return None
    seen = replace(seen, cameras=seen.cameras[counts], photos=seen.photos.rows(counts))
    return Judge(scene, seen, device, watcher)


def held_out_psnr(folder: RunFolder) -> float | None:
    """The last PSNR on pictures that were kept back that a run's metrics tell; None where there is none."""
    from . import metrics

    found = [row["psnr_held_out"] for row in metrics.read(folder.metrics_file) if "psnr_held_out" in row]
    return found[-1] if found else None


def check_capture(config: RunConfig) -> None:
    """Refuse a fit of which something is missing, before anything is made.

    Raises:
        ConfigError: says what, and what to write instead.
    """
    kind = str(config.representation.kind)  # type: ignore[attr-defined]
    if (config.capture is not None) != (kind == "captured"):
        raise ConfigError(
            f"{kind} fits no photographs."
            if config.capture
            else "captured fits photographs, and the config names none.",
            key="representation.kind",
            hint="Leave it out: a capture is fitted by captured."
            if config.capture
            else "Use `sds3d fit CAPTURE`, or name the capture under capture.source.",
        )
    if config.capture is None:
        return
    assert config.capture.file is not None, "filled in by photographed.complete"
    for name in sorted(NO_SAY):
        if getattr(config, name) != RunConfig.model_fields[name].get_default(call_default_factory=True):
            raise ConfigError(
                f"has no say in a fit, which asks photographs and no {name}.",
                key=name,
                hint="Leave it out; an edit of the fit takes it.",
            )
    if config.optimize.size is not None:
        raise ConfigError(
            "pictures have the size of the photographs.",
            key="optimize.size",
            hint=f"Leave it out, and set capture.size (now {config.capture.size}).",
        )
    try:
        capture = read_again(config.capture.file, config.capture.images)
        check_heads(capture.photos)
    except AssetError as error:
        raise ConfigError(str(error), key="capture.source") from error
    kept_back(len(capture.photos), config.capture.holdout)
