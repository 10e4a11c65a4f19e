"""Which device a word means, and the reason why it cannot be had."""

from __future__ import annotations

import logging

import pytest
import torch

from sds3d.core import devices
from sds3d.core.devices import Cuda, check_word, probe, resolve, trial
from sds3d.core.errors import ConfigError

FINE = Cuda("2.13.0", "12.6", "12.8", ("NVIDIA One", "NVIDIA Two"))
OBSTACLES = {
    "built without CUDA": (Cuda("2.13.0+cpu"), "pip install"),
    r"built without CUDA, and the driver is there \(CUDA 12.8\)": (
        Cuda("2.13.0+cpu", "", "12.8"),
        "pip install",
    ),
    "no NVIDIA driver on this machine": (Cuda("2.13.0", "12.6"), "install the driver"),
    r"driver serves CUDA up to 11.8, and this PyTorch was built for 12.6": (
        Cuda("2.13.0", "12.6", "11.8"),
        "update the driver",
    ),
    r"CUDA_VISIBLE_DEVICES='' hides every device": (Cuda("2.13.0", "12.6", "12.8", hidden=""), "unset it"),
    r"CUDA_VISIBLE_DEVICES='-1' hides every device": (
        Cuda("2.13.0", "12.6", "12.8", hidden="-1"),
        "unset it",
    ),
    r"the driver shows no device \(no CUDA-capable device is detected\)": (
        Cuda("2.13.0", "12.6", "12.8", problem="no CUDA-capable device is detected"),
        "nvidia-smi",
    ),
}


def fine(device: torch.device) -> str:
    return ""


@pytest.mark.parametrize("text", OBSTACLES)
def test_what_stands_in_the_way_is_told_apart(text) -> None:
    found, advice = OBSTACLES[text]
    with pytest.raises(ConfigError, match=text) as caught:
        resolve("cuda", lambda: found, fine)
    assert advice in str(caught.value)
    assert caught.value.key == "device"
    assert resolve("auto", lambda: found, fine).type == "cpu"


def test_words_mean_devices() -> None:
    means = {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:1": "cuda:1"}
    for word, device in means.items():
        assert check_word(word) == word
        assert str(resolve(word, lambda: FINE, fine)) == device
    with pytest.raises(
        ConfigError, match=r"no cuda:2; this machine has cuda:0 NVIDIA One, cuda:1 NVIDIA Two"
    ):
        resolve("cuda:2", lambda: FINE, fine)


def test_a_newer_driver_of_the_same_generation_serves() -> None:
    assert not Cuda("2.13.0", "12.8", "12.2", ("NVIDIA",)).obstacle()
    assert "driver shows no device" in Cuda("2.13.0", "12.8", "12.2").obstacle()


def test_a_gpu_that_does_not_compute_or_serve_is_no_gpu(caplog) -> None:
    def broken(device: torch.device) -> str:
        return "no kernel image is available"

    with pytest.raises(
        ConfigError, match=r"NVIDIA One is there, but PyTorch cannot use it \(no kernel image"
    ):
        resolve("cuda", lambda: FINE, broken)
    with pytest.raises(ConfigError, match=r"cuda was asked for: nothing draws there\. Or set"):
        resolve("cuda", lambda: FINE, fine, lambda device: "nothing draws there.")
    devices._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert resolve("auto", lambda: FINE, fine, lambda device: "nothing draws there").type == "cpu"
    assert "device: cpu, though there is a GPU or its driver: nothing draws there" in caplog.text


@pytest.mark.parametrize(
    "word", ["gpu", "cuda:", "cuda:-1", "cuda:0\n", "cuda:\u0663", "cuda:0x1", "Cuda", "", "mps"]
)
def test_other_words_are_no_devices(word) -> None:
    with pytest.raises(ValueError, match="a device is auto, cpu, cuda or cuda:N"):
        check_word(word)


def test_the_cpu_passes_its_trial() -> None:
    assert trial(torch.device("cpu")) == ""


def test_the_probe_agrees_with_torch() -> None:
    found = probe()
    assert len(found.names) == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert bool(found.obstacle()) == (not found.names)
    assert found.wheel == (torch.version.cuda or "")
