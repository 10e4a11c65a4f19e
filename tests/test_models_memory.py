"""Architectures at full size on the meta device, predicted memory, and choosing a tier by it."""

from __future__ import annotations

import json

import pytest
import tiny_models
import torch
from family_cases import SIDE, embedded_of, folder_of, load, look, noise, one_time
from hypothesis import given
from hypothesis import strategies as st
from test_cli import one_paragraph

from sds3d.cli import main as cli
from sds3d.priors.model_folder import check_folder
from sds3d.priors.models import tiers
from sds3d.priors.models.architecture import build, load_shape, names, of_layout, parameters
from sds3d.priors.models.memory import OVERHEAD, Workload, predict
from sds3d.priors.models.table import ModelError, built_in
from sds3d.priors.models.tracker import Tracker, fused_attention

PUBLISHED = {
    ("sd15", "unet"): 859_520_964,
    ("sd15", "vae"): 83_653_863,
    ("sd15", "text_encoder"): 123_060_480,
    ("sd21", "unet"): 865_910_724,
    ("sd21", "text_encoder"): 340_387_840,
    ("sdxl", "unet"): 2_567_463_684,
    ("sdxl", "text_encoder_2"): 694_659_840,
    ("sd35-medium", "transformer"): 2_243_171_520,
    ("sd35-large", "transformer"): 8_056_627_520,
    ("flux-dev", "transformer"): 11_901_408_320,
    ("flux-schnell", "transformer"): 11_891_178_560,
    ("pixart-sigma", "transformer"): 610_856_096,
    ("sana", "transformer"): 1_604_462_752,
    ("sana", "vae"): 312_250_275,
    ("sana", "text_encoder"): 2_614_341_888,
}
"""Parameters of the published checkpoints."""

SHAPES = {
    ("sd15", "unet"): {
        "conv_in.weight": (320, 4, 3, 3),
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "mid_block.attentions.0.proj_in.weight": (1280, 1280, 1, 1),
    },
    ("sdxl", "unet"): {
        "add_embedding.linear_1.weight": (1280, 2816),
        "mid_block.attentions.0.transformer_blocks.9.attn2.to_v.weight": (1280, 2048),
    },
    ("sd35-medium", "transformer"): {
        "transformer_blocks.12.attn2.norm_q.weight": (64,),
        "context_embedder.weight": (1536, 4096),
    },
    ("flux-dev", "transformer"): {
        "time_text_embed.guidance_embedder.linear_1.weight": (3072, 256),
        "single_transformer_blocks.37.proj_out.weight": (3072, 15360),
    },
}
"""Names and shapes of tensors in the published files."""


@pytest.mark.parametrize(("name", "part"), list(PUBLISHED))
def test_parameter_counts_are_those_of_the_published_models(name, part):
    network = build(load_shape(name), part)
    assert parameters(network) == PUBLISHED[name, part]
    assert all(p.device.type == "meta" for p in network.parameters())
    state = network.state_dict() if (name, part) in SHAPES else {}
    for key, shape in SHAPES.get((name, part), {}).items():
        assert tuple(state[key].shape) == shape


def test_every_shape_in_the_table_exists():
    assert {e.shape for e in built_in().values() if e.shape} == set(names())


def test_the_tracker_counts_what_is_alive():
    """x (4 kB) W (given): h and its relu are 4 kB each; the relu of an inference forward lets h go."""
    weight = torch.empty(32, 32, device="meta")
    tracker = Tracker([weight])
    with torch.no_grad(), tracker:
        x = torch.empty(32, 32, device="meta")
        assert tracker.now == 4096
        y = (x @ weight.t()).relu()
        assert (tracker.now, tracker.peak) == (8192, 12288)
        assert tracker.flops == 2 * 32**3
        del y
        assert tracker.now == 4096
        x.view(-1)[3:].add_(1)
        assert tracker.peak == 12288


def test_attention_is_counted_without_the_matrix_of_pairs_and_the_real_one_comes_back():
    real = torch.nn.functional.scaled_dot_product_attention
    q = torch.empty(2, 4, 1000, 8, device="meta", requires_grad=True)
    tracker = Tracker([q])
    with fused_attention(tracker), tracker:
        out = torch.nn.functional.scaled_dot_product_attention(q, q, q)
        out.backward(torch.empty_like(out))
    assert tracker.peak < 1000 * 1000 * 4
    assert tracker.flops == 2 * 2 * 4 * 1000 * 1000 * 16
    assert torch.nn.functional.scaled_dot_product_attention is real


def tiny(name):
    """The architecture of a tiny folder."""
    return of_layout(check_folder(folder_of(name), side=SIDE))


@pytest.mark.parametrize(
    "name", ["sd1", "sdxl", "sd3", "flux", "pixart", "sana", "sana-sprint", "mvdream", "deepfloyd", "lcm"]
)
def test_every_family_can_be_predicted(name):
    work = Workload(SIDE, dtype=torch.float32)
    roomy = predict(tiny(name), work)
    assert roomy.network >= 4 * parameters(build(tiny(name), tiny(name).network))
    assert roomy.peak > OVERHEAD + roomy.weights
    assert roomy.flops > 0
    offload = predict(tiny(name), work, lean=True, offload=True)
    assert offload.network <= 2 * roomy.network


def test_a_flow_without_a_guidance_input_can_be_predicted(tmp_path):
    """As FLUX schnell is."""
    shape = of_layout(check_folder(tiny_models.flux(tmp_path / "schnell", guidance_embeds=False), side=SIDE))
    assert predict(shape, Workload(SIDE, dtype=torch.float32)).flops > 0


@pytest.mark.parametrize(("views", "branches"), [(3, 2), (5, 4)])
def test_activations_grow_with_the_views_and_halve_with_the_precision(views, branches):
    base = predict(tiny("sd1"), Workload(SIDE, 1, 1, torch.float32))
    more = predict(tiny("sd1"), Workload(SIDE, views, branches, torch.float32))
    assert more.weights == base.weights
    assert more.encode == pytest.approx(views * base.encode, rel=0.02)
    assert more.predict <= views * branches * base.predict * 1.01
    assert more.flops >= views * base.flops
    half = predict(tiny("sd1"), Workload(SIDE, views, branches, torch.float16, torch.float16))
    assert half.weights == pytest.approx(more.weights / 2, rel=0.01)
    assert half.encode == pytest.approx(more.encode / 2, rel=0.1)


@pytest.mark.parametrize("name", ["sd1", "sana"])
def test_lean_needs_less_and_computes_more(name):
    work = Workload(SIDE, 4, 2, torch.float32)
    shape = tiny(name)
    roomy, lean, tight = (predict(shape, work, *tiers.TIERS[tier]) for tier in ("roomy", "lean", "tight"))
    # nothing but the pixels, their scaled twin and z are kept
    assert tight.encoded < 4 * (2 * 3 * SIDE**2 + 4 * 4 * SIDE) * 4
    assert tight.encoded <= lean.encoded
    assert tight.flops >= lean.flops
    assert lean.encoded < roomy.encoded / 2
    assert lean.backward < roomy.backward
    assert lean.flops > roomy.flops
    assert lean.network == roomy.network


@given(
    needs=st.lists(st.floats(1e9, 9e10), min_size=len(tiers.TIERS), max_size=len(tiers.TIERS)),
    free=st.floats(1e9, 9e10),
)
def test_the_first_tier_that_fits_is_chosen(needs, free):
    named = dict(zip(tiers.TIERS, needs, strict=True))
    if min(needs) > free:
        with pytest.raises(ModelError, match=f"{min(needs) / 1e9:.1f} GB"):
            tiers.choose(named, free)
        return
    chosen = tiers.choose(named, free)
    before = list(named)[: list(named).index(chosen)]
    assert named[chosen] <= free
    assert all(named[tier] > free for tier in before)


@pytest.mark.parametrize("tier", ["lean", "tight", "offload"])
@pytest.mark.parametrize("name", ["sd1", "sd3", "sana"])
def test_tiers_change_nothing_but_memory(name, tier):
    plain, thrifty = load(folder_of(name)), load(folder_of(name), memory=tier)
    rgb = noise(4, 3, SIDE, SIDE).sigmoid()
    gradients = []
    for prior in (plain, thrifty):
        x = rgb.clone().requires_grad_(True)
        z = prior.encode(x)
        (z * noise(*z.shape, tag="g")).sum().backward()
        gradients.append((z.detach(), x.grad, prior.decode(z.detach())))
    for a, b in zip(*gradients, strict=True):
        assert (a - b).norm() < 1e-4 * a.norm()
    cond = plain.condition(embedded_of(name), look(), {})["y"]
    z = noise(4, *plain.info.latent_shape)
    a, b = (prior.predict(z, one_time(name), cond).eps for prior in (plain, thrifty))
    assert (a - b).norm() < 1e-4 * a.norm()


@pytest.fixture
def sds3d(capsys, tmp_path, monkeypatch):
    """Runs a command line in an empty folder: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


def test_a_dry_run_tells_all_and_makes_nothing(sds3d, tmp_path):
    words = [
        "run",
        "a fox",
        f"prior={folder_of('sd1')}",
        f"prior.size={SIDE}",
        "optimize.steps=10",
        "--dry-run",
    ]
    status, out, err = sds3d(*words, "--gpu-gb", 8)
    assert status == 0, err
    assert "10 a run, 4 views a step" in out
    assert "2 predictions a view and step (mean over a run), 80 in a run" in out
    assert "predicted, not measured" in out
    assert "prior.memory=roomy" in out
    assert "unet/diffusion_pytorch_model.safetensors" in out
    assert "MISSING" not in out
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_what_cannot_fit(sds3d, tmp_path):
    words = ["run", "a fox", f"prior={folder_of('sd1')}", f"prior.size={SIDE}", "--dry-run", "--gpu-gb", 0.5]
    status, out, err = sds3d(*words)
    assert status == 1
    assert "does not fit" in out
    assert one_paragraph(err)
    assert "0.5 GB of GPU memory are free, and even prior.memory=" in err
    assert not list(tmp_path.iterdir())


def test_a_tier_that_the_config_rules_out_is_named(monkeypatch):
    from sds3d.jobs import configs, plan

    def predicted(architecture, work, tier):
        real = predict(architecture, work)
        scale = {"roomy": 30e9, "lean": 10e9, "tight": 9e9, "offload": 3e9}[tier]
        return type(real)(
            **{**vars(real), "encode": int(scale), "backward": 0, "predict": 0, "text": 0, "decode": 0}
        )

    monkeypatch.setattr(plan, "predict_tier", predicted)
    config = configs.from_words(
        ["a fox", f"prior={folder_of('sd1')}", f"prior.size={SIDE}", "prior.memory=roomy"]
    )
    assert "prior.memory=lean is predicted to fit with 11.0 GB" in plan.make_plan(config, 16e9).problem
    assert not plan.make_plan(config, 40e9).problem


def test_a_dry_run_of_a_model_that_is_not_here(sds3d, monkeypatch):
    words = ["run", "a fox", "prior=mvdream", "--dry-run", "--json", "--gpu-gb", 24]
    status, out, _ = sds3d(*words)
    plan = json.loads(out)
    assert status == 1, "the tests run offline: what is missing cannot be fetched"
    assert not any(plan["files"].values())
    assert plan["tier"] == "roomy"
    assert 4e9 < plan["tiers"]["roomy"] < 12e9


def test_a_small_prior_needs_no_prediction(sds3d):
    status, out, _ = sds3d("run", "a blue mushroom", "--dry-run")
    assert status == 0
    assert "predictions a view and step" in out
    assert "prior.memory" not in out


def test_methods_are_counted(sds3d):
    _, out, _ = sds3d("run", "a blue mushroom", "guidance=csd", "guidance.omega2=0.5", "--dry-run", "--json")
    assert json.loads(out)["calls"] == 3
