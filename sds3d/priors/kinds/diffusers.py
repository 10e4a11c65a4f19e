"""Published diffusion models from a local folder in diffusers' layout: Stable Diffusion and its kin.

One adapter for all families (priors/families): it holds the denoiser and the autoencoder, encodes words once, and
turns the network's answer into all forms of a prediction. Models that know no camera are told the side that a view
sees in the prompt, as in Poole et al., "DreamFusion", 2022, arXiv 2209.14988, §3.3.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.devices import resolve
from ...core.errors import Sds3dError
from ...core.look import Look, Render
from ..adapters import change_texts, check_additions, fuse_loras
from ..attention import EDITED, attention_maps
from ..base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from ..branches import Branches
from ..control import Controlled, check_control, control_files, control_picture, load_control
from ..debias import SIDES, masked_language_model, without_contradictions
from ..families.base import Layout, check_views
from ..few_step import FewStep, known_times, told_by_name, told_by_scheduler
from ..folder import best_cpu_dtype
from ..freeu import with_freeu
from ..lora import Adapter, LoraSpec
from ..model_folder import check_folder, weight_files_of
from ..models.resolve import resolved
from ..models.table import ModelError
from ..models.tiers import place_network, spare, tier_for
from ..noise_schedule import NoiseSchedule, over
from ..perturb import check_perturb, perturbed
from ..published_adapter import PublishedAdapter
from ..published_options import Options
from ..quantize import check_quantize
from ..self_check import refuse_failed, self_check
from ..speed import attention_kernel, check_speed, speed_up
from ..texts import check_texts, edited_words, embed_texts, load_tokenizers, text_pipeline
from ..thrift import check_tiles
from ..views import VIEW_WORDS
from ..weight_files import tensor_names
from ..weights import load_component, quiet_loading
from .embedded import assets_folder

_log = logging.getLogger(__name__)


def create(options: Options, device: str = "cpu") -> DiffusersPrior:
    """Check the folder; the networks are loaded when they are first used, or by `load`.

    Args:
        device: where the model runs if the options leave it open.

    Raises:
        Sds3dError: the folder is missing, incomplete, pickled or another kind of model, a size that does not
            fit, a precision that the device lacks, or no GPU where one is asked for.
    """
    place = _device(options.device, device)
    prior = DiffusersPrior(_checked(options, place), options, place)
    if options.self_check:
        refuse_failed(prior.info.name, self_check(prior))
    return prior


def weight_files(options: Options) -> list[Path]:
    """The safetensors files that a run with these options reads; errors as in `create`."""
    added = [one.file for one in options.loras] + [one.file for one in options.embeddings]
    files = weight_files_of(_checked(options)) + [Path(file).expanduser() for file in added]
    return files + [file for one in options.controls for file in control_files(one)]


def check_prompts(
    options: Options, text: str, negative: str, view_words: bool | None, source: str = ""
) -> None:
    """Refuse words that the model cannot read before it is loaded; see jobs.assemble.

    A model that is not on this disk yet is asked when it is loaded.

    Raises:
        PromptError: the prompt is empty, or too long for the text encoders.
    """
    try:
        layout = _checked(resolved(options))
    except ModelError:
        return
    told = not layout.family.uses_camera if view_words is None else view_words
    texts = Prompts(text, negative, told, source).texts(VIEW_WORDS)
    check_texts(layout, load_tokenizers(layout), texts)


def check_view_count(options: Options, views: int) -> None:
    """Refuse a number of views that the model cannot judge, before it is loaded; see jobs.assemble.

    Raises:
        ConfigError: it judges several views of one object at a time, and these are more or fewer.
    """
    family = _checked(options).family
    if family.views_per_group > 1:
        check_views(family.views_per_group, [views])


def _checked(options: Options, device: torch.device | None = None) -> Layout:
    """What the small files say; everything is refused here that can be without loading.

    Args:
        device: where the model will run; None: nobody knows yet, and a GPU is taken to serve if there is one.
    """
    layout = check_folder(options.folder, options.file, options.size, options.trust)
    check_additions(layout, options.loras, options.embeddings)
    for one in options.controls:
        check_control(one, dict(layout.configs[layout.family.network]))
    device = device or _device(options.device, "cuda" if torch.cuda.is_available() else "cpu")
    check_quantize(options, layout, device)
    check_speed(options, layout, device)
    check_tiles(options.vae_tiles, layout.family.factor(layout.configs))
    _precision(options, device)
    return layout


def _debiased(prompt: str, folder: str) -> dict[str, str]:
    """The four view prompts without the words that contradict the view."""
    ask = masked_language_model(folder)
    texts = {}
    for i, (side, words) in enumerate(zip(SIDES, VIEW_WORDS, strict=True)):
        kept = without_contradictions(prompt, side, ask)
        if kept != prompt:
            _log.warning("debiasing: for the %s the prompt is %r", words, kept)
        texts[f"y{i}"] = f"{kept}, {words}"
    return texts


def outline(options: Options) -> tuple[PriorInfo, NoiseSchedule]:
    """What the prior tells of itself and its noise schedule, from the small files; errors as in `create`."""
    layout = _checked(options)
    schedule, prediction = layout.family.schedule(layout)
    return _info(layout, options, prediction), schedule


def _info(layout: Layout, options: Options, prediction: str) -> PriorInfo:
    name = (layout.file or layout.folder).resolve().name
    ours = layout.folder.resolve().parent == assets_folder().resolve()
    return PriorInfo(
        name=f"diffusers/{name}",
        media="image",
        size=layout.size,
        latent_shape=layout.latent_shape,
        prediction=prediction,
        views_per_group=layout.family.views_per_group,
        branches=(*Branches.NAMES, "src", *(("skip",) if options.perturb else ())),
        uses_camera=layout.family.uses_camera,
        licence="Apache-2.0" if ours else f"see the model card of {name}",
        attention=layout.family.attention,
        maps=layout.family.maps | {one.map for one in options.controls},
    )


def _device(wanted: str, otherwise: str) -> torch.device:
    """The options' own device, or the run's where they say auto.

    Raises:
        ConfigError: a GPU is named and cannot be had.
    """
    return torch.device(otherwise) if wanted == "auto" else resolve(wanted, key="prior.device")


def _precision(options: Options, device: torch.device) -> torch.dtype:
    """The denoiser's precision.

    Raises:
        Sds3dError: bfloat16 on a GPU that does not compute with it.
    """
    wanted = options.precision
    if wanted == "auto" and device.type != "cuda":
        return best_cpu_dtype()
    if wanted == "auto":
        # torchao's integers are made for bfloat16
        return torch.bfloat16 if options.quantize.startswith("torchao") else torch.float16
    if wanted == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        raise Sds3dError(
            f"prior.precision=bfloat16: {torch.cuda.get_device_name()} does not compute with it; set "
            "prior.precision=float16."
        )
    return getattr(torch, wanted)


def _noise_levels(layout: Layout, options: Options) -> tuple[NoiseSchedule, str]:
    """(noise schedule, native prediction); few-step models know some times only."""
    schedule, prediction = layout.family.schedule(layout)
    if options.prediction != "auto":
        prediction = options.prediction
    elif layout.file is not None and "v_pred" in tensor_names(layout.file, layout.trust):
        # makers of single files mark velocity models with an empty tensor of this name
        prediction = "v"
    names = [Path(one.file).name for one in options.loras]
    names += [place.name for place in (layout.file, layout.folder.resolve()) if place is not None]
    few = told_by_scheduler(layout.configs["scheduler"]) or told_by_name(names)
    if options.few_step != "auto":
        few = None if options.few_step == "none" else FewStep(options.few_step, few.steps if few else 4, "")
    if few is None:
        return schedule, prediction
    times = known_times(few, schedule.steps, flow=schedule.kind == "rf")
    _log.warning(
        "%s is taken for a %s model%s: times are carried to the nearest of the %d that it was trained at, and "
        "guidance.cfg_scale should be near 1. prior.few_step=none takes it for an ordinary one.",
        layout.folder.name,
        few.kind,
        f" by {few.why}" if few.why else "",
        len(times),
    )
    return replace(schedule, known=times), prediction


class DiffusersPrior:
    """See the module docstring and priors.base.Prior; z lies on the model's device, text states in float32.

    The denoiser and the autoencoder are loaded by `load`, or when they are first used: after the words were encoded,
    so that text encoders and networks never share the memory.
    """

    def __init__(self, layout: Layout, options: Options, device: torch.device):
        quiet_loading()
        self.layout, self.family, self.options, self.device = layout, layout.family, options, device
        self.dtype = _precision(options, device)
        self.schedule, prediction = _noise_levels(layout, options)
        self.tier = tier_for(layout, options, device, self.dtype)
        self.info = _info(layout, options, prediction)

    @functools.cached_property
    def network(self) -> Any:
        """The denoiser, loaded now if it was not.

        Raises:
            Sds3dError: its files are broken, or a LoRA or `perturb` is for another model.
        """
        network = self.family.load_network(self.layout, self.dtype, self.options.quantize)
        fuse_loras(self.layout, network, self.options.loras)
        place_network(network, self.device, self.tier)
        check_perturb(network, self.options.perturb)
        network = with_freeu(network, self.options.freeu)
        return speed_up(network, self.options)

    @functools.cached_property
    def vae(self) -> Any:
        """The autoencoder, loaded now if it was not; None for pixel models.

        Raises:
            Sds3dError: its files are broken.
        """
        if not self.family.vae:
            return None
        dtype = getattr(torch, self.options.vae_precision)
        vae = load_component(self.layout, "vae", dtype).to(self.device)
        if self.options.channels_last:
            vae.to(memory_format=torch.channels_last)
        return spare(vae, self.tier, self.options.vae_tiles, self.family.factor(self.layout.configs))

    @functools.cached_property
    def controls(self) -> list[Any]:
        """The ControlNets, loaded now if they were not; errors as in `load_control`."""
        return [load_control(one, self.dtype, self.device) for one in self.options.controls]

    def load(self) -> None:
        """Have the networks in memory; errors as those of `network`, `vae` and `controls`."""
        _ = self.network, self.vae, self.controls

    def close(self) -> None:
        """Let go of the networks, and of the memory that the GPU keeps for them; the next use loads them again."""
        for name in ("network", "vae", "controls"):
            self.__dict__.pop(name, None)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def prepare(self, prompts: Prompts) -> Embedded:
        """Text tensors of the prompt, of no prompt, of the negative one, a source's and, if asked, of the view prompts.

        The text encoders are loaded for this call only; networks that are in memory make room for them first.

        Raises:
            PromptError: the prompt is empty, or too long for the text encoders.
        """
        texts = prompts.texts(VIEW_WORDS)
        if self.family.sees_source:
            texts |= {name.replace("y", "src", 1): "" for name in texts if name.startswith("y")}
        if self.options.debias is not None and prompts.view_words:
            texts |= _debiased(prompts.text, self.options.debias)
        check_texts(self.layout, load_tokenizers(self.layout), texts)
        self.close()
        pipe = text_pipeline(self.layout, self.options.text_precision)
        change_texts(self.layout, pipe, self.options.loras, self.options.embeddings)
        for name in self.family.encoders:
            place_network(getattr(pipe, name), self.device, self.tier)
        silent = {name for name, text in texts.items() if not text and name.startswith("src")}
        tensors = embed_texts(self.layout, pipe, texts, frozenset({"null", "neg", *silent}), self.device)
        if self.info.attention and prompts.source:
            tensors[EDITED] = edited_words(pipe.tokenizer, prompts.source, prompts.text).to(self.device)
        return Embedded(tensors)

    @torch.no_grad()
    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """Branches y (by view where view prompts were made), null, neg and those of Perp-Neg; see branches.py."""
        size = self.info.size
        extra = self.family.extra(self.layout, look, self.options) | self.family.seen(self.vae, maps, size)
        for k, one in enumerate(self.options.controls):
            extra[f"control{k}"] = control_picture(one.map, look, maps, size)
        extra = {k: v.to(self.device) for k, v in extra.items()}
        skip = self.options.perturb is not None
        return Branches(embedded.tensors, look, extra, self.device, skip, self.family.blank)

    def encode(self, media: Tensor) -> Tensor:
        """RGB in [0, 1] at any size -> z; gradients pass through the encoder."""
        return self.family.encode(self.vae, media, self.info.size)

    def decode(self, z: Tensor) -> Tensor:
        """z -> RGB clamped to [0, 1]; no gradient."""
        return self.family.decode(self.vae, z)

    @torch.no_grad()
    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """One forward of the denoiser for all rows; a second one for rows that skip layers."""
        z_t = z_t.to(self.device)
        tensors = {
            k: v.to(self.device, self.dtype if v.is_floating_point() else None)
            for k, v in cond.tensors.items()
        }
        skips = tensors.pop("skips", None)
        time = self.schedule.network_time(t).to(self.device)
        if skips is None or not skips.any():
            output = self._forward(z_t, time, tensors)
        else:
            output = self._forward_parts(z_t, time, tensors, skips)
        alpha, sigma = (over(v, z_t) for v in self.schedule.levels(t))
        return Prediction.of(output, z_t, alpha, sigma, self.info.prediction)

    @torch.no_grad()
    def attention_maps(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b 1 h w"]:
        """See Attentive."""
        plain = Cond({k: v for k, v in cond.tensors.items() if k != EDITED}, cond.weight)
        edited, size = cond.tensors[EDITED], (z_t.shape[2], z_t.shape[3])
        return attention_maps(self.network, lambda: self.predict(z_t, t, plain), edited, size)

    def make_adapter(self, spec: LoraSpec) -> Adapter:
        """A low-rank change of the denoiser; see priors.lora."""
        return PublishedAdapter(self, spec)

    def _forward(self, z_t: Tensor, time: Tensor, tensors: dict[str, Tensor]) -> Tensor:
        """The network's native output, float32."""
        told = [
            (network, one.scale, tensors[f"control{k}"])
            for k, (network, one) in enumerate(zip(self.controls, self.options.controls, strict=True))
        ]
        network = Controlled(self.network, told) if told else self.network
        with attention_kernel(self.options.attention):
            return self.family.forward(network, z_t.to(self.dtype), time, tensors).float()

    def _forward_parts(self, z_t: Tensor, time: Tensor, tensors: dict[str, Tensor], skips: Tensor) -> Tensor:
        """The rows that skip layers apart from the others."""
        assert self.options.perturb is not None, "only then there is a branch that skips"
        output = torch.empty_like(z_t, dtype=torch.float32)
        if not skips.all():
            kept = {k: v[~skips] for k, v in tensors.items()}
            output[~skips] = self._forward(z_t[~skips], time[~skips], kept)
        with perturbed(self.network, self.options.perturb):
            chosen = {k: v[skips] for k, v in tensors.items()}
            output[skips] = self._forward(z_t[skips], time[skips], chosen)
        return output
