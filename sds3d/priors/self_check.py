"""Does a prior know what it should? Three forwards on one bundled picture.

A model with the wrong prediction type, scaling or noise schedule runs without an error and teaches nothing. What gives
it away, with z the encoded picture, eps known noise and eps_hat(z_t) the answer:

- the autoencoder gives the picture back, and z has a spread near 1;
- the mean of (eps_hat - eps)^2 is well below 1, which knowing nothing would give;
- eps_hat is a posterior mean, so that E[(eps - eps_hat) eps_hat] = 0 and the slope <eps_hat, eps> / <eps_hat, eps_hat>
  is 1. A network that is told a noise level sigma' in the place of sigma answers sigma eps / sigma', and the slope is
  sigma' / sigma: wrong schedules show here first;
- at high noise the prompt helps. One noise may say otherwise by chance: where it does, more are asked, and their mean
  counts.

The picture is the project's own: a car of its object generator under its training light, seen from azimuth 35°,
elevation 20°, on white. Models distilled to few steps are no posterior means; for them the slope is not judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.cameras import orbit
from ..core.errors import Sds3dError
from ..core.look import Look
from ..core.streams import Streams
from .base import Cond, Prediction, Prior, Prompts
from .kinds.embedded import assets_folder
from .noise_schedule import PREDICTIONS, over, to_eps
from .pixels import decode_pixels, encode_pixels

CAPTION = "a red car"
AZIMUTH_DEG, ELEVATION_DEG = 35.0, 20.0

LEAST_PSNR_DB = 15.0
SPREAD = (0.35, 2.5)
MOST_ERROR = 0.4
SLOPE = (0.9, 1.1)
MID_KAPPA, HIGH_KAPPA = 1.0, 4.0
MOST_DRAWS = 6


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ok or not, the number in words, and what to do where it is not ok."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def bundled_picture() -> Float[Tensor, "1 3 h w"]:
    """(1, 3, 256, 256) RGB in [0, 1]."""
    import numpy as np
    from PIL import Image

    file: Path = assets_folder() / "self_check.png"
    pixels = np.asarray(Image.open(file).convert("RGB"), dtype=np.float32) / 255.0
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


@torch.no_grad()
def self_check(prior: Prior) -> list[Finding]:
    """Look at a loaded prior; three forwards for each of its views, more where the prompt seems not to help.

    Raises:
        PromptError: the prior cannot serve the caption "a red car".
    """
    count, device = prior.info.views_per_group, torch.device(getattr(prior, "device", "cpu"))
    picture = bundled_picture().to(device).expand(count, -1, -1, -1)
    white = torch.ones(count, 3, device=device)
    height, width = picture.shape[-2:]
    look = Look(orbit([AZIMUTH_DEG] * count, ELEVATION_DEG).to(device), (height, width), white)
    cond = prior.condition(prior.prepare(Prompts(CAPTION)), look, {})
    z = prior.encode(picture)
    findings = [_reconstruction(prior, picture, z), _spread(z)]
    mid, high = _Noised(prior, z, MID_KAPPA), _Noised(prior, z, HIGH_KAPPA)
    told, told_high = mid.ask(cond["y"]), high.ask(cond["y"])
    untold_high = high.ask(cond["null"])
    findings.append(_error(prior, mid, told, trusted=findings[1].ok))
    findings.append(_slope(prior, (mid, told), (high, told_high)))
    told_errors, untold_errors = [high.error(told_high)], [high.error(untold_high)]
    while sum(told_errors) > sum(untold_errors) and len(told_errors) < MOST_DRAWS:
        again = _Noised(prior, z, HIGH_KAPPA, len(told_errors))
        told_errors.append(again.error(again.ask(cond["y"])))
        untold_errors.append(again.error(again.ask(cond["null"])))
    findings.append(_prompt(mean(told_errors), mean(untold_errors)))
    return findings


def refuse_failed(name: str, findings: list[Finding]) -> None:
    """Raise if something is wrong.

    Raises:
        Sds3dError: names every number that is wrong and what to do.
    """
    wrong = [f for f in findings if not f.ok]
    if wrong:
        lines = " ".join(f"{f.name}: {f.detail}. {f.advice}" for f in wrong)
        raise Sds3dError(f"the self-check of {name} failed. {lines}")


class _Noised:
    """The encoded picture at one noise level."""

    def __init__(self, prior: Prior, z: Tensor, kappa: float, draw: int = 0):
        schedule = prior.schedule
        wanted = torch.full((len(z),), kappa, dtype=torch.float64)
        self.prior, self.t = prior, schedule.t_of_kappa(wanted).to(z.device)
        key = int(10 * kappa)
        self.eps = Streams(draw).normal(tuple(z.shape[1:]), "self-check", key).to(z).expand_as(z)
        self.z_t = schedule.add_noise(z, self.eps, self.t)
        self.alpha, self.sigma = (over(v, z) for v in schedule.levels(self.t))

    def ask(self, cond: Cond) -> Prediction:
        return self.prior.predict(self.z_t, self.t, cond)

    def error(self, said: Prediction) -> float:
        return float(((said.eps - self.eps) ** 2).mean())

    def slope(self, said: Prediction) -> float:
        return float((said.eps * self.eps).sum() / (said.eps**2).sum())

    def errors_if(self, said: Prediction, native: str) -> dict[str, float]:
        """What the error would be if the network's output were of another kind."""
        output = {"epsilon": said.eps, "x0": said.x0, "v": said.v, "velocity": said.velocity}[native]
        out = {}
        for kind in PREDICTIONS:
            eps = to_eps(output, self.z_t, self.alpha, self.sigma, kind)
            out[kind] = float(((eps - self.eps) ** 2).mean())
        return out


def _reconstruction(prior: Prior, picture: Tensor, z: Tensor) -> Finding:
    """The picture through the autoencoder and back, against itself at the model's size."""
    true = decode_pixels(encode_pixels(picture, prior.info.size))
    error = float(((prior.decode(z).to(true) - true) ** 2).mean())
    psnr = -10.0 * math.log10(max(error, 1e-12)) if math.isfinite(error) else -math.inf
    return Finding(
        "picture through the autoencoder",
        psnr >= LEAST_PSNR_DB,
        f"{min(psnr, 99.0):.1f} dB (at least {LEAST_PSNR_DB:g})",
        "The autoencoder is broken, of another model, or overflows: try vae_precision=float32.",
    )


def _spread(z: Tensor) -> Finding:
    spread = float(z.std())
    return Finding(
        "spread of z",
        SPREAD[0] <= spread <= SPREAD[1],
        f"{spread:.2f} (between {SPREAD[0]:g} and {SPREAD[1]:g})",
        "scaling_factor in the autoencoder's config is of another model.",
    )


def _error(prior: Prior, mid: _Noised, said: Prediction, trusted: bool) -> Finding:
    """`trusted`: z has a spread by which another kind of prediction could be told."""
    error, native = mid.error(said), prior.info.prediction
    others = mid.errors_if(said, native)
    best = min(others, key=lambda kind: others[kind])
    advice = (
        "The network knows nothing about this picture: its weights, its inputs or its noise levels are wrong."
    )
    if trusted and best != native and others[best] < MOST_ERROR:
        advice = (
            f"Read as {best} the same output would have an error of {others[best]:.3f}: the prediction type {native} "
            f"is wrong; set prior.prediction={best}, or prediction_type in scheduler_config.json."
        )
    limit = 1.0 if prior.schedule.known else MOST_ERROR
    detail = f"{error:.3f} (at most {limit:g}; 1 = knows nothing)"
    return Finding("error of the noise at middle noise", error <= limit, detail, advice)


def _slope(prior: Prior, *pairs: tuple[_Noised, Prediction]) -> Finding:
    slopes = [noised.slope(said) for noised, said in pairs]
    text = " and ".join(f"{s:.3f}" for s in slopes)
    if prior.schedule.known:
        return Finding("scale of the noise", True, f"{text} (not judged: a few-step model)")
    return Finding(
        "scale of the noise",
        all(SLOPE[0] <= s <= SLOPE[1] for s in slopes),
        f"{text} (between {SLOPE[0]:g} and {SLOPE[1]:g})",
        "The noise levels of scheduler_config.json, or the prediction type, are not those that the network was "
        "trained with.",
    )


def _prompt(told: float, untold: float) -> Finding:
    return Finding(
        "error with the prompt against without",
        told <= 1.02 * untold,
        f"{told:.4f} against {untold:.4f} at high noise",
        "The network does not listen to the text: text encoder or tokenizer are of another model.",
    )
