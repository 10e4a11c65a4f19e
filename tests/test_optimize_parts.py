"""Adam against its equations, checkpoints against broken files and full disks, the sentinel's eye."""

import errno
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import store, toy_stage

from sds3d.core.errors import RunFolderError
from sds3d.optimize import checkpoint
from sds3d.optimize.adam import Adam
from sds3d.optimize.checkpoint import read_state, write_state
from sds3d.optimize.loop import Session, train
from sds3d.optimize.sentinel import first_non_finite
from sds3d.optimize.state import RunState


@given(seed=st.integers(0, 1000), lr=st.floats(1e-4, 1.0), b1=st.floats(0, 0.99), b2=st.floats(0.5, 0.999))
def test_adam_is_the_papers(seed, lr, b1, b2):
    """Kingma and Ba 2015, algorithm 1, in float64."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(5, generator=g)
    expected, m, v = x.double(), torch.zeros(5).double(), torch.zeros(5).double()
    adam = Adam((b1, b2), eps=1e-8)
    for k in range(1, 4):
        grad = torch.randn(5, generator=g)
        adam.step([({"x": x}, {"x": grad}, lr)])
        m = b1 * m + (1 - b1) * grad.double()
        v = b2 * v + (1 - b2) * grad.double() ** 2
        expected = expected - lr * (m / (1 - b1**k)) / ((v / (1 - b2**k)).sqrt() + 1e-8)
    assert torch.allclose(x.double(), expected, atol=1e-5 * (1 + lr))
    assert adam.count == 3


def test_adam_groups_and_missing_gradients():
    a, b, c = torch.ones(2), torch.ones(2), torch.ones(2)
    adam = Adam()
    ones = torch.ones(2)
    adam.step([({"a": a, "c": c}, {"a": ones, "b": ones}, 0.1), ({"b": b}, {"a": ones, "b": ones}, 0.2)])
    assert torch.allclose(a, torch.full((2,), 0.9))
    assert torch.allclose(b, torch.full((2,), 0.8))
    assert torch.equal(c, ones)


def test_moments_follow_rows():
    x = torch.zeros(3, 2)
    adam = Adam()
    adam.step([({"x": x}, {"x": torch.arange(6.0).reshape(3, 2) + 1}, 0.1)])
    old = adam.first["x"].clone()
    new = torch.zeros(4, 2)
    adam.rearrange("x", new, torch.tensor([2, -1, 0, 2]))
    assert torch.equal(adam.first["x"], torch.stack([old[2], torch.zeros(2), old[0], old[2]]))
    adam.forget("x", torch.tensor([0]))
    assert not adam.first["x"][0].any()
    assert adam.second["x"][3].all()
    adam.forget("x")
    assert not adam.second["x"].any()
    adam.forget("unknown")
    adam.rearrange("unknown", new, torch.tensor([0, 1, 2, 0]))
    assert set(adam.first) == {"x"}


def test_adam_state_comes_back_and_is_a_copy():
    x = torch.zeros(2)
    adam = Adam()
    adam.step([({"x": x}, {"x": torch.ones(2)}, 0.1)])
    other = Adam()
    saved = adam.state_dict()
    other.load_state_dict(saved)
    y = x.clone()
    adam.step([({"x": x}, {"x": torch.ones(2)}, 0.1)])
    other.step([({"x": y}, {"x": torch.ones(2)}, 0.1)])
    assert torch.equal(x, y)


def state(step=3, value=1.0, stage=0) -> RunState:
    tree = {"field": torch.full((4, 2), value), "n": 3}
    return RunState(step, stage, tree, {"count": step, "first": {}}, {}, "hash")


def test_states_come_back(tmp_path):
    path = tmp_path / "s.safetensors"
    write_state(state(), path)
    back = read_state(path)
    assert back.hash() == state().hash()
    assert back.tree().keys() == state().tree().keys()
    assert state(step=4).hash() != state().hash()
    assert state(value=2.0).hash() != state().hash()


def test_shared_and_strided_tensors_are_saved(tmp_path):
    x = torch.arange(6.0).reshape(2, 3)
    odd = RunState(0, 0, {"a": x, "b": x, "c": x.T}, {}, {}, "")
    write_state(odd, tmp_path / "s.safetensors")
    assert torch.equal(read_state(tmp_path / "s.safetensors").representation["c"], x.T)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text", "header"])
def test_damaged_checkpoints_are_refused_and_the_one_before_is_used(tmp_path, damage):
    place = store(tmp_path)
    place.save(state(1))
    path = place.save(state(2))
    raw = bytearray(path.read_bytes())
    if damage == "truncate":
        raw = raw[: len(raw) // 2]
    elif damage == "flip":
        raw[-3] ^= 0x40
    elif damage == "empty":
        raw = bytearray()
    elif damage == "text":
        raw = bytearray(b"hello")
    else:
        raw = raw.replace(b"sds3d-checkpoint-1", b"sds3d-checkpoint-9")
    path.write_bytes(raw)
    with pytest.raises(RunFolderError, match=path.name):
        read_state(path)
    assert place.latest().step == 1


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    place = store(tmp_path)
    place.save(state(1))
    good = {p.name: p.read_bytes() for p in place.folder.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(RunFolderError, match=r"disk is full.*Free at least.*previous checkpoint is intact"):
        place.save(state(2))
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in place.folder.iterdir()} == good
    assert place.latest().step == 1


def test_pruning_keeps_the_last_of_each_stage_and_the_pinned(tmp_path):
    place = store(tmp_path, keep=2)
    place.pin(place.save(state(1)))
    for step in (2, 3):
        place.save(state(step))
    for step in (1, 2, 3, 4):
        place.save(state(step, stage=1))
    left = [(s.stage, s.step) for s in map(read_state, place.list())]
    assert left == [(0, 1), (0, 3), (1, 3), (1, 4)]
    assert place.latest().step == 4


def test_order_is_by_number_not_by_name(tmp_path):
    place = store(tmp_path, keep=5)
    for step in (999_999, 1_000_000):
        place.save(state(step))
    assert place.latest().step == 1_000_000


def test_an_empty_store_has_no_latest(tmp_path):
    assert store(tmp_path).latest() is None


def test_the_live_state_may_be_saved_before_the_next_step(tmp_path):
    session = Session(toy_stage())
    place = store(tmp_path)
    path = place.save(session.state())
    saved = read_state(path).hash()
    session.apply(session.gradients())
    assert read_state(path).hash() == saved
    assert session.state().hash() != saved
    assert session.state().step == 1


def test_a_finished_run_does_nothing_more(tmp_path):
    place = store(tmp_path)
    done = train(toy_stage(), place)
    assert train(toy_stage(), place, start=place.latest()).hash() == done.hash()


def test_the_sentinel_sees_nan_inf_and_is_not_fooled_by_large_numbers():
    fine = {"a": torch.tensor([1e38, 3e38, 3e38]), "b": torch.zeros(0), "c": torch.tensor([1, 2])}
    assert first_non_finite(fine) is None
    assert first_non_finite(fine | {"d": torch.tensor([[0.0, float("inf")]])}) == ("d", (0, 1), float("inf"))
    name, index, value = first_non_finite({"x": torch.tensor(float("nan")), "y": torch.tensor(float("inf"))})
    assert (name, index) == ("x", ())
    assert value != value
    both = torch.tensor([float("inf"), float("-inf")])
    assert first_non_finite({"z": both})[1] == (0,)
