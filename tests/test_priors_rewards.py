"""Reward models: the bundled scorer, models in transformers' format, and what is said where they are missing."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from guidance_cases import prior_of, random_z, views_of
from oracle_cases import table_of
from sds3d.guidance.rewards import OfPictures
from small_run import small_config
from tiny_stable_diffusion import write_tokenizer

from sds3d.core.errors import ConfigError, MissingPackageError
from sds3d.jobs.assemble import assemble
from sds3d.jobs.batch import create_folder
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch
from sds3d.priors.rewards import KINDS, clip_pixels, load_reward
from sds3d.priors.scorer import load_scorer


def pictures(count: int = 2, side: int = 24) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_the_scorer_is_the_default():
    rgb, texts = pictures(), ["a red cube", "a blue car"]
    expected = load_scorer().score(rgb, texts).diagonal()
    torch.testing.assert_close(load_reward("scorer")(rgb, texts), expected)


def test_a_reward_needs_words():
    prior = prior_of(table_of(0))
    with pytest.raises(ConfigError, match="prompt in words"):
        OfPictures()(random_z(0, 2).view(2, 1, 1, 3), views_of(prior, random_z(0, 2)), prior)


@pytest.mark.parametrize("kind", ["clip", "pickscore", "hpsv2", "aesthetic"])
def test_weights_that_are_not_here(kind, tmp_path):
    with pytest.raises(ConfigError, match=r"not on this disk.*hf download"):
        load_reward(kind, str(tmp_path / "nothing"))


def test_a_package_that_is_not_here():
    with pytest.raises(MissingPackageError, match="pip install image-reward"):
        load_reward("image_reward")


def test_an_unknown_kind():
    with pytest.raises(ConfigError, match="there are scorer, clip"):
        load_reward("clap")
    assert "scorer" in KINDS


def test_clip_pixels_are_normalised():
    gray = clip_pixels(torch.full((1, 3, 5, 9), 0.5), 7)
    assert gray.shape == (1, 3, 7, 7)
    assert float(gray[0, 0].mean()) == pytest.approx((0.5 - 0.48145466) / 0.26862954, abs=1e-5)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A whole CLIPModel of a few thousand random weights, with its tokenizer, on disk."""
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("clip") / "model"
    write_tokenizer(folder, "<|endoftext|>")
    small = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = small | {
        "vocab_size": 514,
        "max_position_embeddings": 77,
        "eos_token_id": 513,
        "bos_token_id": 512,
    }
    vision = small | {"image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    return folder


def test_a_clip_scores_by_the_cosine(tiny_clip):
    from transformers import AutoTokenizer, CLIPModel

    rgb, texts = pictures(3), ["a red cube", "a blue car", "a red cube"]
    found = load_reward("clip", str(tiny_clip))(rgb, texts)
    model, tokenizer = CLIPModel.from_pretrained(tiny_clip), AutoTokenizer.from_pretrained(tiny_clip)
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        whole = model(pixel_values=clip_pixels(rgb, 16), **inputs)
    expected = (whole.logits_per_image / model.logit_scale.exp()).diagonal()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.std() > 0


def test_the_aesthetic_head_is_linear_in_the_unit_embedding(tiny_clip, tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import CLIPModel, CLIPVisionConfig

    clip = CLIPModel.from_pretrained(tiny_clip)
    weights = load_file(tiny_clip / "model.safetensors")
    vision = {k: v for k, v in weights.items() if k.startswith("vis")}
    head = {
        "predictor.weight": torch.arange(8.0)[None].contiguous(),
        "predictor.bias": torch.tensor([3.0]),
    }
    save_file(vision | head, tmp_path / "model.safetensors", metadata={"format": "pt"})
    CLIPVisionConfig(**clip.config.vision_config.to_dict() | {"projection_dim": 8}).save_pretrained(tmp_path)
    rgb = pictures(2)
    with torch.no_grad():
        unit = torch.nn.functional.normalize(
            clip.get_image_features(pixel_values=clip_pixels(rgb, 16)).pooler_output, dim=-1
        )
    found = load_reward("aesthetic", str(tmp_path))(rgb, ["", ""])
    torch.testing.assert_close(found, unit @ torch.arange(8.0) + 3.0, rtol=1e-4, atol=1e-5)
    save_file(vision, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"no aesthetic predictor.*predictor\.weight"):
        load_reward("aesthetic", str(tmp_path))


@pytest.mark.parametrize("kind", ["pickscore", "hpsv2"])
def test_fine_tuned_clips_are_clips(kind, tiny_clip):
    rgb, texts = pictures(2), ["a red cube", "a blue car"]
    found = load_reward(kind, str(tiny_clip))(rgb, texts)
    assert torch.equal(found, load_reward("clip", str(tiny_clip))(rgb, texts))


def test_image_reward_by_its_authors_package(monkeypatch):
    """A stand-in for the package: called by the name of the model, picture by picture, with 8-bit RGB."""
    asked = []

    class Model:
        def score(self, text, image):
            asked.append((text, image.size, image.mode))
            return float(image.getpixel((0, 0))[0])

    package = ModuleType("ImageReward")
    package.load = lambda model, device: asked.append((model, device)) or Model()
    monkeypatch.setitem(sys.modules, "ImageReward", package)
    rgb = torch.stack([torch.full((3, 4, 6), v) for v in (0.2, 1.0)])
    found = load_reward("image_reward")(rgb, ["a", "b"])
    assert found.tolist() == [51.0, 255.0]
    assert asked == [("ImageReward-v1.0", "cpu"), ("a", (6, 4), "RGB"), ("b", (6, 4), "RGB")]


def test_a_run_is_steered_by_a_model_of_ones_own(tiny_clip, tmp_path):
    """From the config to a step: the reward loads a folder, and chooses among the draws."""
    reward = {"kind": "clip", "model": str(tiny_clip), "rollout_steps": 1, "strategy": "best"}
    config = small_config(tmp_path, guidance={"method": "rewardsds", "draws": 3, "reward": reward})
    log = Session(assemble(config, Stopwatch())).gradients().log
    assert log["reward_best"] > log["reward"]
    assert log["nfe"] == 3 * 2
    with pytest.raises(
        ConfigError, match=r"guidance\.reward\.model: the reward model .* is not on this disk"
    ):
        create_folder(
            small_config(
                tmp_path / "none", guidance={"method": "rewardsds", "reward": reward | {"model": "no/where"}}
            )
        )
    assert not (tmp_path / "none").exists()
