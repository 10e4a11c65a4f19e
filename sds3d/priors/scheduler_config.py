"""From a published scheduler's config to our noise schedule.

Only what the network was trained with is read: which noise levels there are and what it predicts. How the library
would step between them is no business of ours.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import Sds3dError
from .noise_schedule import NoiseSchedule

PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0", "flow_prediction": "velocity"}
"""The library's word -> ours."""

_BETAS = ("beta_schedule", "beta_start", "beta_end", "trained_betas", "num_train_timesteps")


def schedule_of(
    config: Mapping[str, Any], place: Path, tokens: int | None = None
) -> tuple[NoiseSchedule, str]:
    """(noise schedule, native prediction) of scheduler_config.json.

    Args:
        config: the file's content. place: its folder, for messages. tokens: image tokens of a picture, for flows
            whose shift depends on them.

    Raises:
        Sds3dError: a kind of scheduler or prediction that is not known here.
    """
    name = str(config.get("_class_name", ""))
    flow = name.startswith("FlowMatch") or bool(config.get("use_flow_sigmas"))
    kind = config.get("prediction_type", "flow_prediction" if flow else "epsilon")
    if flow and kind == "flow_prediction":
        return NoiseSchedule("rf", shift=flow_shift(config, tokens)), "velocity"
    if kind not in PREDICTIONS:
        raise Sds3dError(f"{place}: unknown prediction_type {kind!r}; known: {', '.join(PREDICTIONS)}")
    if name.startswith("EDM"):
        raise Sds3dError(
            f"{place}: {name} is for models in EDM form, whose input is scaled; they are not supported."
        )
    if "beta_schedule" not in config and "trained_betas" not in config:
        raise Sds3dError(f"{place}: the scheduler {name or 'without a name'} has no beta_schedule")
    if PREDICTIONS[kind] == "velocity":
        raise Sds3dError(f"{place}: prediction_type flow_prediction, but {name} is no flow's scheduler")
    return NoiseSchedule("vp", _alpha_bar(config)), PREDICTIONS[kind]


def flow_shift(config: Mapping[str, Any], tokens: int | None = None) -> float:
    """The factor by which a flow's timestep shift multiplies kappa.

    With dynamic shifting it is e^mu, mu linear in the number of image tokens through (256, 0.5) and (4096, 1.15) by
    default (FLUX; guidance card §1.3).
    """
    if config.get("use_dynamic_shifting") and tokens is not None:
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        start, end = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        return math.exp(start + (end - start) * (tokens - low) / (high - low))
    value = config.get("shift", config.get("flow_shift", 1.0))
    return float(1.0 if value is None else value)


def _alpha_bar(config: Mapping[str, Any]) -> Any:
    """(T,) float64 cumulative products, as the library computes them."""
    from diffusers import DDPMScheduler

    known = {k: config[k] for k in (*_BETAS, "rescale_betas_zero_snr") if k in config}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler: Any = DDPMScheduler(**known)
    return scheduler.alphas_cumprod.double()
