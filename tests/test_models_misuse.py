"""What goes wrong with a model, typed on the command line: one clear paragraph at second 0, and nothing made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from family_cases import folder_of
from hub_cases import fake_hub, refuse
from huggingface_hub import errors
from safetensors.torch import load_file, save_file
from test_cli import one_paragraph
from test_priors_runs import edit

from sds3d.cli import main as cli
from sds3d.priors.models import fetch as fetching
from sds3d.priors.models.table import get

UNET = "unet/diffusion_pytorch_model.safetensors"
Spoil = Callable[[Path], Any]


@pytest.fixture
def sds3d(capsys, monkeypatch, tmp_path):
    """Runs a command line in an empty folder; loading a network is a failure of the test."""
    for name in ("weights.load_part", "weights._from_single_file", "weights.load_converted"):
        monkeypatch.setattr(f"sds3d.priors.{name}", lambda *a, **k: pytest.fail("a network was loaded"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SDS3D_MODELS", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


def half(name: str) -> Spoil:
    """Cut a file in the middle, as an interrupted download leaves it."""
    return lambda f: (f / name).write_bytes((f / name).read_bytes()[: (f / name).stat().st_size // 2])


def garbled(folder: Path) -> None:
    """A header that is no JSON."""
    data = bytearray((folder / UNET).read_bytes())
    data[8:40] = b"?" * 32
    (folder / UNET).write_bytes(bytes(data))


def only_pickles(folder: Path) -> None:
    torch.save(load_file(folder / UNET), folder / "unet/diffusion_pytorch_model.bin")
    (folder / UNET).unlink()


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def unknown_file(folder: Path) -> None:
    save_file({"somebody.weight": torch.zeros(2)}, folder.parent / "fox.safetensors")


def other_lora(folder: Path) -> None:
    """A LoRA file that holds no LoRA."""
    save_file({"model.weight": torch.zeros(2)}, folder.parent / "lora.safetensors")


def nothing(folder: Path) -> None:
    """The folder is whole."""


# name -> (family, what is done to its folder, words of the command, what is said); {} is the folder
CASES: dict[str, tuple[str, Spoil, list[str], str]] = {
    "a folder that is not there": ("sd1", nothing, ["prior=./nowhere"], "there is no folder nowhere"),
    "a folder of something else": (
        "sd1",
        lambda f: (f / "model_index.json").unlink(),
        ["prior={}"],
        "not a model folder, missing: model_index.json",
    ),
    "an empty folder": ("sd1", emptied, ["prior={}"], "It holds: nothing"),
    "no tokenizer": (
        "sd1",
        lambda f: shutil.rmtree(f / "tokenizer"),
        ["prior={}"],
        "missing: tokenizer/vocab.json",
    ),
    "a half-downloaded file": ("sd1", half(UNET), ["prior={}"], "broken or only partly downloaded"),
    "a broken header": ("sd1", garbled, ["prior={}"], f"{UNET}: broken or only partly downloaded"),
    "pickles only": (
        "sd1",
        only_pickles,
        ["prior={}"],
        "set prior.allow_pickle=[unet/diffusion_pytorch_model.bin]",
    ),
    "code that comes along": (
        "sd1",
        lambda f: edit(f / "model_index.json", vae=["their_code", "AutoencoderKL"]),
        ["prior={}"],
        "set prior.trust_remote_code=[model]",
    ),
    "a wrong prediction type": (
        "sd1",
        lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="noise"),
        ["prior={}"],
        "unknown prediction_type 'noise'",
    ),
    "a scheduler of another family": (
        "sd3",
        lambda f: shutil.copy(folder_of("sd1") / "scheduler/scheduler_config.json", f / "scheduler"),
        ["prior={}"],
        "but sd3 models are a rectified flow",
    ),
    "a model of no known family": (
        "sd1",
        lambda f: edit(f / "model_index.json", _class_name="WhatPipeline", unet=["diffusers", "WhatModel"]),
        ["prior={}"],
        "WhatPipeline is of no known family",
    ),
    "an inpainting model": (
        "sd1",
        lambda f: edit(f / "unet/config.json", in_channels=9),
        ["prior={}"],
        "the UNet maps 9 channels to 4",
    ),
    "a size that does not fit": ("sd3", nothing, ["prior={}", "prior.size=20"], "the nearest is 16"),
    "no GPU where one is asked for": ("sd1", nothing, ["prior={}", "prior.device=cuda"], "cuda"),
    "a precision that there is not": (
        "sd1",
        nothing,
        ["prior={}", "prior.precision=float8"],
        "prior.precision",
    ),
    "quantised weights without a GPU": (
        "sd1",
        nothing,
        ["prior={}", "prior.quantize=bnb-nf4"],
        "prior.quantize=bnb-nf4",
    ),
    "attention that a CPU has not": (
        "sd1",
        nothing,
        ["prior={}", "prior.attention=cudnn"],
        "prior.attention",
    ),
    "a LoRA that is not there": (
        "sd1",
        nothing,
        ["prior={}", "prior.loras=[gone.safetensors]"],
        "there is no file gone",
    ),
    "a file that is no LoRA": (
        "sd1",
        other_lora,
        ["prior={}", "prior.loras=[../lora.safetensors]"],
        "holds no LoRA",
    ),
    "textual inversion where there is none": (
        "deepfloyd",
        lambda f: save_file({"emb_params": torch.zeros(1, 4)}, f.parent / "word.safetensors"),
        ["prior={}", "prior.embeddings=[../word.safetensors]", "prior.size=16"],
        "no textual inversion",
    ),
    "a single file of an unknown model": (
        "sd1",
        unknown_file,
        ["prior=../fox.safetensors"],
        "cannot tell which model it was made from",
    ),
    "a pickled single file": ("sd1", nothing, ["prior=fox.ckpt"], "prior.allow_pickle=[fox.ckpt]"),
    "a misspelt name": ("sd1", nothing, ["prior=sdlx"], "Did you mean sdxl"),
    "offline and not here": ("sd1", nothing, ["prior=sd15", "--offline"], "Where they go: models/sd15/"),
    "a prompt that is too long": ("sd1", nothing, ["prior={}", "prompt=" + "a" * 90], "at most 75 tokens"),
    "an empty prompt": ("sd1", nothing, ["prior={}", "prompt= "], "prompt"),
    "views that are not four": ("mvdream", nothing, ["prior={}", "optimize.views=3"], "optimize.views"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_paragraph_and_nothing_made(case: str, sds3d: Any, tmp_path: Path) -> None:
    family, spoil, words, text = CASES[case]
    folder = shutil.copytree(folder_of(family), tmp_path / "model")
    spoil(folder)
    words = [word.format(folder) if "{}" in word else word for word in words]
    first = [] if any(word.startswith("prompt=") for word in words) else ["a fox"]
    status, out, err = sds3d("run", *first, *words, "optimize.steps=1")
    assert status in (1, 2), out
    assert text in err
    assert one_paragraph(err)
    assert "Traceback" not in err
    assert not list((tmp_path / "here").iterdir()), "a run folder was made"


def test_there_are_at_least_fifteen() -> None:
    assert len(CASES) >= 15


def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Any) -> None:
    (tmp_path / "here").rmdir()
    hub = fake_hub(monkeypatch, tmp_path)
    hub.repositories[get("sd15").repositories[0].id] = answer


def test_a_gated_model(sds3d: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    served(monkeypatch, tmp_path, refuse(errors.GatedRepoError))
    status, out, err = sds3d("run", "a fox", "prior=sd15")
    assert status == 1
    assert "is gated. Accept its terms" in err
    assert "hf auth login" in err
    assert not out
    assert not list(Path().iterdir())


def test_no_room_on_the_disk(sds3d: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    served(monkeypatch, tmp_path, folder_of("sd1"))
    usage = shutil._ntuple_diskusage(10, 5, 1 << 20)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda place: usage)
    status, _, err = sds3d("run", "a fox", "prior=sd15")
    assert status == 1
    assert "not enough room on the disk" in err
    assert not list(Path().iterdir())


def test_a_models_yaml_that_allows_a_pickle(sds3d: Any, tmp_path: Path) -> None:
    """The same folder, in the user's own table with and without the word."""
    folder = shutil.copytree(folder_of("sd1"), tmp_path / "model")
    only_pickles(folder)
    entry: dict[str, Any] = {"title": "Mine", "family": "stable-diffusion", "folder": str(folder)}
    for prior, state in (({}, "partial"), ({"allow_pickle": ["diffusion_pytorch_model.bin"]}, "complete")):
        table = {"models": {"mine": entry | {"prior": prior}}}
        Path("models.yaml").write_text(json.dumps(table))
        _, out, _ = sds3d("models", "--json")
        assert json.loads(out)["mine"]["on_this_disk"]["state"] == state
