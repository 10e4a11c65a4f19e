"""A picture of coloured triangles with silhouettes, forward and backward, one thread: sds3d and deodr in one run.

    pip install deodr
    OMP_NUM_THREADS=1 python benchmarks/deodr_pictures.py [--detail 5] [--size 128] [--repeats 8]

deodr (Delaunoy and Prados, 2011; BSD) draws on the CPU in float64, with gradients at the silhouettes. Both draw the
same sphere from the same camera over white, colours at the vertices; times are CPU milliseconds, the least of several
calls, from positions and colours to the picture, and from its gradient to theirs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from sds3d.representations.raster.triangles import interpolate, rasterize
from sds3d.representations.raster.triangles_antialias import antialias, topology
from triangles import sphere

from sds3d.core.cameras import DEFAULT_DISTANCE, DEFAULT_FOV_Y_DEG, orbit

Result = tuple[float, float, np.ndarray]


def ours(vertices: torch.Tensor, faces: torch.Tensor, colors: torch.Tensor, weight: torch.Tensor) -> Result:
    """(forward s, backward s, picture)."""
    place, paint = vertices.clone().requires_grad_(), colors.clone().requires_grad_()
    partners, cameras, side = topology(faces, len(vertices)), orbit([0.0], 0.0), weight.shape[0]
    start = time.thread_time()
    seen = rasterize(place, faces, cameras, (side, side))
    shown = interpolate(paint, seen, faces) + (seen.face < 0)[..., None]  # white behind
    image = antialias(shown, seen, place, faces, cameras, partners=partners)
    middle = time.thread_time()
    (image[0] * weight).sum().backward()
    return middle - start, time.thread_time() - middle, image[0].detach().numpy()


def theirs(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, weight: np.ndarray) -> Result:
    """The same of deodr; its arrays that do not depend on the vertices are made before."""
    from deodr.differentiable_renderer import PerspectiveCamera, Scene3D
    from deodr.triangulated_mesh import ColoredTriMesh

    side = weight.shape[0]
    scene = Scene3D(sigma=1, integer_pixel_centers=False)
    scene.set_mesh(ColoredTriMesh(faces.astype(np.uint32), vertices, clockwise=False, colors=colors))
    scene.set_light(light_directional=None, light_ambient=1.0)
    scene.set_background_color(np.ones(3))
    # its camera looks down +Z with y down
    camera = PerspectiveCamera(
        side, side, DEFAULT_FOV_Y_DEG, np.array([0.0, 0.0, DEFAULT_DISTANCE]), np.diag([1.0, -1.0, -1.0])
    )
    start = time.thread_time()
    image = scene.render(camera)
    middle = time.thread_time()
    scene.clear_gradients()
    scene.render_backward(weight)
    return middle - start, time.thread_time() - middle, image


def main() -> None:
    """Print one line a renderer, and how far the pictures are apart."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--detail", type=int, default=5, help="20 * 4^detail triangles")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    vertices, faces = sphere(options.detail)
    generator = torch.Generator().manual_seed(0)
    colors = torch.rand(len(vertices), 3, generator=generator)
    weight = torch.randn(options.size, options.size, 3, generator=generator)
    as_doubles = [t.double().numpy() for t in (vertices, faces, colors, weight)]
    calls = {
        "sds3d": lambda: ours(vertices, faces, colors, weight),
        "deodr": lambda: theirs(as_doubles[0], faces.numpy(), as_doubles[2], as_doubles[3]),
    }
    pictures, totals = {}, {}
    for name, call in calls.items():
        runs = [call() for _ in range(options.repeats)]
        forward, backward = (1e3 * min(run[k] for run in runs) for k in (0, 1))
        pictures[name], totals[name] = runs[0][2], forward + backward
        print(f"{name}: forward {forward:.2f} ms, backward {backward:.2f} ms")
    apart = np.abs(pictures["sds3d"] - pictures["deodr"])
    print(
        f"deodr / sds3d {totals['deodr'] / totals['sds3d']:.1f}, pictures differ by {apart.mean():.4f} on average"
    )


if __name__ == "__main__":
    main()
