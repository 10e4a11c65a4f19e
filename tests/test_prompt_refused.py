"""A prompt that the prior cannot serve: refused before anything is made, everywhere a run can begin."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_run import SMALL
from web_cases import client, service_for

from sds3d import generate
from sds3d.cli import main as cli
from sds3d.core.errors import PromptError, Sds3dError
from sds3d.jobs import batch, configs
from sds3d.priors.base import Prompts
from sds3d.priors.kinds import embedded

TINY = {k: v for k, v in SMALL.items() if k not in ("prompt", "prior")} | {"optimize.steps": 1}
"""The small run, judged by the prior in the box."""
WORDS = [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in TINY.items()]


@pytest.fixture
def sds3d(capsys, tmp_path, monkeypatch):
    """Runs a command line in an empty folder: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        with pytest.raises(SystemExit) as left:
            cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return call


def test_one_prompt_is_one_paragraph_and_nothing_else(sds3d, tmp_path):
    status, out, err = sds3d("run", "a zeppelin with a hatt")
    assert status == 1
    assert not out
    assert len(err.splitlines()) == 1
    assert 'cannot serve "a zeppelin with a hatt"' in err
    assert "'zeppelin' (nothing near it); 'hatt' (nearest it does: hat" in err
    assert "prior.kind=diffusers prior.folder=" in err
    assert not list(tmp_path.iterdir())


def test_the_negative_prompt_counts_too(sds3d, tmp_path):
    status, _, err = sds3d("run", "a red cube", "negative_prompt=smoke")
    assert status == 1
    assert "'smoke'" in err
    assert not list(tmp_path.iterdir())


def test_in_a_batch_the_others_go_on(sds3d, tmp_path):
    status, out, err = sds3d("run", "prompts=[a zeppelin, a red cube]", *WORDS)
    assert status == 1
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    assert str(folder.relative_to(tmp_path) / "asset.glb") in out
    told = [line for line in err.splitlines() if line.startswith('"a zeppelin": refused: ')]
    assert len(told) == 2  # at once, and again where the eye is at the end


def test_a_batch_of_which_nothing_is_left(sds3d, tmp_path):
    status, out, err = sds3d("run", "prompts=[a zeppelin, a dirigible]")
    assert status == 1
    assert not out
    assert len(err.splitlines()) == 2
    status, out, err = sds3d("run", "prompts=[a zeppelin, a dirigible]", "--json")
    assert status == 1
    assert not err
    told = json.loads(out)
    assert [(o["prompt"], o["state"], o["run"]) for o in told] == [
        ("a zeppelin", "refused", None),
        ("a dirigible", "refused", None),
    ]
    assert "zeppelin" in told[0]["reason"]
    assert not list(tmp_path.iterdir())


def test_from_python_and_from_the_page(tmp_path):
    runs = tmp_path / "runs"
    with pytest.raises(PromptError, match="zeppelin"):
        generate("a zeppelin", runs=str(runs))
    assert not runs.exists()
    answer = client(service_for(runs)).post(
        "/api/runs", content="prompt: a zeppelin", headers={"content-type": "application/yaml"}
    )
    assert answer.status_code == 422
    assert "zeppelin" in answer.json()["error"]
    assert not list(runs.iterdir())


def test_a_prior_that_reads_everything_is_not_asked(tmp_path):
    config = configs.from_mapping({"prompt": "a zeppelin", "prior": "analytic", "runs": str(tmp_path)})
    folders, refused = batch.create_folders(config)
    assert [f.config().prompt for f in folders] == ["a zeppelin"]
    assert refused == []


@pytest.fixture(scope="module")
def prior():
    """The prior in the box, loaded."""
    return embedded.create(embedded.Options())


@given(
    words=st.lists(st.sampled_from(["a", "Red", "cube", "with", "hat", "<eos>", "zeppelin", ",", "!"]), max_size=15),
    negative=st.sampled_from(["", "a car", "fog"]),
    view_words=st.booleans(),
    camera=st.booleans(),
    explicit=st.booleans(),
)  # fmt: skip
def test_the_early_answer_is_the_late_one(prior, words, negative, view_words, camera, explicit):
    """Without the network the same prompts are refused, with the same words, as by the loaded prior."""
    text = " ".join(words)
    if not explicit:
        view_words = not camera
    early = late = ""
    options = embedded.Options(condition_on_camera=camera)
    try:
        embedded.check_prompts(options, text, negative, view_words if explicit else None)
    except PromptError as error:
        early = str(error)
    try:
        prior.prepare(Prompts(text, negative, view_words))
    except PromptError as error:
        late = str(error)
    assert early == late


def test_a_broken_word_list_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "assets_folder", lambda: tmp_path)
    with pytest.raises(Sds3dError, match=r"prior64/tokenizer: the model's word list cannot be read"):
        embedded.check_prompts(embedded.Options(), "a cube", "", None)
