"""Sounds through the whole way, on a small prior with random weights: training, runs, separation, report."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from sds3d.apps.report import write_report

from sds3d.assetio import read, write
from sds3d.core.assets import Sound
from sds3d.core.errors import ConfigError, PromptError, StopRequested
from sds3d.core.streams import Streams
from sds3d.jobs import configs
from sds3d.jobs.assemble import check_prompt
from sds3d.jobs.execute import execute
from sds3d.jobs.plan import count_calls
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.separating import heard, separation
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.events import Silent
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.audio import Options, load_folder
from sds3d.priors.scorer import load_scorer
from sds3d.priors.sound_scorer import SoundScorer
from sds3d.priors.spectrogram import Codec
from sds3d.training.options import TextOptions
from sds3d.training.sound_options import SoundNetworkOptions, SoundSetOptions, SoundTrainOptions
from sds3d.training.sound_report import evaluate_sounds
from sds3d.training.sound_run import sample, train

TEXT = TextOptions(steps=2, batch=4, size=16, channels=(8, 8), strides=(2, 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Options of a run of a few steps that is finished."""
    options = SoundTrainOptions(
        folder=tmp_path_factory.mktemp("audio"), images=8, batch=4, text=TEXT, judge=TEXT, precision="float32",
        sounds=SoundSetOptions(kinds=("beep", "bell"), per_kind=6),
        network=SoundNetworkOptions(channels=(8, 16), attention=(False, True)),
    )  # fmt: skip
    assert train(options, lambda: False, lambda line: None) == options.folder / "model"
    return options


def config_of(trained, tmp_path, *words):
    """A short run with the trained model."""
    return configs.from_words(
        ["a high bell", "prior.kind=audio", f"prior.folder={trained.folder / 'model'}", "prior.precision=float32",
         f"runs={tmp_path}", "optimize.steps=4", "optimize.views=1", "optimize.preview_steps=0",
         "optimize.checkpoint_steps=2", "pictures.contact_size=64", *words]
    )  # fmt: skip


def test_training_leaves_a_prior_that_samples_and_can_be_judged(trained):
    prior = load_folder(trained.folder / "model", Options(precision="float32"))
    assert prior.info.rate == 16_000
    z = sample(prior, ["a beep", "a bell"], steps=2)
    assert z.shape == (2, 1, 64, 32)
    assert float(z.abs().max()) <= 1.0
    embedded = prior.prepare(Prompts("a bell"))
    assert float(embedded.tensors["null.pooled"].abs().max()) == 0.0
    with pytest.raises(PromptError, match="castle"):
        prior.prepare(Prompts("a castle"))
    result = evaluate_sounds(trained, captions=2, seeds=1, say=lambda line: None)
    assert result["seen"]["of"] >= 10
    assert set(result["error at t 0.9"]) == {"right", "null", "wrong caption"}
    scorer = SoundScorer(load_scorer(trained.folder / "judge"), Codec())
    ranked = scorer.ranks(prior.decode(z[:1]), ["a beep"], ["a beep", "a bell"])
    assert ranked[0] in (1, 2)


@pytest.mark.parametrize(("kind", "method"), [("fm", "audiosds"), ("impact", "sds")])
def test_a_sentence_becomes_a_sound(trained, tmp_path, kind, method):
    config = config_of(trained, tmp_path, f"representation={kind}", f"guidance={method}")
    folder = RunFolder.create(config)
    execute(folder, finishers=[write_report])
    sound = read(folder.path / "asset.wav").sound
    assert (sound.rate, sound.samples.shape[1]) == (16_000, 16_384)
    assert folder.contact.is_file()
    assert "data:audio/wav;base64," in folder.report.read_text()


class StopAfter(Silent):
    """Asks to stop after so many steps."""

    def __init__(self, steps: int):
        self.left = steps

    def on_step(self, report) -> None:
        self.left -= 1

    def stop_requested(self) -> bool:
        return self.left <= 0


def test_a_stopped_sound_ends_in_the_same_bits(trained, tmp_path):
    hashes = []
    for name, steps in (("whole", 99), ("stopped", 1)):
        few = ("optimize.steps=2", "optimize.checkpoint_steps=1")
        config = config_of(trained, tmp_path / name, "representation=impact", "guidance=audiosds", *few)
        folder = RunFolder.create(config)
        if steps < 2:
            with pytest.raises(StopRequested):
                execute(folder, StopAfter(steps))
        execute(folder)
        hashes.append(CheckpointStore(folder.checkpoints).latest().hash())
    assert hashes[0] == hashes[1]


def test_a_recording_is_taken_apart_by_words(trained, tmp_path):
    mixture = Sound(0.3 * Streams(0).normal((1, 16_384), "mix")[0].clamp(-1, 1), 16_000)
    write(mixture, tmp_path / "mix.wav")
    config = separation(
        tmp_path / "mix.wav", ["a beep", "a low bell"],
        ["prior.kind=audio", f"prior.folder={trained.folder / 'model'}", f"runs={tmp_path}", "optimize.steps=2",
         "optimize.views=1", "optimize.preview_steps=1", "prior.precision=float32"],
    )  # fmt: skip
    check_prompt(config)
    folder = RunFolder.create(config)
    execute(folder, finishers=[write_report])
    parts = [read(folder.path / name).sound.samples for name in ("asset.wav", "asset_2.wav")]
    assert float((sum(parts) - mixture.samples).abs().max()) < 1e-3
    assert folder.report.read_text().count("data:audio/wav;base64,") == 2
    width, height = Image.open(folder.contact).size  # a row a source, three times as wide as high
    assert (width, height // 2) == (3 * 192, 193)
    with pytest.raises(PromptError, match="castle"):
        check_prompt(
            separation(
                tmp_path / "mix.wav", ["a beep", "a castle"], [f"prior.folder={trained.folder / 'model'}"]
            )
        )


def test_calls_of_a_method_that_hears_are_counted():
    """A dry run counted on pictures, and told that it could not."""
    config = configs.from_mapping(
        {"prompt": "a high bell", "representation": "fm", "guidance": "audiosds", "guidance.moves": 3}
    )
    assert count_calls(config) == (6, "")
    longest = configs.from_mapping(
        {
            "prompt": "a high bell",
            "representation": "impact",
            "guidance": "audiosds",
            "guidance.windows": [16384],
        }
    )
    assert count_calls(longest) == (8, "")


def test_what_is_heard_is_told_in_words():
    said = {"representation": "fm", "prompt": "a high bell"}
    assert heard(configs.from_mapping(said)) == ("a high bell",)
    assert heard(configs.from_mapping(said | {"particles": 2})) == ("a high bell",) * 2
    assert heard(separation(Path("mix.wav"), ["a beep", "a bell", "rain"])) == ("a beep", "a bell", "rain")
    assert heard(configs.from_mapping({"prompt": "a red car"})) == ()


def test_sounds_ask_for_the_prior_that_hears():
    assert configs.from_words(["a bell", "representation=fm"]).prior.kind == "audio"
    assert configs.from_words(["a bell", "representation=image"]).prior.kind == "embedded"
    with pytest.raises(ConfigError, match="2 to 8 sources"):
        separation(__file__, ["a bell"])


def test_a_prior_of_pictures_is_told_before_it_is_asked(tmp_path):
    config = configs.from_mapping(
        {"prompt": "a bell", "representation": "fm", "prior": {"kind": "analytic"}, "runs": str(tmp_path)}
    )
    with pytest.raises(ConfigError, match="judges pictures"):
        execute(RunFolder.create(config))


def test_a_prior_of_sounds_is_refused_by_a_scene(trained, tmp_path):
    config = config_of(trained, tmp_path, "representation=image", "guidance=sds")
    with pytest.raises(ConfigError, match="hears sounds"):
        execute(RunFolder.create(config))
