"""Pickled weights and code that comes with a model: refused, unless the user names them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from family_cases import folder_of, load, look, noise
from safetensors.torch import load_file
from test_priors_diffusers_errors import edit

from sds3d.core.errors import Sds3dError
from sds3d.jobs import configs
from sds3d.priors import base
from sds3d.priors.models.needed import choose
from sds3d.priors.models.table import ModelError, get
from sds3d.priors.trust import Trust, names_of, read_pickle

UNET = "unet/diffusion_pytorch_model"


class Program:
    """A pickle that would run a program when it is opened."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


def pickled(folder: Path, part: str, stem: str) -> Path:
    """Turn a component's safetensors file into a pickle."""
    (safe,) = (folder / part).glob("*.safetensors")
    file = folder / part / f"{stem}.bin"
    torch.save(load_file(safe), file)
    safe.unlink()
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny Stable Diffusion of one's own."""
    return shutil.copytree(folder_of("sd1"), tmp_path / "mine")


def test_pickled_components_are_read_where_they_are_named(folder: Path) -> None:
    pickled(folder, "unet", "diffusion_pytorch_model")
    pickled(folder, "text_encoder", "pytorch_model")
    with pytest.raises(
        Sds3dError, match=r"unet/diffusion_pytorch_model.bin.*prior.allow_pickle=\[unet/diffusion_pytorch"
    ):
        load(folder)
    with pytest.raises(Sds3dError, match=r"text_encoder/pytorch_model.bin: refused"):
        load(folder, allow_pickle=[f"{UNET}.bin"])
    ours, plain = load(folder, allow_pickle=[f"{UNET}.bin", "pytorch_model.bin"]), load(folder_of("sd1"))
    z, t = noise(4, *plain.info.latent_shape), torch.full((4,), 0.4)
    said = []
    for prior in (ours, plain):
        cond = prior.condition(prior.prepare(base.Prompts("a fox")), look(), {})["y"]
        said.append(prior.predict(z, t, cond).eps)
    assert torch.equal(*said)


def test_a_pickle_that_is_a_program_is_not_run_even_if_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    file = pickled(folder, "unet", "diffusion_pytorch_model")
    torch.save({"conv_in.weight": Program()}, file)
    with pytest.raises(Sds3dError):
        load(folder, allow_pickle=[f"{UNET}.bin"])
    with pytest.raises(Sds3dError, match="cannot be read as weights alone"):
        read_pickle(file)
    assert not (folder / "ran").exists()
    # and the test can fail: Python's own reader would have run it
    torch.load(file, weights_only=False)
    assert (folder / "ran").exists()


def test_a_single_file_checkpoint(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "fox.ckpt"
    torch.save({"state_dict": load_file(folder / f"{UNET}.safetensors")}, file)
    with pytest.raises(Sds3dError, match=r"fox.ckpt: refused.*prior.allow_pickle=\[fox.ckpt\]"):
        load(folder, file=str(file))
    prior = load(folder, file=str(file), allow_pickle=["fox.ckpt"])
    assert torch.equal(
        prior.network.conv_in.weight, load_file(folder / f"{UNET}.safetensors")["conv_in.weight"]
    )
    with pytest.raises(ModelError, match=r"prior.file=fox.ckpt prior.allow_pickle=\[fox.ckpt\]"):
        configs.from_words(["a fox", "prior=fox.ckpt"])


def test_a_pickled_word(folder: Path, tmp_path: Path) -> None:
    """The web interface of old kept textual inversions so."""
    file = tmp_path / "fox.pt"
    torch.save({"string_to_token": {"*": 1}, "string_to_param": {"*": torch.ones(1, 32)}}, file)
    with pytest.raises(Sds3dError, match=r"prior.allow_pickle=\[fox.pt\]"):
        load(folder, embeddings=[str(file)])
    prior = load(folder, embeddings=[{"file": str(file), "token": "<fox>"}], allow_pickle=["fox.pt"])
    told, other = (prior.prepare(base.Prompts(text)).tensors["y.states"] for text in ("<fox>", "<dog>"))
    assert not torch.allclose(told, other)


def test_fetching_takes_pickles_only_where_the_table_names_them() -> None:
    names = ["model_index.json", "scheduler/scheduler_config.json", f"{UNET}.bin", "unet/config.json"]
    names += ["vae/config.json", "vae/diffusion_pytorch_model.safetensors", "text_encoder/config.json"]
    names += ["text_encoder/model.safetensors", "tokenizer/vocab.json"]
    entry = get("sd15")
    with pytest.raises(
        ModelError, match=r"prior.allow_pickle=\[unet/diffusion_pytorch_model.bin\].*models.yaml"
    ):
        choose(entry, names)
    allowed = entry.model_copy(update={"prior": {"allow_pickle": [f"{UNET}.bin"]}})
    assert f"{UNET}.bin" in choose(allowed, names)


def test_names_of_a_folder_in_the_hubs_cache() -> None:
    place = Path("/x/hub/models--maker--the-model/snapshots/abc")
    assert names_of(place) == ["maker/the-model", "abc"]
    assert Trust(code=("maker/the-model",)).runs(place)
    assert not Trust(code=("maker/another",)).runs(place)


CODE = """
from pathlib import Path
from diffusers import UNet2DConditionModel as Base
Path(__file__).with_name("ran").touch()
class UNet2DConditionModel(Base):
    def forward(self, *args, **options):
        return (2 * super().forward(*args, **options)[0],)
"""


def test_code_of_a_model_runs_only_if_the_model_is_named(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    edit(folder / "model_index.json", unet=["their_unet", index["unet"][1]])
    (folder / "unet/their_unet.py").write_text(CODE)
    with pytest.raises(Sds3dError, match=r"not run.*prior.trust_remote_code=\[mine\]"):
        load(folder)
    with pytest.raises(Sds3dError, match=r"not run"):
        load(folder, trust_remote_code=["yours"])
    assert not (folder / "unet/ran").exists()
    prior, plain = load(folder, trust_remote_code=["mine"]), load(folder_of("sd1"))
    assert (folder / "unet/ran").exists()
    z, t = noise(1, *plain.info.latent_shape), torch.tensor([0.4])
    cond = base.Cond({"states": noise(1, 77, 32, tag="states")}, torch.ones(1))
    torch.testing.assert_close(prior.predict(z, t, cond).eps, 2 * plain.predict(z, t, cond).eps)


@pytest.mark.parametrize(
    ("code", "text"),
    [(None, "there is no their_unet.py"), ("1 / 0", "ZeroDivisionError"), ("x = 1", "holds no class")],
)
def test_code_that_is_wrong(folder: Path, code: str | None, text: str) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    edit(folder / "model_index.json", unet=["their_unet", index["unet"][1]])
    if code is not None:
        (folder / "their_unet.py").write_text(code)
    with pytest.raises(Sds3dError, match=text):
        load(folder, trust_remote_code=["mine"])
