"""Sounds in memory: WAV by hand, FLAC through soundfile.

WAV is written as 16-bit PCM, which every browser plays; read are 8, 16, 24 and 32-bit PCM and 32 and 64-bit float.
What a header promises is checked before anything is allocated.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.assets import Scene, Sound
from ..core.errors import AssetError, MissingPackageError
from .check import as_tensor
from .files import read_bytes

MAX_SECONDS = 600.0
"""Longer sounds are refused: no prior here hears more than 48 s at once."""
RATES = (4_000, 192_000)
"""Lowest and highest sampling rate."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FULL = 32_768


@dataclass(frozen=True)
class _Format:
    """What a fmt chunk says."""

    code: int
    channels: int
    rate: int
    bits: int


def encode_wav(sound: Sound) -> bytes:
    """A 16-bit PCM WAV file; samples outside [-1, 1] are clipped. Equal sounds give equal bytes."""
    samples = np.round(sound.samples.detach().cpu().float().T.contiguous().numpy() * _FULL)
    data = np.clip(samples, -_FULL, _FULL - 1).astype("<i2").tobytes()
    channels = sound.samples.shape[0]
    block = 2 * channels
    form = struct.pack("<HHIIHH", _PCM, channels, sound.rate, sound.rate * block, block, 16)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def decode_wav(data: bytes, path: Path) -> Scene:
    """A WAV file's sound.

    Raises:
        AssetError: cut off, of no time or too long, of more than two channels, or in a coding that is not read.
    """
    if len(data) < 12 or data[8:12] != b"WAVE":
        raise AssetError(f"{path}: begins like a RIFF file but is no WAV; export it as WAV or FLAC.")
    form, start, size = _chunks(data, path)
    width = form.bits // 8
    dtype = _dtype(form, path)
    count = size // (width * max(1, form.channels))
    check_size(count, form.channels, form.rate, path)
    raw = np.frombuffer(data, dtype=np.uint8, count=count * width * form.channels, offset=start)
    values = _from_24(raw) if form.bits == 24 else raw.view(dtype)
    if form.code == _FLOAT:
        samples = values.astype(np.float32)
    else:
        middle = 128.0 if form.bits == 8 else 0.0
        samples = (values.astype(np.float32) - middle) / np.float32(2 ** (form.bits - 1))
    return Scene(sound=Sound(as_tensor(samples.reshape(count, form.channels).T.copy()), form.rate, path.stem))


def _chunks(data: bytes, path: Path) -> tuple[_Format, int, int]:
    """The format, and where the samples' bytes begin and how many there are."""
    at, form = 12, None
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"fmt " and size >= 16 and at + 8 + size <= len(data):
            code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
            if code == _EXTENSIBLE and size >= 26:
                code = int.from_bytes(data[at + 32 : at + 34], "little")
            form = _Format(code, channels, rate, bits)
        if name == b"data":
            if form is None:
                raise AssetError(f"{path}: its samples come before their format; the file is damaged.")
            if at + 8 + size > len(data):
                raise AssetError(
                    f"{path}: is cut off: it promises {size} bytes of samples and holds {len(data) - at - 8}. "
                    "Copy it again."
                )
            return form, at + 8, size
        at += 8 + size + size % 2
    raise AssetError(f"{path}: is cut off before its samples; copy it again.")


def _dtype(form: _Format, path: Path) -> str:
    known = {(_PCM, 8): "<u1", (_PCM, 16): "<i2", (_PCM, 24): "", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4",
             (_FLOAT, 64): "<f8"}  # fmt: skip
    if (form.code, form.bits) not in known:
        raise AssetError(
            f"{path}: its coding ({form.code}, {form.bits} bits) is not read; save it as 16-bit PCM or float WAV."
        )
    return known[form.code, form.bits]


def _from_24(raw: np.ndarray) -> np.ndarray:
    """Three bytes each, least first, as int32."""
    triples = raw.reshape(-1, 3).astype(np.int32)
    value = triples[:, 0] | triples[:, 1] << 8 | triples[:, 2] << 16
    return value - ((value & 0x800000) << 1)


def check_size(count: int, channels: int, rate: int, path: Path) -> None:
    """Refuse a sound by its header, before its samples are read.

    Raises:
        AssetError: no samples, more than MAX_SECONDS, not mono or stereo, or a rate that nobody uses.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise AssetError(f"{path}: says {rate} samples a second; read are {RATES[0]} to {RATES[1]}.")
    if channels not in (1, 2):
        raise AssetError(
            f"{path}: has {channels} channels; sds3d works with mono and stereo. Mix it down first."
        )
    if count < 1:
        raise AssetError(f"{path}: lasts 0 s; there is nothing to hear in it.")
    if count / rate > MAX_SECONDS:
        raise AssetError(
            f"{path}: lasts {count / rate:,.0f} s; at most {MAX_SECONDS:.0f} s are read. "
            "Cut the part out that you mean."
        )


def encode_flac(sound: Sound) -> bytes:
    """A 16-bit FLAC file.

    Raises:
        MissingPackageError: soundfile is absent.
    """
    out = io.BytesIO()
    samples = sound.samples.detach().cpu().float().clamp(-1, 1).T.numpy()
    _soundfile().write(out, samples, sound.rate, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def decode_flac(data: bytes, path: Path) -> Scene:
    """A FLAC file's sound.

    Raises:
        AssetError: damaged, of no time or too long, or of more than two channels.
        MissingPackageError: soundfile is absent.
    """
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            count, channels, rate = file.frames, file.channels, file.samplerate
            check_size(count, channels, rate, path)
            samples = file.read(dtype="float32", always_2d=True)
    except (RuntimeError, TypeError) as error:
        raise AssetError(f"{path}: the FLAC file cannot be read: {error}") from error
    if len(samples) != count:
        raise AssetError(
            f"{path}: is cut off: it promises {count} samples and holds {len(samples)}. Copy it again."
        )
    return Scene(sound=Sound(as_tensor(samples.T.copy()), rate, path.stem))


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError as error:
        raise MissingPackageError(
            "soundfile", "reading and writing FLAC", "pip install 'sds3d[audio]'"
        ) from error
    return soundfile


def load_sound(path: str | Path) -> Sound:
    """A WAV or FLAC file; AssetError where it cannot be read."""
    path = Path(path)
    data = read_bytes(path)
    if data.startswith(b"fLaC"):
        scene = decode_flac(data, path)
    elif data.startswith(b"RIFF"):
        scene = decode_wav(data, path)
    else:
        raise AssetError(f"{path}: is neither WAV nor FLAC; convert it first.")
    assert scene.sound is not None
    if not bool(torch.isfinite(scene.sound.samples).all()):
        raise AssetError(f"{path}: holds samples that are no numbers.")
    return scene.sound
