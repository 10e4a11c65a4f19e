"""Whole runs with tiny models through the command line, offline; half precision; what a wrong model is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import published_names
import pytest
import torch
from family_cases import FAMILIES, SIDE, conditions, folder_of, load, look, noise, one_time, prior_of
from safetensors.torch import save_file
from typer.testing import CliRunner

from sds3d.cli.main import app
from sds3d.core.errors import NonFiniteError, Sds3dError
from sds3d.jobs import assemble, configs
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.events import Silent
from sds3d.optimize.loop import train
from sds3d.optimize.timing import Stopwatch
from sds3d.priors import base

SMALL = [
    "representation.kind=grid",
    "representation.resolutions=[3,8]",
    "representation.samples=8",
    "representation.picture_samples=8",
    "representation.blob_bias=2.0",
    "optimize.steps=2",
    "optimize.views=4",
    "optimize.preview_steps=2",
    "optimize.preview_size=16",
    "pictures.turntable_frames=0",
    "pictures.contact_views=0",
    "threads=1",
    "prior.size=16",
    "prior.device=cpu",
]


def run(tmp_path: Path, *words: str) -> dict[str, Any]:
    """The outcome of `sds3d run`, which must have gone well."""
    done = CliRunner().invoke(app, ["run", "a red fox", *SMALL, f"runs={tmp_path}", *words, "--json"])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return json.loads(done.stdout)[0]


def whole(outcome: dict[str, Any], weights: int) -> None:
    """A run folder with an asset, finite numbers and the model's files in its provenance."""
    folder = Path(outcome["run"])
    assert outcome["state"] == "finished"
    assert (folder / "asset.glb").stat().st_size > 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(torch.isfinite(torch.tensor(row["gradient"])) for row in rows)
    assert rows[-1]["gradient"] > 0
    assert len(json.loads((folder / "provenance.json").read_text())["prior"]["weights"]) == weights


SLOW = [pytest.param(n, marks=() if n in ("sdxl", "sd3") else pytest.mark.slow) for n in FAMILIES]


@pytest.mark.parametrize("name", SLOW)
def test_a_run_from_a_local_folder(name: str, tmp_path: Path) -> None:
    folder = folder_of(name)
    files = sum(
        len(list((folder / part).glob("*.safetensors"))) for part in folder.iterdir() if part.is_dir()
    )
    whole(run(tmp_path, "prior.kind=diffusers", f"prior.folder={folder}"), files)


def test_a_run_from_a_single_file_in_half_precision(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    source, file = folder_of("sd1"), tmp_path / "dream.safetensors"
    models = ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae"), (CLIPTextModel, "text_encoder"))
    parts = [model.from_pretrained(source / name) for model, name in models]
    save_file({k: v.half() for k, v in published_names.single_file(*parts).items()}, file, {"format": "pt"})
    small = shutil.copytree(source, tmp_path / "small", ignore=shutil.ignore_patterns("*.safetensors"))
    words = ["prior.kind=diffusers", f"prior.folder={small}", f"prior.file={file}", "prior.precision=float16"]
    whole(run(tmp_path, *words, "guidance.combine=perp_neg"), 1)


def denoiser_file(name: str, folder: Path) -> Path:
    """The denoiser of a family alone, in one file, under the library's names."""
    file = folder / f"{name}.safetensors"
    state = prior_of(name).network.state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, file, {"format": "pt"})
    return file


# MVDream's single files have its makers' names; test_priors_mvdream.py
SINGLE = [name for name in FAMILIES if name != "mvdream"]


@pytest.mark.parametrize("name", SINGLE)
def test_a_denoiser_from_a_single_file_is_the_folders(name: str, tmp_path: Path) -> None:
    prior, plain = load(folder_of(name), file=str(denoiser_file(name, tmp_path))), prior_of(name)
    z, t, y = noise(4, *plain.info.latent_shape), one_time(name), conditions(name)["y"]
    assert torch.equal(prior.predict(z, t, y).eps, plain.predict(z, t, y).eps)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in SINGLE])
def test_a_run_from_a_single_file(name: str, tmp_path: Path) -> None:
    """Tokenizers, configs and the rest from a folder whose own denoiser has no weights."""
    file = denoiser_file(name, tmp_path)
    network = prior_of(name).family.network
    source = shutil.copytree(folder_of(name), tmp_path / "rest")
    (weights,) = (source / network).glob("*.safetensors")
    weights.unlink()
    count = 1 + len(list(source.glob("*/*.safetensors")))
    whole(run(tmp_path, "prior.kind=diffusers", f"prior.folder={source}", f"prior.file={file}"), count)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", SLOW)
def test_whole_steps_in_half_precision(name: str, precision: str, tmp_path: Path) -> None:
    """Two steps of the loop: words, encoder, predictions, gradient and optimizer, all finite."""
    from sds3d.core.tree import split

    model = ["prior.kind=diffusers", f"prior.folder={folder_of(name)}", f"prior.precision={precision}"]
    stage = assemble.assemble(configs.from_words(["a red fox", *SMALL, *model]), watch := Stopwatch())
    before = {k: v.clone() for k, v in split(stage.representation.state_dict())[0].items()}
    after = split(train(stage, CheckpointStore(tmp_path, 2), Silent(), None, watch).representation)[0]
    assert all(torch.isfinite(after[k]).all() for k in before)
    assert any(not torch.equal(after[k], before[k]) for k in before)


@pytest.mark.slow
def test_a_run_with_layers_left_out_and_one_with_a_guider(tmp_path: Path) -> None:
    words = ["prior.kind=diffusers", f"prior.folder={folder_of('sd3')}"]
    run(tmp_path / "slg", *words, "prior.perturb={layers: [0]}", "guidance.combine=slg")
    run(tmp_path / "apg", *words, "guidance.combine={guider: apg, parameters: {eta: 0}}")


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_stays_near(name: str, precision: str) -> None:
    """A whole step's worth: words, encoder and its gradient, prediction; the autoencoder stays in float32."""
    half, full = load(folder_of(name), precision=precision), prior_of(name)
    assert next(half.network.parameters()).dtype == getattr(torch, precision)
    if half.vae is not None:
        assert {p.dtype for p in half.vae.parameters()} == {torch.float32}
    z_t, t, cond = noise(4, *full.info.latent_shape), one_time(name), conditions(name)
    a, b = half.predict(z_t, t, cond["y"]), full.predict(z_t, t, cond["y"])
    assert a.eps.dtype == torch.float32
    assert torch.isfinite(a.eps).all()
    assert 0 < float((a.eps - b.eps).norm() / b.eps.norm()) < (0.02 if precision == "float16" else 0.1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_autoencoder_in_half_precision_if_somebody_asks(precision: str) -> None:
    half, full = load(folder_of("sdxl"), vae_precision=precision), prior_of("sdxl")
    rgb = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    grads = []
    for prior in (half, full):
        x = rgb.clone().requires_grad_()
        z = prior.encode(x)
        assert z.dtype == torch.float32
        z.square().sum().backward()
        grads.append(x.grad)
    assert float((grads[0] - grads[1]).norm() / grads[1].norm()) < 0.2
    assert torch.isfinite(half.decode(z.detach())).all()


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SDXL's autoencoder has activations beyond 65504, the largest float16; so has this one."""
    from diffusers import AutoencoderKL

    folder = shutil.copytree(folder_of("sdxl"), tmp_path_factory.mktemp("overflow") / "sdxl")
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    with torch.no_grad():
        vae.encoder.mid_block.resnets[0].conv2.weight.mul_(1e6)
        vae.encoder.mid_block.resnets[0].conv2.bias.fill_(1e5)
    vae.save_pretrained(folder / "vae")
    return folder


def trained(tmp_path: Path, *words: str) -> None:
    stage = assemble.assemble(configs.from_words(["a red fox", *SMALL, *words]), watch := Stopwatch())
    train(stage, CheckpointStore(tmp_path, 2), Silent(), None, watch)


def test_overflow_in_an_sdxl_type_autoencoder_is_caught(overflowing: Path, tmp_path: Path) -> None:
    model = ["prior.kind=diffusers", f"prior.folder={overflowing}"]
    with pytest.raises(NonFiniteError, match=r"z\[.*became .* at step 0.*prior.vae_precision=float32"):
        trained(tmp_path / "half", *model, "prior.vae_precision=float16")
    for precision in ("float32", "bfloat16"):
        trained(tmp_path / precision, *model, f"prior.vae_precision={precision}")


def test_overflow_in_the_network_is_caught(tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    folder = shutil.copytree(folder_of("sd1"), tmp_path / "sd1")
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    with torch.no_grad():
        unet.conv_out.bias.fill_(1e5)
    unet.save_pretrained(folder / "unet")
    model = ["prior.kind=diffusers", f"prior.folder={folder}", "prior.precision=float16"]
    with pytest.raises(NonFiniteError, match=r"guidance.z\[.*prior.precision=bfloat16"):
        trained(tmp_path / "run", *model)


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def wrong_class(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    edit(folder / "model_index.json", text_encoder=["their_code", index["text_encoder"][1]])


MISUSES = {
    "no-tokenizer": ("sd3", lambda f: shutil.rmtree(f / "tokenizer_3"), "missing: tokenizer_3/vocab.json"),
    "pieces-only": (
        "pixart",
        lambda f: (
            [p.unlink() for p in (f / "tokenizer").iterdir()] and (f / "tokenizer/spiece.model").touch()
        ),
        "sentencepiece.*pip install sentencepiece",
    ),
    "half-downloaded": (
        "flux",
        lambda f: (lambda w: w.write_bytes(w.read_bytes()[: w.stat().st_size // 2]))(
            f / "transformer/diffusion_pytorch_model.safetensors"
        ),
        "transformer/diffusion_pytorch_model.safetensors: broken or only partly downloaded",
    ),
    "shard-missing": (
        "sana",
        lambda f: [
            (f / "transformer/diffusion_pytorch_model.safetensors").unlink(),
            (f / "transformer/diffusion_pytorch_model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "diffusion_pytorch_model-00002-of-00002.safetensors"}}'
            ),
        ],
        "missing: transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
    ),
    "vae-missing": ("sdxl", lambda f: shutil.rmtree(f / "vae"), "missing: vae/config.json"),
    "wrong-scheduler": (
        "sd3",
        lambda f: shutil.copy(folder_of("sd1") / "scheduler/scheduler_config.json", f / "scheduler"),
        "DDIMScheduler is variance preserving .* but sd3 models are a rectified flow",
    ),
    "unknown-prediction": (
        "sdxl",
        lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="noise"),
        "unknown prediction_type 'noise'; known: epsilon",
    ),
    "inpainting": (
        "sdxl",
        lambda f: edit(f / "unet/config.json", in_channels=9),
        "takes 9 channels, the latent has 4",
    ),
    "upscaler": (
        "deepfloyd",
        lambda f: edit(f / "unet/config.json", in_channels=6),
        "stages II and III upscale",
    ),
    "filling": (
        "flux",
        lambda f: edit(f / "transformer/config.json", in_channels=96),
        "the transformer takes 96 channels, the latent has 16",
    ),
    "code-in-the-folder": ("sd1", wrong_class, "code that comes with the model; it is not run"),
    "unknown-pipeline": (
        "sd1",
        lambda f: edit(f / "model_index.json", _class_name="WhatPipeline", unet=["diffusers", "WhatModel"]),
        "WhatPipeline is of no known family",
    ),
}


@pytest.mark.parametrize("case", MISUSES)
def test_a_wrong_model_is_refused_before_it_is_loaded(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, spoil, text = MISUSES[case]
    folder = shutil.copytree(folder_of(name), tmp_path / "wrong")
    spoil(folder)
    loaded = []
    monkeypatch.setattr("sds3d.priors.kinds.diffusers.DiffusersPrior", lambda *_: loaded.append(1))
    with pytest.raises(Sds3dError, match=text):
        load(folder).prepare(base.Prompts("x"))
    assert not loaded


def test_wrong_precisions_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="precision"):
        load(folder_of("sd1"), precision="float8")
    with pytest.raises(Sds3dError, match=r"prior.size: 20 is not a multiple of 8.*nearest is 16"):
        load(folder_of("sd3"), size=20)
    monkeypatch.setattr("sds3d.priors.kinds.diffusers.resolve", lambda word, **_: torch.device(word))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda _=True: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "an old GPU")
    with pytest.raises(Sds3dError, match=r"prior.precision=bfloat16: an old GPU does not compute with it"):
        load(folder_of("sd1"), device="cuda", precision="bfloat16")


def test_the_command_line_says_it_in_one_paragraph(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """No traceback, no run folder, no network: the user's typo at second 0."""
    from sds3d.cli.main import main

    for words, text in (
        ([f"prior.folder={tmp_path / 'none'}"], "there is no"),
        ([f"prior.folder={folder_of('sd1')}", "prior.precision=half"], "precision"),
        (
            [f"prior.folder={folder_of('sd1')}", "prior.loras=[nothing.safetensors]"],
            "there is no file nothing",
        ),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["run", "a fox", "prior.kind=diffusers", *SMALL[:-2], f"runs={tmp_path / 'runs'}", *words])
        assert stopped.value.code in (1, 2)
        said = capsys.readouterr()
        assert text in said.err + said.out
        assert "Traceback" not in said.err


def test_a_prompt_that_is_too_long_is_told_without_loading() -> None:
    from sds3d.core.errors import PromptError
    from sds3d.priors.kinds import diffusers as kind

    options = kind.Options(folder=str(folder_of("sdxl")), size=SIDE)
    kind.check_prompts(options, "a" * 75, "", False)
    with pytest.raises(PromptError, match=r"at most 75 tokens .* this text has 85"):
        kind.check_prompts(options, "a" * 75, "", None)  # with view words
    # T5 reads on where CLIP's window ends
    kind.check_prompts(kind.Options(folder=str(folder_of("sd3")), size=SIDE), "a" * 75, "", None)
    assert look().size == (SIDE, SIDE)
