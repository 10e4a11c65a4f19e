"""The table of models: ours is sound, users' tables are read with line numbers, misspelt names are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from family_cases import folder_of
from hypothesis import given
from hypothesis import strategies as st
from small_run import SMALL
from test_cli import one_paragraph

from sds3d.cli import main as cli
from sds3d.core.errors import ConfigError
from sds3d.jobs import configs
from sds3d.priors.families.base import Family
from sds3d.priors.family_table import families
from sds3d.priors.kinds.diffusers import Options as PriorOptions
from sds3d.priors.models import resolve
from sds3d.priors.models.entry import ModelEntry
from sds3d.priors.models.fetch import fetch
from sds3d.priors.models.needed import usual_files
from sds3d.priors.models.places import locate
from sds3d.priors.models.resolve import resolved
from sds3d.priors.models.table import ModelError, all_models, built_in, find, get


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """An empty folder, home and cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SDS3D_MODELS", raising=False)


@pytest.fixture
def sds3d(capsys):
    """Runs a command line: (status, standard output, standard error)."""

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


WANTED = [
    "sd15",
    "sd21",
    "sd21-base",
    "sdxl",
    "sd3-medium",
    "sd35-medium",
    "flux-dev",
    "flux-schnell",
    "deepfloyd-if",
    "pixart-sigma",
    "sana",
    "sana-sprint",
    "lcm-sd15",
    "lcm-sdxl",
    "sd-turbo",
    "sdxl-turbo",
    "sdxl-lightning",
    "hyper-sd15",
    "hyper-sdxl",
    "mvdream",
    "instruct-pix2pix",
    "zero123",
]


@pytest.mark.parametrize("name", list(built_in()))
def test_our_entries_are_whole(name):
    entry = built_in()[name]
    assert entry.use
    assert entry.licence != "unknown"
    assert entry.in_the_box or (entry.repositories and entry.download_gb)
    if entry.family is not None:
        assert isinstance(families()[entry.family], Family)
        assert entry.prediction
        assert entry.size
        assert "model_index.json" in usual_files(entry)
    # what it asks of the prior is an option of the prior
    PriorOptions(folder=name, **entry.prior)
    assert (entry.family is None) == ("no adapter yet" in entry.use or entry.base is not None)


def test_the_names_that_people_ask_for_are_there():
    assert set(WANTED) <= set(built_in())


def test_flows_predict_velocity_and_the_others_do_not():
    for name, entry in built_in().items():
        if entry.family is not None and entry.family != "sana-sprint":
            assert (families()[entry.family].noise == "rf") == (entry.prediction == "velocity"), name


def test_removed_repositories_come_last():
    for name, entry in built_in().items():
        gone = [i for i, r in enumerate(entry.repositories) if r.note.startswith("removed")]
        assert gone in ([], [len(entry.repositories) - 1]), name


@given(name=st.sampled_from(list(built_in())), upper=st.booleans())
def test_case_and_dashes_do_not_count(name, upper):
    word = (name.upper() if upper else name).replace("-", "_")
    assert find(word) == built_in()[name]


@pytest.mark.parametrize(
    ("word", "close"), [("sdlx", "sdxl"), ("flux_deb", "flux-dev"), ("mv-drem", "mvdream")]
)
def test_a_misspelt_name(word, close):
    with pytest.raises(ModelError, match=f"Did you mean {close}"):
        get(word)
    with pytest.raises(ConfigError, match=f"prior: expected one of .* Did you mean {close}"):
        configs.from_words(["a fox", f"prior={word}"])


def test_a_repository_is_a_name_too():
    assert find("stabilityai/stable-diffusion-xl-base-1.0") == get("sdxl")


def test_a_name_in_a_config_is_short_for_options_and_stays_a_name():
    config = configs.from_words(["a fox", "prior=lcm-sd15", "prior.precision=bfloat16"])
    assert (config.prior.kind, config.prior.folder) == ("diffusers", "lcm-sd15")
    assert (config.prior.few_step, config.prior.precision) == ("lcm", "bfloat16")
    mine = configs.from_words(["a fox", "prior=lcm-sd15", "prior.few_step=none"])
    assert mine.prior.few_step == "none"


@pytest.mark.parametrize("word", ["./my-model", "models/fox", "~/fox"])
def test_a_path_is_a_folder(word):
    assert configs.from_words(["a fox", f"prior={word}"]).prior.folder == word


def test_a_name_is_resolved_to_a_folder_of_this_disk(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "sd15").symlink_to(folder_of("sd1"))
    monkeypatch.setenv("SDS3D_MODELS", str(tmp_path / "store"))
    options = configs.from_words(["a fox", "prior=sd15"]).prior
    assert resolve.resolved(options).folder == str(tmp_path / "store" / "sd15")
    assert resolve.resolved(resolve.resolved(options)) == resolve.resolved(options)


def test_a_lora_goes_onto_its_base_and_before_the_users(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sd15").symlink_to(folder_of("sd1"))
    home = tmp_path / "models" / "lcm-lora-sdv1-5"
    home.mkdir()
    (home / "pytorch_lora_weights.safetensors").write_bytes(b"x")
    options = configs.from_words(["a fox", "prior=lcm-sd15", "prior.loras=[mine.safetensors]"]).prior
    out = resolve.resolved(options)
    assert out.folder == "models/sd15"
    assert [Path(one.file).name for one in out.loras] == [
        "pytorch_lora_weights.safetensors",
        "mine.safetensors",
    ]


TABLE = """
models:
  fox:
    title: My fox
    family: stable-diffusion
    folder: fox-model
    licence: mine
  sdxl:
    title: Another XL
    family: sdxl
    repositories: [{id: me/xl, revision: v2}]
"""


def test_users_tables_win(tmp_path):
    (tmp_path / "home/sds3d").mkdir(parents=True)
    (tmp_path / "home/sds3d/models.yaml").write_text(TABLE.replace("My fox", "A fox at home"))
    assert get("fox").title == "A fox at home"
    assert get("fox").folder == str(tmp_path / "home/sds3d/fox-model")
    Path("models.yaml").write_text(TABLE)
    assert get("fox").title == "My fox"
    assert get("sdxl").repositories[0].revision == "v2"
    assert get("sd15") == built_in()["sd15"]


WRONG = {
    "a key": (
        "models:\n  fox:\n    titel: x\n    folder: y\n",
        r"models.yaml:3: models.fox.titel: .*Did you mean title",
    ),
    "a name": ("models:\n  Fox Model:\n    title: x\n    folder: y\n", r"models.yaml"),
    "no place": ("models:\n  fox:\n    title: x\n", r"models.yaml:2: models.fox: needs repositories"),
    "a repository": (
        "models:\n  fox:\n    title: x\n    repositories:\n      - {id: nothing}\n",
        r"models.yaml:5: models.fox.repositories\[0\].id",
    ),
    "a base": (
        "models:\n  fox:\n    title: x\n    folder: y\n    base: nobody\n    loras: [z.safetensors]\n",
        "models.fox.base: 'nobody' is not a model",
    ),
    "a licence": (
        "models:\n  fox:\n    title: x\n    folder: y\n    commercial: sure\n",
        r"models.yaml:5: models.fox.commercial: expected one of yes, limited, no, unknown",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_tables_are_named_by_file_line_and_key(name, sds3d):
    text, message = WRONG[name]
    Path("models.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        all_models()
    status, _, err = sds3d("models")
    assert status == 2
    assert one_paragraph(err)


def test_the_list(sds3d):
    status, out, _ = sds3d("models")
    assert status == 0
    assert all(name in out for name in built_in())
    status, out, _ = sds3d("models", "--json")
    table = json.loads(out)
    assert table["sd15"]["on_this_disk"]["state"] == "absent"
    assert table["sd15"]["repositories"][0]["id"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert table["imagedream"]["readable"] is False


def test_the_list_says_what_is_here(sds3d, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sd15").symlink_to(folder_of("sd1"))
    (tmp_path / "models/sdxl").mkdir()
    (tmp_path / "models/sdxl/model_index.json").write_text("{}")
    _, out, _ = sds3d("models", "--json")
    table = json.loads(out)
    assert table["sd15"]["on_this_disk"]["state"] == "complete"
    assert table["sdxl"]["on_this_disk"]["state"] == "partial"
    _, out, _ = sds3d("models", "show", "sd15")
    assert "models/sd15" in out
    status, _, err = sds3d("models", "show", "sd51")
    assert status == 1
    assert "Did you mean" in err


MISUSE = {
    "a model that is not here": (
        ["prior=sd15"],
        "sd15 (Stable Diffusion 1.5) is not on this disk",
        "unet/config.json",
    ),
    "its base is not here": (["prior=lcm-sd15"], "is not on this disk", "pytorch_lora_weights"),
    "no adapter": (["prior=zero123"], "no adapter", "Zero-1-to-3"),
    "a repository that is not here": (["prior=me/fox"], "hf download me/fox", "models.yaml"),
    "no such folder": (["prior=./fox"], "there is no folder", "fox"),
    "a pickle": (["prior=fox.ckpt"], "is a pickle", "fox.ckpt"),
    "no such file": (["prior=fox.safetensors"], "there is no file fox.safetensors", ""),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_one_paragraph_before_anything_is_made(name, sds3d, tmp_path):
    words, text, also = MISUSE[name]
    status, out, err = sds3d("run", "a fox", *words, "--offline")
    assert status in (1, 2)
    assert not out
    assert one_paragraph(err)
    assert text in err
    assert also in err
    assert not list(tmp_path.iterdir())


def test_a_whole_run_by_name(sds3d, tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "sd15").symlink_to(folder_of("sd1"))
    monkeypatch.setenv("SDS3D_MODELS", str(tmp_path / "store"))
    words = [
        f"{k}={v if isinstance(v, str) else json.dumps(v)}"
        for k, v in SMALL.items()
        if k not in ("prompt", "prior")
    ]
    more = [
        "optimize.steps=1",
        "prior.size=16",
        "prior.memory=lean",
        "prior.precision=float32",
        "--json",
        "--offline",
    ]
    status, out, err = sds3d("run", "A red fox!", "prior=sd15", *words, *more)
    assert status == 0, err
    (done,) = json.loads(out)
    assert done["state"] == "finished"
    text = (Path(done["run"]) / "config.yaml").read_text()
    assert "folder: sd15" in text
    assert str(tmp_path) not in text


def test_what_came_in_the_box_is_there_and_never_fetched(monkeypatch, tmp_path):
    entry = get("latent32")
    folder = fetch(entry)
    assert (folder / "model_index.json").is_file()
    assert locate(entry).folder == folder
    monkeypatch.setattr("sds3d.priors.models.places.assets_folder", lambda: tmp_path)
    for offline in ("0", "1"):
        monkeypatch.setenv("HF_HUB_OFFLINE", offline)
        with pytest.raises(ModelError, match=r"comes with sds3d.*reinstall"):
            fetch(entry)
        with pytest.raises(ModelError, match=r"comes with sds3d.*reinstall"):
            resolved(PriorOptions(folder="latent32"))
    with pytest.raises(ValueError, match="box:latent32"):
        ModelEntry(title="x", folder="box:")
