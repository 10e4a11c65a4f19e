"""Reward models: how good a picture is for a caption, as one number. Frozen, without gradient.

`scorer` is the bundled image-text scorer. The others are public models whose weights must be on this disk: a folder,
or a repository in the hub's cache. A reward that steered a run is no judge of it (docs/guidance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..core.errors import ConfigError, MissingPackageError


class PictureReward(Protocol):
    """Higher is better; the unit is the model's own."""

    def __call__(self, rgb: Float[Tensor, "b 3 h w"], texts: Sequence[str]) -> Float[Tensor, " b"]:
        """Pictures in [0, 1] and a caption each -> (B,)."""
        ...


class ScorerReward:
    """Cosine of the bundled scorer (priors.scorer)."""

    def __init__(self) -> None:
        from .scorer import load_scorer

        self.scorer = load_scorer()

    def __call__(self, rgb: Float[Tensor, "b 3 h w"], texts: Sequence[str]) -> Float[Tensor, " b"]:
        pictures = self.scorer.embed_images(rgb.cpu())
        return _each(pictures, self.scorer.embed_texts, texts)


class ClipReward:
    """Cosine of a CLIP in transformers' format; so are PickScore and ports of HPSv2, fine-tuned on preferences.

    Args:
        model: folder or repository of a transformers CLIPModel with its tokenizer.
    """

    def __init__(self, model: str):
        from transformers import AutoTokenizer, CLIPModel

        self.clip = _frozen(CLIPModel, model)
        self.tokenizer = _on_disk(AutoTokenizer, model)

    def __call__(self, rgb: Float[Tensor, "b 3 h w"], texts: Sequence[str]) -> Float[Tensor, " b"]:
        side = self.clip.config.vision_config.image_size
        pictures = self.clip.get_image_features(pixel_values=clip_pixels(rgb, side))
        return _each(functional.normalize(_pooled(pictures), dim=-1), self._texts, texts)

    def _texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        return functional.normalize(_pooled(self.clip.get_text_features(**tokens)), dim=-1)


class AestheticReward:
    """LAION's aesthetic predictor: a linear map of the unit image embedding of a CLIP; captions play no part.

    Args:
        model: folder or repository with a transformers CLIPVisionModelWithProjection whose safetensors file also
            holds `predictor.weight` (1, D) and `predictor.bias` (1,).
    """

    def __init__(self, model: str):
        from safetensors import safe_open
        from transformers import CLIPVisionModelWithProjection
        from transformers.utils import cached_file

        self.clip = _frozen(CLIPVisionModelWithProjection, model)
        path = cached_file(model, "model.safetensors", local_files_only=True)
        assert path is not None
        with safe_open(path, "pt") as weights:
            missing = {"predictor.weight", "predictor.bias"} - set(weights.keys())
            if missing:
                raise ConfigError(
                    f"{model} is no aesthetic predictor: {path} lacks {', '.join(sorted(missing))}.",
                    key="guidance.reward.model",
                )
            self.weight = weights.get_tensor("predictor.weight").float()
            self.bias = weights.get_tensor("predictor.bias").float()

    def __call__(self, rgb: Float[Tensor, "b 3 h w"], texts: Sequence[str]) -> Float[Tensor, " b"]:
        embedded = self.clip(pixel_values=clip_pixels(rgb, self.clip.config.image_size)).image_embeds
        return (functional.normalize(embedded, dim=-1) @ self.weight.T + self.bias).squeeze(-1)


class ImageRewardModel:
    """ImageReward (Xu et al. 2023, arXiv 2304.05977) by its authors' package.

    Args:
        model: the package's name of a model, or the path of its file.
    """

    def __init__(self, model: str):
        try:
            import ImageReward
        except ImportError as error:
            raise MissingPackageError(
                "image-reward", "the reward image_reward", "pip install image-reward"
            ) from error
        self.model = ImageReward.load(model, device="cpu")

    def __call__(self, rgb: Float[Tensor, "b 3 h w"], texts: Sequence[str]) -> Float[Tensor, " b"]:
        from PIL import Image

        pictures = (rgb.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        scores = [
            self.model.score(text, Image.fromarray(one)) for text, one in zip(texts, pictures, strict=True)
        ]
        return torch.tensor(scores, dtype=torch.float32)


KINDS = MappingProxyType(
    {
        "scorer": None,
        "clip": "openai/clip-vit-base-patch32",
        "pickscore": "yuvalkirstain/PickScore_v1",
        "hpsv2": "adams-story/HPSv2-hf",
        "aesthetic": "shunk031/aesthetics-predictor-v1-vit-large-patch14",
        "image_reward": "ImageReward-v1.0",
    }
)
"""Kind of reward -> where its weights are by default.

How far these names were verified, in stored copies of pages and in others' code, never by a download: pickscore and
hpsv2 are loaded by others with transformers' CLIPModel, and the file lists of copies of both hold a tokenizer;
aesthetic's own file list holds model.safetensors, and its class is a CLIPVisionModelWithProjection with a linear layer
`predictor`; image_reward is the name that its package's own examples use; clip is that of transformers' examples.
"""


def load_reward(kind: str, model: str = "") -> PictureReward:
    """A reward model.

    Args:
        kind: one of KINDS. model: folder or repository in place of the default.

    Raises:
        ConfigError: its weights are not on this disk, or there is no such kind. MissingPackageError: its package is
            not installed.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown reward {kind!r}; there are {', '.join(KINDS)}.", key="guidance.reward")
    where = model or KINDS[kind] or ""
    makers: dict[str, Callable[[], PictureReward]] = {
        "scorer": ScorerReward,
        "aesthetic": partial(AestheticReward, where),
        "image_reward": partial(ImageRewardModel, where),
    }
    return torch.no_grad()(makers.get(kind, partial(ClipReward, where))())


def clip_pixels(rgb: Float[Tensor, "b 3 h w"], side: int) -> Float[Tensor, "b 3 s s"]:
    """Pictures in [0, 1] as CLIP takes them: resized whole, then by its channels' mean and deviation."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
    small = functional.interpolate(
        rgb.float().cpu(), size=(side, side), mode="bicubic", antialias=True, align_corners=False
    )
    return (small.clamp(0, 1) - mean) / std


def _each(
    pictures: Float[Tensor, "b d"], embed: Callable[[Sequence[str]], Tensor], texts: Sequence[str]
) -> Float[Tensor, " b"]:
    """Inner product of every picture with its own caption; equal captions are embedded once."""
    unique = list(dict.fromkeys(texts))
    rows = embed(unique)[[unique.index(text) for text in texts]]
    return (pictures * rows).sum(-1)


def _pooled(found: Any) -> Tensor:
    """The embedding in what transformers returns: the tensor itself in some releases."""
    return found if isinstance(found, Tensor) else found.pooler_output


def _frozen(kind: Any, model: str) -> Any:
    return _on_disk(kind, model).float().eval().requires_grad_(False)


def _on_disk(kind: Any, model: str) -> Any:
    """`from_pretrained` without asking the network."""
    try:
        return kind.from_pretrained(model, local_files_only=True)
    except (
        OSError,
        ValueError,
    ) as error:  # ValueError: a path that is not there is no repository's name either
        raise ConfigError(
            f"the reward model {model} is not on this disk, or is not a whole {kind.__name__}.",
            key="guidance.reward.model",
            hint=f"Fetch it with: hf download {model}; or name a folder.",
        ) from error
