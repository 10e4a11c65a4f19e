"""The embedded prior: the project's own small text- and camera-conditioned pixel diffusion model.

A diffusers UNet2DConditionModel on pixel-unshuffled RGB, conditioned on the tokens of a small CLIP text tower
and, through the class embedding, on camera, background and pooled text (priors.pixel_unet). How it was made:
assets/README.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...config.options import Options as BaseOptions
from ...core.cameras import Cameras
from ...core.look import Look, Render
from ...core.streams import Streams
from ..attention import EDITED, attention_maps, edited_branch, edited_tokens
from ..base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from ..folder import Components, best_cpu_dtype, load_components
from ..lora import Adapter, LoraNetwork, LoraSpec, Weights
from ..model_folder import read_json
from ..noise_schedule import NoiseSchedule, over
from ..pixel_unet import ViewFeatures, pool_text, unet_output
from ..pixels import decode_pixels, encode_pixels
from ..placing import best_directions, directions_photographed, directions_said, views_of
from ..scheduler_config import schedule_of
from ..views import VIEW_WORDS, view_index
from ..words import check_texts, read_vocabulary

_ALLOWED, _VIEWS = "allowed", "views"
"""In a condition whose camera is not told: (B, D) the directions that the words allow, and (B, D, S, K) the views of
the text's volume from there; see priors.placing."""
ASSETS = Path(__file__).resolve().parents[2] / "assets"

_FALLING = {"high": {"sqrt": [0.98, 0.5]}, "low": {"sqrt": [0.6, 0.02]}, "scale": "native"}
_X0_LOSS = {
    "weight": "kappa",
    "transforms": ["clamp_x0"],
    "times": _FALLING,
    "cfg_scale": 5.0,
}
_FEW_DRAWS = {"draws": 4, "reward": {"rollout_steps": 1}}
RECOMMENDED = {
    "guidance": {
        "sds": _X0_LOSS,
        "vsd": _X0_LOSS | {"critic": {"lr": 1e-3}},
        "esd": _X0_LOSS | {"critic": {"lr": 1e-3}},
        "rewardsds": _X0_LOSS | _FEW_DRAWS,
        "rewardvsd": _X0_LOSS | _FEW_DRAWS | {"critic": {"lr": 1e-3}},
        "sjc": {"cfg_scale": 5.0},
        "csd": {"weight": "kappa", "times": _FALLING},
        "ism": {"stride": 1.0},
        "tsm": {"stride": 1.0},
        "sdi": {"inversion_steps": 3},
        "cfd": {"cfg_scale": 5.0, "transforms": ["clamp_x0"]},
        "hifa": {
            "cfg_scale": 5.0,
            "weight": "kappa",
            "transforms": ["clamp_x0"],
            "moves": 2,
        },
    },
    "optimize": {"size": 64},
    "threads": 1,
}
"""What distils well from this small pixel model (assets/README.md); see jobs.recommend. With weight kappa SDS is
the gradient of half the squared distance to the predicted clean image. It is clamped and not rescaled: a
rescaled white ground is gray, and in a flat picture, which no background is laid under, gray grows to a tint. A
critic has hundreds of steps to learn in, not the paper's tens of thousands, hence its higher lr. A reward among
four draws, judged at x0 itself, costs 8 predictions where the published seven on fifteen moves each cost about
105, and leaves steps to learn in. SJC at the published scale of 100 burns the colours and paints the background
in the object's complement; at 5 it is as clean as SDS. Methods that walk (HiFA, ISM, TSM, SDI) take shorter
walks than published: steps are what runs of a few hundred calls lack, and with the published walks nothing
recognisable forms in 3D (docs/evidence/compare-embedded.md). CSD with kappa and falling times keeps its shape,
where sigma^2 and all times alike eat it away. Renders at 64 px, averaged down for the 32 px model as its
training pictures were, leave less haze. The network is too small to gain from a second thread."""


class Options(BaseOptions):
    """The prior in the box: no download, no GPU."""

    kind: Literal["embedded"] = "embedded"
    """The name of this kind of prior."""
    model: Literal["prior32", "prior64"] = "prior64"
    """Which of the two shipped models, by the side of its pictures in pixels: prior64 knows 117 kinds and their sides,
    prior32 59 kinds, mostly from the flank."""
    folder: Path | None = None
    """A model that `sds3d prior train` made, in place of the shipped ones."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network; auto takes bfloat16 where the CPU has it, float32 on a GPU."""
    condition_on_camera: bool = True
    """Tell the network the camera; off: view words only, as for big models. prior64 then guesses its camera from the
    noisy picture, among the sides that the words allow; prior32 hears words alone."""
    condition_on_background: bool = True
    """Tell the network the background colour."""


def assets_folder() -> Path:
    """Where the shipped weights lie: inside the package, or beside it in a source checkout."""
    return ASSETS if ASSETS.is_dir() else ASSETS.parents[1] / "assets"


def model_folder(options: Options) -> Path:
    """Where the model lies that the options name."""
    return options.folder or assets_folder() / options.model


def weight_files(options: Options) -> list[Path]:
    """The files whose hashes tell which model it is."""
    return sorted(model_folder(options).rglob("*.safetensors"))


def check_prompts(
    options: Options, text: str, negative: str, view_words: bool | None, source: str = ""
) -> None:
    """Refuse words that the model cannot read before anything is loaded or made; see jobs.batch.

    Args:
        view_words: add view words to the prompt; None as `assemble` decides it: where the camera is not told.
        source: what an original shows that is edited.

    Raises:
        PromptError: as `EmbeddedPrior.prepare`. Sds3dError: the model's word list is missing or broken.
    """
    words, room = read_vocabulary(model_folder(options) / "tokenizer")
    if view_words is None:
        view_words = not options.condition_on_camera
    _check(Prompts(text, negative, view_words, source), words, room)


def _check(prompts: Prompts, vocabulary: Collection[str], max_tokens: int) -> None:
    empty = 'the prompt is empty; say what to make, such as: sds3d run "a blue mushroom"'
    texts = [prompts.text, *prompts.texts(VIEW_WORDS).values()]
    check_texts(texts, vocabulary, max_tokens, "embedded", empty)


def outline(options: Options) -> tuple[PriorInfo, NoiseSchedule]:
    """What the prior tells of itself and its noise schedule, before it is loaded.

    Raises:
        Sds3dError: the model's small files are missing or broken.
    """
    folder = model_folder(options)
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    schedule, prediction = schedule_of(scheduler, folder / "scheduler")
    return _info(options, read_json(folder / "model_index.json"), prediction), schedule


def _info(options: Options, index: Mapping[str, Any], prediction: str) -> PriorInfo:
    side = int(index["image_size"])
    return PriorInfo(
        name=f"embedded/{options.folder.name if options.folder else options.model}",
        media="image",
        size=(side, side),
        latent_shape=(3, side, side),
        prediction=prediction,
        branches=("y", "null", "neg", "src"),
        uses_camera=options.condition_on_camera,
        licence="Apache-2.0",
        attention=True,
    )


def create(options: Options, device: str = "cpu") -> EmbeddedPrior:
    """Load the model that the options name."""
    return load_folder(model_folder(options), options, device)


def load_folder(folder: Path, options: Options, device: str = "cpu") -> EmbeddedPrior:
    """Load a model of this kind from any folder, such as one that was trained a moment ago."""
    # a GPU gains little from half precision on so small a network, and old ones have no bfloat16
    usual = best_cpu_dtype() if torch.device(device).type == "cpu" else torch.float32
    dtype = usual if options.precision == "auto" else getattr(torch, options.precision)
    return EmbeddedPrior(load_components(folder, dtype), options, device)


class EmbeddedPrior:
    """See the module docstring and priors.base.Prior."""

    def __init__(self, parts: Components, options: Options, device: str = "cpu"):
        from safetensors.torch import load_file

        self.options, self.device = options, torch.device(device)
        self.unet, self.text, self.tokenizer = parts.unet.to(device), parts.text_encoder, parts.tokenizer
        self.projection = {
            k: v.float() for k, v in load_file(parts.folder / "text_projection.safetensors").items()
        }
        self.schedule, self.unshuffle = parts.schedule, int(parts.index["pixel_unshuffle"])
        self.view_features = ViewFeatures.of(parts.index, parts.folder).on(self.device)
        self.info = _info(options, parts.index, parts.prediction)

    def prepare(self, prompts: Prompts) -> Embedded:
        """Text states of the prompt, the empty prompt, the negative prompt, a source's and, if asked, the view prompts.

        Raises:
            PromptError: empty, too long, or with words outside the vocabulary.
        """
        _check(prompts, self.tokenizer.get_vocab(), int(self.tokenizer.model_max_length))
        out = {}
        for name, text in prompts.texts(VIEW_WORDS).items():
            out[f"{name}.states"], out[f"{name}.pooled"] = self._embed(text)
            if self.view_features.volume is not None:
                out[f"{name}.{_VIEWS}"] = views_of(self.view_features.volume, out[f"{name}.pooled"])
        if prompts.source:
            ends = frozenset(self.tokenizer.all_special_ids)
            source, target = (self._ids(text)[0].tolist() for text in (prompts.source, prompts.text))
            out[EDITED] = edited_tokens(source, target, ends).to(self.device)
        return Embedded(out)

    def _ids(self, text: str) -> Tensor:
        """(1, L) the numbers of its words, padded."""
        return self.tokenizer([text], padding="max_length", truncation=True, return_tensors="pt")["input_ids"]

    @torch.no_grad()
    def _embed(self, text: str) -> tuple[Tensor, Tensor]:
        """Token states (L, 128) and pooled text (128,); an empty prompt pools to zero, as in training."""
        ids = self._ids(text)
        states = self.text(ids).last_hidden_state
        pooled = pool_text(states, ids, self.tokenizer.eos_token_id, **self.projection)
        return states[0].to(self.device), pooled[0].to(self.device)

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """Branches y, null and neg, and src of a source, for these views; all keep the camera and background told.

        Where y has view words, there is plain too, the prompt without them. Where the network is not told the camera
        and texts have volumes, each branch holds the directions that its words allow, an empty prompt none.
        """
        view = self._view_vector(look)
        count, e = len(view), embedded.tensors
        rows = {name: [name] * count for name in ("y", "null", "neg", "src") if f"{name}.states" in e}
        sides = view_index(look.cameras) if "y0.states" in e and look.cameras is not None else None
        worded = [name for name in ("y", "src") if name in rows and sides is not None]
        if sides is not None:
            rows |= {name: [f"{name}{i}" for i in sides] for name in worded} | {"plain": ["y"] * count}
        out = {branch: self._branch(names, view, e) for branch, names in rows.items()}
        if self.view_features.volume is not None and not self._tells(look):
            for name, cond in out.items():
                allowed = self._allowed(sides if name in worded else None, look)
                is_text = cond.tensors["class_labels"][:, view.shape[1] :].any(1, keepdim=True)
                views = torch.stack([e[f"{row}.{_VIEWS}"] for row in rows[name]])
                out[name] = Cond({**cond.tensors, _VIEWS: views, _ALLOWED: allowed & is_text}, cond.weight)
        return out | ({EDITED: edited_branch(out["y"], e[EDITED])} if EDITED in e else {})

    def _branch(self, names: Sequence[str], view: Float[Tensor, "b w"], texts: Mapping[str, Tensor]) -> Cond:
        """One prompt a view, by its name among the embedded texts."""
        states, pooled = (
            torch.stack([texts[f"{name}.{part}"] for name in names]) for part in ("states", "pooled")
        )
        labels = torch.cat([view, pooled], dim=-1)
        return Cond({"states": states, "class_labels": labels}, torch.ones(len(names), device=self.device))

    def _tells(self, look: Look) -> bool:
        """Whether the network is told the views' cameras."""
        return self.options.condition_on_camera and look.cameras is not None

    def _allowed(self, sides: Sequence[int] | None, look: Look) -> Bool[Tensor, "b d"]:
        """The directions that the view words of each view allow; without words all, or those of ordinary photographs.

        Args:
            sides: of each view, in VIEW_WORDS.
        """
        if sides is not None:
            return directions_said()[sides].to(self.device)
        usual = directions_photographed()
        row = usual if look.cameras is None else torch.ones_like(usual)
        return row.expand(len(look), -1).to(self.device)

    def labels_of(self, z_t: Tensor, cond: Cond) -> Float[Tensor, "b w"]:
        """The class labels, with the direction that suits words and picture where the camera is not told."""
        labels, features = cond.tensors["class_labels"], self.view_features
        if _ALLOWED not in cond.tensors:
            return labels
        found = best_directions(z_t, cond.tensors[_VIEWS], cond.tensors[_ALLOWED])
        told, width = cond.tensors[_ALLOWED].any(1).to(labels), features.camera_width
        ground = labels.new_zeros(len(labels), 3)
        view = features.encode(found[:, 0], found[:, 1], ground, told, torch.zeros_like(told))
        return torch.cat([view[:, :width], labels[:, width:]], dim=1)

    def _view_vector(self, look: Look) -> Float[Tensor, "b w"]:
        """Camera and background as the network was trained to read them; absent ones are zero."""
        none = torch.zeros(len(look.background), device=self.device)
        told = none + float(self._tells(look))
        ground = none + float(self.options.condition_on_background)
        return self.encode_view(look.cameras, look.background, told, ground)

    def encode_view(
        self,
        cameras: Cameras | None,
        background: Float[Tensor, "b 3"],
        told: Float[Tensor, " b"],
        ground: Float[Tensor, " b"],
    ) -> Float[Tensor, "b w"]:
        """Camera and background as numbers; `told` and `ground` are 1 where the network hears of them, else 0."""
        none = torch.zeros_like(told)
        if cameras is None:
            return self.view_features.encode(none, none, background, none, ground)
        return self.view_features.encode(cameras.azimuth_deg, cameras.elevation_deg, background, told, ground)

    def encode(self, media: Tensor) -> Tensor:
        """RGB in [0, 1] at any size -> z in [-1, 1] at the model's size; see priors.pixels."""
        return encode_pixels(media, self.info.size)

    def decode(self, z: Tensor) -> Tensor:
        """z -> RGB clamped to [0, 1]."""
        return decode_pixels(z)

    @torch.no_grad()
    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """One forward of the UNet for all rows."""
        return self.answer(self.unet, z_t, t, cond.tensors["states"], self.labels_of(z_t, cond))

    def answer(
        self, unet: Any, z_t: Tensor, t: Float[Tensor, " b"], states: Tensor, class_labels: Tensor
    ) -> Prediction:
        """What this or another UNet of the same form says."""
        output = unet_output(
            unet, self.view_features, self.unshuffle, z_t, self.schedule.index(t), states, class_labels
        )
        alpha, sigma = (over(v, z_t) for v in self.schedule.levels(t))
        return Prediction.of(output, z_t, alpha, sigma, self.info.prediction)

    @torch.no_grad()
    def attention_maps(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b 1 h w"]:
        """See Attentive; the UNet attends at its smallest scale alone."""
        edited, size = cond.tensors[EDITED], (z_t.shape[2], z_t.shape[3])
        return attention_maps(self.unet, lambda: self.predict(z_t, t, cond), edited, size)

    def make_adapter(self, spec: LoraSpec) -> Adapter:
        """A low-rank change of the UNet; see priors.lora."""
        return EmbeddedAdapter(self, spec)


class EmbeddedAdapter:
    """A changed UNet, told the camera in the way the UNet learned, even where the prior itself is not told.

    Rows that are told hear the camera. The others hear none where the prior itself is told one; elsewhere the noisy
    picture says it, as it does to the prior (priors.placing). See priors.lora.Adapter.
    """

    def __init__(self, prior: EmbeddedPrior, spec: LoraSpec):
        self._prior, self._spec = prior, spec
        self._network = LoraNetwork(prior.unet, spec)

    def init(self, streams: Streams) -> dict[str, Tensor]:
        """See Adapter."""
        return self._network.init(streams)

    def predict(
        self,
        weights: Weights,
        z_t: Tensor,
        t: Float[Tensor, " b"],
        cond: Cond,
        cameras: Cameras | None,
        told: Bool[Tensor, " b"],
    ) -> Prediction:
        """See Adapter."""
        prior, width, labels = (
            self._prior,
            self._prior.view_features.camera_width,
            cond.tensors["class_labels"],
        )
        hears = told.to(labels) * float(self._spec.camera and cameras is not None)
        ground = labels.new_zeros(len(labels), 3)
        view = prior.encode_view(cameras, ground, hears, torch.zeros_like(hears))[:, :width]
        untold = prior.labels_of(z_t, cond)[:, :width] if _ALLOWED in cond.tensors else torch.zeros_like(view)
        labels = torch.cat([torch.where(hears[:, None] > 0, view, untold), labels[:, width:]], dim=1)
        unet = self._network.with_weights(weights)
        return prior.answer(unet, z_t, t, cond.tensors["states"], labels)
