"""Network calls of the methods that edit: what a run logs is what the prior was asked, and what was foreseen."""

from __future__ import annotations

import pytest
from compare_cases import compared
from edit_cases import edit_config, splat_file

from sds3d.jobs.assemble import assemble
from sds3d.jobs.counting import calls_of
from sds3d.jobs.plan import count_calls
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch

STEPS = 4
METHODS = {
    "dds": {},
    "pds": {},
    "dreamcatalyst": {},
    "ssd_edit": {},
    "csd_edit": {},
    "csd_collab": {},
    "lusd": {},
    "sdedit": {"moves": 3},
    "dataset_update": {"moves": 3, "every": 2},
}
CONDITIONS = {"y": {"mean": 0.6, "std": 0.5}, "null": {"std": 0.5}, "src": {"mean": -0.4, "std": 0.3}}
"""Answers that differ from pixel to pixel, as those of networks: one that differs by a constant is drawn anew."""


def spent(config) -> tuple[float, float, int]:
    """(predictions a view and rows that a run of these steps logs, rows that its prior was asked)."""
    session = Session(assemble(config, Stopwatch()))
    prior, asked = session.stage.prior, [0]
    real = prior.predict

    def predict(z_t, t, cond):
        asked[0] += len(z_t)
        return real(z_t, t, cond)

    prior.predict = predict
    logs = []
    for step in range(config.optimize.steps):
        session.step = step
        logs.append(session.gradients().log)
    return sum(float(log["nfe"]) for log in logs), sum(float(log["rows"]) for log in logs), asked[0]


def config_of(folder, method, **changes):
    return edit_config(
        folder / "runs",
        folder / "some.3dgs.ply" if (folder / "some.3dgs.ply").is_file() else splat_file(folder),
        guidance={"method": method, **METHODS[method]},
        optimize__steps=STEPS,
        **({"cameras": {"places": 4}} if method == "dataset_update" else {}),
        **{"prior": {"kind": "analytic", "shape": [3, 8, 8], "conditions": CONDITIONS}, **changes},
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_run_logs_what_its_prior_was_asked_and_what_was_foreseen(tmp_path, method):
    config = config_of(tmp_path, method)
    calls, rows, asked = spent(config)
    assert rows == asked
    assert calls == asked / config.optimize.views
    assert calls_of(config, STEPS) == pytest.approx(calls)


def test_a_dry_run_tells_the_mean_of_a_run(tmp_path):
    """The first step of a dataset update makes a picture, as not every one does."""
    assert count_calls(config_of(tmp_path, "dataset_update")) == (9 / 2 / 2, "")


def test_calls_of_a_prior_with_attention_hold_those_of_the_mask(tmp_path):
    """Of the first step the mask counts nothing, so that nobody asks for it."""
    words = {"prompt": "a blue car", "edit__prompt": "a red car"}
    embedded = config_of(tmp_path, "lusd", prior={"kind": "embedded", "model": "prior32"}, **words)
    assert spent(embedded)[0] == calls_of(embedded, STEPS) == 2 * STEPS + STEPS - 1
    assert calls_of(config_of(tmp_path, "lusd"), STEPS) == 2 * STEPS


def test_what_one_view_costs_is_shared_by_as_many_as_there_are(tmp_path):
    """Dataset update asks about one view of a step's, however many these are."""
    two, four = (calls_of(config_of(tmp_path, "dataset_update", optimize__views=n), STEPS) for n in (2, 4))
    assert two == 2 * four


def test_lusd_has_as_many_calls_as_the_others_in_a_comparison(tmp_path):
    file = splat_file(tmp_path)
    text = f"""\
prompts: [a blue thing]
edit: {{source: {file}, prompt: a red thing, up: +y}}
prior: {{kind: analytic, shape: [3, 8, 8], conditions: {{y: {{mean: 0.6}}, 'null': {{}}, src: {{std: 0.3}}}}}}
optimize: {{steps: 12, views: 2}}
pictures: {{turntable_frames: 0, contact_views: 2, contact_size: 16}}
threads: 1
"""
    found = compared(tmp_path, text, methods="dds,lusd", seeds=1, equal="nfe", budget=48)
    steps = {cell.label: cell.config.optimize.steps for cell in found.cells}
    assert steps == {"dds": 12, "lusd": 24}
