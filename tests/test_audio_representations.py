"""Synthesisers and separation: closed forms, finite differences, exact states."""

from __future__ import annotations

import math

import pytest
import torch
from audio_cases import Form
from hypothesis import given, settings
from hypothesis import strategies as st
from sds3d.representations import fm, impact, separation, waveform
from sds3d.representations.base import Representation
from sds3d.representations.fm.model import envelopes, oscillators, shape
from sds3d.representations.impact.model import convolved, modal_bank
from sds3d.representations.particles import members_of
from sds3d.representations.sound_files import fitted, resample

from sds3d.assetio import write
from sds3d.core.assets import Sound
from sds3d.core.errors import AssetError, ConfigError, RunFolderError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.core.tree import tree_hash

RATE, COUNT = 8000, 1024
LOOK = Look(None, (32, 32), torch.ones(2, 3))
T = torch.arange(COUNT, dtype=torch.float64) / RATE


@pytest.fixture
def mix_file(tmp_path):
    """A second of noise on disk."""
    samples = 0.2 * Streams(5).normal((1, COUNT), "mix")[0]
    write(Sound(samples, RATE), tmp_path / "mix.wav")
    return str(tmp_path / "mix.wav")


def every_kind(mix_file):
    """One of each, small."""
    return {
        "fm": lambda seed=0: fm.create(fm.Options(voices=2, points=8, noise=True), Streams(seed), Form),
        "impact": lambda seed=0: impact.create(impact.Options(modes=6, bands=4), Streams(seed), Form),
        "waveform": lambda seed=0: waveform.create(waveform.Options(), Streams(seed), Form),
        "separation": lambda seed=0: separation.create(
            separation.Options(mixture=mix_file, window=64), Streams(seed), Form
        ),
    }


@pytest.mark.parametrize("kind", ["fm", "impact", "waveform", "separation"])
def test_a_sound_is_a_representation_with_an_exact_state(kind, mix_file):
    make = every_kind(mix_file)[kind]
    sound, other = make(), make(seed=1)
    assert isinstance(sound, Representation)
    for group in sound.param_groups():
        for value in group.params.values():
            value.requires_grad_(True)
    render = sound.render(LOOK)
    assert render["audio"].shape == (2, 1, COUNT)
    assert set(render) == {"audio"}, "no picture is drawn in training"
    render["audio"].square().sum().backward()
    assert all(bool(v.grad.isfinite().all()) for g in sound.param_groups() for v in g.params.values())
    other.load_state_dict(sound.state_dict())
    assert tree_hash(other.state_dict()) == tree_hash(sound.state_dict())
    with torch.no_grad():
        a, b = sound.render(LOOK), other.render(LOOK)
    assert torch.equal(a["audio"], b["audio"])
    assert a["rgb"].shape == (2, 3, 32, 32)
    asset = members_of(sound)[0].to_asset("sound")
    assert (asset.samples.shape, asset.rate) == ((1, COUNT), RATE)
    with pytest.raises(AssetError, match="sound"):
        members_of(sound)[0].to_asset("mesh")


def test_a_sound_that_is_too_loud_is_written_at_full_scale():
    loud = waveform.create(waveform.Options(), Streams(0), Form)
    loud.values["samples"].copy_(torch.linspace(-4, 2, COUNT))
    written = loud.to_asset("sound").samples[0]
    assert torch.allclose(written, loud.values["samples"] / 4)


def test_states_of_other_options_are_refused():
    small, large = (fm.create(fm.Options(voices=v), Streams(0), Form) for v in (2, 3))
    with pytest.raises(RunFolderError, match="options"):
        large.load_state_dict(small.state_dict())
    with pytest.raises(RunFolderError, match="no sound"):
        large.load_state_dict({"picture": torch.zeros(1)})


def test_a_prior_of_pictures_is_refused():
    silent = waveform.create(waveform.Options(), Streams(0), lambda: Form(rate=0))
    with pytest.raises(ConfigError, match="judges pictures"):
        silent.render(LOOK)


@pytest.mark.oracle("O10.6")
@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99))
def test_without_modulation_fm_is_a_sum_of_enveloped_sines(seed):
    draw = Streams(seed).normal
    note, ratio = (5 + 0.3 * draw((2,), "note")[0].double()), 0.4 * draw((2, 3), "ratio")[0].double()
    attack, decay = (c + 0.2 * draw((2, 3), n)[0].double() for c, n in ((-5.0, "attack"), (-2.0, "decay")))
    run = T.expand(2, -1)
    found = oscillators(note, ratio, torch.zeros(2, 3, 3).double(), envelopes(attack, decay, T), run)
    for v in range(2):
        for i in range(3):
            hz = math.exp(float(note[v] + ratio[v, i]))
            env = (1 - torch.exp(-T / attack[v, i].exp())) * torch.exp(-T / decay[v, i].exp())
            assert torch.allclose(found[v, i], env * torch.sin(2 * math.pi * hz * T), atol=1e-9)


@pytest.mark.oracle("O10.6")
@pytest.mark.parametrize("index", [0.5, 1.7, 3.0])
def test_two_oscillators_have_bessels_sidebands(index):
    """sin(c + A sin m) = sum_n J_n(A) sin(c + n m): amplitudes |J_n| at f_c + n f_m."""
    special = pytest.importorskip("scipy.special")
    carrier, modulator, count = 1000, 125, 1024  # whole numbers of turns, so that every line falls into a bin
    t = torch.arange(count, dtype=torch.float64) / RATE
    note = torch.tensor([math.log(modulator)], dtype=torch.float64)
    ratio = torch.tensor([[0.0, math.log(carrier / modulator)]], dtype=torch.float64)
    modulation = torch.tensor([[[0.0, 0.0], [index, 0.0]]], dtype=torch.float64)
    signal = oscillators(note, ratio, modulation, torch.ones(1, 2, count).double(), t[None])[0, 1]
    lines = torch.fft.rfft(signal).abs() * 2 / count
    for n in range(-4, 5):
        place = (carrier + n * modulator) * count // RATE
        assert float(lines[place]) == pytest.approx(abs(special.jv(n, index)), abs=1e-3)


def test_gradients_of_the_synthesisers_are_finite_differences():
    t = torch.arange(40, dtype=torch.float64) / 400
    draw = Streams(0).normal
    fm_values = [
        4 + 0.1 * draw((2,), "note")[0].double(), 0.2 * draw((2, 2), "ratio")[0].double(),
        draw((2, 2, 2), "mod")[0].double(), -4 + 0.1 * draw((2, 2), "attack")[0].double(),
        -2 + 0.1 * draw((2, 2), "decay")[0].double(),
    ]  # fmt: skip
    fm_values = [v.requires_grad_(True) for v in fm_values]

    def synthesis(note, ratio, modulation, attack, decay):
        return oscillators(note, ratio, modulation, envelopes(attack, decay, t), t.expand(2, -1))

    assert torch.autograd.gradcheck(synthesis, fm_values, atol=1e-5)
    bank = [
        torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for v in ([20.0, 55.0], [3.0, 9.0], [0.5, 0.2])
    ]
    assert torch.autograd.gradcheck(lambda f, d, a: modal_bank(f, d, a, t), bank, atol=1e-5)
    pair = [draw((24,), n)[0].double().requires_grad_(True) for n in ("a", "b")]
    assert torch.autograd.gradcheck(convolved, pair, atol=1e-6)
    points = draw((2, 5), "points")[0].double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda p: shape(p, 24), (points,), atol=1e-6)


@pytest.mark.oracle("O10.7")
@settings(max_examples=8, deadline=None)
@given(st.floats(80, 3500), st.floats(0.02, 1.0), st.floats(0.1, 2.0))
def test_a_mode_obeys_its_two_pole_recursion_and_dies_in_its_time(hz, t60, loud):
    damping = math.log(1000) / t60
    h = modal_bank(*(torch.tensor([v], dtype=torch.float64) for v in (hz, damping, loud)), T)
    a = 2 * math.exp(-damping / RATE) * math.cos(2 * math.pi * hz / RATE)
    b = math.exp(-2 * damping / RATE)
    assert torch.allclose(h[2:], a * h[1:-1] - b * h[:-2], atol=1e-9)
    assert math.exp(-damping * t60) == pytest.approx(1e-3)


@pytest.mark.oracle("O10.7")
def test_convolution_by_transforms_is_the_direct_one():
    a, b = (Streams(0).normal((50,), n)[0].double() for n in ("a", "b"))
    direct = torch.stack([(a[: n + 1] * b[: n + 1].flip(0)).sum() for n in range(50)])
    assert torch.allclose(convolved(a, b), direct, atol=1e-12)


def test_an_impact_is_its_modes_and_its_room():
    plain, roomy = (impact.create(impact.Options(modes=4, bands=b), Streams(0), Form) for b in (0, 3))
    for name in ("frequency", "t60", "level"):
        assert torch.equal(plain.values[name], roomy.values[name])
    assert not torch.allclose(plain.waveform(), roomy.waveform())
    roomy.values["noise_level"].fill_(-60.0)
    assert torch.allclose(plain.waveform(), roomy.waveform(), atol=1e-6)


def test_modes_stay_where_they_are_heard():
    sound = impact.create(impact.Options(modes=3, bands=0), Streams(0), Form)
    sound.values["frequency"].copy_(torch.tensor([1.0, 300.0, 9000.0]).log())
    sound.after_step(0, 1, {}, None, Streams(0))
    assert torch.allclose(sound.values["frequency"].exp(), torch.tensor([50.0, 300.0, 3920.0]))


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.integers(2, 4))
def test_masks_always_add_up_to_the_recording(seed, count):
    mixture = 0.3 * Streams(seed).normal((COUNT,), "mix")[0]
    options = separation.Options(mixture="given", sources=count, window=64)
    taken = separation.Separation(options, Form, Streams(seed), mixture)
    taken.values["logits"].copy_(3 * Streams(seed).normal(tuple(taken.values["logits"].shape), "logits")[0])
    assert torch.allclose(taken.sources().sum(0), mixture, atol=1e-5)
    assert len(members_of(taken)) == count
    assert taken.regularise({}, 0.0) == {}


@pytest.mark.oracle("O10.5")
def test_the_reconstruction_pulls_every_source_alike():
    """grad of L_rec is the same for each source: with nothing else they all move together."""
    mixture = 0.3 * Streams(1).normal((COUNT,), "mix")[0]
    options = separation.Options(mixture="given", sources=3, space="waveforms", windows=(64, 128))
    taken = separation.Separation(options, Form, Streams(0), mixture)
    samples = taken.values["samples"].copy_(0.1 * Streams(2).normal((3, COUNT), "x")[0]).requires_grad_(True)
    loss = taken.regularise({}, 0.0)["reconstruction"]
    loss.backward()
    assert float(loss) > 0
    assert torch.allclose(samples.grad[0], samples.grad[1], atol=1e-7)
    assert torch.allclose(samples.grad[0], samples.grad[2], atol=1e-7)


def test_a_separation_tells_what_it_lacks(tmp_path):
    with pytest.raises(ConfigError, match="needs a recording"):
        separation.create(separation.Options(), Streams(0), Form)
    missing = separation.create(separation.Options(mixture=str(tmp_path / "no.wav")), Streams(0), Form)
    with pytest.raises(AssetError, match=r"no\.wav.*representation\.mixture"):
        missing.render(LOOK)
    mixture = torch.zeros(COUNT)
    taken = separation.Separation(separation.Options(mixture="given", window=64), Form, Streams(0), mixture)
    with pytest.raises(ConfigError, match="part 2"):
        taken.waveform(2)


@pytest.mark.parametrize(("old", "new"), [(8000, 16_000), (44_100, 16_000), (16_000, 8000), (16_000, 16_000)])
def test_resampling_keeps_a_tone(old, new):
    t_old, t_new = torch.arange(old // 4) / old, torch.arange(new // 4) / new
    found = resample(torch.sin(2 * math.pi * 440 * t_old), old, new)
    inner = slice(new // 40, -new // 40)
    assert torch.allclose(found[inner], torch.sin(2 * math.pi * 440 * t_new)[inner], atol=3e-3)


def test_resampling_leaves_out_what_the_lower_rate_cannot_hold():
    t = torch.arange(8000) / 44_100
    found = resample(torch.sin(2 * math.pi * 12_000 * t), 44_100, 16_000)
    assert float(found[200:-200].abs().max()) < 0.02


def test_a_file_is_cut_or_followed_by_silence(tmp_path):
    write(Sound(torch.full((2, 100), 0.5), RATE), tmp_path / "a.wav")
    padded = fitted(str(tmp_path / "a.wav"), 150, RATE, "init")
    assert torch.allclose(padded[:100], torch.full((100,), 0.5), atol=1e-4)
    assert float(padded[100:].abs().max()) == 0.0
    assert len(fitted(str(tmp_path / "a.wav"), 60, RATE, "init")) == 60
