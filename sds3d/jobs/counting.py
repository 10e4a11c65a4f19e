"""Network calls counted before anything runs, on a prior that is free; and the steps that a budget of them allows."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sds3d.guidance.registry import preset

from ..config.kinds import module_of
from ..core.cameras import Cameras
from ..core.look import Look, Render
from ..core.streams import Streams
from ..optimize.loop import Session
from ..optimize.stage import Original
from ..optimize.timing import Stopwatch
from ..priors.attention import EDITED
from ..priors.base import Cond, Conditioning, Embedded, Prediction, Prior
from ..priors.lora import LoraSpec, Weights
from ..priors.models.resolve import resolved
from . import configs
from .assemble import Place, assemble, build_representation, cache_key, load_prior
from .device import device_of
from .schema import PRIORS, RunConfig

_BRANCHES = ("y", "null", "neg", "neg0", "neg1", "mix", "src", "skip")
"""Conditions that methods ask for."""
_COUNTED = 24
"""Steps that are counted, evenly spread over a run or over several."""
_SAMPLES = 16_384
"""Of a free sound: the longest window of a method fits into it."""
_PICTURES = {"kind": "grid", "resolutions": [3, 8], "samples": 8, "picture_samples": 8}


def free_session(config: RunConfig, steps: int, seed: int = 0) -> Session:
    """The config's one guidance over that many steps, on a prior and a representation that cost next to nothing.

    As many views as the config has, since a method may ask about some of them alone. A prior that answers nothing
    would have every draw made anew where a method asks for that; here the first one counts, as it does of networks.

    Raises:
        Sds3dError: the guidance needs what these have not.
    """
    hears = any("audio" in preset(one.guidance.method)(one.guidance).needs.media for one in config.apart())
    small = configs.from_mapping(
        {
            # words that rewards know
            "prompt": "a red cube",
            "negative_prompt": "a gray cube",
            "seed": seed,
            "device": "cpu",
            "prior": {
                "kind": "analytic",
                "shape": [1, 1, _SAMPLES] if hears else [3, 8, 8],
                "conditions": {name: {} for name in _BRANCHES},
            },
            "representation": "waveform" if hears else _PICTURES,
            "optimize.views": config.optimize.views,
            "optimize.steps": steps,
        }
    )
    device = device_of(small)
    kind = _FreeSounds if hears else _Attending if _attends(config) else _Free
    prior = kind(load_prior(small.prior, device=device))
    guidance = config.guidance
    if getattr(guidance, "retry", None) is not None:
        guidance = guidance.model_copy(update={"retry": None})
    asked = small.model_copy(update={"guidance": guidance})
    # methods that edit compare with an original: any will do
    place = Place(original=Original(build_representation(small), ""))
    return Session(assemble(asked, Stopwatch(), {cache_key(small.prior, device): prior}, place))


def _attends(config: RunConfig) -> bool:
    """Whether the guidance asks for maps of attention and the config's prior has them.

    Raises:
        Sds3dError: that has to be read in the prior's files, which are not there.
    """
    module = module_of(PRIORS.package, config.prior.kind, PRIORS.group)  # type: ignore[attr-defined]
    steps = preset(config.guidance.method)(config.guidance).residual_post
    if not any(step.name == "mask" for step in steps) or not hasattr(module, "outline"):
        return False
    info, _ = module.outline(resolved(config.prior))
    return bool(info.attention)


def calls_of(config: RunConfig, steps: int) -> float:
    """Predictions a view over a run of that many steps, a critic's training included: what is to be expected.

    Methods whose steps differ in cost (walks that depend on t) are counted at about 24 steps: of one run, or of
    several short ones with other times.

    Raises:
        Sds3dError: the method needs what is not there.
    """
    counted, total = min(steps, _COUNTED), 0.0
    runs = -(-_COUNTED // counted)
    for seed in range(runs):
        session = free_session(config, steps, seed)
        for k in range(counted):
            session.step = k * steps // counted
            total += float(session.gradients().log["nfe"])
    return total * steps / (counted * runs)


def steps_for(config: RunConfig, budget: float) -> int:
    """The number of steps, at least one, whose calls come nearest to the budget."""
    steps = max(1, round(budget * _COUNTED / calls_of(config, _COUNTED)))
    # where short runs spend their steps differs from where long ones do
    return steps if steps >= _COUNTED else max(1, round(budget * steps / calls_of(config, steps)))


class _Free:
    """A prior that answers nothing, at once, and takes changes of its network, as critics ask."""

    def __init__(self, prior: Prior):
        self.info, self.schedule = prior.info, prior.schedule
        self.prepare, self.condition = prior.prepare, prior.condition
        self.encode, self.decode = prior.encode, prior.decode

    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """Zero."""
        nothing = torch.zeros_like(z_t)
        return Prediction(lambda form: nothing)

    def make_adapter(self, spec: LoraSpec) -> _Unchanged:
        """See priors.lora."""
        return _Unchanged(self)


class _Attending(_Free):
    """The same with maps of attention, in which everything is edited."""

    def __init__(self, prior: Prior):
        super().__init__(prior)
        self.info = replace(prior.info, attention=True)
        self._plain = prior.condition
        self.condition = self._edited

    def _edited(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        found = self._plain(embedded, look, maps)
        return {**found, EDITED: found["y"]}

    def attention_maps(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b 1 h w"]:
        """One everywhere."""
        return torch.ones_like(z_t[:, :1])


class _FreeSounds(_Free):
    """The same of sounds (B, 1, T), whose latents (B, 1, 1, T) are their samples."""

    def __init__(self, prior: Prior):
        super().__init__(prior)
        self.info = replace(prior.info, media="audio", size=(1, _SAMPLES), rate=_SAMPLES)
        self.encode, self.decode = lambda media: media[:, :, None], lambda z: z[:, :, 0]


class _Unchanged:
    """See priors.lora.Adapter."""

    def __init__(self, prior: _Free):
        self._prior = prior

    def init(self, streams: Streams) -> dict[str, Tensor]:
        """One number."""
        return {"none": torch.zeros(1)}

    def predict(
        self,
        weights: Weights,
        z_t: Tensor,
        t: Float[Tensor, " b"],
        cond: Cond,
        cameras: Cameras | None,
        told: Bool[Tensor, " b"],
    ) -> Prediction:
        """The prior's own."""
        return self._prior.predict(z_t, t, cond)
