"""threestudio's guidances as methods of ours, and its model names as ours."""

from __future__ import annotations

from typing import Any

from ...priors.models.table import find, name_of
from .reading import Outcome, Reader

WEIGHTS = ("lambda_sds", "lambda_vsd", "lambda_sdi", "lambda_ism", "lambda_guidance", "lambda_lora")
"""Loss weights of guidances; ours is always 1, everything else is divided by it."""

_WEIGHTING = {"sds": "sigma2", "uniform": "uniform", "fantasia3d": "fantasia", "dreamfusion": "sigma2"}
_KINDS = {
    "stable-diffusion-guidance": ("sds", 1.0),
    "deep-floyd-guidance": ("sds", 1.0),
    "multiview-diffusion-guidance": ("sds", 0.0),
    "mvdream-guidance": ("sds", 0.0),
    "stable-diffusion-vsd-guidance": ("vsd", 0.0),
    "stable-diffusion-sdi-guidance": ("sdi", 1.0),
    "lucid-dreamer-guidance": ("ism", 0.0),
    "stable-diffusion-ism-guidance": ("ism", 0.0),
}
"""Its guidance -> (our method, what its guidance scale lacks: 1 where it computes eps_y + w (eps_y - eps_null))."""

_MODELS = {
    "runwayml/stable-diffusion-v1-5": "sd15",
    "DeepFloyd/IF-I-XL-v1.0": "deepfloyd-if",
    "sd-v2.1-base-4view": "mvdream",
}


def convert(read: Reader, out: Outcome, steps: int) -> float:
    """Fill in prior and guidance; returns the weight of the guidance's loss, which ours does not have."""
    kind = str(read.take("system.guidance_type", ""))
    known = _KINDS.get(kind)
    if known is None:
        out.missing.append(
            f"{read.place('system.guidance_type')}: the guidance {kind!r} has no counterpart here"
        )
        out.set("guidance.method", "sds")
    method, lack = known or ("sds", 0.0)
    if read.take("system.guidance.use_sjc"):
        method = "sjc"
    if any(read.take(f"system.guidance.{k}") is not None for k in ("uncond_scale", "null_scale")):
        method = "csd"
    out.set("guidance.method", method)
    _model(read, out, kind)
    if method == "csd":
        out.missing.append(
            "the scales of a CSD config (cond, uncond, null) are not converted; set guidance.omega2"
        )
    else:
        _scale(read, out, steps, lack)
    if method in ("sds", "vsd"):
        _weight(read, out)
    _times(read, out, steps)
    _post(read, out, steps)
    {"ism": _ism, "sdi": _sdi}.get(method, lambda *_: None)(read, out, steps)
    if kind in ("multiview-diffusion-guidance", "mvdream-guidance"):
        _mvdream(read, out)
    return _own_weight(read, out, method)


def _model(read: Reader, out: Outcome, kind: str) -> None:
    """The prior by its name here."""
    path = read.take("system.guidance.pretrained_model_name_or_path", read.take("system.guidance.model_name"))
    read.take("system.prompt_processor.pretrained_model_name_or_path")
    if path is None:
        path = (
            "DeepFloyd/IF-I-XL-v1.0"
            if kind.startswith("deep-floyd")
            else "stabilityai/stable-diffusion-2-1-base"
        )
        if "multiview" in kind or "mvdream" in kind:
            path = "sd-v2.1-base-4view"
    entry = find(str(path))
    name = _MODELS.get(str(path)) or (name_of(entry) if entry is not None else None)
    if name is None:
        out.set("prior", {"kind": "diffusers", "folder": str(path)})
        out.differences.append(f"the model {path} has no name here; prior.folder must be a folder of it")
    else:
        out.set("prior", name)
        if name != path:
            out.differences.append(
                f"the model {path} became prior {name} (`sds3d models show {name}` lists its mirrors)"
            )
    for key in (
        "half_precision_weights",
        "enable_memory_efficient_attention",
        "enable_sequential_cpu_offload",
    ):
        read.take(f"system.guidance.{key}")
        read.take(f"system.guidance.{key.replace('_weights', '')}")


def _scale(read: Reader, out: Outcome, steps: int, lack: float) -> None:
    """The guidance scale in the form eps_null + s (eps_y - eps_null)."""
    key = "system.guidance.guidance_scale"
    value = read.take(key)
    if value is None:
        return
    perp_neg = bool(read.take("system.prompt_processor.use_perp_neg"))
    if perp_neg:
        out.set("guidance.combine", "perp_neg")
        lack = 0.0
    ours = read.schedule(key, value, steps, out)
    if lack:
        ours = _shifted(ours, lack)
        out.differences.append(
            f"{key} {value} became guidance.cfg_scale {ours}: there eps_y + w (eps_y - eps_null), here "
            "eps_null + s (eps_y - eps_null), so that s = w + 1"
        )
    elif perp_neg:
        out.differences.append(f"{key} {value} is kept: with perp-neg the two scales mean the same")
    out.set("guidance.cfg_scale", ours)


def _shifted(value: Any, by: float) -> Any:
    """A number or schedule with a constant added."""
    if not isinstance(value, dict):
        return float(value) + by
    kind, body = next(iter(value.items()))
    return {kind: [[p, v + by] for p, v in body] if kind == "piecewise" else [v + by for v in body]}


def _weight(read: Reader, out: Outcome) -> None:
    name = str(read.take("system.guidance.weighting_strategy", "sds"))
    if name in _WEIGHTING:
        out.set("guidance.weight", _WEIGHTING[name])
    else:
        out.missing.append(
            f"{read.place('system.guidance.weighting_strategy')}: the weight {name!r} does not exist here"
        )


def _times(read: Reader, out: Outcome, steps: int) -> None:
    """Bounds of t; the file's are shares of the model's steps, as ours."""
    for theirs, ours in (("min_step_percent", "low"), ("max_step_percent", "high")):
        key = f"system.guidance.{theirs}"
        value = read.take(key)
        if value is not None:
            out.set(
                f"guidance.times.{ours}",
                read.schedule(key, value, steps, out),
            )
    if read.take("system.guidance.anneal_start_step") is not None or read.take(
        "system.guidance.trainer_max_steps"
    ):
        out.differences.append(
            "system.guidance.anneal_start_step: write the annealing as schedules of guidance.times"
        )


def _post(read: Reader, out: Outcome, steps: int) -> None:
    key = "system.guidance.grad_clip"
    clip = read.take(key)
    if clip is not None:
        value = read.schedule(key, clip, steps, out)
        out.set("guidance.post", [{"clip_value": value}])


def _mvdream(read: Reader, out: Outcome) -> None:
    """MVDream's reconstruction loss: an x0 loss (weight kappa) on a rescaled x0 (card §1.6)."""
    if read.take("system.guidance.recon_loss", True):
        share = float(read.number("system.guidance.recon_std_rescale", 0.5))
        out.set("guidance.weight", "kappa")
        if share:
            out.set("guidance.transforms", [{"rescale": share, "space": "x0"}])
        out.differences.append("recon_loss became weight kappa with a rescaled x0: the same gradient")
    for key in ("n_view", "camera_condition_type", "image_size", "config_path", "ckpt_path"):
        read.take(f"system.guidance.{key}")
    views = read.number("data.n_view", 4)
    if out.config["optimize"]["views"] % int(views):
        out.differences.append(
            f"data.batch_size is no multiple of the {views} views of a group; {views} are taken"
        )
        out.set("optimize.views", int(views))


def _ism(read: Reader, out: Outcome, steps: int) -> None:
    """Interval score matching (card §4.2): intervals in thousandths of the model's steps."""
    gap, start = read.take("system.guidance.delta_t"), read.take("system.guidance.delta_t_start")
    warm = read.take("system.guidance.warmup_iter", read.take("system.guidance.warmup_steps", 1500))
    if gap is not None:
        first = gap if start is None else start
        value = (
            gap / 1000
            if first == gap
            else {"piecewise": [[0.0, first / 1000], [min(1.0, warm / steps), gap / 1000]]}
        )
        out.set("guidance.gap", value)
    stride = read.take("system.guidance.xs_delta_t")
    if stride is not None:
        out.set("guidance.stride", stride / 1000)
    count = read.take("system.guidance.xs_inv_steps")
    if count is not None and stride is not None and count * stride < 1000:
        out.differences.append(
            f"xs_inv_steps {count}: the inversion here makes as many moves as its stride asks for"
        )
    if read.take("system.guidance.denoise_guidance_scale", 1.0) != 1.0:
        out.missing.append("system.guidance.denoise_guidance_scale: the inversion here is without guidance")


def _sdi(read: Reader, out: Outcome, steps: int) -> None:
    """Score distillation via inversion (spec B1)."""
    for theirs, ours in (
        ("inversion_guidance_scale", "inversion_scale"),
        ("inversion_n_steps", "inversion_steps"),
        ("inversion_eta", "eta"),
    ):
        value = read.take(f"system.guidance.{theirs}")
        if value is not None:
            out.set(f"guidance.{ours}", value)
    if read.take("system.guidance.t_anneal"):
        times = out.config["guidance"].get("times", {})
        low, high = times.get("low", 0.25), times.get("high", 0.98)
        bound = low if isinstance(low, dict) else {"linear": [0.98 if isinstance(high, dict) else high, low]}
        out.set("guidance.times", {"low": bound, "high": bound})
        out.differences.append("t_anneal became one time that comes down linearly over the run")
    out.differences.append(
        "SDI's loss is a mean over the latents' elements there and a sum here: Adam does not mind, but weights of "
        "regularisers were multiplied by 16384 (4 x 64 x 64) to keep their share"
    )


def _own_weight(read: Reader, out: Outcome, method: str) -> float:
    """The weight of the guidance's loss times what its reduction has more than ours (card §1.8)."""
    factor = 1.0
    for name in WEIGHTS:
        value = read.take(f"system.loss.{name}")
        if value is None or name == "lambda_lora":
            continue
        if isinstance(value, list):
            out.differences.append(
                f"system.loss.{name} {value}: a schedule of the guidance's weight is not kept"
            )
            continue
        read.numbers(f"system.loss.{name}", [value])
        factor = float(value)
        if factor not in (0.0, 1.0):
            out.differences.append(
                f"system.loss.{name} {value:g}: ours is always 1, so that weights of regularisers were divided by it"
            )
    factor = factor or 1.0
    if method == "sdi":
        return factor / 16384
    if method == "ism":
        out.differences.append(
            "ISM's loss is a sum over the views there and a mean here: weights of regularisers were divided by "
            "their number"
        )
        return factor * out.config["optimize"]["views"]
    return factor
