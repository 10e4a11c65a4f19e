"""What regions came to that pictures tell, as text for a config: which elements, packed.

The run's config holds them, so that neither masks nor the prior are needed to go on with an edit, and so that no
machine's rounding decides again what may change.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
import torch

from .region import Elements


def packed(elements: Elements) -> str:
    """`name:count:bits` for each set, with spaces between; the bits deflated, in base64."""
    words = []
    for name, chosen in elements.items():
        bits = zlib.compress(np.packbits(chosen.cpu().numpy()).tobytes(), 9)
        words.append(f"{name}:{len(chosen)}:{base64.b64encode(bits).decode()}")
    return " ".join(words)


def unpacked(text: str) -> Elements:
    """The elements of a packed text.

    Raises:
        ValueError: it is not one.
    """
    out = {}
    for word in text.split():
        try:
            name, number, body = word.split(":")
            count = int(number)
            size = (count + 7) // 8
            # a text from elsewhere may say anything: no more is unpacked than it claims to hold
            bits = zlib.decompressobj().decompress(base64.b64decode(body, validate=True), size + 1)
        except (ValueError, binascii.Error, zlib.error) as error:
            raise ValueError(f"{word[:40]!r} is no packed region ({error})") from error
        if count < 0 or len(bits) != size:
            raise ValueError(f"{word[:40]!r} holds {len(bits)} bytes for {count} elements")
        flags = np.unpackbits(np.frombuffer(bits, np.uint8), count=count).astype(bool)
        out[name] = torch.from_numpy(flags)
    return out
