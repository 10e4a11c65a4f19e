"""Combinations that are legal and known to go wrong, told before anything runs."""

from __future__ import annotations

from collections.abc import Callable

from sds3d.guidance.options import GuidanceOptions
from sds3d.guidance.registry import preset

from ..core.schedules import Schedule
from .schema import RunConfig

_POINTS = 21


def warnings(config: RunConfig) -> list[str]:
    """What is known to go wrong with this config: a sentence each, with what to do. [] where nothing is known."""
    if config.capture is not None:
        return []  # no guidance runs
    found = []
    for stage, own in zip(config.stage_names(), config.in_stages(), strict=True):
        for one in own.apart():
            place = ".".join(name for name in (stage, one.name) if name)
            texts = [text for rule in RULES if (text := rule(one.config, one.guidance))]
            found += [f"{place}: {text}" if place else text for text in texts]
    return found


def _most(value: object) -> float:
    """The largest value of a schedule over the run; 0 where there is none."""
    return max(value(k / (_POINTS - 1)) for k in range(_POINTS)) if isinstance(value, Schedule) else 0.0


def _scale(guidance: GuidanceOptions) -> float:
    return _most(getattr(guidance, "cfg_scale", None))


def strong_guidance_with_a_critic(config: RunConfig, guidance: GuidanceOptions) -> str:
    """VSD takes the scale of plain sampling."""
    scale = _scale(guidance)
    if getattr(guidance, "critic", None) is None or scale < 30:
        return ""
    return (
        f"guidance.cfg_scale reaches {scale:g} with {guidance.method}: a trained critic replaces strong "
        "guidance, and colours burn. Published runs take 7.5."
    )


def noisy_to_the_end(config: RunConfig, guidance: GuidanceOptions) -> str:
    """kappa grows without bound towards pure noise."""
    last = guidance.times.high(1.0)
    if guidance.method == "dataset_update":
        return ""  # its weight only turns predictions into pictures
    if guidance.weight not in ("kappa", "hifa") or last < 0.9 or guidance.times.law == "dreamtime":
        return ""
    return (
        f"guidance.times.high is still {last:g} at the end with weight {guidance.weight}, which is sigma / alpha and "
        "reaches 13 there: shapes never settle. Let it fall: guidance.times.high={sqrt: [0.98, 0.5]}."
    )


def no_way_back(config: RunConfig, guidance: GuidanceOptions) -> str:
    """CSD has no restoring force."""
    tamed = getattr(guidance, "normalise", False) or guidance.post
    if guidance.method != "csd" or tamed or config.optimize.steps <= 3000:
        return ""
    return (
        f"csd without normalisation over {config.optimize.steps} steps: its force has no fixed point, so that contrast "
        "grows with the run. Set guidance.normalise=true, or run at most 3000 steps."
    )


def no_way_back_from_an_edit(config: RunConfig, guidance: GuidanceOptions) -> str:
    """The editing form of CSD has none either, and no pull to the source."""
    if guidance.method != "csd_edit" or guidance.post or config.optimize.steps <= 1000:
        return ""
    return (
        f"csd_edit over {config.optimize.steps} steps: its force has no fixed point, and nothing holds it at the "
        "source. Run at most 1000 steps, or take dds, pds or dreamcatalyst."
    )


def dataset_of_moving_views(config: RunConfig, guidance: GuidanceOptions) -> str:
    """Pictures are kept by view, with what is behind the object."""
    if guidance.method != "dataset_update" or config.representation.flat:
        return ""
    if config.cameras.places is None:
        return (
            "dataset_update keeps a picture a view, and these views never come again: the run will stop. Set "
            "cameras.places=24."
        )
    if config.optimize.white_background < 1.0:
        return (
            "dataset_update keeps pictures with their background, and these backgrounds change: the run will stop. Set "
            "optimize.white_background=1."
        )
    return ""


def edit_far_beyond_the_prompt(config: RunConfig, guidance: GuidanceOptions) -> str:
    """DDS rests at the source moved by s times the difference of the prompts' means."""
    scale = _scale(guidance)
    if guidance.method not in ("dds", "dreamcatalyst", "ssd_edit", "csd_collab") or scale <= 30:
        return ""
    return (
        f"guidance.cfg_scale reaches {scale:g} with {guidance.method}: an edit rests about that many times the "
        "difference of the two prompts away from its source. Published runs take 7.5."
    )


def strong_guidance_of_a_small_model(config: RunConfig, guidance: GuidanceOptions) -> str:
    """The prior in the box was measured at s = 5."""
    scale, kind = _scale(guidance), getattr(config.prior, "kind", "")
    if kind != "embedded" or scale <= 30 or guidance.method not in ("sds", "sjc", "rewardsds", "cfd", "free"):
        return ""
    return (
        f"guidance.cfg_scale reaches {scale:g} with the built-in prior, whose pictures over-saturate above about 10. "
        "Try guidance.cfg_scale=5."
    )


def interval_too_long(config: RunConfig, guidance: GuidanceOptions) -> str:
    """ISM compares neighbours on one path."""
    gap = _most(getattr(guidance, "gap", None))
    if guidance.method not in ("ism", "tsm") or gap <= 0.3:
        return ""
    return (
        f"guidance.gap reaches {gap:g}: over a long interval one move of the inversion is far off, and the reference "
        "no longer cancels. Published runs take 0.025 to 0.1."
    )


def no_guidance(config: RunConfig, guidance: GuidanceOptions) -> str:
    """Without guidance SDS finds the mean of all that fits."""
    scale = _scale(guidance)
    if guidance.method not in ("sds", "sjc") or not 0.0 < scale < 2.0:
        return ""
    return f"guidance.cfg_scale is {scale:g}: SDS then seeks the mean of all that fits the prompt, which is a blur."


def dear_reward(config: RunConfig, guidance: GuidanceOptions) -> str:
    """Every draw is followed to a clean sample."""
    reward = getattr(guidance, "reward", None)
    if reward is None or reward.strategy in ("random", "all"):
        return ""
    calls = reward.rollout_steps * guidance.draws
    if calls * 2 <= 100:
        return ""
    return (
        f"the reward follows {guidance.draws} draws over up to {reward.rollout_steps} steps, "
        f"{2 * calls} predictions a view and step. Try guidance.reward.rollout_steps=2 guidance.draws=4."
    )


def particles_without_a_critic(config: RunConfig, guidance: GuidanceOptions) -> str:
    """Only a critic sees the particles together."""
    recipe = preset(guidance.method)(guidance)
    if config.particles == 1 or recipe.critic is not None or recipe.noise.media:
        return ""
    return (
        f"particles is {config.particles} with {guidance.method}, under which particles know nothing of each other: "
        "each goes where a run of its own would go. Try guidance=vsd, whose critic sees all."
    )


def entropy_of_one_camera(config: RunConfig, guidance: GuidanceOptions) -> str:
    """ESD rewards views that differ."""
    if guidance.method != "esd" or not config.representation.flat:
        return ""
    return "esd on a picture: with one view the critic says the same with and without camera, and esd is vsd."


RULES: tuple[Callable[[RunConfig, GuidanceOptions], str], ...] = (
    strong_guidance_with_a_critic,
    noisy_to_the_end,
    no_way_back,
    no_way_back_from_an_edit,
    dataset_of_moving_views,
    edit_far_beyond_the_prompt,
    strong_guidance_of_a_small_model,
    interval_too_long,
    no_guidance,
    dear_reward,
    particles_without_a_critic,
    entropy_of_one_camera,
)
"""A config and its guidance, one of several by itself -> a warning, or ""."""
