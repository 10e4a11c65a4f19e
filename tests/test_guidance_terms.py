"""Several guidances on one stage: what their sum is, who judges by chance, and what each of them remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from toys import ColorPrior, Recorder, store, toy_stage

from sds3d.core.cameras import OrbitSampler
from sds3d.core.errors import ConfigError, StopRequested
from sds3d.core.schedules import constant
from sds3d.core.schedules import parse as schedule
from sds3d.core.tree import tree_hash
from sds3d.optimize.loop import Session, train
from sds3d.optimize.terms import Term, active, streams_of


def stage_of(*terms, mix="sum", steps=12, **options):
    """A toy stage judged by terms (name, {change of its own stage}, factor, chance)."""
    base = toy_stage(steps, **options)
    made = tuple(
        Term(name, replace(base, **change), schedule(factor), chance)
        for name, change, factor, chance in terms
    )
    return replace(base, terms=made, mix=mix)


def guided_by(config, prior, steps=12):
    return {"prior": prior, "guidance": build_guidance(parse(config), prior, steps)}


def params(session: Session) -> dict:
    return session.gradients().params


def regularisers(stage) -> dict:
    """The part of the gradient that no term says: what is left at a factor next to nothing."""
    faint = replace(stage, terms=tuple(replace(term, factor=constant(1e-12)) for term in stage.terms))
    return params(Session(faint))


def test_two_equal_halves_are_one(tmp_path):
    """Bit for bit, whole runs: the halves are exact, and both look at one render."""
    halves = stage_of(("a", {}, 0.5, 1.0), ("b", {}, 0.5, 1.0))
    whole = toy_stage()
    ends = [train(stage, store(tmp_path / str(k))) for k, stage in enumerate((halves, whole))]
    assert tree_hash(ends[0].representation) == tree_hash(ends[1].representation)
    assert tree_hash(ends[0].optimizer) == tree_hash(ends[1].optimizer)
    single = stage_of(("a", {}, 1.0, 1.0))
    assert all(torch.equal(g, params(Session(single))[k]) for k, g in params(Session(toy_stage())).items())


def test_terms_of_one_stream_share_a_render_and_an_encoding():
    prior = ColorPrior()
    stage = stage_of(("a", {}, 1.0, 1.0), ("b", {}, 1.0, 1.0), prior=prior)
    rendered, encoded = [], []
    render, encode = stage.representation.render, prior.encode
    stage.representation.render = lambda look: rendered.append(look) or render(look)
    prior.encode = lambda media: encoded.append(media) or encode(media)
    Session(stage).gradients()
    assert (len(rendered), len(encoded)) == (1, 1)
    other = replace(stage.terms[1].stage, streams=streams_of(0, 1))
    apart = replace(stage, terms=(stage.terms[0], replace(stage.terms[1], stage=other)))
    Session(apart).gradients()
    assert (len(rendered), len(encoded)) == (3, 3)
    first, second = rendered[1].cameras.azimuth_deg, rendered[2].cameras.azimuth_deg
    assert not torch.equal(first, second), "a stream of its own looks from elsewhere"


def test_a_term_looks_from_its_own_cameras_at_its_own_size():
    top = OrbitSampler(elevation_deg=(80.0, 80.0))
    base = toy_stage()
    small = base.options.model_copy(update={"size": constant(4.0)})
    stage = stage_of(("a", {}, 1.0, 1.0), ("top", {"sampler": top, "options": small}, 1.0, 1.0))
    one, two = Session(stage).gradients().judged
    assert two.views.look.cameras.elevation_deg.tolist() == [80.0, 80.0]
    assert one.views.look.size == (8, 8)
    assert two.views.look.size == (4, 4)


def test_each_term_is_asked_by_its_own_prior():
    """Two priors, of red and of blue: the sum's gradient is the sum, and a factor of 0 asks nobody."""
    red, blue = ColorPrior((0.9, 0.1, 0.1)), ColorPrior((0.1, 0.1, 0.9))
    terms = [(name, guided_by({"cfg_scale": 1.0}, prior)) for name, prior in (("red", red), ("blue", blue))]
    both = stage_of(*((name, change, 1.0, 1.0) for name, change in terms))
    alone = [params(Session(stage_of((name, change, 1.0, 1.0)))) for name, change in terms]
    regular = regularisers(stage_of(("red", terms[0][1], 1.0, 1.0)))
    for name, g in params(Session(both)).items():
        wanted = alone[0][name] + alone[1][name] - regular[name]
        torch.testing.assert_close(g, wanted, rtol=1e-4, atol=1e-7)
    asked = blue.calls
    silent = stage_of(("red", terms[0][1], 1.0, 1.0), ("blue", terms[1][1], 0.0, 1.0))
    found = Session(silent).gradients()
    assert blue.calls == asked
    assert [one.term.name for one in found.judged] == ["red"]
    assert "red.residual" in found.log
    assert "blue.residual" not in found.log


def test_factors_weigh_and_change_over_the_run():
    once, thrice = (params(Session(stage_of(("a", {}, factor, 1.0)))) for factor in (1.0, 3.0))
    regular = regularisers(stage_of(("a", {}, 1.0, 1.0)))
    for name, g in thrice.items():
        wanted = 3.0 * (once[name] - regular[name])
        torch.testing.assert_close(g - regular[name], wanted, rtol=1e-4, atol=1e-7)
    falling = stage_of(("a", {}, {"linear": [1.0, 0.0]}, 1.0))
    assert [falling.active(step)[0][1] for step in (0, 6, 11)] == pytest.approx([1.0, 0.5, 1 / 12])


def test_alternating_is_by_chance_and_pure():
    terms = [("often", {}, 1.0, 3.0), ("seldom", {}, 1.0, 1.0)]
    stage = stage_of(*terms, mix="alternate", steps=800)
    names = [stage.active(step)[0][0].name for step in range(800)]
    assert all(len(stage.active(step)) == 1 for step in range(20))
    assert names == [stage.active(step)[0][0].name for step in range(800)]
    assert pytest.approx(names.count("often") / 800, abs=4 * (0.75 * 0.25 / 800) ** 0.5) == 0.75
    other = [
        one[0].name
        for step in range(800)
        for one in active(stage.terms, "alternate", step, 0.0, streams_of(1, 0))
    ]
    assert other != names, "another seed draws otherwise"


def test_a_term_that_rests_is_not_drawn():
    resting = [("on", {}, 1.0, 1.0), ("late", {}, {"piecewise": [[0.5, 0.0], [0.51, 1.0]]}, 1e9)]
    stage = stage_of(*resting, mix="alternate", steps=100)
    names = [stage.active(step)[0][0].name for step in range(100)]
    assert set(names[:50]) == {"on"}
    assert set(names[60:]) == {"late"}


class Counting:
    """A guidance with a memory: how often it judged, and learned."""

    def __init__(self, inner):
        self.inner, self.needs, self.image_post = inner, inner.needs, inner.image_post

    def init(self, streams):
        return {"judged": 0, "learned": 0}

    def guide(self, views, step, streams, state):
        cotangents, _, log = self.inner.guide(views, step, streams, {})
        return cotangents, state | {"judged": state["judged"] + 1}, log

    def learn(self, views, step, streams, state):
        return state | {"learned": state["learned"] + 1}


def counting_stage():
    def term():
        prior = ColorPrior()
        return {"prior": prior, "guidance": Counting(build_guidance(parse("sds"), prior, 12))}

    return stage_of(("a", term(), 1.0, 1.0), ("b", term(), 1.0, 1.0), mix="alternate")


def test_state_is_kept_by_name_and_rests_with_its_term(tmp_path):
    stage = counting_stage()
    names = [stage.active(step)[0][0].name for step in range(12)]
    end = train(stage, store(tmp_path))
    assert end.guidance == {k: {"judged": names.count(k), "learned": names.count(k)} for k in ("a", "b")}
    assert 0 < names.count("a") < 12


@pytest.mark.parametrize("stop", [1, 5, 8])
def test_resume_is_bit_identical(tmp_path, stop):
    whole = train(counting_stage(), store(tmp_path / "whole"))
    split = store(tmp_path / "split")
    with pytest.raises(StopRequested):
        train(counting_stage(), split, Recorder(stop_after=stop))
    assert train(counting_stage(), split, start=split.latest()).hash() == whole.hash()


def test_pictures_clipped_by_one_term_leave_the_other_alone():
    """Both go through one render's graph; only what the first says is clipped at the picture."""
    prior = ColorPrior()
    clipped = guided_by({"cfg_scale": 2.0, "image_post": [{"clip_pixels": 1e-4}]}, prior)
    plain = guided_by({"cfg_scale": 2.0}, prior)
    both = params(Session(stage_of(("c", clipped, 1.0, 1.0), ("p", plain, 1.0, 1.0), prior=prior)))
    parts = [params(Session(stage_of(("x", change, 1.0, 1.0), prior=prior))) for change in (clipped, plain)]
    regular = regularisers(stage_of(("x", plain, 1.0, 1.0), prior=prior))
    for name, g in both.items():
        torch.testing.assert_close(g, parts[0][name] + parts[1][name] - regular[name], rtol=1e-4, atol=1e-7)
        # a step that is clipped is not the plain one
        assert not torch.allclose(parts[0][name], parts[1][name], rtol=1e-3, atol=0)


def test_the_cost_of_all_terms_is_counted():
    stage = stage_of(
        ("a", guided_by({"cfg_scale": 1.0}, ColorPrior()), 1.0, 1.0),
        ("b", guided_by({"cfg_scale": 5.0}, ColorPrior()), 1.0, 1.0),
    )
    log = Session(stage).gradients().log
    assert (log["nfe"], log["rows"], log["a.nfe"], log["b.nfe"]) == (3.0, 6.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ([("a", {}, 1.0, 1.0), ("a", {}, 1.0, 1.0)], "two terms are called 'a'"),
        ([("a", {}, {"piecewise": [[0.4, 1.0], [0.45, 0.0]]}, 1.0)], "at progress 0.45 the factor of every"),
    ],
)
def test_what_does_not_go_together(terms, said):
    with pytest.raises(ConfigError, match=said):
        stage_of(*terms)
