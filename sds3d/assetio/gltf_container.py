"""The outside of glTF 2.0: GLB chunks, the JSON document, buffers, accessors, images.

Every number of the document is checked against the bytes that are there before memory is reserved.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
from torch import Tensor

from ..core.errors import AssetError
from .files import read_bytes, shown, sibling
from .image_bytes import MAX_PIXELS, decode_image

MAX_ELEMENTS, MAX_ZEROS = 1 << 28, 1 << 24
"""Accessors with more numbers are refused; those without data, all zeros, cost nothing to claim: fewer of them."""

_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Document:
    """A parsed glTF file with access to its binary data.

    Args:
        data: the bytes of a .glb or .gltf file. path: where they come from, for references and error texts.

    Raises:
        AssetError: here and in every method, for whatever contradicts the specification.
    """

    def __init__(self, data: bytes, path: Path):
        self.path = path
        text, self._chunk = _split_glb(data, path) if data.startswith(b"glTF") else (data, None)
        try:
            self.json = json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise AssetError(f"{path}: its JSON cannot be read: {shown(error, 200)}.") from error
        if not isinstance(self.json, dict):
            raise self.error("its JSON is not an object")
        version = str(self.take(self.json.get("asset", {}), "version", str, "?"))
        if not version.startswith("2."):
            raise self.error(f"is glTF version {version[:20]}, sds3d reads version 2")
        self._buffers: dict[int, bytes] = {}
        self._images: dict[int, Tensor] = {}
        self._filled: dict[int, np.ndarray] = {}

    def error(self, reason: str) -> AssetError:
        """An error of one sentence that names the file."""
        return AssetError(f"{self.path}: {reason}.")

    def take(self, owner: object, key: str, kind: type | tuple[type, ...], default: object = None):
        """owner[key] where it is of that type; `default` where it is absent and a default is given."""
        if not isinstance(owner, dict):
            raise self.error(f"expected an object that holds '{key}', found {type(owner).__name__}")
        value = owner.get(key, default)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise self.error(f"'{key}' is missing or of the wrong type: {str(value)[:60]!r}")
        return value

    def item(self, key: str, index: object) -> dict:
        """Entry `index` of a top-level array such as "meshes"."""
        array = self.take(self.json, key, list, [])
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(array):
            raise self.error(f"refers to {key} number {str(index)[:40]}, but there are {len(array)}")
        if not isinstance(array[index], dict):
            raise self.error(f"entry {index} of {key} is not an object")
        return array[index]

    def numbers(self, owner: dict, key: str, default: list[float]) -> np.ndarray:
        """A list of finite numbers as long as `default`, float64."""
        values = self.take(owner, key, list, default)
        right = len(values) == len(default) and all(isinstance(v, (int, float)) for v in values)
        # an integer of hundreds of digits is valid JSON, and no float
        right = right and all(isinstance(v, float) or abs(v) < 1 << 1000 for v in values)
        array = np.array(values if right else [np.nan], dtype=np.float64)
        if not np.isfinite(array).all():
            raise self.error(f"'{key}' must be {len(default)} finite numbers, found {str(values)[:80]}")
        return array

    def numbers_or(self, owner: dict, key: str, default: float) -> float:
        """A finite number; `default` where it is absent."""
        value = self.take(owner, key, (int, float), default)
        return float(self.numbers({key: [value]}, key, [default])[0])

    def accessor(self, index: object) -> np.ndarray:
        """(count, width) values; normalised integers as float64 in [0, 1] or [-1, 1], others as stored."""
        spec = self.item("accessors", index)
        code = _COMPONENTS.get(self.take(spec, "componentType", int))
        width = _WIDTHS.get(self.take(spec, "type", str))
        count = self.take(spec, "count", int)
        if code is None or width is None or not 0 <= count * width <= MAX_ELEMENTS:
            raise self.error(
                f"accessor {index} has an unknown type or an impossible count ({str(count)[:20]})"
            )
        if isinstance(index, int) and index in self._filled:
            values = self._filled[index]
            if values.shape != (count, width) or values.dtype.kind != np.dtype(code).kind:
                raise self.error(
                    f"accessor {index} tells of {count} x {width} numbers; unpacked, there are {values.shape}"
                )
            values = values.astype(code)
        elif "bufferView" in spec:
            offset = self.take(spec, "byteOffset", int, 0)
            values = self._rows(spec["bufferView"], offset, np.dtype(code), width, count).copy()
        elif count * width > MAX_ZEROS:
            raise self.error(f"accessor {index} has no data and an impossible count ({count})")
        else:
            values = np.zeros((count, width), dtype=code)
        if "sparse" in spec:
            sparse = self.take(spec, "sparse", dict)
            self._apply_sparse(values, sparse, code)
        if spec.get("normalized") is True and values.dtype.kind in "iu":
            return np.maximum(values / float(np.iinfo(values.dtype).max), -1.0)
        return values

    def fill(self, index: object, values: np.ndarray) -> None:
        """(count, width) values of an accessor that an extension of the format holds; its own data do not count."""
        self.item("accessors", index)
        assert isinstance(index, int)
        self._filled[index] = values

    def filled(self, index: int) -> bool:
        """Whether `fill` was called for that accessor."""
        return index in self._filled

    def view(self, index: object) -> bytes:
        """The bytes of a buffer view."""
        return self._view(index)[0]

    def image(self, index: int) -> Tensor:
        """(3, H, W) sRGB in [0, 1] of image `index`."""
        if index not in self._images:
            spec = self.item("images", index)
            if "bufferView" in spec:
                data = self.view(spec["bufferView"])
            else:
                data = self.resource(self.take(spec, "uri", str))
            name = str(spec.get("name") or str(spec.get("uri", index))[:60])
            left = MAX_PIXELS - sum(image.shape[1] * image.shape[2] for image in self._images.values())
            self._images[index] = decode_image(data, name, self.path, left)
        return self._images[index]

    def _apply_sparse(self, values: np.ndarray, sparse: dict, code: str) -> None:
        count = self.take(sparse, "count", int)
        where, what = self.take(sparse, "indices", dict), self.take(sparse, "values", dict)
        index_code = _COMPONENTS.get(self.take(where, "componentType", int))
        if index_code not in ("u1", "<u2", "<u4") or not 0 <= count <= len(values):
            raise self.error("a sparse accessor has an impossible count or index type")
        start = self.take(where, "byteOffset", int, 0), self.take(what, "byteOffset", int, 0)
        rows = self._rows(where.get("bufferView"), start[0], np.dtype(index_code), 1, count)[:, 0].astype(
            np.int64
        )
        if len(rows) and rows.max() >= len(values):
            raise self.error("a sparse accessor points outside its own rows")
        values[rows] = self._rows(what.get("bufferView"), start[1], np.dtype(code), values.shape[1], count)

    def _rows(self, view: object, offset: int, dtype: np.dtype, width: int, count: int) -> np.ndarray:
        data, stride = self._view(view)
        packed = dtype.itemsize * width
        stride = stride or packed
        need = offset + stride * (count - 1) + packed if count else 0
        if offset < 0 or stride < packed or need > len(data):
            raise self.error(f"an accessor needs {need} bytes of buffer view {view}, which has {len(data)}")
        if not count:
            return np.zeros((0, width), dtype)
        return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))

    def _view(self, index: object) -> tuple[bytes, int]:
        spec = self.item("bufferViews", index)
        data = self._buffer(self.take(spec, "buffer", int))
        offset, length = self.take(spec, "byteOffset", int, 0), self.take(spec, "byteLength", int)
        if offset < 0 or length < 0 or offset + length > len(data):
            raise self.error(
                f"is cut off: buffer view {index} ends at byte {offset + length} of a buffer of {len(data)}"
            )
        return data[offset : offset + length], self.take(spec, "byteStride", int, 0)

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            spec = self.item("buffers", index)
            length = self.take(spec, "byteLength", int)
            if "uri" in spec:
                data = self.resource(self.take(spec, "uri", str))
            elif index == 0 and self._chunk is not None:
                data = self._chunk
            else:
                raise self.error(f"buffer {index} has neither a uri nor a binary chunk")
            if length < 0 or length > len(data):
                raise self.error(f"is cut off: buffer {index} should have {length} bytes and has {len(data)}")
            self._buffers[index] = data[:length]
        return self._buffers[index]

    def resource(self, uri: str) -> bytes:
        """The bytes behind a URI: embedded ones, or those of a file beside the document."""
        if not uri.startswith("data:"):
            return read_bytes(sibling(self.path, uri))
        head, _, body = uri.partition(",")
        try:
            raw = unquote_to_bytes(body)
            return base64.b64decode(raw, validate=True) if head.endswith(";base64") else raw
        except (binascii.Error, ValueError) as error:
            raise self.error(f"an embedded data URI cannot be decoded: {shown(error)}") from error


def _split_glb(data: bytes, path: Path) -> tuple[bytes, bytes | None]:
    """The JSON chunk and the binary chunk (None where there is none)."""
    if len(data) < 20:
        raise AssetError(f"{path}: is cut off: a GLB has at least 20 bytes, this one {len(data)}.")
    _, version, length = struct.unpack_from("<4sII", data)
    if version != 2 or length > len(data):
        raise AssetError(
            f"{path}: is cut off or no GLB 2: it claims version {version} and {length} bytes, and has {len(data)}."
        )
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, at)
        if at + 8 + size > length:
            raise AssetError(f"{path}: is cut off: a chunk of {size} bytes starts at {at} of {length}.")
        chunks.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size
    if b"JSON" not in chunks:
        raise AssetError(f"{path}: is malformed: the GLB has no JSON chunk.")
    return chunks[b"JSON"], chunks.get(b"BIN\0")
