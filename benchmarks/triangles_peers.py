"""A picture of coloured triangles with silhouettes, forward and backward, one thread: sds3d and its peers in one run.

    pip install deodr mitsuba          (mitsuba's llvm variant needs libLLVM, 19 works, 15 does not)
    OMP_NUM_THREADS=1 python benchmarks/triangles_peers.py [--detail 3 5] [--size 128] [--repeats 8]

deodr (Delaunoy and Prados, 2011; BSD) draws on the CPU in float64, with gradients at the silhouettes; mitsuba 3
(Jakob et al., 2022; BSD) traces four rays a pixel, with gradients at the silhouettes where it says so. All draw the
same sphere from the same camera over white, colours at the vertices; times are CPU milliseconds of the process, the
least of several calls, from positions and colours to the picture, and from its gradient to theirs. Peers that are not
installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
import torch
from sds3d.representations.raster.triangles import interpolate, rasterize
from sds3d.representations.raster.triangles_antialias import antialias, topology
from triangles import sphere

from sds3d.core.cameras import DEFAULT_DISTANCE, DEFAULT_FOV_Y_DEG, orbit

Result = tuple[float, float, np.ndarray]
SAMPLES = 4
"""Rays a pixel of mitsuba."""


def ours(vertices: torch.Tensor, faces: torch.Tensor, colors: torch.Tensor, weight: torch.Tensor) -> Result:
    """(forward s, backward s, picture)."""
    place, paint = vertices.clone().requires_grad_(), colors.clone().requires_grad_()
    partners, cameras, side = topology(faces, len(vertices)), orbit([0.0], 0.0), weight.shape[0]
    start = time.process_time()
    seen = rasterize(place, faces, cameras, (side, side))
    shown = interpolate(paint, seen, faces) + (seen.face < 0)[..., None]  # white behind
    image = antialias(shown, seen, place, faces, cameras, partners=partners)
    middle = time.process_time()
    (image[0] * weight).sum().backward()
    return middle - start, time.process_time() - middle, image[0].detach().numpy()


def deodrs(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, weight: np.ndarray) -> Result:
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
    start = time.process_time()
    image = scene.render(camera)
    middle = time.process_time()
    scene.clear_gradients()
    scene.render_backward(weight)
    return middle - start, time.process_time() - middle, image


class Mitsubas:
    """The same of mitsuba: the mesh glows in its colours and reflects nothing.

    Args:
        silhouettes: whether gradients know of them.
    """

    def __init__(
        self, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, side: int, silhouettes: bool
    ):
        import drjit
        import mitsuba

        mitsuba.set_variant("llvm_ad_rgb")
        drjit.set_thread_count(1)
        self.mi, self.dr = mitsuba, drjit
        self.places, self.paint = (mitsuba.Float(a.astype(np.float32).ravel()) for a in (vertices, colors))
        glow = mitsuba.Properties()
        glow["emitter"] = mitsuba.load_dict(
            {"type": "area", "radiance": {"type": "mesh_attribute", "name": "vertex_color"}}
        )
        glow["bsdf"] = mitsuba.load_dict({"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.0}})
        mesh = mitsuba.Mesh("mesh", len(vertices), len(faces), props=glow)
        mesh.add_attribute("vertex_color", 3, self.paint)
        parameters = mitsuba.traverse(mesh)
        parameters["vertex_positions"] = self.places
        parameters["faces"] = mitsuba.UInt32(faces.astype(np.uint32).ravel())
        parameters.update()
        self.scene = mitsuba.load_dict(_scene(mitsuba, mesh, side, silhouettes))
        self.parameters = mitsuba.traverse(self.scene)
        self.seed = 0

    def __call__(self, weight: np.ndarray) -> Result:
        """(forward s, backward s, picture)."""
        dr, parameters = self.dr, self.parameters
        leaves = [type(self.places)(self.places), type(self.paint)(self.paint)]
        for name, leaf in zip(("mesh.vertex_positions", "mesh.vertex_color"), leaves, strict=True):
            dr.enable_grad(leaf)
            parameters[name] = leaf
        wanted = self.mi.TensorXf(weight.astype(np.float32))
        dr.eval(leaves, wanted)
        dr.sync_thread()
        self.seed += 1
        start = time.process_time()
        parameters.update()
        image = self.mi.render(self.scene, parameters, spp=SAMPLES, seed=self.seed)
        dr.eval(image)
        dr.sync_thread()
        middle = time.process_time()
        dr.backward(dr.sum(image * wanted, axis=None))
        dr.eval([dr.grad(leaf) for leaf in leaves])
        dr.sync_thread()
        return middle - start, time.process_time() - middle, np.array(image)


def _scene(mi, mesh: object, side: int, silhouettes: bool) -> dict[str, object]:
    """mitsuba's description of the picture."""
    return {
        "type": "scene",
        # silhouettes that the eye sees; others cast no shadow here
        "integrator": {"type": "direct_projective", "sppc": SAMPLES, "sppp": SAMPLES, "sppi": 0}
        if silhouettes
        else {"type": "direct"},
        "sensor": {
            "type": "perspective",
            "fov": DEFAULT_FOV_Y_DEG,
            "fov_axis": "y",
            "to_world": mi.ScalarTransform4f().look_at([0, 0, DEFAULT_DISTANCE], [0, 0, 0], [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": side, "height": side, "rfilter": {"type": "box"}},
        },
        "sky": {"type": "constant", "radiance": {"type": "rgb", "value": 1.0}},
        "mesh": mesh,
    }


def calls(
    vertices: torch.Tensor, faces: torch.Tensor, colors: torch.Tensor, weight: torch.Tensor
) -> dict[str, Callable[[], Result]]:
    """Name -> one picture with its gradients, of sds3d and of the peers that are installed."""
    v, c, w = (t.double().numpy() for t in (vertices, colors, weight))
    f = faces.numpy()
    out: dict[str, Callable[[], Result]] = {"sds3d": lambda: ours(vertices, faces, colors, weight)}
    if importlib.util.find_spec("deodr"):
        out["deodr"] = lambda: deodrs(v, f, c, w)
    if importlib.util.find_spec("mitsuba"):
        for silhouettes in (False, True):
            draw = Mitsubas(v, f, c, len(w), silhouettes)
            out["mitsuba" if silhouettes else "mitsuba, no silhouettes"] = lambda draw=draw: draw(w)
    return out


def main() -> None:
    """Print one line a renderer, and how far the pictures are apart."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--detail", type=int, nargs="+", default=[3, 5], help="20 * 4^detail triangles")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for detail in options.detail:
        vertices, faces = sphere(detail)
        generator = torch.Generator().manual_seed(0)
        colors = torch.rand(len(vertices), 3, generator=generator)
        weight = torch.randn(options.size, options.size, 3, generator=generator)
        print(f"{len(faces)} triangles, {options.size} x {options.size}")
        own, total = np.zeros(()), 0.0
        for name, call in calls(vertices, faces, colors, weight).items():
            runs = [call() for _ in range(options.repeats)]
            forward, backward = (1e3 * min(run[k] for run in runs) for k in (0, 1))
            if name == "sds3d":
                own, total = runs[0][2], forward + backward
            apart = np.abs(runs[0][2] - own).mean()
            print(
                f"  {name}: forward {forward:.2f} ms, backward {backward:.2f} ms, together "
                f"{(forward + backward) / total:.2f} of sds3d, picture {apart:.4f} apart on average",
                flush=True,
            )


if __name__ == "__main__":
    main()
