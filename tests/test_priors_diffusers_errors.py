"""What the diffusers prior refuses, and what it says: each at second 0, with the file or the number to change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_stable_diffusion import load, write_model

from sds3d.core.errors import PromptError, Sds3dError
from sds3d.priors import base
from sds3d.priors.kinds import diffusers as kind
from sds3d.priors.model_folder import check_folder


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("sd1") / "tiny", "epsilon", "<|endoftext|>")


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def pickle_instead(folder: Path) -> None:
    (folder / "unet/diffusion_pytorch_model.safetensors").rename(folder / "unet/diffusion_pytorch_model.bin")


def lose_a_weight(file: Path) -> None:
    tensors = load_file(file)
    del tensors["conv_out.weight"]
    save_file(tensors, file, {"format": "pt"})


WRONG = {
    "no-index": (lambda f: (f / "model_index.json").unlink(), ["model_index.json", "It holds"]),
    "bad-index": (lambda f: (f / "model_index.json").write_text("{"), ["model_index.json", "JSON"]),
    "odd-index": (lambda f: (f / "model_index.json").write_text("[1]"), ["model_index.json", "JSON list"]),
    "bad-words": (lambda f: truncate(f / "tokenizer/vocab.json"), ["tokenizer/vocab.json", "JSON"]),
    "files": (
        lambda f: [shutil.rmtree(f / "vae"), (f / "tokenizer/merges.txt").unlink()],
        ["missing: vae/config.json, tokenizer/merges.txt, vae/diffusion_pytorch_model.safetensors"],
    ),
    "other-classes": (
        lambda f: edit(
            f / "model_index.json",
            _class_name="StableDiffusion3Pipeline",
            unet=None,
            transformer=["diffusers", "SD3Transformer2DModel"],
        ),
        [
            "StableDiffusion3Pipeline",
            "transformer: SD3Transformer2DModel",
            "what differs: text_encoder, ",
            "Supported: transformer: SD3Transformer2DModel",
        ],
    ),
    "two-encoders": (
        lambda f: edit(
            f / "model_index.json", text_encoder_2=["transformers", "CLIPTextModelWithProjection"]
        ),
        ["what differs: text_encoder_2", "CLIPTextModelWithProjection"],
    ),
    "pickle": (pickle_instead, ["diffusion_pytorch_model.bin: refused", "run any program", ".safetensors"]),
    "cut-off": (
        lambda f: truncate(f / "vae/diffusion_pytorch_model.safetensors"),
        ["vae/diffusion_pytorch_model.safetensors", "partly downloaded"],
    ),
    "lfs-pointer": (
        lambda f: (f / "text_encoder/model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\n"
        ),
        ["text_encoder/model.safetensors", "git-lfs pointer"],
    ),
    "inpainting": (lambda f: edit(f / "unet/config.json", in_channels=9), ["9 channels", "inpainting"]),
    "sdxl-input": (
        lambda f: edit(f / "unet/config.json", addition_embed_type="text_time"),
        ["addition_embed_type"],
    ),
    "other-text": (lambda f: edit(f / "text_encoder/config.json", hidden_size=64), ["width 32", "gives 64"]),
    "flow-scheduler": (
        lambda f: (f / "scheduler/scheduler_config.json").write_text(
            '{"_class_name": "FlowMatchEulerDiscreteScheduler"}'
        ),
        ["FlowMatchEulerDiscreteScheduler is a rectified flow", "beta_schedule"],
    ),
    "odd-prediction": (
        lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="noise"),
        ["prediction_type 'noise'"],
    ),
    "lost-weight": (
        lambda f: lose_a_weight(f / "unet/diffusion_pytorch_model.safetensors"),
        ["conv_out.weight", "not in the file"],
    ),
    "other-shape": (
        lambda f: edit(f / "unet/config.json", block_out_channels=[16, 48]),
        ["unet", "cannot be loaded"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_folder_is_refused_with_its_reason(name: str, sd1: Path, tmp_path: Path) -> None:
    spoil, texts = WRONG[name]
    folder = shutil.copytree(sd1, tmp_path / "wrong")
    spoil(folder)
    with pytest.raises(Sds3dError) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    for text in texts:
        assert text in str(caught.value)


def test_a_folder_that_is_none(sd1: Path, tmp_path: Path) -> None:
    with pytest.raises(Sds3dError, match=r"no folder stabilityai/sd.*hf download"):
        load(Path("stabilityai/sd"))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(Sds3dError, match=r"is one file; prior.folder wants a folder"):
        load(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"folder"):
        kind.Options()


def test_a_tilde_means_home(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(sd1.parent))
    assert check_folder(f"~/{sd1.name}").folder == sd1


def test_wrong_options(sd1: Path) -> None:
    with pytest.raises(Sds3dError, match=r"18 is not a multiple of 4.*nearest is 16"):
        load(sd1, size=18)
    with pytest.raises(ValueError, match="a device is auto, cpu, cuda or cuda:N"):
        load(sd1, device="gpu")
    with pytest.raises(Sds3dError, match=r"prior.device: cuda:77 was asked for: .* Or set prior.device=cpu"):
        load(sd1, device="cuda:77")
    assert load(sd1, device="auto").device.type == "cpu"


def test_prompts_that_cannot_be_served(sd1: Path) -> None:
    prior = load(sd1)
    with pytest.raises(PromptError, match=r"empty"):
        prior.prepare(base.Prompts("  "))
    fits = "a" * 75  # one token a letter here
    prior.prepare(base.Prompts(fits))
    with pytest.raises(PromptError, match=r"at most 75 tokens .* this text has 76"):
        prior.prepare(base.Prompts(fits + "a"))
    with pytest.raises(PromptError, match=r"front view"):
        prior.prepare(base.Prompts(fits, view_words=True))
