"""Loss scaling against torch's own, and in the loop: exactness, overflows, resume, the stop after k in a row."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import sds3d.representations.gaussians as gaussians
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_run import small_folder
from toys import ColorPrior, Recorder, store, toy_stage

from sds3d.core.errors import NonFiniteError, StopRequested
from sds3d.core.streams import Streams
from sds3d.core.tree import tree_hash
from sds3d.jobs import execute, metrics
from sds3d.optimize.checkpoint import read_state
from sds3d.optimize.loop import Session, train
from sds3d.optimize.loss_scale import LossScaleOptions, LossScaler
from sds3d.optimize.options import OptimizeOptions
from sds3d.priors.base import Prediction


@given(
    overflows=st.lists(st.booleans(), max_size=40),
    start=st.sampled_from([1.0, 65536.0, 3.7]),
    growth=st.sampled_from([2.0, 1.5]),
    backoff=st.sampled_from([0.5, 0.25]),
    interval=st.integers(1, 4),
)
def test_the_rule_is_that_of_torch(overflows, start, growth, backoff, interval):
    """Scale for scale, step for step, skip for skip as torch.amp.GradScaler."""
    theirs = torch.amp.GradScaler("cpu", start, growth, backoff, interval)
    ours = LossScaler(LossScaleOptions(start=start, growth=growth, backoff=backoff, growth_interval=interval))
    x = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.1)
    for step, overflow in enumerate(overflows):
        before = x.detach().clone()
        theirs.scale(x.sum()).backward()
        (gradient,) = (x.grad.clone(),)
        if overflow:
            x.grad[1] = float("inf")
        theirs.step(optimizer)
        theirs.update()
        optimizer.zero_grad()
        ours.unscale([gradient])
        torch.testing.assert_close(gradient, torch.ones(2))
        assert torch.equal(x.detach(), before) == overflow
        if overflow:
            ours.skip(step, "x")
        else:
            ours.applied()
        assert ours.scale == pytest.approx(theirs.get_scale(), rel=1e-5)
    assert ours.skipped == sum(overflows)
    trailing = len(overflows) - max((k + 1 for k, o in enumerate(overflows) if not o), default=0)
    assert ours.in_a_row == trailing
    again = LossScaler(ours.options)
    again.load_state_dict(json.loads(json.dumps(ours.state_dict())))
    assert again.state_dict() == ours.state_dict()


def test_the_scale_stays_in_float32():
    scaler = LossScaler(LossScaleOptions(start=1e38, growth_interval=1, growth=4.0))
    for _ in range(3):
        scaler.applied()
    assert scaler.scale == 1e38


def test_when_it_is_used():
    assert not OptimizeOptions().scales_loss()
    for precision, use, expected in [
        ("float16", "auto", True),
        ("bfloat16", "auto", False),
        ("float32", "always", True),
        ("float16", "never", False),
    ]:
        assert OptimizeOptions(precision=precision, loss_scale={"use": use}).scales_loss() == expected
    for wrong in ({"start": 0}, {"growth": 1}, {"backoff": 1}, {"growth_interval": 0}, {"max_skips": 0}):
        with pytest.raises(ValidationError):
            LossScaleOptions(**wrong)
    assert "loss_scale" not in Session(toy_stage()).state().optimizer


class ConvPrior(ColorPrior):
    """An encoder with weights, which autocast computes in half precision."""

    def encode(self, media):
        kernel = torch.eye(3)[:, :, None, None] + 0.01
        self.dtype = (encoded := torch.nn.functional.conv2d(media, kernel)).dtype
        return super().encode(encoded)


class Faint:
    """A guidance whose cotangents are that much smaller."""

    def __init__(self, guidance, factor: float):
        self.guidance, self.factor = guidance, factor

    def __getattr__(self, name):
        return getattr(self.guidance, name)

    def guide(self, *args):
        cotangents, state, log = self.guidance.guide(*args)
        return {k: self.factor * v for k, v in cotangents.items()}, state, log


def field_gradient(factor: float, **options) -> torch.Tensor:
    """The gradient of the first step over that factor, without regularisers, flattened."""
    stage = toy_stage(prior=ConvPrior(), **options)
    session = Session(replace(stage, guidance=Faint(stage.guidance, factor)))
    object.__setattr__(session.stage.representation, "regularise", lambda *_: {})
    found = session.gradients().params
    assert session.stage.prior.dtype == getattr(torch, options.get("precision", "float32"))
    return torch.cat([g.flatten() for _, g in sorted(found.items())]) / factor


def test_small_gradients_come_back_through_half_precision():
    """Cotangents of 1e-9 vanish in float16; scaled they come back as exactly as float16 is."""
    exact = field_gradient(1.0)
    largest = float(exact.abs().max())
    tiny, strong = 1e-9, {"precision": "float16", "loss_scale": {"start": 2.0**26}}
    assert not field_gradient(tiny, precision="float16", loss_scale={"use": "never"}).any()
    assert (field_gradient(tiny, **strong) - exact).abs().max() < 0.02 * largest
    assert (field_gradient(tiny, precision="bfloat16") - exact).abs().max() < 0.1 * largest
    assert (
        field_gradient(1.0, precision="float16", loss_scale={"start": 64.0}) - exact
    ).abs().max() < 0.02 * largest


GRADIENT = 0.2
"""A threshold that some Gaussians of the toy pass and others do not, so that a forgotten division would show."""


@pytest.mark.parametrize("kind", ["grid", "gaussians"])
def test_a_power_of_two_changes_no_bit(tmp_path, kind):
    """In float32 the scale cancels exactly, also in what the densifying strategies read between steps."""

    def stage(**options):
        representation = None
        if kind == "gaussians":
            densify = {"start": 0.0, "every": 3, "gradient": GRADIENT, "gradient_unit": "absolute"}
            chosen = gaussians.Options(init={"count": 60}, strategy="densify", densify=densify)
            representation = gaussians.create(chosen, Streams(0))
        return toy_stage(representation=representation, **options)

    plain = train(stage(), store(tmp_path / "plain"))
    scaled = train(
        stage(loss_scale={"use": "always", "start": 2.0**10, "growth_interval": 3}), store(tmp_path / "s")
    )
    assert scaled.optimizer["loss_scale"] == {"scale": 2.0**14, "good": 0, "skipped": 0, "in_a_row": 0}
    if kind == "gaussians":
        assert 60 < len(plain.optimizer["first"]["means"]) < 240
    assert tree_hash(scaled.representation) == tree_hash(plain.representation)
    assert all(torch.equal(scaled.optimizer["first"][k], v) for k, v in plain.optimizer["first"].items())


HALF = {"precision": "float16", "loss_scale": {"start": 2.0**30, "growth_interval": 4}}


def half_stage(**options):
    return toy_stage(prior=ConvPrior(), steps=20, **(HALF | options))


def test_overflows_are_skipped_counted_and_outgrown(tmp_path, caplog):
    """From a scale far too high the run finds one that fits, by halves, and learns from there."""
    recorder = Recorder()
    with caplog.at_level(logging.INFO):
        train(half_stage(), store(tmp_path), recorder)
    rows = [r.metrics for r in recorder.reports]
    skipped = [int(row["skipped_steps"]) for row in rows]
    first = skipped.index(skipped[0] + 3)  # the beginning is nothing but overflows
    assert skipped[:3] == [1, 2, 3]
    assert first == 3
    assert [row["loss_scale"] for row in rows[:3]] == [2.0**29, 2.0**28, 2.0**27]
    assert [r.step for r in recorder.reports] == list(range(1, 21))
    assert skipped[-1] < 20
    told = [m for m in caplog.messages if "skipped" in m]
    assert len(told) == skipped[-1]
    assert told[0].startswith("step 0 skipped: gradient.")
    assert "loss scale 1.07374e+09, which becomes 5.36871e+08 (1 skipped so far)" in told[0]


def test_a_skipped_step_moves_nothing():
    session = Session(half_stage())
    before = tree_hash(session.stage.representation.state_dict())
    grads = session.gradients()
    assert any(not torch.isfinite(g).all() for g in grads.params.values())
    assert session.skip(grads, "gradient.x") == {}
    assert tree_hash(session.stage.representation.state_dict()) == before
    assert session.adam.count == 0
    assert session.step == 1
    assert session.scaler.scale == 2.0**29


@pytest.mark.parametrize("stop", [1, 2, 8, 13])
def test_resume_is_bit_identical_amid_overflows(tmp_path, stop):
    whole = train(half_stage(), store(tmp_path / "whole"))
    first = store(tmp_path / "split")
    with pytest.raises(StopRequested):
        train(half_stage(), first, Recorder(stop_after=stop))
    assert train(half_stage(), first, None, first.latest()).hash() == whole.hash()


class Bottomless(torch.autograd.Function):
    """The identity, with a gradient that no scale makes finite."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


class BottomlessPrior(ColorPrior):
    """A prior whose encoder's gradient is always infinite, from the fourth step on."""

    def encode(self, media):
        return super().encode(Bottomless.apply(media) if self.calls >= 3 else media)


def test_too_many_in_a_row_stop_the_run(tmp_path):
    def stage(prior):
        return toy_stage(prior=prior, loss_scale={"use": "always", "max_skips": 4, "start": 64.0})

    recorder, place = Recorder(), store(tmp_path)
    with pytest.raises(NonFiniteError) as caught:
        train(stage(BottomlessPrior()), place, recorder)
    text = str(caught.value)
    assert "at step 6 (t = 0." in text
    assert text.startswith("gradient.")
    assert "The 3 steps before it overflowed too and were skipped, down to a loss scale of 8. " in text
    assert [int(r.metrics["skipped_steps"]) for r in recorder.reports] == [0, 0, 0, 1, 2, 3]
    assert place.latest().step == 4
    repro = next(tmp_path.glob("non_finite_step000006.safetensors"))
    assert read_state(repro).optimizer["loss_scale"]["in_a_row"] == 3
    again = BottomlessPrior()
    again.calls = 6
    with pytest.raises(NonFiniteError, match="at step 6"):  # the repro replays the step
        train(stage(again), store(tmp_path / "again"), start=read_state(repro))


class NaNPrior(ColorPrior):
    """Answers NaN: no fault of any scale."""

    def predict(self, z_t, t, cond):
        p = super().predict(z_t, t, cond)
        return Prediction(lambda form: p.eps * float("nan"))


def test_what_no_scale_explains_stops_at_once(tmp_path):
    with pytest.raises(NonFiniteError, match=r"guidance\.z.* at step 0 .* The run was stopped") as caught:
        train(toy_stage(prior=NaNPrior(), loss_scale={"use": "always"}), store(tmp_path))
    assert "skipped" not in str(caught.value)


def test_a_run_folder_holds_the_counts(tmp_path):
    folder = small_folder(tmp_path, optimize__loss_scale={"use": "always", "start": 4.0})
    execute.execute(folder)
    rows = list(metrics.read(folder.metrics_file))
    assert {(row["loss_scale"], row["skipped_steps"]) for row in rows} == {(4.0, 0.0)}
