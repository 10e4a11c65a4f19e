"""Quantised denoisers: backends that run on this CPU, a strict fake of the one that needs a GPU, GGUF files."""

from __future__ import annotations

import importlib.util
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from family_cases import SIDE, conditions, folder_of, load, noise, one_time, prior_of
from torch import nn

from sds3d.core.errors import MissingPackageError, Sds3dError
from sds3d.core.streams import Streams
from sds3d.priors import base, quantize
from sds3d.priors.kinds import diffusers as kind
from sds3d.priors.lora import LoraSpec, make_adapter
from sds3d.priors.model_folder import check_folder
from sds3d.priors.models.architecture import of_layout
from sds3d.priors.models.memory import Workload, predict
from sds3d.priors.models.tiers import open_tiers, workload_of


def backend(name: str, package: str, *marks: pytest.MarkDecorator) -> Any:
    """A scheme whose package may be absent: then nothing is shown here."""
    absent = importlib.util.find_spec(package) is None
    return pytest.param(
        name, marks=[pytest.mark.skipif(absent, reason=f"{package} is not installed"), *marks]
    )


ON_CPU = [
    backend("quanto-int8", "optimum"),
    backend("quanto-int4", "optimum", pytest.mark.slow),  # compiles its kernels at first use
    backend("torchao-int8", "torchao"),
]
WORST = {"quanto-int8": 0.02, "quanto-int4": 0.3, "torchao-int8": 0.02}


def said(prior: kind.DiffusersPrior, name: str) -> base.Prediction:
    """The prior's answer at the tests' noise, times and words."""
    return prior.predict(noise(4, *prior.info.latent_shape), one_time(name), conditions(name)["y"])


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("scheme", ON_CPU)
@pytest.mark.parametrize("name", ["sd1", "sd3"])
def test_a_quantised_network_answers_nearly_the_same(name: str, scheme: str) -> None:
    prior, plain = load(folder_of(name), quantize=scheme), prior_of(name)
    error = distance(said(prior, name).eps, said(plain, name).eps)
    assert 0 < error < WORST[scheme]
    assert not any(p.requires_grad for p in prior.network.parameters())
    rgb = torch.rand(4, 3, SIDE, SIDE, requires_grad=True)
    prior.encode(rgb).sum().backward()
    assert rgb.grad is not None
    # the autoencoder carries the gradient and is left as it is
    assert {type(p) for p in prior.vae.parameters()} == {nn.Parameter}


@pytest.mark.parametrize("scheme", ON_CPU)
def test_a_critic_on_a_quantised_network_is_trained(scheme: str) -> None:
    """Low-rank changes of quantised layers: no change at first, and a gradient that is finite and not zero."""
    prior = load(folder_of("sd1"), quantize=scheme)
    adapter = make_adapter(prior, LoraSpec(rank=2, layers="attention", camera=False))
    weights = {k: v.requires_grad_() for k, v in adapter.init(Streams(1)).items()}
    z, t, cond = noise(4, *prior.info.latent_shape), one_time("sd1"), conditions("sd1")["y"]
    answer = adapter.predict(weights, z, t, cond, None, torch.zeros(4, dtype=torch.bool)).eps
    torch.testing.assert_close(answer, prior.predict(z, t, cond).eps, rtol=1e-4, atol=1e-5)
    answer.square().sum().backward()
    grads = [w.grad for k, w in weights.items() if "lora_B" in k and w.grad is not None]
    assert grads
    assert all(torch.isfinite(g).all() for g in grads)
    assert any(float(g.abs().max()) > 0 for g in grads)


@pytest.mark.parametrize("bits", [8.0, 4.25])
def test_bytes_of_quantised_weights_by_hand(bits: float) -> None:
    """Two layers of 64 x 32 and 8 x 16 weights, float16, with biases, and a norm of 10: only the weights shrink."""
    network = nn.ModuleList([nn.Linear(32, 64), nn.Linear(16, 8), nn.LayerNorm(5)]).half()
    scheme = {8.0: "quanto-int8", 4.25: "quanto-int4"}[bits]
    expected = (64 * 32 + 8 * 16) * bits / 8 + 2 * (64 + 8 + 10) + 2 * 64 * 32
    assert quantize.weight_bytes(network, scheme) == int(expected)
    assert quantize.weight_bytes(network, "none") == 2 * (64 * 32 + 8 * 16 + 64 + 8 + 10)


@pytest.mark.parametrize("scheme", [backend("quanto-int8", "optimum")])
def test_the_prediction_is_what_a_loaded_network_holds(scheme: str) -> None:
    network = load(folder_of("sd3"), quantize=scheme).network
    held = 0
    for tensor in (*network.parameters(), *network.buffers()):
        parts = [tensor._data, tensor._scale] if hasattr(tensor, "_data") else [tensor]
        held += sum(part.numel() * part.element_size() for part in parts)
    plain = prior_of("sd3").network
    largest = max(m.weight.numel() * 4 for m in plain.modules() if isinstance(m, nn.Linear))
    # scales, one a row, are left out of the 8 bits
    assert quantize.weight_bytes(plain, scheme) - largest == pytest.approx(held, rel=0.08)
    shape = of_layout(check_folder(folder_of("sd3"), side=SIDE))
    small, whole = (predict(shape, Workload(SIDE, dtype=torch.float32, quantize=s)) for s in (scheme, "none"))
    assert small.network == quantize.weight_bytes(plain, scheme)
    assert small.network < whole.network
    assert (small.predict, small.backward) == (whole.predict, whole.backward)


def gguf_of(name: str, file: Path) -> Path:
    """The tiny transformer of a family as a GGUF file, layers of whole blocks in 8 bits."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(file, name)
    eight = gguf.GGMLQuantizationType.Q8_0
    for key, tensor in prior_of(name).network.state_dict().items():
        if tensor.ndim == 2 and tensor.shape[1] % 32 == 0 and "embed" not in key:
            writer.add_tensor(key, gguf.quants.quantize(tensor.numpy(), eight), raw_dtype=eight)
        else:
            writer.add_tensor(key, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_a_gguf_file_is_read(name: str, tmp_path: Path) -> None:
    file = gguf_of(name, tmp_path / "small.gguf")
    prior = load(folder_of(name), file=str(file))
    assert 0 < distance(said(prior, name).eps, said(prior_of(name), name).eps) < 0.02
    assert file in kind.weight_files(prior.options)
    work = workload_of(prior.options, SIDE, torch.float32)
    assert work.packed == file.stat().st_size
    shape = of_layout(prior.layout)
    assert predict(shape, work).network < predict(shape, Workload(SIDE, dtype=torch.float32)).network


def test_a_broken_gguf_file(tmp_path: Path) -> None:
    file = gguf_of("sd3", tmp_path / "small.gguf")
    file.write_bytes(file.read_bytes()[:400])
    with pytest.raises(Sds3dError, match=r"small.gguf: broken or only partly downloaded"):
        load(folder_of("sd3"), file=str(file))


class FakeBitsAndBytes:
    """A network's class that is asked for weights as the library's backend on a GPU would be."""

    _repeated_blocks = ()

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def from_pretrained(
        self,
        part: Path,
        *,
        local_files_only: bool,
        use_safetensors: bool,
        variant: str | None,
        output_loading_info: bool,
        torch_dtype: torch.dtype,
        quantization_config: Any,
    ) -> tuple[nn.Module, dict[str, list[str]]]:
        """The library's own arguments, and no others."""
        assert local_files_only
        assert use_safetensors
        assert output_loading_info
        self.asked = {"dtype": torch_dtype, "config": quantization_config}
        return nn.Linear(2, 2), {"missing_keys": []}


class FakeConfig(SimpleNamespace):
    """diffusers.BitsAndBytesConfig with the arguments of its published signature."""

    def __init__(
        self,
        load_in_8bit: bool = False,
        load_in_4bit: bool = False,
        bnb_4bit_quant_type: str = "fp4",
        bnb_4bit_compute_dtype: torch.dtype | None = None,
    ):
        super().__init__(
            eight=load_in_8bit, four=load_in_4bit, form=bnb_4bit_quant_type, dtype=bnb_4bit_compute_dtype
        )


@pytest.mark.parametrize(("scheme", "eight"), [("bnb-int8", True), ("bnb-nf4", False)])
def test_bitsandbytes_is_asked_as_the_library_wants_it(
    scheme: str, eight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sds3d.priors import weights

    fake = FakeBitsAndBytes()
    monkeypatch.setattr(weights, "class_of", lambda *_: fake)
    monkeypatch.setattr("diffusers.BitsAndBytesConfig", FakeConfig)
    layout = check_folder(folder_of("sd1"), side=SIDE)
    network = layout.family.load_network(layout, torch.float16, scheme)
    assert not any(p.requires_grad for p in network.parameters())
    config = fake.asked["config"]
    assert fake.asked["dtype"] == torch.float16
    assert (config.eight, config.four) == (eight, not eight)
    if not eight:
        assert (config.form, config.dtype) == ("nf4", torch.float16)


REFUSED = {
    "a GPU is needed": ({"quantize": "bnb-nf4"}, Sds3dError, "needs a GPU; on a CPU take torchao-int8"),
    "offload": (
        {"quantize": "quanto-int8", "memory": "offload"},
        Sds3dError,
        "prior.memory=offload moves them",
    ),
    "no package": ({"quantize": "torchao-int8"}, MissingPackageError, "pip install 'torchao>=0.15'"),
    "no gguf": ({"file": "x.gguf"}, Sds3dError, "x.gguf"),
    "another word": ({"quantize": "int3"}, ValueError, "quantize"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_told_at_once(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, error, text = REFUSED[case]
    real = importlib.util.find_spec
    absent = {"torchao"} if case != "a GPU is needed" else set()
    present = {"bitsandbytes"}
    monkeypatch.setattr(
        quantize.importlib.util,
        "find_spec",
        lambda name: None if name in absent else object() if name in present else real(name),
    )
    with pytest.raises(error, match=text):
        kind.create(kind.Options(folder=str(folder_of("sd1")), device="cpu", **given))


def test_a_lora_and_four_views(tmp_path: Path) -> None:
    options = kind.Options(folder=str(folder_of("mvdream")), device="cpu", quantize="quanto-int8", size=SIDE)
    with pytest.raises(Sds3dError, match=r"prior.quantize=quanto-int8: mvdream models are converted"):
        kind.create(options)
    layout = check_folder(folder_of("sd1"), side=SIDE)
    lora = options.model_copy(update={"loras": (SimpleNamespace(file="a", scale=1.0),)})
    with pytest.raises(Sds3dError, match=r"LoRAs \(prior.loras\) are added to the weights themselves"):
        quantize.check_quantize(lora, layout, torch.device("cpu"))
    packed = options.model_copy(update={"file": "x.gguf", "quantize": "quanto-int8"})
    with pytest.raises(Sds3dError, match=r"it is quantised already; set prior.quantize=none"):
        quantize.check_quantize(packed, layout, torch.device("cpu"))


def test_quantised_weights_are_not_offloaded() -> None:
    assert open_tiers(kind.Options(folder="x")) == ("roomy", "lean", "tight", "offload")
    assert open_tiers(kind.Options(folder="x", quantize="bnb-nf4")) == ("roomy", "lean", "tight")
    assert open_tiers(kind.Options(folder="x", file="y.gguf")) == ("roomy", "lean", "tight")
    assert open_tiers(kind.Options(folder="x", memory="lean")) == ("lean",)


def test_every_scheme_is_an_option_and_the_other_way_round() -> None:
    choices = kind.Options.model_fields["quantize"].annotation.__args__
    assert set(choices) == {"none", *quantize.SCHEMES}
    assert {f.name for f in fields(quantize.Scheme)} == {"module", "install", "bits", "gpu"}
