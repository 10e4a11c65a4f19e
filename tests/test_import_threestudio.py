"""threestudio's configs, written by hand after the common systems, as ours: nothing changes its meaning in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sds3d.cli import main as cli
from sds3d.core import schedules as ours
from sds3d.core.errors import ConfigError
from sds3d.jobs import configs
from sds3d.jobs.imports import threestudio_guidance as guidances
from sds3d.jobs.imports.schedules import schedule
from sds3d.jobs.imports.threestudio import convert
from sds3d.jobs.schema import GUIDANCE


def dreamfusion(**changes):
    """The common system over Stable Diffusion, with dotted changes."""
    data = {
        "name": "dreamfusion-sd",
        "seed": 3,
        "data_type": "random-camera-datamodule",
        "data": {
            "batch_size": 2,
            "width": 64,
            "height": 64,
            "camera_distance_range": [1.5, 2.0],
            "fovy_range": [40, 70],
            "elevation_range": [-10, 90],
        },
        "system_type": "dreamfusion-system",
        "system": {
            "geometry_type": "implicit-volume",
            "geometry": {"radius": 2.0},
            "prompt_processor": {"prompt": "a corgi", "negative_prompt": "blurry"},
            "guidance_type": "stable-diffusion-guidance",
            "guidance": {
                "pretrained_model_name_or_path": "stabilityai/stable-diffusion-2-1-base",
                "guidance_scale": 100.0,
                "weighting_strategy": "sds",
                "min_step_percent": 0.02,
                "max_step_percent": 0.98,
            },
            "loss": {
                "lambda_sds": 1.0,
                "lambda_orient": [0, 10.0, 1000.0, 5000],
                "lambda_sparsity": 1.0,
                "lambda_opaque": 0.0,
            },
            "optimizer": {"name": "Adam", "args": {"lr": 0.01, "betas": [0.9, 0.99], "eps": 1e-15}},
        },
        "trainer": {"max_steps": 10000, "precision": "16-mixed"},
    }
    for key, value in changes.items():
        node = data
        *path, last = key.split("__")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return data


@pytest.fixture
def converted(tmp_path):
    """Convert a mapping; checks that what comes out is a config of ours where nothing is missing."""

    def call(data):
        file = tmp_path / "theirs.yaml"
        file.write_text(yaml.safe_dump(data))
        out = convert(file)
        if not out.missing:
            configs.from_mapping(out.config)
        return out

    return call


def test_dreamfusion(converted):
    out = converted(dreamfusion())
    config = configs.from_mapping(out.config)
    assert not out.missing
    assert (config.prompt, config.negative_prompt, config.seed) == ("a corgi", "blurry", 3)
    assert (config.prior.kind, config.prior.folder) == ("diffusers", "sd21-base")
    assert config.guidance.method == "sds"
    assert config.guidance.cfg_scale(0.5) == 101.0
    assert config.guidance.weight == "sigma2"
    assert (config.guidance.times.low(0), config.guidance.times.high(1)) == (0.02, 0.98)
    assert config.cameras.elevation_deg == (-10, 90)
    assert config.cameras.distance == (1.5, 2.0)
    assert (config.optimize.steps, config.optimize.views, config.optimize.size(0)) == (10_000, 2, 64)
    assert config.optimize.adam_eps == 1e-15
    assert config.representation.opacity(0) == pytest.approx(1.0 / 64**2)
    told = "\n".join(out.differences)
    for words in ("s = w + 1", "sd21-base", "representation grid", "16-mixed", "lr 0.01", "camera distances"):
        assert words in told
    assert any("lambda_orient" in line for line in out.unread)


@given(scale=st.floats(0, 200), perp=st.booleans())
def test_the_guidance_scale_gains_one_where_theirs_lacks_it(scale, perp, tmp_path_factory):
    file = tmp_path_factory.mktemp("t") / "t.yaml"
    data = dreamfusion(system__guidance__guidance_scale=scale)
    if perp:
        data["system"]["prompt_processor"]["use_perp_neg"] = True
    file.write_text(yaml.safe_dump(data))
    out = convert(file)
    assert out.config["guidance"]["cfg_scale"] == pytest.approx(scale + (0 if perp else 1))
    assert (out.config["guidance"].get("combine") == "perp_neg") == perp


@given(
    a=st.floats(0, 1),
    b=st.floats(0, 1),
    s=st.integers(0, 9_000),
    d=st.integers(1, 1000),
    at=st.integers(0, 9_999),
)
def test_schedules_have_the_same_value_at_every_step(a, b, s, d, at):
    theirs = a + (b - a) * min(1.0, max(0.0, (at - s) / d))
    mine = ours.parse(schedule([s, a, b, s + d], 10_000, lambda text: None))(at / 10_000)
    assert mine == pytest.approx(theirs, abs=1e-6)


def test_a_schedule_that_the_run_does_not_reach_the_end_of():
    mine = ours.parse(schedule([0, 0.0, 1.0, 20_000], 10_000, lambda text: None))
    assert mine(0.5) == pytest.approx(0.25)
    assert mine(1.0) == pytest.approx(0.5)
    assert ours.parse(schedule([5000, 0.98, 0.5, 5001], 10_000, lambda text: None))(0.49) == 0.98
    told: list[str] = []
    schedule([0, 1.0, 2.0, 3.0], 10, told.append)
    assert "epochs" in told[0]
    with pytest.raises(ConfigError):
        schedule("often", 10, told.append)


def test_prolificdreamer(converted):
    out = converted(
        dreamfusion(
            system_type="prolificdreamer-system",
            system__guidance_type="stable-diffusion-vsd-guidance",
            system__guidance__guidance_scale=7.5,
            system__guidance__max_step_percent=[5000, 0.98, 0.5, 5001],
            system__guidance__pretrained_model_name_or_path_lora="stabilityai/stable-diffusion-2-1",
            system__loss={
                "lambda_vsd": 1.0,
                "lambda_lora": 1.0,
                "lambda_opaque": [10000, 0.0, 1000.0, 10001],
            },
            data__height=[64, 512],
            data__width=[64, 512],
            data__resolution_milestones=[5000],
            data__batch_size=[1, 1],
        )
    )
    assert out.config["guidance"]["method"] == "vsd"
    assert out.config["guidance"]["cfg_scale"] == 7.5
    assert any("vsd does not exist here yet" in line for line in out.missing) == (
        "vsd" not in GUIDANCE.choices()
    )
    size = ours.parse(out.config["optimize"]["size"])
    assert (size(0.0), size(0.4999), size(0.6)) == (64, pytest.approx(64), 512)
    assert ours.parse(out.config["guidance"]["times"]["high"])(0.9) == 0.5
    assert any("name_or_path_lora" in line for line in out.unread)


def test_magic3d_coarse(converted):
    out = converted(
        dreamfusion(
            system__guidance__weighting_strategy="uniform",
            system__loss={"lambda_sds": 0.5, "lambda_opaque": 2.0},
        )
    )
    config = configs.from_mapping(out.config)
    assert config.guidance.weight == "uniform"
    assert config.representation.entropy(0) == pytest.approx(2.0 / 0.5 / 64**2)
    assert any("lambda_sds 0.5" in line for line in out.differences)


def test_deepfloyd(converted):
    data = dreamfusion(system__guidance_type="deep-floyd-guidance", system__guidance__guidance_scale=20.0)
    del data["system"]["guidance"]["pretrained_model_name_or_path"]
    out = converted(data)
    assert out.config["prior"] == "deepfloyd-if"
    assert out.config["guidance"]["cfg_scale"] == 21.0


def test_sdi(converted):
    out = converted(
        dreamfusion(
            system__guidance_type="stable-diffusion-sdi-guidance",
            system__guidance__guidance_scale=7.5,
            system__guidance__min_step_percent=0.25,
            system__guidance__inversion_guidance_scale=-7.5,
            system__guidance__inversion_n_steps=10,
            system__guidance__inversion_eta=0.3,
            system__guidance__t_anneal=True,
            system__loss={"lambda_sdi": 1.0, "lambda_opaque": 1e-4},
        )
    )
    guidance = out.config["guidance"]
    assert (guidance["method"], guidance["cfg_scale"], guidance["inversion_steps"]) == ("sdi", 8.5, 10)
    assert guidance["times"]["low"] == {"linear": [0.98, 0.25]}
    assert out.config["representation"]["entropy"] == pytest.approx(1e-4 * 16384 / 64**2)


def test_luciddreamer(converted):
    out = converted(
        dreamfusion(
            system__geometry_type="gaussian-splatting",
            system__guidance_type="lucid-dreamer-guidance",
            system__guidance={
                "guidance_scale": 7.5,
                "delta_t": 80,
                "delta_t_start": 100,
                "xs_delta_t": 200,
                "xs_inv_steps": 5,
                "warmup_iter": 1500,
            },
            system__loss={"lambda_guidance": 0.1},
            data__batch_size=4,
            trainer__max_steps=5000,
        )
    )
    guidance = out.config["guidance"]
    assert (guidance["method"], guidance["cfg_scale"], guidance["stride"]) == ("ism", 7.5, 0.2)
    assert ours.parse(guidance["gap"])(0.15) == pytest.approx(0.09)
    assert out.config["representation"]["kind"] == "gaussians"


def test_mvdream(converted):
    out = converted(
        dreamfusion(
            system__guidance_type="multiview-diffusion-guidance",
            system__guidance={"model_name": "sd-v2.1-base-4view", "guidance_scale": 50.0, "recon_loss": True},
            data__batch_size=8,
        )
    )
    config = configs.from_mapping(out.config)
    assert config.prior.folder == "mvdream"
    assert config.guidance.cfg_scale(0) == 50.0
    assert config.guidance.weight == "kappa"
    assert config.guidance.transforms[0].rescale == 0.5


def test_gradient_clipping(converted):
    out = converted(dreamfusion(system__guidance__grad_clip=[0, 2.0, 8.0, 1000]))
    assert ours.parse(out.config["guidance"]["post"][0]["clip_value"])(0.05) == pytest.approx(5.0)


WORDS = st.text("abcdefgh", min_size=3, max_size=8)


@given(where=st.sampled_from(["", "data", "system", "system.guidance", "system.loss", "trainer"]), name=WORDS)
def test_an_unknown_key_is_always_listed(where, name, tmp_path_factory):
    file = tmp_path_factory.mktemp("t") / "t.yaml"
    data = dreamfusion(**{"__".join([*where.split("."), name] if where else [name]): 7.25})
    file.write_text(yaml.safe_dump(data))
    assert any(name in line and "7.25" in line for line in convert(file).unread)


def test_every_key_is_read_or_listed(converted):
    data = dreamfusion()
    out = converted(data)
    text = "\n".join([*out.unread, *out.differences])
    for key in ("name", "data_type", "system_type", "system.geometry.radius"):
        assert key in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"system__guidance_type": "zero123-guidance"}, "the guidance 'zero123-guidance' has no counterpart"),
        ({"system__geometry_type": "tetrahedra-sdf-grid"}, "the representation 'tetrahedra-sdf-grid'"),
        ({"system__geometry_convert_from": "a.ckpt"}, "stage"),
        ({"system__guidance__weighting_strategy": "mine"}, "the weight 'mine'"),
    ],
)
def test_what_does_not_exist_here_is_named(converted, changes, words):
    out = converted(dreamfusion(**changes))
    assert any(words in line for line in out.missing)


@pytest.fixture
def sds3d(capsys, tmp_path, monkeypatch):
    """Runs a command line in an empty folder: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


def test_the_command(sds3d):
    Path("theirs.yaml").write_text(yaml.safe_dump(dreamfusion()))
    status, out, err = sds3d("import", "threestudio", "theirs.yaml", "--out", "mine.yaml")
    assert status == 0
    assert "Means something else here:" in err
    text = Path("mine.yaml").read_text()
    assert "# Not converted:" in text
    assert configs.read(Path("mine.yaml")).guidance.cfg_scale(0) == 101
    status, out, _ = sds3d("import", "threestudio", "theirs.yaml", "--json")
    assert json.loads(out)["config"]["guidance"]["cfg_scale"] == 101


def test_the_command_refuses_what_is_missing(sds3d):
    Path("theirs.yaml").write_text(yaml.safe_dump(dreamfusion(system__guidance_type="zero123-guidance")))
    status, _, err = sds3d("import", "threestudio", "theirs.yaml", "--out", "mine.yaml")
    assert status == 1
    assert "zero123-guidance" in err
    assert not Path("mine.yaml").exists()
    assert sds3d("import", "threestudio", "theirs.yaml", "--out", "mine.yaml", "--partial")[0] == 1
    assert Path("mine.yaml").exists()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("trainer: {max_steps: many}\n", "trainer.max_steps"),
        ("trainer: {max_steps: 0}\n", "trainer.max_steps"),
        ("data: {batch_size: []}\n", "data.batch_size"),
        ("data: {height: tall}\n", "data.height"),
        ("data: {elevation_range: 3}\n", "data.elevation_range"),
    ],
)
def test_values_that_are_no_numbers_are_told_with_their_place(tmp_path, text, key):
    (tmp_path / "c.yaml").write_text("system: {guidance_type: stable-diffusion-guidance}\n" + text)
    with pytest.raises(ConfigError, match=rf"c\.yaml:2: {key}: "):
        convert(tmp_path / "c.yaml")


def test_not_a_config_of_theirs(sds3d):
    Path("x.yaml").write_text("prompt: a fox\n")
    status, _, err = sds3d("import", "threestudio", "x.yaml")
    assert status == 2
    assert "no `system:`" in err


def test_the_table_of_guidances_adds_one_only_to_the_plain_form():
    lacking = {name for name, (_, lack) in guidances._KINDS.items() if lack}
    assert lacking == {"stable-diffusion-guidance", "deep-floyd-guidance", "stable-diffusion-sdi-guidance"}
