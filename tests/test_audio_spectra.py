"""Transforms, codec and separation measure: identities, gradients against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.sound_pictures import sound_picture
from sds3d.core.spectra import istft, magnitudes, mel_bank, stft
from sds3d.core.streams import Streams
from sds3d.evaluate.separation import improvement, in_best_order, si_sdr
from sds3d.priors.spectrogram import Codec

SMALL = Codec(rate=4000, samples=1024, window=128, hop=32, bands=16, pool=2, low_hz=60.0, high_hz=1900.0)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal numbers, float64."""
    return Streams(seed).normal(shape, "test")[0].double()


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([(64, 16), (64, 32), (32, 8), (48, 12)]), st.integers(8, 20), st.integers(0, 99))
def test_istft_inverts_stft(sizes, frames, seed):
    window, hop = sizes
    x = noise(2, frames * hop, seed=seed)
    spectrum = stft(x, window, hop)
    assert spectrum.shape == (2, window // 2 + 1, frames)
    assert torch.allclose(istft(spectrum, window, hop), x, atol=1e-12)


@pytest.mark.parametrize("window", [32, 64])
def test_hann_with_a_quarter_hop_is_a_tight_frame(window):
    """|STFT x|^2 = 1.5 N |x|^2 over all bins, where the signal keeps away from the ends."""
    x = torch.zeros(window * 12, dtype=torch.float64)
    x[window * 2 : -window * 2] = noise(window * 8)
    power = stft(x, window, window // 4).abs().square()
    both_sides = power.sum() * 2 - power[0].sum() - power[-1].sum()
    assert float(both_sides) == pytest.approx(1.5 * window * float(x.square().sum()), rel=1e-12)


def test_gradients_of_transforms_are_finite_differences():
    x = noise(96).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: magnitudes(x, 32, 8), (x,), atol=1e-6)
    assert torch.autograd.gradcheck(lambda x: istft(2.0 * stft(x, 32, 8), 32, 8), (x,), atol=1e-6)


def test_magnitudes_have_a_gradient_in_silence():
    x = torch.zeros(96, dtype=torch.float64, requires_grad=True)
    magnitudes(x, 32, 8).sum().backward()
    assert bool(torch.isfinite(x.grad).all())


def test_sizes_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="the hop divides"):
        stft(torch.zeros(100), 32, 8)
    with pytest.raises(ValueError, match="at most half"):
        stft(torch.zeros(96), 32, 24)


@pytest.mark.parametrize("bands", [16, 64, 96])
def test_no_mel_band_is_empty_and_each_peaks_near_one(bands):
    bank = mel_bank(16_000, 1024, bands, 40.0, 7_800.0)
    assert float(bank.amax(1).min()) > 0.5
    assert float(bank.max()) <= 1.0
    centres = bank.argmax(1)
    assert bool((centres.diff() >= 0).all())


def test_a_sounds_own_levels_leave_it_as_it_is():
    audio = 0.3 * noise(2, 1, 1024).float()
    assert torch.allclose(SMALL.near(SMALL.encode(audio), audio), audio, atol=1e-5)


@pytest.mark.parametrize("db", [-6.0, 6.0])
def test_raising_every_level_makes_a_sound_louder(db):
    audio = 0.1 * noise(1, 1, 1024).float()
    louder = SMALL.near(SMALL.encode(audio) + db / 30, audio)
    # what lies below the lowest band and above the highest has no level, and stays
    assert float(si_sdr(louder, audio)[0, 0]) > 10
    assert float(louder.norm() / audio.norm()) == pytest.approx(10 ** (db / 20), rel=0.15)


def test_a_silent_sound_can_be_raised():
    wanted = SMALL.encode(0.2 * noise(1, 1, 1024).float())
    heard = SMALL.near(wanted, 1e-5 * noise(1, 1, 1024, seed=1).float())
    assert float((SMALL.encode(heard) - wanted).abs().mean()) < 0.15


def test_a_full_scale_sine_has_the_level_one_in_its_band():
    codec = Codec()
    t = torch.arange(codec.samples) / codec.rate
    z = codec.encode(torch.sin(2 * math.pi * 1000.0 * t)[None, None])
    assert float(z[..., 4:-4].amax()) == pytest.approx(1.0, abs=0.04)
    assert float(codec.encode(torch.zeros(1, 1, codec.samples)).max()) == pytest.approx(-1.0, abs=1e-6)


def test_decoding_finds_phases_that_fit_the_levels():
    t = torch.arange(1024) / 4000
    audio = (0.4 * torch.sin(2 * math.pi * 500 * t) * torch.exp(-6 * t))[None, None]
    z = SMALL.encode(audio)
    found = SMALL.decode(z)
    assert torch.equal(found, SMALL.decode(z)), "the same at every call"
    assert float((SMALL.encode(found) - z).square().mean().sqrt()) < 0.2


def test_the_codecs_gradient_is_that_of_finite_differences():
    codec = Codec(rate=4000, samples=128, window=32, hop=8, bands=6, pool=2, low_hz=100.0, high_hz=1900.0)
    x = (0.2 * noise(1, 1, 128)).float()
    weight = noise(1, 6, 8).float()
    x.requires_grad_(True)
    (codec.encode(x) * weight).sum().backward()
    for place in (5, 40, 100):
        step = torch.zeros_like(x)
        step[..., place] = 2e-3
        up, down = ((codec.encode(x.detach() + s) * weight).sum() for s in (step, -step))
        assert float(x.grad[0, 0, place]) == pytest.approx(float(up - down) / 4e-3, rel=0.03, abs=0.02)


def test_a_sound_of_another_length_is_refused():
    with pytest.raises(ValueError, match="1024"):
        SMALL.encode(torch.zeros(1, 1, 1000))


@given(st.floats(0.1, 10), st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_si_sdr_does_not_hear_loudness(scale, seed):
    s, n = noise(64, seed=seed), noise(64, seed=seed + 100)
    assert float(si_sdr(scale * (s + n), s)) == pytest.approx(float(si_sdr(s + n, s)), abs=1e-6)


def test_si_sdr_of_orthogonal_noise_is_the_ratio_of_powers():
    s = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    n = torch.tensor([0.0, 0.0, 0.1, 0.1], dtype=torch.float64)
    assert float(si_sdr(s + n, s)) == pytest.approx(20.0, abs=1e-6)
    both = torch.stack([s, n])
    assert in_best_order(both.flip(0), both) == (1, 0)
    assert float(improvement(both, both, s + n).min()) > 60


def test_a_picture_shows_low_below_high_and_the_wave_beneath():
    t = torch.arange(16_000) / 16_000
    low, high = (
        sound_picture(torch.sin(2 * math.pi * hz * t)[None], 16_000, (100, 60)) for hz in (200, 4000)
    )
    assert low.shape == (3, 100, 60)
    rows = [picture[:, :76].sum((0, 2)).argmax() for picture in (low, high)]
    assert int(rows[0]) > int(rows[1]), "low notes stand lower"
    silent = sound_picture(torch.zeros(1, 16_000), 16_000, (100, 60))
    assert float(silent[:, :76].max()) < 0.1
    assert float(silent[0, 76:].lt(1).float().sum()) > 0, "a silent wave is a line"
