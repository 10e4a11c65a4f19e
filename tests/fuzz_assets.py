"""Broken files by the thousand: seeds of every format, mutations that know a little of each, and a judge.

Used by test_assetio_fuzz.py (a few hundred) and benchmarks/fuzz_readers.py (as many as asked for).
"""

from __future__ import annotations

import io
import json
import re
import signal
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from assetio_cases import tetrahedron, two_splats

from sds3d import assetio
from sds3d.assetio.gltf_write import encode_glb
from sds3d.assetio.image_bytes import encode_png
from sds3d.assetio.obj_write import encode_obj
from sds3d.assetio.ply import encode_ply
from sds3d.assetio.ply_compressed import encode_compressed
from sds3d.assetio.splat import encode_splat
from sds3d.assetio.splats import encode_splats
from sds3d.assetio.spz import encode_spz
from sds3d.assetio.stl import encode_stl
from sds3d.assetio.usd_write import encode_usdz
from sds3d.assetio.usdz import pack
from sds3d.core.assets import Material, Mesh, PointCloud
from sds3d.core.errors import AssetError

SECONDS = 10
Dice = np.random.Generator
Mutation = Callable[[bytes, Dice], bytes]


@dataclass(frozen=True)
class Seed:
    """A sound file: its name, bytes, the files beside it, and the mutations that suit it."""

    name: str
    data: bytes
    beside: dict[str, bytes]
    mutations: tuple[Mutation, ...]


def seeds() -> dict[str, list[Seed]]:
    """Sound files by format."""
    uv = torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    look = Material(0.25, 0.5, torch.ones(2, 2, 2) / 3, torch.ones(3, 2, 2) / 2)
    plain = replace(tetrahedron(), colors=None, normals=tetrahedron().vertices + 1)
    rich = replace(plain, uv=uv, texture=torch.ones(3, 2, 2) / 3, material=look)
    origin = {"prompt": "a cube", "seed": "1"}
    text, binary = (flip, digits, cut, repeat, splice_lines), (flip, flip_late, flip_late, words, cut, repeat)
    glb, table = (*binary, json_edit), (*binary, header_digits)
    obj = encode_obj(rich, Path("a.obj"), origin)
    obj_text = obj.pop(Path("a.obj"))
    beside = {file.name: data for file, data in obj.items()}
    few = two_splats()
    names = ("means", "scales", "rotations", "opacities", "sh")
    many = replace(few, **{name: torch.cat([getattr(few, name)] * 9) for name in names})
    pictures = {f"textures/{n}.png": encode_png(torch.ones(3, 2, 3) / 3) for n in SHADERS}
    usda = zipfile.ZipFile(io.BytesIO(encode_usdz(rich, origin))).read("asset.usda")
    return {
        "glb": [Seed("a.glb", encode_glb(m, provenance=origin), {}, glb) for m in (tetrahedron(), rich)],
        "gltf": [Seed("a.gltf", loose_gltf(rich), {"a.bin": loose_bin(rich)}, (*text, gltf_edit))],
        "obj": [
            Seed("a.obj", obj_text, beside, text),
            Seed("a.obj", encode_obj(tetrahedron(), Path("a.obj"))[Path("a.obj")], {}, text),
        ],
        "mtl": [Seed("a.mtl", beside.pop("a.mtl"), {"a.obj": obj_text, **beside}, text)],
        "ply": [
            Seed("a.ply", encode_ply(tetrahedron(), origin), {}, table),
            Seed("a.ply", encode_ply(PointCloud(tetrahedron().vertices)), {}, table),
            Seed("a.ply", ASCII_PLY, {}, text),
        ],
        "3dgs": [Seed("a.3dgs.ply", encode_splats(two_splats(), origin), {}, table)],
        "compressed": [Seed("a.compressed.ply", encode_compressed(many, origin), {}, table)],
        "splat": [Seed("a.splat", encode_splat(many), {}, binary)],
        "spz": [Seed("a.spz", encode_spz(many), {}, (*binary, inside_gzip, inside_gzip))],
        **packed(binary),
        "usdz": [
            Seed("a.usdz", encode_usdz(mesh, origin), {}, (*binary, inside_usdz, inside_usdz))
            for mesh in (tetrahedron(), rich)
        ],
        "usda": [Seed("a.usda", usda, pictures, text)],
        "stl": [Seed("a.stl", encode_stl(tetrahedron()), {}, (*binary,)), Seed("a.stl", ASCII_STL, {}, text)],
        "png": [Seed("a.png", encode_png(torch.ones(3, 2, 3) / 3, origin), {}, binary)],
    }


def packed(binary: tuple[Mutation, ...]) -> dict[str, list[Seed]]:
    """What optional packages unpack, where they are installed."""
    if find_spec("zstandard") is None or find_spec("DracoPy") is None:
        return {}
    from packed_cases import draco_glb, painted, spz4

    return {
        "spz4": [Seed("b.spz", spz4(), {}, binary)],
        "draco": [Seed("b.glb", draco_glb(painted()), {}, (*binary, json_edit))],
    }


ASCII_PLY = (
    b"ply\nformat ascii 1.0\ncomment x\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    b"property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 2\n"
    b"property list uchar int vertex_indices\nend_header\n0 0 0 1 2 3\n1 0 0 4 5 6\n0 1 0 7 8 9\n1 1 0 9 9 9\n"
    b"3 0 1 2\n4 0 1 3 2\n"
)
ASCII_STL = (
    b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"
    b"facet normal 0 0 1\nouter loop\nvertex 1 0 0\nvertex 1 1e0 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid a\n"
)
NUMBERS = (
    b"0",
    b"-1",
    b"1e39",
    b"-1e999",
    b"nan",
    b"inf",
    b"100000000",
    b"4294967295",
    b"9" * 400,
    b"0.5",
    b"x",
    b"",
)
WORDS = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 100_000_000, 0x7F800000, 0x7FC00000, 0xFFFF, 3)
TEXTS = ("x", "", "../../etc/passwd", "file:///etc/passwd", "data:;base64,AAAA", "VEC9", "SCALAR", "a.bin")
ODD = (None, True, [], {}, [0], [[0]], 0.5, 1e308, float("nan"), float("inf"))
VALUES = (0, -1, 1, 3, 10**8, 10**30, 10**400, -(2**63), 5126, 5125, *TEXTS, *ODD)
SHADERS = ("BaseColor", "Metallic", "Roughness", "Normal")


def split_glb(data: bytes) -> tuple[dict, bytes]:
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[20 + size :]


def loose_gltf(mesh: Mesh) -> bytes:
    document, _ = split_glb(encode_glb(mesh))
    document["buffers"][0]["uri"] = "a.bin"
    return json.dumps(document).encode()


def loose_bin(mesh: Mesh) -> bytes:
    return split_glb(encode_glb(mesh))[1][8:]


def flip(data: bytes, dice: Dice) -> bytes:
    """One to eight bytes replaced."""
    out = bytearray(data)
    for at in dice.integers(0, max(len(out), 1), dice.integers(1, 9)):
        if len(out):
            out[at] = dice.integers(0, 256)
    return bytes(out)


def flip_late(data: bytes, dice: Dice) -> bytes:
    """One to eight bytes replaced in the last third, where the numbers are."""
    start = len(data) * 2 // 3
    return data[:start] + flip(data[start:], dice)


def words(data: bytes, dice: Dice) -> bytes:
    """A 32-bit number replaced by an extreme one, anywhere, most often near the start."""
    out = bytearray(data)
    at = int(dice.integers(0, max(min(len(out), 64) if dice.random() < 0.5 else len(out), 5) - 4))
    out[at : at + 4] = struct.pack("<I", WORDS[dice.integers(len(WORDS))])
    return bytes(out)


def cut(data: bytes, dice: Dice) -> bytes:
    """The beginning, or the file without a piece."""
    a, b = sorted(dice.integers(0, len(data) + 1, 2))
    return data[:a] if dice.random() < 0.5 else data[:a] + data[b:]


def repeat(data: bytes, dice: Dice) -> bytes:
    """A piece copied in elsewhere, up to a thousand times."""
    a, b = sorted(dice.integers(0, len(data) + 1, 2))
    at = int(dice.integers(0, len(data) + 1))
    return data[:at] + data[a : min(b, a + 64)] * int(dice.choice([1, 2, 1000])) + data[at:]


def digits(data: bytes, dice: Dice) -> bytes:
    """One to three numbers of a text replaced by hostile ones."""
    places = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", data))
    for _ in range(int(dice.integers(1, 4))):
        if places:
            match = places.pop(int(dice.integers(len(places))))
            new = NUMBERS[dice.integers(len(NUMBERS))]
            data = data[: match.start()] + new + data[match.end() :]
            places = [m for m in places if m.end() <= match.start()]
    return data


def header_digits(data: bytes, dice: Dice) -> bytes:
    """As `digits`, in the header of a PLY."""
    end = data.find(b"end_header")
    return digits(data[:end], dice) + data[end:]


def splice_lines(data: bytes, dice: Dice) -> bytes:
    """Lines dropped, doubled or swapped."""
    lines = data.split(b"\n")
    a, b = dice.integers(0, len(lines), 2)
    lines[a], lines[b] = lines[b], lines[a]
    if dice.random() < 0.5:
        lines = lines[: a + 1] + lines[b:]
    return b"\n".join(lines)


def edit_json(document: object, dice: Dice) -> None:
    """One to three values anywhere in a document replaced."""
    places: list[tuple[dict | list, object]] = []

    def walk(node: object) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            places.append((node, key))
            walk(value)

    walk(document)
    for _ in range(int(dice.integers(1, 4))):
        owner, key = places[dice.integers(len(places))]
        owner[key] = VALUES[dice.integers(len(VALUES))]  # type: ignore[index]


def gltf_edit(data: bytes, dice: Dice) -> bytes:
    """Values of a .gltf replaced."""
    document = json.loads(data)
    edit_json(document, dice)
    return json.dumps(document).encode()


def json_edit(data: bytes, dice: Dice) -> bytes:
    """Values of a GLB's JSON replaced, its lengths kept true."""
    document, rest = split_glb(data)
    edit_json(document, dice)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + rest


def inside_gzip(data: bytes, dice: Dice) -> bytes:
    """What an SPZ holds changed before it is packed again."""
    body = [flip, words, cut, repeat][dice.integers(4)](zlib.decompress(data, 31), dice)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def inside_usdz(data: bytes, dice: Dice) -> bytes:
    """The layer of a USDZ changed before it is packed again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = next(iter(files))
    files[name] = [flip, digits, cut, repeat, splice_lines][dice.integers(5)](files[name], dice)
    return pack(files)


class Hang(BaseException):
    """The reader took longer than SECONDS."""


class Watch:
    """Notes every file that is opened outside a folder, other than Python's own; installed once for the process."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.strays: list[str] = []
        # a checkout below the folder of temporary files puts that folder on the path, which would hide every stray
        places = (Path(p).resolve() for p in (sys.prefix, sys.base_prefix, *sys.path) if p)
        here = Path(tempfile.gettempdir()).resolve()
        self.own = tuple(str(p) for p in places if not here.is_relative_to(p))
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if event != "open" or self.folder is None or not isinstance(arguments[0], str):
            return
        path = str(Path(arguments[0]).absolute())
        if not path.startswith((str(self.folder), *self.own, "/usr", "/proc/self", "/dev/urandom")):
            self.strays.append(path)

    @contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        """Watches while the block runs."""
        self.folder, self.strays = folder.resolve(), []
        try:
            yield
        finally:
            self.folder = None


def judge(path: Path, watch: Watch) -> tuple[str, str]:
    """("read" | "refused" | "defect", detail): an asset, one clear AssetError, or anything else."""

    def late(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    began = time.perf_counter()
    try:
        with watch.over(path.parent):
            scene = assetio.read(path)
        outcome = "read", ""
        held = [a for a in (scene.mesh, scene.splats, scene.points, scene.picture) if a is not None]
        if not held:
            outcome = "defect", "an empty scene"
    except AssetError as error:
        text = str(error)
        reason = re.sub(r"[\d'\"].*", "", text.split(": ", 1)[-1])[:50]
        clear = path.name in text and "\n" not in text and len(text) < 1000
        outcome = ("refused", reason) if clear else ("defect", f"unclear: {text[:300]}")
    except Hang:
        outcome = "defect", f"more than {SECONDS} s"
    except Exception as error:  # whatever it is, it is what this looks for
        outcome = "defect", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if watch.strays:
        return "defect", f"opened {watch.strays[0]}"
    if outcome[0] != "defect" and time.perf_counter() - began > SECONDS / 2:
        return "defect", f"{time.perf_counter() - began:.1f} s"
    return outcome


_LOST = (
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,  # of deep JSON, and of archives that turned encrypted or compressed
    OSError,
    EOFError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What a mutation raises where an earlier one has left nothing that it understands."""


def case(seed: Seed, number: int) -> bytes:
    """The bytes of a numbered case: one to three mutations one after the other; equal numbers give equal bytes."""
    dice = np.random.Generator(np.random.Philox(number))
    data = seed.data
    for _ in range(int(dice.choice([1, 1, 1, 2, 3]))):
        mutation = seed.mutations[dice.integers(len(seed.mutations))]
        try:
            data = mutation(data, dice)
        except _LOST:
            data = flip(data, dice)  # a second mutation may not understand what the first has left
    return data


def lay(seed: Seed, data: bytes, folder: Path) -> Path:
    """Writes a case and the files beside it; returns what is to be read."""
    for name, content in seed.beside.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if not (folder / name).exists():
            (folder / name).write_bytes(content)
    (folder / seed.name).write_bytes(data)
    return folder / ("a.obj" if seed.name.endswith(".mtl") else seed.name)
