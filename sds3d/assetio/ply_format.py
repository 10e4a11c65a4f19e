"""The PLY container (Turk 1994): elements with named columns, ASCII or binary, both byte orders.

Nothing here knows what the columns mean; ply.py does. No memory is reserved before the file has been seen
to be long enough for what its header claims.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.errors import AssetError
from .files import shown

MAX_HEADER_BYTES = 1 << 16

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Property:
    """One column: numpy type code, and for a list column the type code of its length."""

    name: str
    type: str
    length_type: str | None = None


@dataclass(frozen=True)
class Element:
    """A table's header line and columns."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)


@dataclass(frozen=True)
class Ragged:
    """A list column: `lengths` (count,) int64 and all entries one after the other in `values`."""

    lengths: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Table:
    """One element's rows: `columns` (count,) each, `lists` for list columns."""

    count: int
    columns: dict[str, np.ndarray]
    lists: dict[str, Ragged]


def parse_ply(data: bytes, path: Path) -> dict[str, Table]:
    """All elements of a PLY file by name.

    Raises:
        AssetError: the header is malformed, or the data is shorter than the header claims.
    """
    order, elements, start = parse_header(data, path)
    tables = {}
    if order == "":
        tokens = data[start:].split()
        at = 0
        for element in elements:
            tables[element.name], at = _ascii_table(tokens, at, element, path)
    else:
        for element in elements:
            tables[element.name], start = _binary_table(data, start, order, element, path)
    return tables


def ply_comments(data: bytes) -> list[str]:
    """The text of a file's comment lines."""
    head = data[: max(data.find(b"end_header", 0, MAX_HEADER_BYTES), 0)].decode("latin-1")
    return [line[8:].strip() for line in head.splitlines() if line.startswith("comment ")]


def build_ply(tables: list[tuple[str, np.ndarray]], comments: tuple[str, ...] = ()) -> bytes:
    """A binary little-endian PLY file.

    Args:
        tables: (element name, structured array) pairs; a field of shape (k,) becomes a list column with a
            uchar length, as faces want it. comments: header lines.
    """
    names = {np.dtype(code): name for name, code in _TYPES.items() if not name[-1].isdigit()}
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {c}" for c in comments)]
    body = []
    for name, rows in tables:
        lines.append(f"element {name} {len(rows)}")
        layout = []
        for column in rows.dtype.names or ():
            kind = rows.dtype[column]
            base, shape = kind.subdtype if kind.subdtype else (kind, ())
            code = base.newbyteorder("<")
            if shape:
                lines.append(f"property list uchar {names[base.newbyteorder('=')]} {column}")
                layout += [(f"{column} length", "u1"), (column, code, shape)]
            else:
                lines.append(f"property {names[base.newbyteorder('=')]} {column}")
                layout.append((column, code))
        packed = np.empty(len(rows), dtype=layout)
        for column in packed.dtype.names or ():
            source = column.removesuffix(" length")
            packed[column] = rows[source] if source == column else rows.dtype[source].shape[0]
        body.append(packed.tobytes())
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii") + b"".join(body)


def parse_header(data: bytes, path: Path) -> tuple[str, list[Element], int]:
    """Byte order ("" for ASCII, "<" or ">"), the elements, and where the first one's data begins.

    Raises:
        AssetError: the header is malformed.
    """
    end = data.find(b"end_header", 0, MAX_HEADER_BYTES)
    if not data.startswith(b"ply") or end < 0:
        raise AssetError(f"{path}: is not a PLY file, or its header is cut off: no 'end_header' was found.")
    start = end + len(b"end_header")
    start += 2 if data[start : start + 2] == b"\r\n" else 1
    order: str | None = None
    elements: list[Element] = []
    for number, line in enumerate(data[:end].decode("latin-1").splitlines(), start=1):
        words = line.split()
        try:
            if not words or words[0] in ("ply", "comment", "obj_info"):
                continue
            if words[0] == "format":
                order = _ORDERS[words[1]]
            elif words[0] == "element":
                elements.append(_element(words, elements))
            elif words[0] == "property":
                _add_property(words, elements)
            else:
                raise ValueError(f"unknown keyword '{words[0][:40]}'")
        except (KeyError, IndexError, ValueError) as error:
            raise AssetError(
                f"{path}: header line {number} '{shown(line, 80)}' is malformed ({shown(error)})."
            ) from error
    if order is None:
        raise AssetError(f"{path}: the PLY header has no 'format' line.")
    return order, elements, start


def _element(words: list[str], elements: list[Element]) -> Element:
    count = int(words[2])
    if count < 0 or any(e.name == words[1] for e in elements):
        raise ValueError("negative count or repeated element")
    return Element(words[1], count)


def _add_property(words: list[str], elements: list[Element]) -> None:
    element = elements[-1]
    if words[1] == "list":
        new = Property(words[4], _TYPES[words[3]], _TYPES[words[2]])
        if new.length_type is None or new.length_type[0] == "f":
            raise ValueError("a list length is an integer")
    else:
        new = Property(words[2], _TYPES[words[1]])
    if any(p.name == new.name for p in element.properties):
        raise ValueError(f"'{new.name}' appears twice")
    element.properties.append(new)


def _too_short(element: Element, have: int, need: int, unit: str, path: Path) -> AssetError:
    return AssetError(
        f"{path}: is cut off: the header promises {element.count} of '{shown(element.name, 40)}', at least {need} "
        f"{unit}, but {have} {unit} are left. Copy or download the file again."
    )


def _ascii_table(tokens: list[bytes], at: int, element: Element, path: Path) -> tuple[Table, int]:
    least = element.count * len(element.properties)
    if least > len(tokens) - at:
        raise _too_short(element, len(tokens) - at, least, "numbers", path)
    try:
        if not any(p.length_type for p in element.properties):
            width = len(element.properties)
            block = np.array(tokens[at : at + least], dtype="S").astype(np.float64).reshape(-1, width or 1)
            columns = {p.name: block[:, i].astype(p.type) for i, p in enumerate(element.properties)}
            return Table(element.count, columns, {}), at + least
        rows: dict[str, list] = {p.name: [] for p in element.properties}
        lengths: dict[str, list[int]] = {p.name: [] for p in element.properties if p.length_type}
        for _ in range(element.count):
            for p in element.properties:
                count = 1
                if p.length_type:
                    count, at = int(tokens[at]), at + 1
                    lengths[p.name].append(count)
                if count < 0 or at + count > len(tokens):
                    raise _too_short(element, len(tokens) - at, count, "numbers", path)
                rows[p.name] += tokens[at : at + count]
                at += count
        values = {
            p.name: np.array(rows[p.name], dtype="S").astype(np.float64).astype(p.type)
            for p in element.properties
        }
    except (ValueError, IndexError) as error:
        raise AssetError(
            f"{path}: '{shown(element.name, 40)}' holds something that is no number: {shown(error)}."
        ) from error
    return _split(element, values, {k: np.array(v, dtype=np.int64) for k, v in lengths.items()}), at


def _binary_table(data: bytes, at: int, order: str, element: Element, path: Path) -> tuple[Table, int]:
    least = sum(np.dtype(p.length_type or p.type).itemsize for p in element.properties)
    if element.count * least > len(data) - at:
        raise _too_short(element, max(len(data) - at, 0), element.count * least, "bytes", path)
    if element.count == 0 or not element.properties:
        empty = {p.name: np.zeros(0, p.type) for p in element.properties}
        return _split(
            element, empty, {p.name: np.zeros(0, np.int64) for p in element.properties if p.length_type}
        ), at
    table = _uniform_rows(data, at, order, element)
    return table or _varying_rows(data, at, order, element, path)


def _uniform_rows(data: bytes, at: int, order: str, element: Element) -> tuple[Table, int] | None:
    """The rows read at once, where every list is as long as the first row's; None where they are not."""
    layout: list[tuple] = []
    cursor = at
    for p in element.properties:
        if p.length_type:
            code = np.dtype(order + p.length_type)
            if cursor + code.itemsize > len(data):
                return None
            length = int(np.frombuffer(data, code, 1, cursor)[0])
            layout += [(f"{p.name} length", code), (p.name, order + p.type, (max(length, 0),))]
            cursor += code.itemsize + max(length, 0) * np.dtype(p.type).itemsize
        else:
            layout.append((p.name, order + p.type))
            cursor += np.dtype(p.type).itemsize
    row = cursor - at
    if at + row * element.count > len(data):
        return None
    rows = np.frombuffer(data, np.dtype(layout), element.count, at)
    lists = [p for p in element.properties if p.length_type]
    if any((rows[f"{p.name} length"] != rows[p.name].shape[1]).any() for p in lists):
        return None
    lengths = {p.name: rows[f"{p.name} length"].astype(np.int64) for p in lists}
    values = {p.name: rows[p.name].reshape(-1).astype(p.type) for p in element.properties}
    return _split(element, values, lengths), at + row * element.count


def _varying_rows(data: bytes, at: int, order: str, element: Element, path: Path) -> tuple[Table, int]:
    parts: dict[str, list[bytes]] = {p.name: [] for p in element.properties}
    lengths: dict[str, list[int]] = {p.name: [] for p in element.properties if p.length_type}
    for _ in range(element.count):
        for p in element.properties:
            count = 1
            if p.length_type:
                code = np.dtype(order + p.length_type)
                if at + code.itemsize > len(data):
                    raise _too_short(element, len(data) - at, code.itemsize, "bytes", path)
                count, at = int(np.frombuffer(data, code, 1, at)[0]), at + code.itemsize
                lengths[p.name].append(count)
            size = count * np.dtype(p.type).itemsize
            if count < 0 or at + size > len(data):
                raise _too_short(element, len(data) - at, size, "bytes", path)
            parts[p.name].append(data[at : at + size])
            at += size
    values = {
        p.name: np.frombuffer(b"".join(parts[p.name]), order + p.type).astype(p.type)
        for p in element.properties
    }
    return _split(element, values, {k: np.array(v, dtype=np.int64) for k, v in lengths.items()}), at


def _split(element: Element, values: dict[str, np.ndarray], lengths: dict[str, np.ndarray]) -> Table:
    columns = {name: value for name, value in values.items() if name not in lengths}
    lists = {name: Ragged(lengths[name], values[name]) for name in lengths}
    return Table(element.count, columns, lists)
