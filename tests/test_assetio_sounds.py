"""WAV and FLAC: there and back, and files that are refused."""

from __future__ import annotations

import struct
import wave

import pytest
import torch

from sds3d.assetio import describe, kinds_for, read, write
from sds3d.assetio.sounds import encode_wav, load_sound
from sds3d.core.assets import Sound
from sds3d.core.errors import AssetError
from sds3d.core.streams import Streams

TONE = Sound(0.5 * torch.sin(torch.arange(400) / 7)[None], 8000)


def header(form: tuple, data: int, code: bytes = b"WAVE") -> bytes:
    """A WAV file that promises `data` bytes of samples and holds none."""
    fmt = struct.pack("<HHIIHH", *form)
    body = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", data)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + code + body


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_there_and_back(tmp_path, channels, kind):
    if kind == "flac":
        pytest.importorskip("soundfile")
    sound = Sound((0.4 * Streams(0).normal((channels, 333), "x")[0]).clamp(-1, 1), 16_000)
    (path,) = write(sound, tmp_path / f"a.{kind}")
    back = read(path).sound
    assert (back.rate, tuple(back.samples.shape)) == (16_000, (channels, 333))
    assert float((back.samples - sound.samples).abs().max()) <= 1.0 / 32_000
    assert kinds_for(back) == ("wav", "flac")
    told = describe(path)["sound"]
    assert (told["seconds"], told["rate"], told["channels"]) == (0.0208, 16_000, channels)


def test_the_standard_library_reads_what_is_written(tmp_path):
    (path,) = write(TONE, tmp_path / "a.wav")
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 8000, 2)
        assert file.getnframes() == 400
    assert encode_wav(TONE) == path.read_bytes()


@pytest.mark.parametrize(("bits", "code"), [(8, 1), (24, 1), (32, 1), (32, 3), (64, 3)])
def test_other_codings_are_read(tmp_path, bits, code):
    values = [0.0, 0.5, -0.5, 0.99]
    if code == 3:
        data = struct.pack(f"<4{'f' if bits == 32 else 'd'}", *values)
    elif bits == 8:
        data = bytes(round(128 + 127 * v) for v in values)
    else:
        full = 2 ** (bits - 1)
        data = b"".join(int(v * full).to_bytes(bits // 8, "little", signed=True) for v in values)
    form = (code, 1, 8000, 8000 * bits // 8, bits // 8, bits)
    (tmp_path / "a.wav").write_bytes(header(form, len(data)) + data)
    assert load_sound(tmp_path / "a.wav").samples[0].tolist() == pytest.approx(values, abs=0.02)


PCM = (1, 1, 8000, 16_000, 2, 16)
BROKEN = {
    "cut off": (encode_wav(TONE)[:-50], "cut off: it promises 800 bytes"),
    "cut in the header": (encode_wav(TONE)[:30], "cut off before its samples"),
    "no time": (header(PCM, 0), "lasts 0 s"),
    "ten hours": (header(PCM, 16_000 * 36_000), "cut off"),
    "six channels": (header((1, 6, 8000, 96_000, 12, 16), 12) + bytes(12), "6 channels"),
    "no channels": (header((1, 0, 8000, 0, 0, 16), 4) + bytes(4), "channels"),
    "a strange rate": (header((1, 1, 3, 6, 2, 16), 4) + bytes(4), "3 samples a second"),
    "compressed": (header((85, 1, 8000, 8000, 1, 0), 4) + bytes(4), "coding"),
    "samples before their format": (
        b"RIFF\x00\x00\x00\x00WAVEdata\x04\x00\x00\x00" + bytes(4),
        "before their format",
    ),
    "another RIFF": (header(PCM, 4, b"AVI ") + bytes(4), "no WAV"),
    "no sound": (b"hello, this is text", "neither WAV nor FLAC"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_with_a_reason(tmp_path, name):
    data, reason = BROKEN[name]
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AssetError, match=reason):
        load_sound(tmp_path / "a.wav")


def test_ten_hours_are_refused_before_they_are_read(tmp_path):
    """A sparse file of the promised size: its samples must not become floats."""
    with open(tmp_path / "long.wav", "wb") as file:
        file.write(header((1, 1, 4000, 4000, 1, 8), 4000 * 36_000))
        file.truncate(44 + 4000 * 36_000)
    with pytest.raises(AssetError, match="36,000 s; at most 600"):
        load_sound(tmp_path / "long.wav")


def test_flac_that_is_cut_off_or_broken_is_refused(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    (path,) = write(Sound(Streams(0).normal((1, 60_000), "x")[0].clamp(-1, 1), 8000), tmp_path / "a.flac")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AssetError, match=r"cut off|cannot be read"):
        load_sound(path)
    path.write_bytes(b"fLaC" + bytes(40))
    with pytest.raises(AssetError, match="cannot be read"):
        load_sound(path)
    assert soundfile


def test_broken_sounds_are_not_written(tmp_path):
    broken = {
        "3 channels": torch.zeros(3, 8),
        "no time": torch.zeros(1, 0),
        "finite": torch.full((1, 1), torch.nan),
    }
    for reason, samples in broken.items():
        with pytest.raises(AssetError, match=reason):
            write(Sound(samples, 8000), tmp_path / "a.wav")
    with pytest.raises(AssetError, match="cannot hold Sound"):
        write(TONE, tmp_path / "a.png")
