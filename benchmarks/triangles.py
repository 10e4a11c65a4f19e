"""The triangle functions on one thread: native against the plain torch twins, Warp's kernels on its CPU device, and
an arithmetic estimate; and pictures of a textured mesh, which are made of them.

    OMP_NUM_THREADS=1 python benchmarks/triangles.py [--detail 4] [--size 128] [--views 1] [--json out.json]

The mesh is a sphere of 20 · 4^detail triangles with radius 0.8, seen by the default camera. Times are CPU time of
the calling thread, the least of several calls, so that other programs on the machine disturb little; they contain
everything from the Python call to the tensors. The estimate counts floating-point operations of the algorithm and
divides by what a large float64 matrix product reaches on this core in the same run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from sds3d.representations import mesh
from sds3d.representations.raster.dispatch import native_status
from sds3d.representations.raster.triangles import Fragments, camera_positions, interpolate, rasterize
from sds3d.representations.raster.triangles_antialias import antialias, topology
from sds3d.representations.raster.triangles_texture import mip_level, pyramid, texture
from sds3d.representations.raster.warp.runtime import warp_status
from timing import least, peak_flops

from sds3d.core.cameras import Cameras, orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.objects.catalogue import find
from sds3d.objects.shape import build

TEXELS = 512
CHANNELS = 3

# floating-point operations of one unit, counted on the formulas in the twins
OPS_FACE = 3 * 9 + 3 * 6 + 12  # three edge functions, three seen points, bounds
OPS_CANDIDATE = 3 * 3 + 6  # edge functions and their signs at a pixel of the bounds
OPS_HIT = 2 + 5 + 4 + 3 + 2  # sum, depth, quotients, comparison: a pixel that is covered, hidden or not
OPS_PIXEL_BACK = 3 * 9 + 3 * 5 + 20 + 3 * 18
OPS_MIX, OPS_MIX_BACK = 5 * CHANNELS, 9 * CHANNELS
OPS_STEP = 3 * 9 + 6 * 5 + 30  # one triangle of a walk between two pixels
OPS_SAMPLE, OPS_SAMPLE_BACK = 12 + 8 * CHANNELS, 24 + 20 * CHANNELS


def sphere(detail: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices (V, 3) and faces (20 · 4^detail, 3) of a sphere of radius 0.8."""
    import trimesh

    ball = trimesh.creation.icosphere(detail, radius=0.8)
    return torch.tensor(ball.vertices).float(), torch.tensor(ball.faces)


def measure(implementation: str, detail: int, views: int, size: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each function for all views together, forward and backward."""
    which = {"implementation": implementation}
    vertices, faces = sphere(detail)
    leaf, cameras = vertices.clone().requires_grad_(), cameras_of(views)
    generator = torch.Generator().manual_seed(0)
    partners = topology(faces, len(vertices))
    seen = rasterize(leaf, faces, cameras, (size, size), **which)
    detached = Fragments(seen.face, seen.barycentric.detach().requires_grad_(), seen.depth.detach())
    colours = torch.rand(len(vertices), CHANNELS, generator=generator).requires_grad_()
    mixed = interpolate(colours, detached, faces, **which)
    image = mixed.detach().requires_grad_()
    smooth = antialias(image, seen, leaf, faces, cameras, partners=partners, **which)
    levels = pyramid(torch.rand(TEXELS, TEXELS, CHANNELS, generator=generator).requires_grad_())
    levels = [level.detach().requires_grad_() for level in levels]
    corners = vertices[:, :2] * 0.5 + 0.5
    uv = interpolate(corners, detached, faces, **which).detach().requires_grad_()
    place = (vertices, faces, cameras)
    level = mip_level(corners, seen, *place, (TEXELS, TEXELS), **which)
    sampled = texture(levels, uv, level, **which)

    def back(out: torch.Tensor, leaves: list[torch.Tensor]) -> float:
        upstream = torch.rand(out.shape, generator=generator)
        return least(lambda: torch.autograd.grad(out, leaves, upstream, retain_graph=True), repeats)

    return {
        "rasterize": least(lambda: rasterize(*place, (size, size), **which), repeats),
        "rasterize backward": back(seen.barycentric, [leaf]),
        "interpolate": least(lambda: interpolate(colours, detached, faces, **which), repeats),
        "interpolate backward": back(mixed, [colours, detached.barycentric]),
        "topology": least(lambda: topology(faces, len(vertices), **which), repeats),
        "antialias": least(lambda: antialias(image, detached, *place, partners=partners, **which), repeats),
        "antialias backward": back(smooth, [image, leaf]),
        "mip level": least(lambda: mip_level(corners, seen, *place, (TEXELS, TEXELS), **which), repeats),
        "texture": least(lambda: texture(levels, uv, level, **which), repeats),
        "texture backward": back(sampled, [uv, *levels]),
    }


def cameras_of(views: int) -> Cameras:
    """Default cameras all round."""
    return orbit([360.0 * k / views + 10 for k in range(views)], 20.0)


def estimate(detail: int, views: int, size: int) -> dict[str, float]:
    """Milliseconds if every operation ran at the matrix product's rate; functions that only fetch are left out."""
    vertices, faces = sphere(detail)
    cameras, rate = cameras_of(views), peak_flops(torch.float64, 10)
    seen = rasterize(vertices, faces, cameras, (size, size))
    place = camera_positions(vertices, cameras)
    spot = cameras.focal(size)[:, None, None] * place[..., :2] / place[..., 2:] + size / 2
    corner = spot[:, faces]
    low, high = (corner.amin(2) - 0.5).ceil().clamp(0, size), (corner.amax(2) + 0.5).floor().clamp(0, size)
    candidates = float((high - low).clamp_min(0).prod(-1).sum())
    pixels = float((seen.face >= 0).sum())
    pairs = float((seen.face[:, :, 1:] != seen.face[:, :, :-1]).sum()) * 2
    operations = {
        "rasterize": views * len(faces) * OPS_FACE + candidates * OPS_CANDIDATE + 2 * pixels * OPS_HIT,
        "rasterize backward": pixels * OPS_PIXEL_BACK,
        "interpolate": pixels * OPS_MIX,
        "interpolate backward": pixels * OPS_MIX_BACK,
        "antialias": pairs * 2 * OPS_STEP,
        "texture": views * size**2 * 2 * OPS_SAMPLE,
        "texture backward": views * size**2 * 2 * OPS_SAMPLE_BACK,
    }
    return {name: 1e3 * value / rate for name, value in operations.items()}


def pictures(views: int, size: int, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of all views of a textured mesh (the catalogue's car, four samples a pixel) by kind of paint."""
    asset, out = build(find("car")).mesh({}), {}
    look = Look(cameras_of(views), (size, size), torch.ones(views, 3))
    kinds = {
        "unlit": mesh.Options(shading="unlit"),
        "pbr": mesh.Options(),
        "pbr, hash grid": mesh.Options(texture="hash"),
        "pbr, offsets": mesh.Options(max_offset=0.02),
    }
    for name, options in kinds.items():
        model = mesh.from_asset(asset, options, Streams(0))
        leaves = [value.requires_grad_() for group in model.param_groups() for value in group.params.values()]
        loss = model.render(look)["rgb"].square().sum()
        out[name] = {
            "forward": least(lambda model=model: model.render(look), repeats),
            "backward": least(
                lambda loss=loss, leaves=leaves: torch.autograd.grad(loss, leaves, retain_graph=True), repeats
            ),
        }
    return out


def table(results: dict[str, dict[str, float]]) -> str:
    """One line a function."""
    native, bound = results["native"], results["estimate"]
    others = [name for name in ("twin", "warp") if name in results]
    head = f"{'ms':24}{'native':>10}{'estimate':>10}{'native/estimate':>17}"
    lines = [head + "".join(f"{name:>10}{name + '/native':>14}" for name in others)]
    for name, mine in native.items():
        share = f"{bound[name]:10.3f}{mine / bound[name]:16.1f}x" if name in bound else f"{'-':>10}{'-':>17}"
        rest = "".join(f"{results[o][name]:10.2f}{results[o][name] / mine:13.0f}x" for o in others)
        lines.append(f"{name:24}{mine:10.3f}{share}{rest}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--detail", type=int, nargs="+", default=[3, 4, 5], help="20 · 4^detail triangles")
    parser.add_argument(
        "--size", type=int, nargs="+", default=[128], help="edge of the square views in pixels"
    )
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=30, help="calls of each native function")
    parser.add_argument(
        "--twin-limit", type=float, default=1e8, help="faces · pixels above which the twins are not measured"
    )
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    status, everything = native_status(), {}
    if not status["built"]:
        raise SystemExit(f"the native core is not built: {status['reason']}")
    print(f"native core: {status['instruction_set']}")
    for detail in arguments.detail:
        for size in arguments.size:
            case = (detail, arguments.views, size)
            results = {
                "native": measure("native", *case, arguments.repeats),
                "estimate": estimate(*case),
            }
            if 20 * 4**detail * arguments.views * size**2 <= arguments.twin_limit:
                results["twin"] = measure("twin", *case, 1)
            if not warp_status(torch.device("cpu")):
                results["warp"] = measure("warp", *case, 3)
            print(f"\n{20 * 4**detail} triangles, {arguments.views} views of {size} x {size}")
            print(table(results))
            everything[f"{20 * 4**detail} at {size}"] = results
    for size in arguments.size:
        found = pictures(arguments.views, size, arguments.repeats)
        print(f"\ntextured mesh, {arguments.views} views of {size} x {size}, ms forward and backward")
        for name, times in found.items():
            print(f"{name:24}{times['forward']:10.2f}{times['backward']:10.2f}")
        everything[f"textured mesh at {size}"] = found
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
