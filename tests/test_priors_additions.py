"""Single-file checkpoints, LoRAs, textual inversion, few-step models, left-out layers: on tiny models, offline."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import published_names
import pytest
import torch
from family_cases import TEXT, conditions, folder_of, load, look, noise, one_time, prior_of
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sds3d.core.errors import ConfigError, Sds3dError
from sds3d.core.schedules import constant
from sds3d.priors import base
from sds3d.priors.few_step import FewStep, known_times, told_by_name
from sds3d.priors.kinds import diffusers as kind
from sds3d.priors.noise_schedule import NoiseSchedule, over, stable_diffusion_schedule


def same_answers(a: kind.DiffusersPrior, b: kind.DiffusersPrior, name: str) -> bool:
    """Whether two priors say the same, from words to latents to predictions."""
    z, t = noise(4, *a.info.latent_shape), one_time(name)
    said = [p.predict(z, t, p.condition(p.prepare(base.Prompts(TEXT)), look(), {})["y"]).eps for p in (a, b)]
    seen = [p.encode(torch.linspace(0, 1, 768).reshape(1, 3, 16, 16)) for p in (a, b)]
    return torch.allclose(*said, atol=1e-6) and torch.allclose(*seen, atol=1e-6)


# single files


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a folder with other weights, a single file that holds those of the tiny Stable Diffusion folder)."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    source, root = folder_of("sd1"), tmp_path_factory.mktemp("single")
    parts = [
        model.from_pretrained(source / name)
        for model, name in (
            (UNet2DConditionModel, "unet"),
            (AutoencoderKL, "vae"),
            (CLIPTextModel, "text_encoder"),
        )
    ]
    file = root / "dream.safetensors"
    save_file(dict(published_names.single_file(*parts)), file, {"format": "pt"})
    other = shutil.copytree(source, root / "other")
    for weights in other.rglob("*.safetensors"):
        tensors = load_file(weights)
        save_file(
            {k: v + 0.1 if v.is_floating_point() else v for k, v in tensors.items()},
            weights,
            {"format": "pt"},
        )
    return other, file


def test_a_single_file_replaces_the_folders_weights(checkpoint: tuple[Path, Path]) -> None:
    folder, file = checkpoint
    assert same_answers(load(folder, file=str(file)), prior_of("sd1"), "sd1")
    assert not same_answers(load(folder), prior_of("sd1"), "sd1")
    assert kind.weight_files(kind.Options(folder=str(folder), file=str(file))) == [file]


def test_a_single_file_needs_only_small_files_beside_it(
    checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(
        checkpoint[0], tmp_path / "small", ignore=shutil.ignore_patterns("*.safetensors")
    )
    assert same_answers(load(folder, file=str(checkpoint[1])), prior_of("sd1"), "sd1")


def test_a_file_with_the_unet_alone(checkpoint: tuple[Path, Path], tmp_path: Path) -> None:
    """Distilled models come so, in the library's own names: the rest is the folder's."""
    file = shutil.copy(
        checkpoint[0] / "unet/diffusion_pytorch_model.safetensors", tmp_path / "unet.safetensors"
    )
    assert same_answers(load(folder_of("sd1"), file=str(file)), load(folder_of("sd1")), "sd1") is False
    expected = load_file(file)
    for name, weight in load(folder_of("sd1"), file=str(file)).network.state_dict().items():
        assert torch.equal(weight, expected[name])


def test_a_velocity_mark_in_a_single_file(checkpoint: tuple[Path, Path], tmp_path: Path) -> None:
    folder, file = checkpoint
    save_file(load_file(file) | {"v_pred": torch.zeros(1)}, tmp_path / "v.safetensors", {"format": "pt"})
    assert load(folder, file=str(tmp_path / "v.safetensors")).info.prediction == "v"
    assert load(folder, file=str(file)).info.prediction == "epsilon"
    assert load(folder, prediction="v").info.prediction == "v"


WRONG_FILES = {
    "absent": (lambda f: f.unlink(), "there is no file"),
    "cut-off": (lambda f: f.write_bytes(f.read_bytes()[:-50]), "partly downloaded"),
    "lora": (
        lambda f: save_file({"unet.x.lora_A.weight": torch.zeros(1)}, f),
        "is a LoRA, not a whole model",
    ),
    "other": (
        lambda f: save_file({"model.diffusion_model.out.2.weight": torch.zeros(1)}, f),
        "same architecture",
    ),
    "empty": (lambda f: save_file({}, f), "holds no tensors"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_wrong_single_files(name: str, checkpoint: tuple[Path, Path], tmp_path: Path) -> None:
    spoil, text = WRONG_FILES[name]
    file = Path(shutil.copy(checkpoint[1], tmp_path / "wrong.safetensors"))
    spoil(file)
    with pytest.raises(Sds3dError, match=text):
        load(checkpoint[0], file=str(file))


def test_a_pickled_single_file_is_refused(checkpoint: tuple[Path, Path], tmp_path: Path) -> None:
    file = Path(shutil.copy(checkpoint[1], tmp_path / "old.ckpt"))
    with pytest.raises(Sds3dError, match=r"old.ckpt: refused, it is a pickle"):
        load(checkpoint[0], file=str(file))


# LoRAs


def write_lora(file: Path, tensors: dict[str, torch.Tensor]) -> str:
    save_file({k: v.contiguous() for k, v in tensors.items()}, file, {"format": "pt"})
    return str(file)


LAYERS = {
    "sd1": ("unet.", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"),
    "sdxl": ("unet.", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"),
    "sd3": ("transformer.", "transformer_blocks.0.attn.to_q"),
    "flux": ("transformer.", "transformer_blocks.0.attn.to_q"),
    "sana": ("transformer.", "transformer_blocks.0.attn1.to_q"),
    "deepfloyd": ("unet.", "down_blocks.1.attentions.0.to_q"),
    "mvdream": ("unet.", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_lora_adds_its_product_to_one_weight(name: str, tmp_path: Path) -> None:
    prefix, layer = LAYERS[name]
    plain = prior_of(name).network.state_dict()
    out_width, in_width = plain[f"{layer}.weight"].shape
    down, up = noise(2, in_width, tag="down"), noise(out_width, 2, tag="up")
    tensors = {f"{prefix}{layer}.lora_A.weight": down, f"{prefix}{layer}.lora_B.weight": up}
    file = write_lora(tmp_path / "style.safetensors", tensors)
    changed = load(folder_of(name), loras=({"file": file, "scale": 0.5},))
    for key, weight in changed.network.state_dict().items():
        expected = plain[key] + 0.5 * up @ down if key == f"{layer}.weight" else plain[key]
        torch.testing.assert_close(weight, expected)
    assert not any("lora" in key for key in changed.network.state_dict())
    assert file in map(str, kind.weight_files(changed.options))


def test_a_lora_of_the_kohya_trainer_with_its_alpha(tmp_path: Path) -> None:
    """Other names, scaled by alpha / rank; with a part for the text encoder."""
    unet = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    text = "lora_te_text_model_encoder_layers_0_self_attn_"
    key = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    plain = prior_of("sd1").network.state_dict()[key]
    tensors = {}
    texts = [text + layer for layer in ("q_proj", "k_proj", "v_proj", "out_proj")]
    for part, width in ((unet, plain.shape[1]), *((part, 32) for part in texts)):
        tensors |= {
            f"{part}.lora_down.weight": noise(2, width, tag=part),
            f"{part}.lora_up.weight": noise(plain.shape[0] if part == unet else 32, 2, tag=part + "up"),
            f"{part}.alpha": torch.tensor(1.0),
        }
    changed = load(folder_of("sd1"), loras=(write_lora(tmp_path / "k.safetensors", tensors),))
    product = tensors[f"{unet}.lora_up.weight"] @ tensors[f"{unet}.lora_down.weight"]
    torch.testing.assert_close(changed.network.state_dict()[key], plain + 0.5 * product)
    states = [p.prepare(base.Prompts(TEXT)).tensors["y.states"] for p in (changed, prior_of("sd1"))]
    assert float((states[0] - states[1]).abs().max()) > 1e-3


def test_wrong_loras(tmp_path: Path) -> None:
    def refused(name: str, text: str, **options: Any) -> None:
        with pytest.raises(Sds3dError, match=text):
            load(folder_of(name), **options).prepare(base.Prompts(TEXT))

    plain = write_lora(tmp_path / "plain.safetensors", {"weight": torch.zeros(1)})
    refused("sd1", r"holds no LoRA; its first tensor is weight", loras=(plain,))
    refused("sd1", r"prior.loras: there is no file", loras=(str(tmp_path / "none.safetensors"),))
    layer = LAYERS["sd1"][1]
    wide = {
        f"unet.{layer}.lora_A.weight": torch.ones(2, 99),
        f"unet.{layer}.lora_B.weight": torch.ones(99, 2),
    }
    refused("sd1", r"does not fit this model", loras=(write_lora(tmp_path / "wide.safetensors", wide),))
    refused(
        "pixart", r"applies no LoRAs to pixart-sigma", loras=(write_lora(tmp_path / "w.safetensors", wide),)
    )


# textual inversion


def test_a_learned_word(tmp_path: Path) -> None:
    """Its embedding takes the place of the word, and of several words where it has several rows."""
    vector = noise(2, 32)
    save_file({"<cat-toy>": vector}, tmp_path / "toy.safetensors", {"format": "pt"})
    taught = load(folder_of("sd1"), embeddings=(str(tmp_path / "toy.safetensors"),))
    states = [taught.prepare(base.Prompts(f"a {word}")).tensors["y.states"] for word in ("<cat-toy>", "x")]
    assert float((states[0] - states[1]).abs().max()) > 1e-3
    unchanged = [p.prepare(base.Prompts("a fox")).tensors["y.states"] for p in (taught, prior_of("sd1"))]
    torch.testing.assert_close(*unchanged)
    named = load(folder_of("sd1"), embeddings=({"file": str(tmp_path / "toy.safetensors"), "token": "<me>"},))
    torch.testing.assert_close(named.prepare(base.Prompts("a <me>")).tensors["y.states"], states[0])


def test_a_learned_word_of_two_encoders(tmp_path: Path) -> None:
    tensors = {"clip_l": noise(1, 32), "clip_g": noise(1, 32, tag="g")}
    save_file(tensors, tmp_path / "style.safetensors", {"format": "pt"})
    taught = load(folder_of("sdxl"), embeddings=(str(tmp_path / "style.safetensors"),))
    states = [p.prepare(base.Prompts("style")).tensors["y.states"] for p in (taught, prior_of("sdxl"))]
    for half in (slice(0, 32), slice(32, 64)):
        assert float((states[0] - states[1])[:, half].abs().max()) > 1e-4


def test_wrong_words(tmp_path: Path) -> None:
    save_file({"a": noise(1, 7)}, tmp_path / "w.safetensors", {"format": "pt"})
    with pytest.raises(Sds3dError, match=r"no textual inversion for this model"):
        load(folder_of("sd1"), embeddings=(str(tmp_path / "w.safetensors"),)).prepare(base.Prompts("b"))
    with pytest.raises(Sds3dError, match=r"sd3 models take no textual inversion"):
        load(folder_of("sd3"), embeddings=(str(tmp_path / "w.safetensors"),))


# few-step models


PUBLISHED_TIMES = {
    "stabilityai/sdxl-turbo": ("turbo", [249, 499, 749, 999]),
    "sdxl_lightning_8step_unet.safetensors": ("lightning", [124, 249, 374, 499, 624, 749, 874, 999]),
    "sdxl_lightning_2step_lora.safetensors": ("lightning", [249, 499, 749, 999]),
    "Hyper-SDXL-1step-lora.safetensors": ("hyper", [800]),
    "Hyper-SD15-2steps-lora.safetensors": ("hyper", [499, 999]),
    "lcm-lora-sdv1-5": ("lcm", list(range(19, 1000, 20))),
}


@pytest.mark.parametrize("name", PUBLISHED_TIMES)
def test_published_few_step_models_are_known_by_name(name: str) -> None:
    few = told_by_name([name])
    assert few is not None
    expected, times = PUBLISHED_TIMES[name]
    assert few.kind == expected
    assert [round(1000 * t) for t in known_times(few, 1000, flow=False)] == times


def test_ordinary_names_say_nothing() -> None:
    for name in ("stable-diffusion-v1-5", "sdxl-base", "hyperion", "lcmodel", "enlightenment"):
        assert told_by_name([name]) is None


@given(t=st.floats(0.02, 0.98), steps=st.sampled_from([1, 2, 4, 8]))
def test_times_are_carried_to_the_nearest_that_was_trained(t: float, steps: int) -> None:
    times = known_times(FewStep("lightning", steps, ""), 1000, flow=False)
    schedule = NoiseSchedule("vp", stable_diffusion_schedule().alpha_bar, known=times)
    kappa = schedule.kappa(torch.tensor([t]))
    found = schedule.t_of_kappa(kappa)
    assert float(found) in times
    distances = [abs(float((schedule.kappa(torch.tensor([s])) / kappa).log())) for s in times]
    assert abs(float((schedule.kappa(found) / kappa).log())) == pytest.approx(min(distances))


def test_a_consistency_model_is_asked_at_its_own_times_only(caplog: pytest.LogCaptureFixture) -> None:
    from sds3d.guidance.times import Times

    with caplog.at_level("WARNING"):
        prior = load(folder_of("lcm"))
    assert "taken for a lcm model by its scheduler LCMScheduler" in caplog.text
    times = Times(constant(0.02), constant(0.98), "sd", False)
    drawn = times._native(torch.linspace(0.02, 0.98, 200, dtype=torch.float64), prior.schedule)
    assert set((drawn * 1000).round().long().tolist()) <= set(range(19, 1000, 20))
    assert len(set(drawn.tolist())) > 30
    assert load(folder_of("lcm"), few_step="none").schedule.known == ()
    assert load(folder_of("flux"), few_step="turbo").schedule.known == (0.25, 0.5, 0.75)


def test_the_embedded_guidance_scale_is_an_input() -> None:
    for name, key in (("lcm", "w"), ("flux", "guidance"), ("sana-sprint", "guidance")):
        told = [load(folder_of(name), embedded_guidance=s) for s in (None, 1.0, 7.0)]
        tensors = [p.condition(p.prepare(base.Prompts(TEXT)), look(), {})["y"].tensors[key] for p in told]
        assert not torch.allclose(tensors[1], tensors[2])
        assert not torch.allclose(tensors[0], tensors[2])
    torch.testing.assert_close(tensors[2], torch.full((4,), 0.7))  # SANA-Sprint's unit is a tenth


# layers left out


@pytest.mark.parametrize(
    ("name", "perturb"),
    [
        ("sd3", {"layers": [0]}),
        ("sd3", {"layers": [1]}),
        ("flux", {"layers": [0], "stack": "single_transformer_blocks"}),
        ("sana", {"layers": [0]}),
        ("sd1", {"layers": [0], "stack": "mid_block.attentions.0.transformer_blocks", "skip": "scores"}),
    ],
)
def test_the_branch_skip_is_the_network_without_layers(name: str, perturb: dict[str, Any]) -> None:
    prior, plain = load(folder_of(name), perturb=perturb), prior_of(name)
    assert "skip" in prior.info.branches
    cond = prior.condition(prior.prepare(base.Prompts(TEXT)), look(), {})
    z, t = noise(4, *prior.info.latent_shape), one_time(name)
    both = base.concatenate([cond["y"], cond["skip"]])
    said = prior.predict(torch.cat([z, z]), t.repeat(2), both).eps
    reference = plain.predict(z, t, plain.condition(plain.prepare(base.Prompts(TEXT)), look(), {})["y"]).eps
    torch.testing.assert_close(said[:4], reference, rtol=1e-4, atol=1e-5)
    assert float((said[4:] - reference).abs().max()) > 1e-5
    if name == "sd3":
        # this one network can leave layers out by itself
        tensors = cond["y"].tensors
        with torch.no_grad():
            native = plain.network(
                z,
                tensors["states"],
                tensors["pooled"],
                plain.schedule.network_time(t).float(),
                skip_layers=perturb["layers"],
            ).sample
        alpha, sigma = (over(v, z).float() for v in (plain.schedule.alpha(t), plain.schedule.sigma(t)))
        expected = base.Prediction.of(native, z, alpha, sigma, "velocity").eps
        torch.testing.assert_close(said[4:], expected, rtol=1e-4, atol=1e-5)
    # and nothing stays behind
    torch.testing.assert_close(prior.predict(z, t, cond["y"]).eps, reference, rtol=1e-4, atol=1e-5)


def test_layers_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match=r"prior.perturb: the layers \[99\] of 'auto' cannot be skipped"):
        load(folder_of("sd3"), perturb={"layers": [99]})
    with pytest.raises(ConfigError, match=r"prior.perturb"):
        load(folder_of("sd1"), perturb={"layers": [0]})
    assert "skip" not in conditions("sd3")
