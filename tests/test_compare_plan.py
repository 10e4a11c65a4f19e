"""What a comparison is asked to be, and the runs that follow."""

from __future__ import annotations

import pytest
import torch
from compare_cases import FLAT, SOLID, asked_of, compared

from sds3d.core.errors import ConfigError, PromptError
from sds3d.jobs import configs, metrics
from sds3d.jobs.assemble import assemble
from sds3d.jobs.compare.plan import plan
from sds3d.jobs.counting import calls_of, steps_for
from sds3d.jobs.execute import execute
from sds3d.jobs.runfolder import RunFolder
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch


def config_of(method: str, **options):
    return configs.from_mapping({"prompt": "a red car", "guidance": {"method": method, **options}})


def test_every_prompt_seed_and_method_is_a_run(tmp_path):
    found = compared(tmp_path, words=("seed=5",))
    assert found.labels == ("sds", "csd")
    assert found.seeds == (5, 6)
    asked = [(cell.prompt, cell.seed, cell.label) for cell in found.cells]
    assert len(asked) == 8
    assert asked[:3] == [("a red car", 5, "sds"), ("a red car", 5, "csd"), ("a red car", 6, "sds")]
    for cell in found.cells:
        assert (cell.config.prompt, cell.config.seed) == (cell.prompt, cell.seed)
        assert cell.config.guidance.method == cell.label
        assert cell.config.representation.flat
        assert cell.config.optimize.views == 1
    assert len({configs.hash_of(cell.config) for cell in found.cells}) == 8


def test_options_of_a_method_are_its_own_and_a_label_may_be_any_word(tmp_path):
    text = FLAT + "methods: {ism: {cfg_scale: 3}, strong: {method: ism, cfg_scale: 30}, csd: }\nseeds: 1\n"
    found = plan(asked_of(tmp_path, text))
    scales = [found.config_of(label).guidance.cfg_scale(0.0) for label in ("ism", "strong")]
    assert scales == [3.0, 30.0]
    assert found.config_of("strong").guidance.method == "ism"
    fewer = plan(asked_of(tmp_path, text, methods="strong,csd"))
    assert fewer.labels == ("strong", "csd")
    assert fewer.config_of("strong") == found.config_of("strong")


def test_the_command_line_wins(tmp_path):
    text = FLAT + "methods: [sds, csd]\nseeds: 3\nequal: steps\n"
    found = plan(asked_of(tmp_path, text, words=("optimize.steps=9",), seeds=1, methods="nfsd"))
    assert found.labels == ("nfsd",)
    assert found.seeds == (0,)
    assert found.config_of("nfsd").optimize.steps == 9


def test_a_mode_takes_its_representation(tmp_path):
    assert not plan(asked_of(tmp_path, SOLID, methods="sds")).flat
    flat = plan(asked_of(tmp_path, SOLID, methods="sds", mode="2d", words=("representation.azimuth_deg=30",)))
    assert flat.flat
    assert flat.config_of("sds").representation.azimuth_deg == 30.0
    assert flat.config_of("sds").optimize.views == 2
    with pytest.raises(ConfigError, match="2d"):
        plan(
            asked_of(tmp_path, FLAT, "other.yaml", words=("representation=image",), methods="sds", mode="3d")
        )


@pytest.mark.parametrize(
    ("text", "given", "told"),
    [
        (FLAT, {}, "names no methods"),
        (FLAT + "methods: [sds, cds]\n", {}, r"prompts\.yaml:7: methods\.cds: unknown method"),
        (
            FLAT + "methods:\n  sds: {}\n  ism: {cfg_scal: 3}\n",
            {},
            r"prompts\.yaml:9: .*Did you mean cfg_scale",
        ),
        (FLAT + "guidance: sds\n", {"methods": "sds"}, r"prompts\.yaml:7: guidance"),
        (FLAT + "methods: [sds]\nseeds: 0\n", {}, r"prompts\.yaml:8: seeds"),
        (FLAT + "equal: time\n", {"methods": "sds"}, "equal"),
        (FLAT, {"methods": "sds", "equal": "nfse"}, "command line: equal"),
        (FLAT, {"methods": "sds,dds"}, "edits a given object"),
        (FLAT, {"methods": "sds,csdd"}, "Did you mean csd"),
        (FLAT, {"methods": "sds", "budget": 9}, "budget: counts network calls"),
        (FLAT, {"methods": "sds", "words": ("seeds=2",)}, "Write --seeds"),
        (FLAT, {"methods": "sds", "words": ("export=glb",)}, "export: asks for glb"),
        (FLAT, {"methods": "sds", "mode": "2d", "words": ("representation=grid",)}, "Take --mode 3d"),
        (
            FLAT + "representation: {azimuth_deg: 30}\n",
            {"methods": "sds,cfd"},
            r"methods\.cfd: .*guidance\.noise=fixed",
        ),
        (FLAT.replace("prior:", "priro:"), {"methods": "sds"}, r"prompts\.yaml:2: priro: unknown key"),
        ("prompts: a\nmethods: [sds]\n", {}, r"prompts\.yaml:1"),
        ("- a\n", {"methods": "sds"}, "expected keys and values"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path, text, given, told):
    with pytest.raises(ConfigError, match=told):
        plan(asked_of(tmp_path, text, **given))


def test_a_prompt_that_is_written_twice_counts_once(tmp_path):
    found = plan(asked_of(tmp_path, SOLID, words=("prompts=[a red cube, a red cube]",), methods="sds"))
    assert found.prompts == ("a red cube",)
    assert len(found.cells) == len(found.seeds)


def test_prompts_that_the_prior_cannot_read_are_left_out_and_told(tmp_path):
    text = "prompts: [a red car, a red zeppelin]\nmethods: [sds]\nmode: 2d\n"
    found = plan(asked_of(tmp_path, text))
    assert found.prompts == ("a red car",)
    assert [r.prompt for r in found.refused] == ["a red zeppelin"]
    assert "zeppelin" in found.refused[0].reason
    with pytest.raises(PromptError, match="zeppelin"):
        plan(asked_of(tmp_path, text.replace("a red car, ", "")))


COSTS = {"sds": 2, "csd": 2, "cfd": 2, "nfsd": 3, "asd": 3, "vsd": 4, "esd": 5, "hifa": 4}
"""Predictions a view and step, the critic's training included."""


@pytest.mark.parametrize("method", COSTS)
def test_calls_are_counted_before_anything_runs(method):
    options = {"switch": 0.0} if method == "nfsd" else {}
    assert calls_of(config_of(method, **options), 10) == 10 * COSTS[method]


@pytest.mark.parametrize(("method", "budget"), [("sds", 1), ("sds", 4001), ("asd", 100), ("hifa", 100)])
def test_a_budget_is_met_to_half_a_step(method, budget):
    assert steps_for(config_of(method), budget) == max(1, round(budget / COSTS[method]))


@pytest.mark.parametrize("method", ["ism", "sdi"])
def test_walks_are_counted_over_the_run(tmp_path, method):
    """What a walk costs depends on t: the run's own count is near the one that was foreseen."""
    text = FLAT.replace("[a red car, a green sphere]", "[a red car]")
    found = compared(tmp_path, text, methods=method, seeds=1, equal="nfe", budget=120)
    folder = RunFolder.create(found.cells[0].config)
    execute(folder)
    rows = list(metrics.read(folder.metrics_file))
    assert len(rows) == found.cells[0].config.optimize.steps
    assert sum(row["nfe"] for row in rows) == pytest.approx(120, rel=0.12)


def test_the_budget_of_the_first_method_is_the_default(tmp_path):
    found = compared(tmp_path, methods="sds,nfsd,asd", equal="nfe")
    assert found.budget == 12.0
    assert [found.config_of(label).optimize.steps for label in found.labels] == [6, 4, 4]
    steps = compared(tmp_path, methods="sds,asd")
    assert steps.budget is None
    assert {cell.config.optimize.steps for cell in steps.cells} == {6}


def test_all_methods_see_the_same_cameras_backgrounds_and_noise(tmp_path):
    text = SOLID + "methods: {sds: {weight: uniform}, csd: {weight: uniform}, asd: {shift: 0.2}}\n"
    found = compared(tmp_path, text, methods=None, seeds=1)
    stages = [assemble(cell.config, Stopwatch()) for cell in found.cells]
    for step in (0, 3):
        looks = [stage.look(step) for stage in stages]
        for look in looks[1:]:
            assert torch.equal(look.cameras.c2w, looks[0].cameras.c2w)
            assert torch.equal(look.background, looks[0].background)
            assert torch.equal(look.jitter, looks[0].jitter)
    assert len({stage.streams.seed for stage in stages}) == 1
    times = [Session(stage).gradients().log["t"] for stage in stages[:2]]
    assert times[0] == times[1]
    starts = [stage.representation.state_dict() for stage in stages]
    assert all(torch.equal(a, b) for a, b in zip(flat(starts[0]), flat(starts[1]), strict=True))


def flat(tree):
    """The tensors of a tree, in order."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [t for _, part in sorted(tree.items()) for t in flat(part)] if isinstance(tree, dict) else []
