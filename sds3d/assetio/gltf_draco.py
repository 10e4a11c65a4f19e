"""Draco-compressed primitives of glTF (KHR_draco_mesh_compression, Khronos), unpacked by the package DracoPy."""

from __future__ import annotations

import numpy as np

from ..core.errors import MissingPackageError
from .gltf_container import Document

NAME = "KHR_draco_mesh_compression"


def unpack(document: Document, primitive: dict) -> None:
    """Give the accessors of a compressed primitive their values, as the extension asks; other primitives stay.

    Where the file holds the values plainly too, those are read and nothing is unpacked.

    Raises:
        AssetError: the data are no Draco mesh, or not the one that the accessors tell of.
        MissingPackageError: DracoPy is not installed.
    """
    extensions = document.take(primitive, "extensions", dict, {})
    if NAME not in extensions:
        return
    names = document.take(primitive, "attributes", dict)
    if "bufferView" in document.item("accessors", names.get("POSITION")) or document.filled(
        names["POSITION"]
    ):
        return
    if document.take(primitive, "mode", int, 4) != 4:
        raise document.error(
            "has Draco-compressed strips, which sds3d does not read; export it with triangles"
        )
    extension = document.take(extensions, NAME, dict)
    mesh = _decoded(document, document.view(extension.get("bufferView")))
    document.fill(primitive.get("indices"), np.asarray(mesh.faces, np.uint32).reshape(-1, 1))
    columns = {attribute["unique_id"]: attribute["data"] for attribute in mesh.attributes}
    for name, number in document.take(extension, "attributes", dict).items():
        held = isinstance(number, int) and isinstance(columns.get(number), np.ndarray)
        if name not in names or not held:
            raise document.error(f"its Draco data hold no attribute {str(number)[:20]} for {str(name)[:40]}")
        document.fill(names[name], columns[number])


def _decoded(document: Document, data: bytes):
    try:
        import DracoPy
    except ImportError as error:
        what = f"{document.path}: reading Draco-compressed glTF"
        raise MissingPackageError("DracoPy", what, "pip install 'sds3d[formats]'") from error
    try:
        mesh = DracoPy.decode(data)
    except (DracoPy.FileTypeException, ValueError, RuntimeError, MemoryError) as error:
        raise document.error(f"its Draco data cannot be unpacked: {str(error)[:100]}") from error
    if not isinstance(mesh, DracoPy.DracoMesh):
        raise document.error("its Draco data are points, not a mesh")
    return mesh
