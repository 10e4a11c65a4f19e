"""A glTF document's bytes, view by view, to be changed and laid out again as a GLB."""

from __future__ import annotations

import copy
import json
import struct

import numpy as np

from .gltf_container import Document

_SIZES = {5121: "u1", 5123: "<u2", 5126: "<f4"}


class Views:
    """Every buffer view of a document with bytes of its own; `json` is a copy that may be changed.

    Pictures that lay in files beside the document become views.
    """

    def __init__(self, document: Document):
        self.document, self.json, self.changed = document, copy.deepcopy(document.json), False
        count = len(document.take(document.json, "bufferViews", list, []))
        self.bytes = [bytearray(document.view(index)) for index in range(count)]
        for image in self.json.get("images", []):
            uri = image.get("uri")
            if uri is not None and not uri.startswith("data:"):
                data = document.resource(image.pop("uri"))
                image |= {"bufferView": self.add(data), "mimeType": _mime(data)}

    def primitives(self, looks: list[dict], original: dict) -> list[dict]:
        """The copies of primitives of the document."""
        pairs = [
            (old, new)
            for a, b in zip(original["meshes"], self.json["meshes"], strict=True)
            for old, new in zip(a["primitives"], b["primitives"], strict=True)
        ]
        return [next(new for old, new in pairs if old is look) for look in looks]

    def add(self, data: bytes, target: int | None = None) -> int:
        """The number of a new view."""
        view: dict = {"buffer": 0, "byteLength": len(data)}
        self.json.setdefault("bufferViews", []).append(view if target is None else {**view, "target": target})
        self.bytes.append(bytearray(data))
        return len(self.bytes) - 1

    def image(self, number: int) -> bytes:
        """The file of a picture."""
        image = self.json["images"][number]
        return (
            bytes(self.bytes[image["bufferView"]])
            if "bufferView" in image
            else self.document.resource(image["uri"])
        )

    def set_image(self, number: int, data: bytes) -> None:
        """Replace the file of a picture by a PNG."""
        image = self.json["images"][number]
        shared = [i for i in self.json["images"] if i.get("bufferView", -1) == image.get("bufferView", -2)]
        image["mimeType"], self.changed = "image/png", True
        if "bufferView" in image and len(shared) == 1:
            self.bytes[image["bufferView"]] = bytearray(data)
            return
        image.pop("uri", None)
        image["bufferView"] = self.add(data)

    def set_rows(
        self, number: int, old: np.ndarray, new: np.ndarray, target: int, primitives: list[dict], name: str
    ) -> None:
        """Change rows of an accessor of vectors: where they lie if they lie there as floats, else in a new view.

        Args:
            old, new: (n, 3) float32; rows that are equal are not touched. primitives: copies of those that may name
                the accessor. name: as what.
        """
        rows = (old != new).any(1)
        if not rows.any():
            return
        self.changed = True
        spec = self.json["accessors"][number]
        if spec["componentType"] == 5126 and "bufferView" in spec and "sparse" not in spec:
            self._rows(spec, "<f4", 3)[rows] = new[rows]
        else:
            spec = {"componentType": 5126, "count": len(new), "type": "VEC3"}
            spec["bufferView"] = self.add(np.ascontiguousarray(new, "<f4").tobytes(), target)
            self.json["accessors"].append(spec)
            for primitive in primitives:
                if primitive["attributes"].get(name) == number:
                    primitive["attributes"][name] = len(self.json["accessors"]) - 1
        if name == "POSITION":
            spec["min"], spec["max"] = ([float(v) for v in end] for end in (new.min(0), new.max(0)))

    def _rows(self, spec: dict, code: str, width: int) -> np.ndarray:
        """(n, width) rows of an accessor, which write through to its view."""
        data, size = self.bytes[spec["bufferView"]], np.dtype(code).itemsize
        stride = self.json["bufferViews"][spec["bufferView"]].get("byteStride", 0) or size * width
        return np.ndarray((spec["count"], width), code, data, spec.get("byteOffset", 0), (stride, size))

    def set_colors(self, primitive: dict, linear: np.ndarray, changed: np.ndarray) -> None:
        """Give a primitive the vertex colours; rows that did not change keep the bytes they have.

        Args:
            linear: (n, 3) in [0, 1]. changed: (n,) which rows differ from the file's.
        """
        names, self.changed = primitive["attributes"], True
        known = self.json["accessors"][names["COLOR_0"]] if "COLOR_0" in names else None
        plain = known is not None and "bufferView" in known and "sparse" not in known
        if known is None or not plain:
            rows = np.ones((len(linear), 4))
            rows[:, :3] = linear
            if known is not None:
                old = self.document.accessor(names["COLOR_0"]).astype(np.float64)
                rows[:, 3] = old[:, 3] if old.shape[1] == 4 else 1.0
            spec = {"componentType": 5123, "normalized": True, "count": len(rows), "type": "VEC4"}
            spec["bufferView"] = self.add(np.rint(rows * 65535).astype("<u2").tobytes(), 34962)
        else:
            code, width = _SIZES[known["componentType"]], 4 if known["type"] == "VEC4" else 3
            values = self._rows(known, code, width).copy()
            top = 1.0 if code == "<f4" else float(np.iinfo(code).max)
            coded = linear[changed] * top
            values[changed, :3] = coded if code == "<f4" else np.rint(coded)
            spec = {k: v for k, v in known.items() if k not in ("byteOffset", "min", "max")}
            spec["bufferView"] = self._padded(values)
        self.json["accessors"].append(spec)
        names["COLOR_0"] = len(self.json["accessors"]) - 1

    def _padded(self, values: np.ndarray) -> int:
        """A view of rows that begin at multiples of four bytes, as glTF asks of vertices."""
        width = values.shape[1] * values.itemsize
        stride = width + -width % 4
        out = np.zeros((len(values), stride), "u1")
        out[:, :width] = np.ascontiguousarray(values).view("u1").reshape(len(values), width)
        view = self.add(out.tobytes(), 34962)
        self.json["bufferViews"][view]["byteStride"] = stride
        return view

    def material(self, primitive: dict) -> dict:
        """What a primitive is made of; {} for nothing said."""
        return self.json["materials"][primitive["material"]] if "material" in primitive else {}

    def own_material(self, primitive: dict, without: set[str]) -> None:
        """Give a primitive a copy of its material whose model lacks these colours; the old one stays for others."""
        model = self.material(primitive).get("pbrMetallicRoughness", {})
        factor = model.get("baseColorFactor", [1.0] * 4)
        if "material" not in primitive or not without & set(model) or factor[:3] == [1.0] * 3:
            return
        own = copy.deepcopy(self.material(primitive))
        own["pbrMetallicRoughness"]["baseColorFactor"] = [1.0, 1.0, 1.0, factor[3]]
        self.json["materials"].append(own)
        primitive["material"] = len(self.json["materials"]) - 1

    def glb(self) -> bytes:
        """The document as a GLB: views one after another, each where its numbers stay aligned."""
        body = bytearray()
        for view, data in zip(self.json.get("bufferViews", []), self.bytes, strict=True):
            body.extend(b"\0" * ((view.get("byteOffset", 0) - len(body)) % 4))
            view |= {"buffer": 0, "byteOffset": len(body), "byteLength": len(data)}
            body.extend(data)
        body.extend(b"\0" * (-len(body) % 4))
        self.json["buffers"] = [{"byteLength": len(body)}]
        text = json.dumps(self.json, separators=(",", ":"), ensure_ascii=True).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(body), b"BIN\0") + bytes(body)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _mime(data: bytes) -> str:
    return "image/jpeg" if data.startswith(b"\xff\xd8") else "image/png"
