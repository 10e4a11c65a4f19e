"""Fetching models from a hub that a folder plays: what is chosen, checked, resumed, and every way it can fail."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
from family_cases import folder_of
from hub_cases import COMMIT, fake_hub, refuse, transport
from huggingface_hub import errors

from sds3d.priors.model_folder import check_folder
from sds3d.priors.models import fetch as fetching
from sds3d.priors.models.fetch import fetch
from sds3d.priors.models.needed import choose
from sds3d.priors.models.places import locate
from sds3d.priors.models.table import ModelError, get

FIRST, SECOND = (r.id for r in get("sd15").repositories[:2])


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty hub, cache and home."""
    return fake_hub(monkeypatch, tmp_path)


@pytest.fixture
def served(hub, tmp_path):
    """A copy of a tiny Stable Diffusion that the hub serves as sd15, with files that nobody needs beside it."""
    folder = tmp_path / "served"
    shutil.copytree(folder_of("sd1"), folder)
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"pickle")
    (folder / "unet/diffusion_pytorch_model.non_ema.safetensors").write_bytes(b"no")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker/model.safetensors").write_bytes(b"no")
    (folder / "v1-5-pruned.ckpt").write_bytes(b"pickle")
    (folder / "LICENSE.md").write_text("be kind")
    hub.repositories[FIRST] = folder
    return folder


def test_only_what_is_read_comes_and_it_is_complete(hub, served):
    told: list[str] = []
    folder = fetch(get("sd15"), tell=told.append)
    assert check_folder(folder).family.name == "stable-diffusion"
    held = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert held == set(hub.downloaded)
    assert "unet/diffusion_pytorch_model.safetensors" in held
    assert "LICENSE.md" in held
    assert not [
        name for name in held if name.endswith((".bin", ".ckpt")) or "non_ema" in name or "safety" in name
    ]
    assert "licence: CreativeML OpenRAIL-M" in told[0]
    assert FIRST in told[0]
    assert len(told) == 1 + len(held)
    assert locate(get("sd15")).folder == folder


def test_a_second_fetch_loads_nothing_again_and_an_interrupted_one_goes_on(hub, served):
    def break_off(name, path):
        if len(hub.downloaded) == 4:
            raise transport.ConnectError("connection reset")

    hub.spoil = break_off
    with pytest.raises(ModelError, match=r"interrupted: connection reset.*goes on: sds3d models fetch sd15"):
        fetch(get("sd15"))
    assert locate(get("sd15")).state != "complete"
    before = list(hub.downloaded)
    hub.spoil = lambda name, path: None
    fetch(get("sd15"))
    assert len(set(hub.downloaded)) == len(hub.downloaded)
    assert hub.downloaded[: len(before)] == before
    count = len(hub.downloaded)
    fetch(get("sd15"))
    assert len(hub.downloaded) == count


def test_to_a_folder(hub, served, tmp_path):
    folder = fetch(get("sd15"), tmp_path / "here")
    assert folder == tmp_path / "here" / "sd15"
    check_folder(folder)


def test_a_removed_repository_is_passed_over_and_the_mirror_serves(hub, served):
    hub.repositories[SECOND] = hub.repositories.pop(FIRST)
    told: list[str] = []
    fetch(get("sd15"), tell=told.append)
    assert hub.asked == [FIRST, SECOND]
    assert FIRST in told[0]
    assert "not there any more" in told[0]
    assert SECOND in told[1]


def test_all_removed(hub):
    with pytest.raises(ModelError, match=r"none of its repositories can be found.*models.yaml"):
        fetch(get("sd15"))
    assert hub.asked == [r.id for r in get("sd15").repositories]


def test_gated_is_told_and_no_mirror_is_tried_behind_the_makers_back(hub, served):
    hub.repositories[FIRST] = refuse(errors.GatedRepoError)
    hub.repositories[SECOND] = served
    with pytest.raises(ModelError, match=r"is gated\. Accept its terms.*hf auth login"):
        fetch(get("sd15"))
    assert hub.asked == [FIRST]


def test_no_room_is_told_before_the_first_byte(hub, served, monkeypatch):
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 5, 1 << 20))
    with pytest.raises(
        ModelError, match=r"not enough room on the disk of .*GB to fetch, 0\.0 GB free.*HF_HUB_CACHE"
    ):
        fetch(get("sd15"))
    assert not hub.downloaded


def test_a_disk_that_becomes_full(hub, served):
    def full(name, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.spoil = full
    with pytest.raises(ModelError, match="the disk became full while fetching"):
        fetch(get("sd15"))


@pytest.mark.parametrize("harm", [lambda b: b[: len(b) // 2], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_damaged_file_is_removed_and_named(hub, served, harm):
    def spoil(name, path):
        if name.startswith("unet/diff"):
            path.write_bytes(harm(path.read_bytes()))

    hub.spoil = spoil
    with pytest.raises(
        ModelError, match=r"unet/diffusion_pytorch_model.safetensors (has \d+ bytes|does not match)"
    ):
        fetch(get("sd15"))
    assert not list(hub.cache.rglob("diffusion_pytorch_model.safetensors"))[1:]
    hub.spoil = lambda name, path: None
    check_folder(fetch(get("sd15")))


def test_only_pickled_weights(hub, served):
    (served / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(
        ModelError, match=r"unet/diffusion_pytorch_model.bin: refused, it is a pickle.*prior.allow_pickle"
    ):
        fetch(get("sd15"))
    assert not hub.downloaded


def test_offline_says_what_is_missing_and_where_it_goes(hub, served, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError) as caught:
        fetch(get("sd15"))
    for words in (
        "unet/config.json",
        "tokenizer/tokenizer_config.json",
        str(Path("models") / "sd15"),
        str(hub.cache),
    ):
        assert words in str(caught.value)
    assert not hub.asked


SHARDS = ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"]
PLAIN = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def _sd3_names():
    names = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "transformer/config.json",
        "vae/config.json",
    ]
    names += ["transformer/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"]
    for n in ("", "_2", "_3"):
        names += [
            f"text_encoder{n}/config.json",
            f"tokenizer{n}/tokenizer_config.json",
            f"tokenizer{n}/vocab.json",
        ]
    names += [f"text_encoder{n}/model{v}.safetensors" for n in ("", "_2") for v in ("", ".fp16")]
    names += [f"text_encoder_3/{name}" for name in (*SHARDS, *PLAIN)]
    return [
        *names,
        "text_encoder_3/model.safetensors.index.json",
        "text_encoder_3/model.safetensors.index.fp16.json",
        "sd3.5_medium.safetensors",
    ]


def test_shards_of_one_precision_only():
    chosen = choose(get("sd35-medium"), _sd3_names())
    t5 = [name for name in chosen if name.startswith("text_encoder_3/")]
    assert t5 == sorted(
        f"text_encoder_3/{n}" for n in ("config.json", *SHARDS, "model.safetensors.index.fp16.json")
    )
    assert "text_encoder/model.fp16.safetensors" in chosen
    assert "text_encoder/model.safetensors" not in chosen
    assert "sd3.5_medium.safetensors" not in chosen
    plain = get("sd35-medium").model_copy(update={"variant": ""})
    t5 = [name for name in choose(plain, _sd3_names()) if name.startswith("text_encoder_3/")]
    assert t5 == sorted(
        f"text_encoder_3/{n}" for n in ("config.json", *PLAIN, "model.safetensors.index.json")
    )


def test_a_lora_brings_its_file_alone():
    names = ["pytorch_lora_weights.safetensors", "README.md", "image.png"]
    assert choose(get("lcm-sd15"), names) == ["pytorch_lora_weights.safetensors"]
    with pytest.raises(ModelError, match="does not hold pytorch_lora_weights"):
        choose(get("lcm-sd15"), ["README.md"])


def test_the_branch_leads_to_the_commit(hub, served):
    fetch(get("sd15"))
    reference = hub.cache / f"models--{FIRST.replace('/', '--')}" / "refs" / "main"
    assert reference.read_text() == COMMIT


def test_a_model_without_an_adapter(hub):
    hub.repositories["ashawkey/imagedream-ipmv-diffusers"] = folder_of("sd1")
    with pytest.raises(ModelError, match="there is no adapter for it yet"):
        fetch(get("imagedream"))
