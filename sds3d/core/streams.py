"""Counter-based random numbers: every draw is a pure function of (seed, tag, key, step, id).

Step n never depends on what was drawn before it, on how views are batched, or on the device, which is
what makes exact resume, replay of any step and honest comparisons possible. Bits come from Philox 4x64
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) as numpy implements it; the
mapping to uniforms and normals is ours, so that a numpy release cannot change a run.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, UInt64
from torch import Tensor

_NO_STEP = 0
_BELOW_ONE = 1.0 - 2.0**-53


class Streams:
    """Named random streams of one run.

    Args:
        seed: any integer; two runs with the same seed and code draw the same numbers.
        key: labels that stand before every draw's own, such as those of a particle.
    """

    def __init__(self, seed: int, *key: int | str):
        self.seed, self.key = int(seed), key
        # one generator for all draws, set anew for each: making one asks the machine for entropy, only to throw it away
        self._bits: np.random.Philox | None = None

    def particle(self, index: int) -> Streams:
        """The streams of one of several particles; those of particle 0 are the run's own."""
        return Streams(self.seed, *self.key, "particle", index) if index else self

    def seed_of(self, *key: int | str) -> int:
        """A seed in [0, 2^63) made of this one and a key, for streams that shall have nothing in common with these."""
        digest = hashlib.blake2b(repr((self.seed, self.key, key)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1

    def _philox_key(self, tag: str, key: tuple) -> np.ndarray:
        """(2,) uint64; a different (tag, key) is a different Philox key."""
        text = repr((self.seed, tag, self.key + key)).encode()
        return np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), dtype=np.uint64)

    def _raw(
        self, count: int, tag: str, key: tuple, step: int | None, ids: Sequence[int]
    ) -> UInt64[np.ndarray, "ids count"]:
        """Random bits; a row an id."""
        philox_key, when = self._philox_key(tag, key), _NO_STEP if step is None else step + 1
        bits = self._bits = self._bits or np.random.Philox(0)
        state, raw = bits.state, np.empty((len(ids), count), dtype=np.uint64)
        for row, view_id in zip(raw, ids, strict=True):
            counter = [0, when, int(view_id) & 0xFFFFFFFFFFFFFFFF, 0]
            place = {"counter": np.array(counter, dtype=np.uint64), "key": philox_key}
            bits.state = state | {"state": place, "buffer_pos": 4, "has_uint32": 0, "uinteger": 0}  # type: ignore[assignment]
            row[:] = bits.random_raw(count)
        return raw

    def _unit(
        self, count: int, tag: str, key: tuple, step: int | None, ids: Sequence[int]
    ) -> Float64[np.ndarray, "ids count"]:
        """Numbers in (0, 1), never 0 or 1; a row an id."""
        u = (self._raw(count, tag, key, step, ids) >> np.uint64(11)).astype(np.float64)
        u += 0.5
        u *= 2.0**-53
        # above 2^52 the half is rounded to even, which would take the very last value to 1
        return np.minimum(u, _BELOW_ONE, out=u)

    def uniform(
        self,
        shape: Sequence[int],
        tag: str,
        *key: int | str,
        step: int | None = None,
        ids: Sequence[int] = (0,),
    ) -> Tensor:
        """Uniform numbers in (0, 1).

        Args:
            shape: shape for one id.
            tag: what the numbers are for, such as "camera".
            key: further labels (draw, attempt, particle).
            step: optimisation step, or None for numbers that stay fixed over a run.
            ids: one independent stream an id; view ids of a batch.

        Returns:
            (len(ids), *shape) float64 on the CPU.
        """
        u = self._unit(math.prod(shape), tag, key, step, ids)
        return torch.from_numpy(u.reshape(len(ids), *shape))

    def normal(
        self,
        shape: Sequence[int],
        tag: str,
        *key: int | str,
        step: int | None = None,
        ids: Sequence[int] = (0,),
    ) -> Tensor:
        """Standard normal numbers by the Box-Muller transform in float32; arguments as in `uniform`.

        32 bits a number reach 6.6 standard deviations, beyond which 4 of 10^11 would lie.

        Returns:
            (len(ids), *shape) float32 on the CPU.
        """
        count = math.prod(shape)
        half = (count + 1) // 2
        bits = self._raw(half, tag, key, step, ids).view(np.uint32)
        radius = _scaled(bits[:, :half], 0.5, 2.0**-32)
        angle = _scaled(bits[:, half:], 0.0, 2.0 * math.pi * 2.0**-32)
        np.log(radius, out=radius)
        radius *= np.float32(-2.0)
        np.sqrt(radius, out=radius)
        pairs = np.empty((len(ids), 2 * half), dtype=np.float32)
        np.multiply(radius, np.cos(angle), out=pairs[:, :half])
        np.multiply(radius, np.sin(angle), out=pairs[:, half:])
        return torch.from_numpy(pairs[:, :count].reshape(len(ids), *shape))

    def integers(
        self,
        high: int,
        shape: Sequence[int],
        tag: str,
        *key: int | str,
        step: int | None = None,
        ids: Sequence[int] = (0,),
    ) -> Tensor:
        """Integers in [0, high); arguments as in `uniform`.

        Returns:
            (len(ids), *shape) int64 on the CPU.
        """
        # a float64 below 1 times a whole number rounds to below that number
        return (self.uniform(shape, tag, *key, step=step, ids=ids) * high).long()


def _scaled(bits: np.ndarray, offset: float, factor: float) -> np.ndarray:
    """(bits + offset) factor as float32."""
    values = bits.astype(np.float32)
    values += np.float32(offset)
    values *= np.float32(factor)
    return values
