"""threestudio's configs as ours.

Read in its source at commit 28d9d80d9d (guidance card §0.1). What differs in meaning: the guidance scale (card §1.6:
its plain branches compute eps_y + w (eps_y - eps_null), so s = w + 1; perp-neg and some guidances compute with s), a
list is a piecewise linear schedule in steps (§1.10), losses over pictures are means over pixels while ours are sums.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from ...config import source
from ...core.errors import ConfigError
from ..schema import GUIDANCE
from . import threestudio_guidance as guidances
from .reading import Outcome, Reader

_NO_MEANING = {
    "name": "names of runs are made from the prompt; set name",
    "tag": "names of runs are made from the prompt; set name",
    "exp_root_dir": "set runs=FOLDER",
    "use_timestamp": "run folders are numbered instead",
    "data_type": "there is one kind of camera sampler",
    "system_type": "the method follows from guidance",
    "checkpoint": "checkpoints are always kept; see optimize.checkpoint_steps",
    "system.loggers": "metrics.jsonl and report.html are always written",
    "trainer": "the loop's own options are under optimize",
    "system.exporter": "export says what is written",
    "data.eval": "test pictures are under pictures",
    "data.n_": "test pictures are under pictures",
    "system.cleanup": "memory is freed as it is no longer needed",
    "system.renderer": "the representation draws itself",
    "system.geometry": "the representation has its own options",
    "system.material": "colour is part of the representation; there is no shading in this one",
    "system.background": "backgrounds are white or random colours; see optimize.white_background",
    "data.light": "there is no shading in this representation",
    "system.optimizer.params": "learning rates belong to a parameterisation; ours has its own, see below",
    "system.prompt_processor": "prompts are encoded by the prior",
}
"""Beginning of a key -> why it has no counterpart."""

_REPRESENTATIONS = {
    "implicit-volume": "grid",
    "volume-grid": "grid",
    "gaussian-splatting": "gaussians",
    "gaussian-splatting-geometry": "gaussians",
}
_LOSSES = {"lambda_opaque": "entropy", "lambda_sparsity": "opacity"}
"""Its loss -> the regulariser of our grid that is nearest."""
_RANGES = {
    "elevation_range": "elevation_deg",
    "azimuth_range": "azimuth_deg",
    "fovy_range": "fov_y_deg",
    "camera_distance_range": "distance",
}
"""Its ranges of cameras -> ours; azimuth 0 sees the front and elevation 0 is the horizon in both."""


def convert(file: Path) -> Outcome:
    """Our config of a threestudio config file.

    Raises:
        ConfigError: it is no YAML, or no such config.
    """
    document = source.read(file)
    read, out = Reader(document), Outcome()
    if not isinstance(document.data, dict) or "system" not in document.data:
        raise ConfigError("has no `system:`, so that it is no config of threestudio.", file=str(file))
    for problem in document.problems:
        out.unread.append(str(problem))
    steps = _run(read, out)
    _prompt(read, out)
    _representation(read, out)
    _cameras(read, out, steps)
    side = guidances.convert(read, out, steps)
    _check_method(read, out)
    _optimizer(read, out)
    _losses(read, out, steps, side)
    _leftovers(read, out)
    return out


def _run(read: Reader, out: Outcome) -> int:
    steps = int(read.number("trainer.max_steps", 10_000))
    if steps < 1:
        raise read.refusal("trainer.max_steps", f"a run has at least one step, got {steps}.")
    out.set("optimize.steps", steps)
    out.set("seed", int(read.number("seed", 0)))
    precision = read.take("trainer.precision")
    if precision is not None:
        out.differences.append(
            f"trainer.precision {precision}: here the prior has its own precision (prior.precision) and gradients "
            "through the encoder stay in float32 (optimize.precision)"
        )
    return steps


def _prompt(read: Reader, out: Outcome) -> None:
    prompt = read.take("system.prompt_processor.prompt")
    if prompt in (None, "???"):
        prompt = "a delicious hamburger"
        out.differences.append(f'no prompt in the file: "{prompt}" stands in; set prompt')
    out.set("prompt", str(prompt))
    negative = read.take("system.prompt_processor.negative_prompt")
    if negative:
        out.set("negative_prompt", str(negative))


def _representation(read: Reader, out: Outcome) -> None:
    kind = read.take("system.geometry_type", "implicit-volume")
    if kind in _REPRESENTATIONS:
        ours = _REPRESENTATIONS[kind]
        out.set("representation.kind", ours)
        what = (
            "grids instead of a hash-grid and a network"
            if ours == "grid"
            else "its own start and densification"
        )
        out.differences.append(
            f"geometry {kind} became representation {ours} ({what}); sizes and learning rates are ours"
        )
    else:
        out.missing.append(
            f"{read.place('system.geometry_type')}: the representation {kind!r} does not exist here yet"
        )
    for key, word in (("system.geometry_convert_from", "stage"), ("system.geometry.shape_init", "start")):
        if read.take(key):
            out.missing.append(f"{read.place(key)}: a {word} from an earlier result cannot be imported")


def _cameras(read: Reader, out: Outcome, steps: int) -> None:
    batch = read.take("data.batch_size", 1)
    read.numbers("data.batch_size", batch if isinstance(batch, list) and batch else [batch])
    out.set("optimize.views", int(batch[-1] if isinstance(batch, list) else batch))
    if isinstance(batch, list):
        out.differences.append(
            f"data.batch_size {batch} changes at milestones; {batch[-1]} views are taken throughout"
        )
    _size(read, out, steps)
    for theirs, ours in _RANGES.items():
        value = read.take(f"data.{theirs}")
        if value is not None:
            read.numbers(f"data.{theirs}", value)
            out.set(f"cameras.{ours}", [float(v) for v in value])
    if read.take("data.relative_radius") or read.take("data.rays_d_normalize") is False:
        out.differences.append(
            "data.relative_radius: distances are not scaled by the field of view here; check cameras"
        )
    if "cameras" in out.config and "distance" in out.config["cameras"]:
        out.differences.append(
            "camera distances are kept; the object fills a ball of radius 0.8 here and geometry.radius there, so look "
            "at the first preview"
        )
    for key in ("camera_perturb", "center_perturb", "up_perturb"):
        if read.take(f"data.{key}"):
            out.differences.append(f"data.{key}: cameras always look at the centre here, upright")
    if read.take("data.batch_uniform_azimuth") is False:
        out.differences.append(
            "data.batch_uniform_azimuth false: azimuths are stratified over the views of a step here"
        )


def _size(read: Reader, out: Outcome, steps: int) -> None:
    """Pictures' sides, one or one a milestone."""
    sides = read.take("data.height", read.take("data.width"))
    read.take("data.width")
    milestones = read.take("data.resolution_milestones", [])
    read.numbers("data.height", sides if isinstance(sides, list) and sides else [sides or 64])
    read.numbers("data.resolution_milestones", milestones)
    if isinstance(sides, list):
        knots = [[0.0, float(sides[0])]]
        for milestone, (before, after) in zip(milestones, pairwise(sides), strict=False):
            knots += [[milestone / steps, float(before)], [(milestone + 1) / steps, float(after)]]
        out.set("optimize.size", {"piecewise": [k for k in knots if k[0] <= 1]})
    elif sides is not None:
        out.set("optimize.size", float(sides))


def _check_method(read: Reader, out: Outcome) -> None:
    method = out.config.get("guidance", {}).get("method")
    if method is not None and method not in GUIDANCE.choices():
        out.missing.append(
            f"{read.place('system.guidance_type')}: the method {method} does not exist here yet "
            f"(there are {', '.join(GUIDANCE.choices())})"
        )


def _optimizer(read: Reader, out: Outcome) -> None:
    name = read.take("system.optimizer.name", "Adam")
    if name not in ("Adam", "AdamW"):
        out.differences.append(f"system.optimizer.name {name}: the loop's optimizer is Adam")
    betas = read.take("system.optimizer.args.betas")
    if betas is not None:
        read.numbers("system.optimizer.args.betas", betas)
        out.set("optimize.adam_betas", [float(b) for b in betas])
    eps = read.number("system.optimizer.args.eps")
    if eps is not None:
        out.set("optimize.adam_eps", float(eps))
    if read.take("system.scheduler") is not None:
        out.differences.append(
            "system.scheduler: learning rates follow the representation's own schedules, times optimize.lr"
        )
    rate = read.take("system.optimizer.args.lr")
    if rate is not None:
        out.differences.append(
            f"system.optimizer.args.lr {rate}: a learning rate belongs to a parameterisation; the representation's own "
            "is kept (its default suits the same loss: half the squared residual summed over elements, mean over views)"
        )


def _losses(read: Reader, out: Outcome, steps: int, factor: float) -> None:
    """Weights of regularisers; `factor` is what the guidance's own weight was divided by."""
    losses = read.take("system.loss", {}) or {}
    if not isinstance(losses, dict):
        raise read.refusal("system.loss", f"expected a mapping, got {losses!r}.")
    kind = out.config.get("representation", {}).get("kind")
    for name, value in losses.items():
        key = f"system.loss.{name}"
        if name in guidances.WEIGHTS:
            continue
        converted = read.schedule(key, value, steps, out)
        if converted in (0, 0.0):
            continue
        if name in _LOSSES and kind == "grid" and isinstance(converted, (int, float)):
            side = _last_side(out)
            weight = float(converted) / factor / side**2
            out.set(f"representation.{_LOSSES[name]}", weight)
            out.differences.append(
                f"{key} {value:g} became representation.{_LOSSES[name]} {weight:.3g}: a mean over {side}x{side} pixels "
                "there, a sum here; the nearest of our regularisers, not the same formula"
            )
        else:
            out.unread.append(f"{key} = {value}: no such regulariser here")


def _last_side(out: Outcome) -> int:
    size = out.config["optimize"].get("size", 64.0)
    return round(size["piecewise"][-1][1] if isinstance(size, dict) else size)


def _leftovers(read: Reader, out: Outcome) -> None:
    for key, value in read.untaken().items():
        reason = next(
            (why for begin, why in _NO_MEANING.items() if key.startswith(begin)), "not a key known here"
        )
        out.unread.append(f"{key} = {value}: {reason}")


def warnings_of(out: Outcome) -> dict[str, Any]:
    """The outcome's words as plain values."""
    return {"differences": out.differences, "not_converted": out.unread, "missing": out.missing}
