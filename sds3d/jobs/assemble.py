"""From a run's config to the stage that the loop runs."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sds3d.guidance.build import build_guidance, fitted
from sds3d.guidance.registry import preset
from sds3d.representations import particles
from sds3d.representations.base import Representation
from sds3d.representations.edited import Edited

from ..config.dump import config_hash
from ..config.kinds import module_of
from ..config.options import Options
from ..core.streams import Streams
from ..optimize.needs import check_needs
from ..optimize.out_of_memory import not_loaded
from ..optimize.stage import Original, Stage
from ..optimize.terms import Term, streams_of
from ..optimize.timing import Stopwatch, TimedPrior
from ..priors import registry, text_cache
from ..priors.base import Prior, Prompts
from ..priors.models.resolve import ensure, resolved
from . import configs, editing, fitting, referencing
from .device import device_of
from .drawing import file_renderer
from .schema import PRIORS, REPRESENTATIONS, Alone, RunConfig, TermsOptions

log = logging.getLogger(__name__)

PriorCache = MutableMapping[str, Prior]
"""Loaded priors by their `cache_key`, shared by the runs of a batch."""

CPU = torch.device("cpu")


def cache_key(options: Options, device: torch.device = CPU) -> str:
    """What tells two loaded priors apart: their options, and where they lie."""
    return f"{config_hash(options)} {device}"


def load_prior(options: Options, cache: PriorCache | None = None, device: torch.device = CPU) -> Prior:
    """The prior that the options describe, from the cache if it holds it.

    Args:
        device: where it runs unless its own options name another.

    Raises:
        Sds3dError: its weights are missing or broken.
    """
    key = cache_key(options, device)
    if cache is not None and key in cache:
        return cache[key]
    create = module_of(PRIORS.package, options.kind, PRIORS.group).create  # type: ignore[attr-defined]
    # priors import no renderer: kinds that draw assets are handed one
    extras: dict[str, Any] = (
        {"render": file_renderer()} if "render" in inspect.signature(create).parameters else {}
    )
    try:
        prior = registry.create_prior(options, str(device), **extras)
    except torch.OutOfMemoryError as error:
        raise not_loaded(error, getattr(options, "folder", str(options.kind))) from error  # type: ignore[attr-defined]
    if cache is not None:
        cache[key] = prior
    return prior


def priors_of(config: RunConfig) -> list[Options]:
    """The priors that judge in a run, each once."""
    return list({config_hash(one.config.prior): one.config.prior for one in config.apart()}.values())


def weight_files(options: Options) -> list[Path]:
    """The weight files of a prior, [] for kinds that have none.

    Raises:
        Sds3dError: a file that the prior reads is missing, broken or of another kind; nothing was loaded.
    """
    module = module_of(PRIORS.package, options.kind, PRIORS.group)  # type: ignore[attr-defined]
    return list(module.weight_files(resolved(options))) if hasattr(module, "weight_files") else []


def check_prompt(config: RunConfig) -> None:
    """Ask the priors' kinds, without loading a network, whether they can serve the config's one prompt.

    A kind tells by a function `check_prompts(options, text, negative, view_words, source="")`; one that has none is
    asked when it is loaded, by `prepare`.

    Raises:
        PromptError: it cannot; the text says which words it does not know and what to do.
    """
    for one in config.apart():
        prior, asked = one.config.prior, one.config
        module = module_of(PRIORS.package, prior.kind, PRIORS.group)  # type: ignore[attr-defined]
        if hasattr(module, "check_prompts"):
            source = {} if asked.edit is None else {"source": asked.edit.prompt}
            module.check_prompts(prior, asked.prompt, asked.negative_prompt, asked.view_words, **source)


def check_model(config: RunConfig) -> None:
    """Have the priors' files on this disk, fetching models that have a name, and check them without loading.

    A kind whose module has a function `outline(options)` is also asked whether the guidance goes with it.

    Raises:
        ConfigError: a guidance asks for what its prior has not, or for times at which it has no noise or no signal.
        Sds3dError: they cannot be had, or are not what the prior needs; the text says which and what to do.
    """
    for prior in priors_of(config):
        ensure(prior, log.warning)
        weight_files(prior)
        module = module_of(PRIORS.package, prior.kind, PRIORS.group)  # type: ignore[attr-defined]
        if hasattr(module, "check_view_count"):
            module.check_view_count(resolved(prior), config.optimize.views)
    for one in config.apart():
        module = module_of(PRIORS.package, one.config.prior.kind, PRIORS.group)  # type: ignore[attr-defined]
        if hasattr(module, "outline"):
            fitted(preset(one.guidance.method)(one.guidance), *module.outline(resolved(one.config.prior)))


def build_representation(config: RunConfig, prior: Callable[[], Prior] | None = None) -> Representation:
    """A fresh representation, drawn from the run's seed; several particles in one where the config asks for them.

    Args:
        prior: returns the run's prior for kinds that need a canvas; by default it is loaded when it is asked for.
    """
    options = config.representation
    create = module_of(REPRESENTATIONS.package, options.kind, REPRESENTATIONS.group).create  # type: ignore[attr-defined]
    asked = inspect.signature(create).parameters
    extras: dict[str, Any] = {name: getattr(config, name) for name in ("edit", "capture") if name in asked}
    if "canvas" in asked:
        extras["canvas"] = functools.cache(
            lambda: PriorCanvas(prior() if prior else load_prior(config.prior))
        )
    return particles.create(
        config.particles, lambda streams: create(options, streams, **extras), Streams(config.seed)
    )


@dataclass(frozen=True)
class PriorCanvas:
    """See representations.base.Canvas."""

    prior: Prior

    size = property(lambda self: self.prior.info.size, doc="(height, width) in pixels.")
    rate = property(lambda self: self.prior.info.rate, doc="Of sounds, samples a second; else 0.")
    latent_shape = property(lambda self: self.prior.info.latent_shape, doc="(C, h, w) of one latent.")

    def encode(self, media: Tensor) -> Tensor:
        """RGB in [0, 1] -> latents."""
        return self.prior.encode(media)

    def decode(self, z: Tensor) -> Tensor:
        """Latents -> RGB in [0, 1]."""
        return self.prior.decode(z)


@dataclass(frozen=True)
class Place:
    """Where a stage stands among those of its run.

    Args:
        index: its number. config_hash: see configs.hash_of_stage; by default that of a run by itself.
        scene: what it starts from; a fresh one where there is none. original: what it is compared with; by default
            the file of an edit.
    """

    index: int = 0
    config_hash: str | None = None
    scene: Representation | None = None
    original: Original | None = None


ALONE = Place()
"""A run of one stage."""


def assemble(
    config: RunConfig, watch: Stopwatch, cache: PriorCache | None = None, place: Place = ALONE
) -> Stage:
    """The stage of a run.

    Args:
        config: with one prompt. watch: told the prior's share of the time. cache: priors already loaded.
        place: which stage of several it is; `config` is then the stage's own.

    Raises:
        PromptError: a prior cannot serve the prompt. ConfigError: two choices do not go together, or the device
            cannot be had.
    """
    editing.check_settled(config)
    loaded: PriorCache = {} if cache is None else cache
    timed: dict[int, TimedPrior] = {}
    device = device_of(config)
    if config.capture is not None:
        return _fit(config, device, place)

    def prior_of(one: RunConfig) -> Prior:
        prior = load_prior(one.prior, loaded, device)
        return timed.setdefault(id(prior), TimedPrior(prior, watch))

    alone, guidance = config.apart(), config.guidance
    scene = place.scene or build_representation(config, lambda: prior_of(alone[0].config))
    scene.to(device)
    original = place.original or original_of(config, scene)
    whole = place.config_hash or configs.hash_of(config)
    if not isinstance(guidance, TermsOptions):
        stage = _stage(alone[0], prior_of(config), original, scene, device, Streams(config.seed), whole)
        return replace(stage, index=place.index)
    terms = []
    for one, term in zip(alone, guidance.terms, strict=True):
        streams = streams_of(config.seed, term.stream)
        stage = _stage(one, prior_of(one.config), original, scene, device, streams, whole)
        terms.append(Term(term.name, stage, term.factor, term.chance))
    first = replace(terms[0].stage, options=config.optimize, streams=Streams(config.seed))
    return replace(first, terms=tuple(terms), mix=guidance.mix, index=place.index)


def _fit(config: RunConfig, device: torch.device, place: Place) -> Stage:
    """The stage of a fit, which loads no prior."""
    scene = place.scene or build_representation(config)
    scene.to(device)
    return fitting.fit_stage(config, scene, device, place.config_hash or configs.hash_of(config))


def original_of(config: RunConfig, scene: Representation) -> Original | None:
    """What an edit starts from; None where nothing is edited."""
    if config.edit is None:
        return None
    assert isinstance(scene, Edited), "check_edit refuses representations that edit nothing"
    for note in scene.notes:
        log.warning("%s", note)
    return Original(scene.original(), config.edit.prompt, editing.fidelity_of(config.edit))


def _stage(
    one: Alone,
    prior: Prior,
    original: Original | None,
    scene: Representation,
    device: torch.device,
    streams: Streams,
    whole: str,
) -> Stage:
    """The stage of one guidance by itself; `whole` is the hash of the run's config."""
    config, edit = one.config, one.config.edit
    assert config.prompt is not None, "a batch is split into one config a prompt first"
    words = "" if edit is None else edit.prompt
    view_words = not prior.info.uses_camera if config.view_words is None else config.view_words
    return Stage(
        prior=prior,
        representation=scene,
        guidance=build_guidance(
            editing.tempered(one.guidance, edit), prior, config.optimize.steps, config.debug.gradients
        ),
        sampler=config.representation.sampler(config.cameras.sampler()),
        embedded=text_cache.prepare(prior, Prompts(config.prompt, config.negative_prompt, view_words, words)),
        options=editing.slowed(config.optimize, edit),
        streams=streams,
        config_hash=whole,
        prompt=config.prompt,
        device=device,
        particles=config.particles,
        backdrop=config.representation.backdrop(),
        original=original,
        part=one.part,
        reference=referencing.reference_of(config.reference),
    )


def check_guidance(config: RunConfig) -> None:
    """Ask of every guidance, without loading a prior, whether its options and the scene go together.

    Raises:
        ConfigError: they do not, or a reward's weights are not here; the text says what to take instead.
        AssetError: a file that is edited cannot be read.
    """
    for one in config.apart():
        recipe = preset(one.guidance.method)(one.guidance)
        needs = recipe.needs
        if recipe.draw_weights is not None:
            recipe.draw_weights.check()
        options = one.config
        # a file that is edited is opened now, so that one that cannot be is refused before anything is made
        if not (needs.edits or needs.media or needs.pixels or options.edit):
            continue
        sampler = options.representation.sampler(options.cameras.sampler())
        cameras = sampler.sample(Streams(options.seed), 0, 1) is not None
        scene = build_representation(options.model_copy(update={"particles": 1}))
        check_needs(needs, scene, cameras, options.edit is not None, one.name)
