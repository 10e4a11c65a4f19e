"""USDZ writer (OpenUSD's package, as AR Quick Look opens it): a text layer and the PNG pictures beside it.

+Y is up, a unit is a metre. A mesh without a material holds its light already and glows (emissiveColor) instead of
being lit again, as KHR_materials_unlit says in glTF.
"""

from __future__ import annotations

import json

import numpy as np
from torch import Tensor

from ..core.assets import Material, Mesh
from .check import as_numpy
from .color import srgb_to_linear
from .image_bytes import encode_png
from .provenance import NOTHING, Provenance
from .usdz import pack

LAYER = "asset.usda"


def encode_usdz(mesh: Mesh, provenance: Provenance = NOTHING) -> bytes:
    """A USDZ package with one mesh and one material of UsdPreviewSurface."""
    pictures = _pictures(mesh)
    look = _look(mesh, pictures) if _dressed(mesh) else []
    layer = "\n".join([*_head(provenance), *_mesh(mesh), *look, "}", ""])
    files = {LAYER: layer.encode()}
    return pack(files | {f"textures/{name}.png": encode_png(p) for name, p in pictures.items()})


def _dressed(mesh: Mesh) -> bool:
    """Whether there is more to a mesh than its shape; a bare one is shown as viewers like."""
    return not (mesh.material is None and mesh.colors is None and mesh.texture is None)


def _head(provenance: Provenance) -> list[str]:
    entries = [f"            string {name} = {_text(value)}" for name, value in sorted(provenance.items())]
    origin = ["        dictionary sds3d = {", *entries, "        }"] if entries else []
    return [
        "#usda 1.0",
        "(",
        "    customLayerData = {",
        '        string creator = "sds3d"',
        *origin,
        "    }",
        '    defaultPrim = "Asset"',
        "    metersPerUnit = 1",
        '    upAxis = "Y"',
        ")",
        "",
        'def Xform "Asset" (',
        '    kind = "component"',
        ")",
        "{",
    ]


def _mesh(mesh: Mesh) -> list[str]:
    vertices, faces = as_numpy(mesh.vertices), as_numpy(mesh.faces, np.int64)
    lines = [
        '    def Mesh "Mesh" (',
        '        prepend apiSchemas = ["MaterialBindingAPI"]',
        f"        displayName = {_text(mesh.name)}",
        "    )",
        "    {",
        "        uniform bool doubleSided = 1",
        f"        float3[] extent = {_rows(np.stack([vertices.min(0), vertices.max(0)]))}",
        f"        int[] faceVertexCounts = [{', '.join(['3'] * len(faces))}]",
        f"        int[] faceVertexIndices = [{', '.join(map(str, faces.reshape(-1).tolist()))}]",
        *(["        rel material:binding = </Asset/Look>"] if _dressed(mesh) else []),
        f"        point3f[] points = {_rows(vertices)}",
    ]
    if mesh.normals is not None:
        lines.append(
            f'        normal3f[] normals = {_rows(as_numpy(mesh.normals))} (interpolation = "vertex")'
        )
    if mesh.colors is not None:
        linear = srgb_to_linear(as_numpy(mesh.colors, np.float64).clip(0.0, 1.0))
        lines.append(f'        color3f[] primvars:displayColor = {_rows(linear)} (interpolation = "vertex")')
    if mesh.uv is not None:
        # USD counts v from the bottom, glTF and sds3d from the top
        st = as_numpy(mesh.uv, np.float64) * [1, -1] + [0, 1]
        lines.append(f'        texCoord2f[] primvars:st = {_rows(st)} (interpolation = "vertex")')
    return [*lines, '        uniform token subdivisionScheme = "none"', "    }", ""]


def _pictures(mesh: Mesh) -> dict[str, Tensor]:
    """The pictures of a mesh with texture coordinates, by the names of their shaders."""
    out: dict[str, Tensor] = {}
    if mesh.uv is None:
        return out
    if mesh.texture is not None:
        out["BaseColor"] = mesh.texture
    if mesh.material is not None and mesh.material.metallic_roughness is not None:
        metallic, roughness = mesh.material.metallic_roughness
        out |= {
            "Metallic": metallic.expand(3, *metallic.shape),
            "Roughness": roughness.expand(3, *roughness.shape),
        }
    if mesh.material is not None and mesh.material.normal is not None:
        out["Normal"] = mesh.material.normal
    return out


def _look(mesh: Mesh, pictures: dict[str, Tensor]) -> list[str]:
    """The material: a surface, and the shaders that feed it."""
    look = mesh.material or Material()
    shade = "diffuseColor" if mesh.material is not None else "emissiveColor"
    inputs = {"metallic": f"{look.metallic:.9g}", "roughness": f"{look.roughness:.9g}"}
    wires: dict[str, tuple[str, str]] = {}  # input -> (its type, output that feeds it)
    shaders: list[str] = []
    if "BaseColor" in pictures:
        wires[shade] = ("color3f", "BaseColor.outputs:rgb")
    elif mesh.colors is not None:
        wires[shade] = ("color3f", "Colors.outputs:result")
        shaders += _shader(
            "Colors",
            "UsdPrimvarReader_float3",
            ['string inputs:varname = "displayColor"'],
            "float3 outputs:result",
        )
    for name in ("Metallic", "Roughness"):
        if name in pictures:
            wires[name.lower()] = ("float", f"{name}.outputs:r")
    if "Normal" in pictures:
        wires["normal"] = ("normal3f", "Normal.outputs:rgb")
    if pictures:
        place = ['string inputs:varname = "st"']
        shaders += _shader("Place", "UsdPrimvarReader_float2", place, "float2 outputs:result")
    for name in pictures:
        shaders += _texture(name)
    surface = [f"float inputs:{k} = {v}" for k, v in inputs.items() if k not in wires]
    surface += [f"{kind} inputs:{k}.connect = </Asset/Look/{source}>" for k, (kind, source) in wires.items()]
    if shade == "emissiveColor":
        # nothing is reflected either: a refractive index of 1 has no highlight
        surface += ["color3f inputs:diffuseColor = (0, 0, 0)", "float inputs:ior = 1"]
    return [
        '    def Material "Look"',
        "    {",
        "        token outputs:surface.connect = </Asset/Look/Surface.outputs:surface>",
        *_shader("Surface", "UsdPreviewSurface", surface, "token outputs:surface"),
        *shaders,
        "    }",
    ]


def _texture(name: str) -> list[str]:
    space = "sRGB" if name == "BaseColor" else "raw"
    lines = [
        f"asset inputs:file = @textures/{name}.png@",
        f'token inputs:sourceColorSpace = "{space}"',
        "float2 inputs:st.connect = </Asset/Look/Place.outputs:result>",
        'token inputs:wrapS = "repeat"',
        'token inputs:wrapT = "repeat"',
    ]
    if name == "Normal":
        lines += ["float4 inputs:bias = (-1, -1, -1, 0)", "float4 inputs:scale = (2, 2, 2, 1)"]
    output = "float outputs:r" if name in ("Metallic", "Roughness") else "float3 outputs:rgb"
    return _shader(name, "UsdUVTexture", lines, output)


def _shader(name: str, kind: str, inputs: list[str], output: str) -> list[str]:
    lines = [f'uniform token info:id = "{kind}"', *inputs, output]
    return [
        f'        def Shader "{name}"',
        "        {",
        *(f"            {line}" for line in lines),
        "        }",
        "",
    ]


def _rows(values: np.ndarray) -> str:
    """`[(x, y, z), …]`; nine digits keep a float32 exact."""
    template = f"({', '.join(['%.9g'] * values.shape[1])})"
    return f"[{', '.join(template % tuple(row) for row in values.tolist())}]"


def _text(value: str) -> str:
    """A quoted USD string."""
    return json.dumps(value, ensure_ascii=False)
