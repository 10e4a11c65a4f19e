"""The loop: exact resume, stopping, the sentinel, and what it reports."""

import pytest
import torch
from toys import SIDE, ColorPrior, Recorder, store, toy_stage

from sds3d.core.errors import NonFiniteError, StopRequested
from sds3d.optimize.checkpoint import read_state
from sds3d.optimize.loop import Session, sheet, train
from sds3d.optimize.timing import Stopwatch, TimedPrior
from sds3d.priors.base import Prediction


def test_it_learns_the_colour(tmp_path):
    stage = toy_stage(steps=60)
    train(stage, store(tmp_path))
    with torch.no_grad():
        render = stage.representation.render(stage.look(0))
    solid = render["alpha"][:, 0] > 0.9
    assert solid.any()
    seen = render["rgb"].permute(0, 2, 3, 1)[solid].mean(0)
    assert (
        seen - torch.tensor([1.0, 0.0, 0.0])
    ).abs().max() < 0.35  # cfg 2 extrapolates the colour away from grey


@pytest.mark.parametrize("stop", [1, 4, 5, 11])
def test_resume_is_bit_identical(tmp_path, stop):
    whole = train(toy_stage(), store(tmp_path / "whole"))
    first = store(tmp_path / "split")
    with pytest.raises(StopRequested, match=f"step {stop} of 12"):
        train(toy_stage(), first, Recorder(stop_after=stop))
    start = first.latest()
    assert start.step == stop
    recorder = Recorder()
    resumed = train(toy_stage(), first, recorder, start)
    assert resumed.hash() == whole.hash()
    assert [r.step for r in recorder.reports] == list(range(stop + 1, 13))


def test_seed_and_config_change_the_state(tmp_path):
    base = train(toy_stage(), store(tmp_path / "a"))
    assert train(toy_stage(), store(tmp_path / "b")).hash() == base.hash()
    assert train(toy_stage(seed=1), store(tmp_path / "c")).hash() != base.hash()


def test_checkpoints_previews_and_reports(tmp_path):
    recorder, place = Recorder(), store(tmp_path, keep=2)
    train(toy_stage(preview_steps=5), place, recorder)
    assert recorder.checkpoints == [0, 4, 8, 12]
    assert [read_state(p).step for p in place.list()] == [8, 12]
    assert [step for step, _ in recorder.previews] == [1, 6, 11, 12]
    pictures = recorder.previews[0][1]
    assert pictures["render"].shape == (3, 16, 16)
    assert pictures["views"].shape == pictures["x0"].shape == (3, SIDE, 2 * SIDE)
    assert all(p.min() >= 0 and p.max() <= 1 for p in pictures.values())
    last = recorder.reports[-1]
    assert (last.step, last.total) == (12, 12)
    assert {"t", "residual", "nfe", "alpha", "loss_tv"} <= set(last.metrics)


def test_time_alone_makes_checkpoints(tmp_path):
    recorder = Recorder()
    train(toy_stage(checkpoint_steps=1000, checkpoint_seconds=1e-9), store(tmp_path), recorder)
    assert recorder.checkpoints == list(range(13))


def test_gradients_change_nothing_and_replay(tmp_path):
    session = Session(toy_stage())
    before = session.state().hash()
    first = session.gradients().params
    assert session.state().hash() == before
    again = session.gradients().params
    assert all(torch.equal(first[k], again[k]) for k in first)


def test_progressive_size(tmp_path):
    stage = toy_stage(steps=10, size={"piecewise": [[0, 4], [0.5, 16]]})
    assert [stage.size(s) for s in (0, 5, 9)] == [(4, 4), (16, 16), (16, 16)]
    assert stage.look(0).jitter.shape == (2, 4, 4, 2)
    train(stage, store(tmp_path))


def test_looks_are_pure_in_the_step_and_jitter_is_an_option():
    a, b = toy_stage(), toy_stage()
    for step in (3, 0, 7):
        x, y = a.look(step), b.look(step)
        assert torch.equal(x.cameras.c2w, y.cameras.c2w)
        assert torch.equal(x.background, y.background)
        assert torch.equal(x.jitter, y.jitter)
        assert torch.equal(x.ray_offset, y.ray_offset)
    assert a.look(0).jitter.abs().max() <= 0.5
    assert a.look(0).ray_offset.min() >= 0
    plain = toy_stage(jitter=False).look(0)
    assert plain.jitter is None
    assert plain.ray_offset is None


class PoisonedPrior(ColorPrior):
    """Answers NaN for one view from call 3 on."""

    def predict(self, z_t, t, cond):
        p = super().predict(z_t, t, cond)
        if self.calls < 4:
            return p
        eps = p.eps.clone()
        eps[1, 0, 2, 3] = float("nan")
        return Prediction(lambda form: eps if form == "eps" else getattr(p, form))


def test_the_sentinel_names_the_culprit_and_leaves_a_repro(tmp_path):
    place = store(tmp_path)
    stage = toy_stage(prior=PoisonedPrior())
    with pytest.raises(NonFiniteError) as caught:
        train(stage, place)
    text = str(caught.value)
    for words in (
        "guidance.z[1, 0, 2, 3] became nan at step 3",
        "t = 0.",
        "seed 0",
        "azimuth",
        "it is the prior's network that overflowed",
    ):
        assert words in text
    assert text.count("azimuth") == 1  # only the view at fault
    repro = next(tmp_path.glob("non_finite_step*.safetensors"))
    assert str(repro) in text
    assert read_state(repro).step == 3
    assert place.latest().step == 0
    poisoned = PoisonedPrior()
    poisoned.calls = 10
    with pytest.raises(NonFiniteError, match="step 3"):  # the repro replays the step
        train(toy_stage(prior=poisoned), store(tmp_path / "again"), start=read_state(repro))


def test_times_add_up(tmp_path):
    watch = Stopwatch()
    recorder = Recorder()
    train(toy_stage(prior=TimedPrior(ColorPrior(), watch)), store(tmp_path), recorder, watch=watch)
    for report in recorder.reports:
        parts = {k: v for k, v in report.seconds.items() if k != "total"}
        assert {"prior", "render", "encode", "backward", "optimizer", "rest"} <= set(parts)
        assert sum(parts.values()) == pytest.approx(report.seconds["total"])
        assert all(v >= -1e-6 for v in parts.values())


def test_timed_prior_changes_nothing(tmp_path):
    watch = Stopwatch()
    timed = train(toy_stage(prior=TimedPrior(ColorPrior(), watch)), store(tmp_path / "a"), watch=watch)
    assert timed.hash() == train(toy_stage(), store(tmp_path / "b")).hash()


def test_views_are_laid_out_as_squarely_as_can_be():
    views = torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 3, 1, 2) / 10
    row = [0, 0, 1, 1, 2, 2]
    torch.testing.assert_close(sheet(views)[0] * 10, torch.tensor([row, [3, 3, 4, 4, 10, 10]]).float())
    assert sheet(views[:4]).shape == (3, 2, 4)
    assert sheet(views[:2]).shape == (3, 1, 4)
    assert sheet(views[:1]).shape == (3, 1, 2)
