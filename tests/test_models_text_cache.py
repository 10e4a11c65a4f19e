"""Text tensors are kept by content; a run that is out of memory stops with its state saved and advice."""

from __future__ import annotations

import shutil

import pytest
import torch
from family_cases import folder_of, load
from small_run import silent, small_folder

from sds3d.core.errors import Sds3dError
from sds3d.jobs import assemble, batch, configs
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.priors import text_cache
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.analytic import AnalyticPrior


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache."""
    monkeypatch.setenv("SDS3D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "text"


@pytest.fixture
def encoded(monkeypatch):
    """The words that text encoders were loaded for."""
    from sds3d.priors.kinds.diffusers import DiffusersPrior

    done = []
    real = DiffusersPrior.prepare
    monkeypatch.setattr(
        DiffusersPrior, "prepare", lambda self, words: done.append(words) or real(self, words)
    )
    return done


def test_the_same_words_are_encoded_once(encoded, cache):
    prior = load(folder_of("sd1"))
    first = text_cache.prepare(prior, Prompts("a fox", "blurry"))
    again = text_cache.prepare(load(folder_of("sd1")), Prompts("a fox", "blurry"))
    assert len(encoded) == 1
    assert first.tensors.keys() == again.tensors.keys()
    assert all(torch.equal(first.tensors[k], again.tensors[k]) for k in first.tensors)
    assert not [p for p in cache.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    "other", [Prompts("a wolf", "blurry"), Prompts("a fox", ""), Prompts("a fox", "blurry", view_words=True)]
)
def test_other_words_are_other_tensors(encoded, other):
    prior = load(folder_of("sd1"))
    text_cache.prepare(prior, Prompts("a fox", "blurry"))
    text_cache.prepare(prior, other)
    assert len(encoded) == 2


@pytest.mark.parametrize("name", ["text_encoder/model.safetensors", "tokenizer/tokenizer_config.json"])
def test_another_encoder_or_tokenizer_is_another_key(tmp_path, name):
    shutil.copytree(folder_of("sd1"), tmp_path / "copy")
    prior = load(tmp_path / "copy")
    words = Prompts("a fox")
    before = text_cache.key(prior.layout, prior.options, words)
    assert before == text_cache.key(load(folder_of("sd1")).layout, prior.options, words)
    data = bytearray((tmp_path / "copy" / name).read_bytes())
    data[-2] ^= 1
    (tmp_path / "copy" / name).write_bytes(bytes(data))
    assert text_cache.key(prior.layout, prior.options, words) != before


def test_a_damaged_file_is_made_again(encoded, cache):
    prior = load(folder_of("sd1"))
    text_cache.prepare(prior, Prompts("a fox"))
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:50])
    text_cache.prepare(prior, Prompts("a fox"))
    assert len(encoded) == 2
    text_cache.prepare(prior, Prompts("a fox"))
    assert len(encoded) == 2


def test_a_place_that_cannot_be_written_costs_only_the_cache(encoded, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SDS3D_CACHE", str(tmp_path / "file"))
    assert text_cache.prepare(load(folder_of("sd1")), Prompts("a fox")).tensors
    assert "are not kept" in caplog.text


def test_out_of_memory_in_a_step_saves_the_state_and_advises(tmp_path, monkeypatch):
    real, calls = AnalyticPrior.predict, []

    def predict(self, *args, **options):
        calls.append(1)
        if len(calls) == 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.\nMore words")
        return real(self, *args, **options)

    monkeypatch.setattr(AnalyticPrior, "predict", predict)
    folder = small_folder(tmp_path, optimize__checkpoint_steps=100)
    (outcome,) = batch.run_batch([folder], silent)
    assert outcome.state == "failed"
    state = CheckpointStore(folder.checkpoints).latest()
    assert (
        f"out of memory at step {state.step}: CUDA out of memory. Tried to allocate 20 MiB." in outcome.reason
    )
    assert state.step > 0
    for words in ("The state is saved in checkpoints/", "prior.memory=lean", "--dry-run", "optimize.views"):
        assert words in outcome.reason
    assert "\n" not in outcome.reason
    (outcome,) = batch.run_batch([folder], silent)
    assert outcome.state == "finished", outcome.reason


def test_out_of_memory_at_load(tmp_path, monkeypatch):
    def full(options, device, **extras):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(assemble.registry, "create_prior", full)
    config = configs.from_words(["a fox", f"prior={folder_of('sd1')}"])
    with pytest.raises(Sds3dError, match=r"while loading the prior .*prior\.memory=lean"):
        assemble.load_prior(config.prior)
