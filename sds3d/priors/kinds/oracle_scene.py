"""A prior that knows some 3D assets: what it believes in are their renders at the asked camera and background.

y is the asked asset alone, null an equal mixture of all of them. Score distillation through a correct pipeline must
then recover the asked asset, to a quality that can be measured against the truth. Rendering is handed in by whoever
builds the prior: priors import no representation.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from ...config.options import Options as BaseOptions
from ...core.errors import ConfigError, PromptError
from ...core.look import Look, Render
from ..base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from ..mixtures import Mixture
from ..noise_schedule import NoiseSchedule, stable_diffusion_schedule
from ..pixels import decode_pixels, encode_pixels
from .analytic import through_native

RenderAsset = Callable[[str, Look], Float[Tensor, "b 3 h w"]]
"""(asset name, look) -> (B, 3, H, W) display-referred RGB in [0, 1] over the look's background."""


class Options(BaseOptions):
    """A prior whose world is a handful of known 3D assets."""

    kind: Literal["oracle_scene"] = "oracle_scene"
    """Kind of prior."""
    assets: tuple[str, ...] = Field(min_length=1)
    """Names of the assets; a prompt is one of them. The renderer that is handed in knows what they mean."""
    size: int = Field(default=128, ge=1, le=4096)
    """Side of the pictures in pixels."""
    width: float = Field(default=0.05, ge=0.0)
    """Standard deviation of each mode around its render, in units of z in [-1, 1]."""
    prediction: Literal["epsilon", "v", "x0", "velocity"] = "epsilon"
    """What the network's output would be; guidance must not depend on it."""
    schedule: Literal["sd", "rf"] = "sd"
    """Stable Diffusion 1.x's variance-preserving schedule, or rectified flow."""


class OracleScenePrior:
    """A mixture with a mode for each asset, centred on its render.

    Args:
        assets: names. render: draws an asset. size: side in pixels. width: standard deviation of a mode.
        schedule: VP or RF. prediction: the native output that is imitated.
    """

    def __init__(
        self,
        assets: Sequence[str],
        render: RenderAsset,
        size: int,
        width: float,
        schedule: NoiseSchedule,
        prediction: str = "epsilon",
    ):
        self.assets, self.schedule = tuple(assets), schedule
        self._render, self._variance = render, width**2
        self.info = PriorInfo(
            name="oracle-scene",
            media="image",
            size=(size, size),
            latent_shape=(3, size, size),
            prediction=prediction,
            branches=("y", "null", "neg", "src"),
            uses_camera=True,
        )

    def prepare(self, prompts: Prompts) -> Embedded:
        """Each branch as weights over the assets.

        Raises:
            PromptError: a prompt is no asset's name.
        """
        everything = torch.full((len(self.assets),), 1.0 / len(self.assets))
        negative = self._only(prompts.negative) if prompts.negative else everything
        source = {"src": self._only(prompts.source)} if prompts.source else {}
        return Embedded({"y": self._only(prompts.text), "null": everything, "neg": negative} | source)

    def _only(self, name: str) -> Float[Tensor, " k"]:
        if name not in self.assets:
            close = difflib.get_close_matches(name, self.assets, n=1)
            raise PromptError(
                f"this prior knows the assets {', '.join(self.assets)}; {name!r} is none of them."
                + (f" Did you mean {close[0]}?" if close else "")
            )
        return torch.tensor([float(name == asset) for asset in self.assets])

    @torch.no_grad()
    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """Every branch: the renders of all assets at this look, and the weights of the branch.

        Raises:
            ConfigError: the renderer's pictures have another shape.
        """
        pictures = torch.stack([self._picture(name, look) for name in self.assets], dim=1)
        count = len(pictures)
        ones = torch.ones(count, device=pictures.device)
        return {
            branch: Cond({"pictures": pictures, "weights": weights.to(pictures).expand(count, -1)}, ones)
            for branch, weights in embedded.tensors.items()
        }

    def _picture(self, name: str, look: Look) -> Float[Tensor, "b 3 h w"]:
        rgb, expected = self._render(name, look), (len(look.background), 3, *look.size)
        if tuple(rgb.shape) != expected:
            raise ConfigError(
                f"the renderer of the asset {name!r} returned shape {tuple(rgb.shape)} instead of {expected}."
            )
        return encode_pixels(rgb, self.info.size)

    def encode(self, media: Tensor) -> Tensor:
        """2 x - 1 at the prior's size."""
        return encode_pixels(media, self.info.size)

    def decode(self, z: Tensor) -> Tensor:
        """(z + 1) / 2, clamped."""
        return decode_pixels(z)

    @torch.no_grad()
    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """The exact posterior means, passed through the native prediction type and back."""
        alpha, sigma = (v.to(z_t) for v in self.schedule.levels(t))
        means = cond.tensors["pictures"].flatten(2).to(z_t)
        variances = torch.full(means.shape[1:], self._variance, dtype=z_t.dtype, device=z_t.device)
        law = Mixture(cond.tensors["weights"].to(z_t), means, variances)
        eps, x0 = (v.view_as(z_t) for v in law.predict(z_t.flatten(1), alpha, sigma))
        return through_native(eps, x0, z_t, alpha, sigma, self.info.prediction)


def create(options: Options, device: str = "cpu", render: RenderAsset | None = None) -> OracleScenePrior:
    """The prior that these options describe.

    Args:
        device: not used; the pictures lie where `render` makes them. render: draws a named asset at a look.

    Raises:
        ConfigError: no renderer was handed in.
    """
    if render is None:
        raise ConfigError(
            "the prior oracle_scene needs a function that renders its assets, and was given none.",
            key="prior.kind",
            hint="It is built from Python: create(options, render=lambda name, look: ...).",
        )
    schedule = NoiseSchedule("rf") if options.schedule == "rf" else stable_diffusion_schedule()
    return OracleScenePrior(options.assets, render, options.size, options.width, schedule, options.prediction)
