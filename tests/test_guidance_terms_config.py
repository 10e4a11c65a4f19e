"""Several guidances, and several particles, as they stand in a config: from YAML to a run that ends and resumes."""

from __future__ import annotations

import json

import pytest
from sds3d.apps.report.page import write_report
from sds3d.apps.report.schedules import panels
from small_run import SMALL, StopAt, small_config, small_folder

from sds3d.config import load, source
from sds3d.core.errors import ConfigError, StopRequested
from sds3d.core.tree import tree_hash
from sds3d.jobs import configs, execute, metrics
from sds3d.jobs.assemble import build_representation
from sds3d.jobs.lint import warnings
from sds3d.jobs.plan import count_calls
from sds3d.jobs.schema import RunConfig
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.events import Silent

TEXT = """
prompt: a red cube
guidance:
  mix: alternate
  terms:
    - {guidance: sds, chance: 2}
    - name: detail
      guidance: {method: vsd, cfg_scale: 7.5}
      prior: {kind: analytic, shape: [3, 8, 8]}
      cameras: {elevation_deg: [0, 10]}
      size: 32
      factor: {linear: [0.2, 1]}
      stream: 1
"""
TWO = {
    "mix": "sum",
    "terms": [
        {"guidance": {"method": "sds", "cfg_scale": 3}},
        {"guidance": "csd", "name": "sharp", "factor": 0.5, "size": 12, "stream": 1},
    ],
}


def parsed(text: str) -> RunConfig:
    return configs.from_document(source.parse(text, "run.yaml"))


def test_from_yaml_and_back():
    config = parsed(TEXT)
    first, second = config.guidance.terms
    assert (first.name, second.name) == ("sds", "detail")
    assert (first.guidance.method, second.guidance.method) == ("sds", "vsd")
    assert (second.factor(0.0), second.factor(1.0)) == (0.2, 1.0)
    again = load.validate(RunConfig, source.parse(configs.to_yaml(config), "again"))
    assert again == config
    assert configs.hash_of(again) == configs.hash_of(config)
    one, two = config.apart()
    assert one.config.prior.kind == "embedded"
    assert two.config.prior.kind == "analytic"
    assert two.config.cameras.elevation_deg == (0.0, 10.0)
    assert two.config.optimize.size(0.0) == 32.0
    assert one.config.optimize.size == config.optimize.size
    assert [alone.config.guidance for alone in (one, two)] == [first.guidance, second.guidance]


def test_a_term_is_completed_by_what_its_own_prior_recommends():
    first, second = parsed(TEXT).guidance.terms
    alone = configs.from_words(["a red cube"]).guidance
    assert first.guidance == alone, "the embedded prior's values for sds"
    plain = configs.from_mapping({"prompt": "x", "prior": SMALL["prior"], "guidance": "vsd"}).guidance
    assert second.guidance == plain.model_copy(update={"cfg_scale": second.guidance.cfg_scale})


def test_a_single_guidance_is_its_own_term():
    config = configs.from_words(["a red cube", "guidance=csd"])
    (alone,) = config.apart()
    assert (alone.name, alone.config, alone.guidance) == ("", config, config.guidance)


def test_terms_from_the_command_line():
    words = ["a red cube", "guidance={terms: [sds2, csd]}"]
    with pytest.raises(ConfigError, match=r"guidance\.terms\[0\]"):
        configs.from_words(words)
    words[1] = "guidance={terms: [{guidance: sds}, {guidance: csd}]}"
    config = configs.from_words([*words, "guidance.terms.1.guidance.omega1=2", "guidance.mix=alternate"])
    assert config.guidance.terms[1].guidance.omega1(0.0) == 2.0
    assert config.guidance.mix == "alternate"


@pytest.mark.parametrize(
    ("guidance", "said"),
    [
        ({"terms": [{"guidance": "sds"}, {"guidance": "sds"}]}, "two terms are called 'sds'"),
        ({"terms": [{"guidance": "sds", "factor": 0}]}, "at progress 0 the factor of every term is 0"),
        ({"terms": []}, r"guidance\.terms"),
        ({"terms": [{"guidance": "sds", "chance": 2}]}, "sds has a chance, which only `mix: alternate`"),
        ({"terms": [{"guidance": "sds", "chance": 0}], "mix": "alternate"}, r"terms\[0\]\.chance"),
        ({"terms": [{"guidance": "sds", "name": "a.b"}]}, r"terms\[0\]\.name"),
        ({"terms": [{"guidance": "sds"}], "mix": "both"}, r"guidance\.mix: expected one of"),
        ({"terms": [{"guidance": "sds", "factr": 2}]}, r"Did you mean factor\?"),
        ({"terms": [{"guidance": {"cfg_scal": 2}}]}, r"Did you mean cfg_scale\?"),
        ({"terms": [{"guidance": "sdss"}]}, r"Did you mean sds\?"),
        ({"terms": [{"guidance": {"terms": [{"guidance": "sds"}]}}]}, r"terms\[0\]\.guidance"),
        ({"term": [{"guidance": "sds"}]}, "unknown key"),
        ("several", r"guidance\.terms: is required"),
    ],
)
def test_what_does_not_go_together_is_told(guidance, said):
    with pytest.raises(ConfigError, match=said):
        configs.from_mapping({"prompt": "a red cube", "guidance": guidance})


def test_the_schema_offers_terms():
    schema = json.dumps(configs.schema()["properties"]["guidance"])
    assert "TermsOptions" in schema


def test_plot_lint_and_plan_look_at_every_term():
    config = parsed(TEXT)
    titles = [panel.title for panel in panels(config)]
    assert {"sds: t between", "detail: t between", "detail: factor", "detail: size"} <= set(titles)
    assert titles.count("optimize.lr") == 1
    hot = TEXT.replace("cfg_scale: 7.5", "cfg_scale: 100")
    assert warnings(config) == []
    (warning,) = warnings(parsed(hot))
    assert warning.startswith("detail: guidance.cfg_scale reaches 100 with vsd")
    # sds asks twice, vsd three times and once to train: a third of the steps are vsd's
    assert count_calls(config) == (pytest.approx(2 * 2 / 3 + 4 / 3), "")
    assert count_calls(parsed(TEXT.replace("alternate", "sum").replace(", chance: 2", ""))) == (6, "")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = small_folder(tmp_path_factory.mktemp("runs"), guidance=TWO, particles=2)
    execute.execute(folder)
    return folder


def numbers(folder):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in metrics.read(folder.metrics_file)]


def test_a_run_of_two_terms_and_two_particles(finished):
    rows = numbers(finished)
    assert len(rows) == 8
    assert {"sds.residual", "sharp.residual", "sds.t", "nfe", "rows"} <= set(rows[0])
    # two branches each, of 2 views of 2 particles
    assert (rows[0]["nfe"], rows[0]["rows"]) == (4.0, 16.0)
    assert {p.name for p in finished.path.glob("asset*")} == {"asset.glb", "asset_2.glb"}
    page = write_report(finished).read_text()
    assert "sds.residual" in page
    assert "sharp.gradient" in page


class Killed(Silent):
    """Ends the process in the middle of a run, as far as the run can tell: nothing of it is saved."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, report):
        if report.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("watcher", "at"), [(StopAt(4), 4), (Killed(5), 3)])
def test_a_run_that_was_ended_ends_with_the_same_bits(tmp_path, finished, watcher, at):
    """Killed at step 5 it goes on from the checkpoint at 3, its metrics cut back to there."""
    folder = small_folder(tmp_path, guidance=TWO, particles=2)
    with pytest.raises((StopRequested, KeyboardInterrupt)):
        execute.execute(folder, watcher)
    assert CheckpointStore(folder.checkpoints).latest().step == at
    execute.execute(folder)
    ends = [CheckpointStore(f.checkpoints).latest().hash() for f in (folder, finished)]
    assert ends[0] == ends[1]
    assert numbers(folder) == numbers(finished)


def test_priors_of_several_terms_are_in_the_provenance(tmp_path):
    two = {
        "terms": [{"guidance": "sds"}, {"guidance": "csd", "prior": {"kind": "analytic", "shape": [3, 4, 4]}}]
    }
    folder = small_folder(tmp_path, guidance=two, optimize__steps=1)
    execute.execute(folder)
    assert list(folder.provenance()["priors"]) == ["sds", "csd"]


def test_particles_are_different_objects(finished):
    state = CheckpointStore(finished.checkpoints).latest().representation
    assert sorted(state) == ["particle0", "particle1"]
    assert tree_hash(state["particle0"]) != tree_hash(state["particle1"])


def test_the_first_particle_starts_as_the_only_one(tmp_path):
    """Its streams are the run's own."""
    alone, several = (
        build_representation(small_config(tmp_path, particles=count)).state_dict() for count in (1, 2)
    )
    assert tree_hash(several["particle0"]) == tree_hash(alone)
