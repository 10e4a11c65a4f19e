"""A stand-in for `gsplat.csrc`, the compiled module of gsplat 1.5: its functions, signatures and checks in torch.

gsplat's own Python wrappers run above it, so their argument names and shapes are the real ones. `device` stands
for the CUDA device. Rows of Gaussians that are not drawn hold NaN, as the real ones hold whatever memory held. On
the meta device nothing is computed: checks and shapes only.
"""

from __future__ import annotations

import types
from enum import Enum
from functools import wraps

import torch
from gsplat.cuda import _torch_impl as reference
from torch import Tensor

from .strict import require, require_kind

FLOAT, INT, LONG = torch.float32, torch.int32, torch.int64


class CameraModelType(Enum):
    """As exported by the extension."""

    PINHOLE = 0
    ORTHO = 1
    FISHEYE = 2
    FTHETA = 3


def make(device: torch.device) -> types.ModuleType:
    """The module, for tensors on that device; `calls` lists the functions called."""
    module = types.ModuleType("gsplat.csrc")
    module.CameraModelType = CameraModelType
    for member in CameraModelType:  # pybind11's export_values
        setattr(module, member.name, member)
    module.calls = []
    extension = Extension(device)
    for name in Extension.FUNCTIONS:
        setattr(module, name, _counted(module.calls, getattr(extension, name)))
    return module


def _counted(calls: list[str], function):
    @wraps(function)
    def call(*arguments):  # the wrappers pass everything by position
        calls.append(function.__name__)
        return function(*arguments)

    return call


class Extension:
    """The functions of ext.cpp that the wrapper needs."""

    FUNCTIONS = (
        "spherical_harmonics_fwd",
        "spherical_harmonics_bwd",
        "projection_ewa_3dgs_fused_fwd",
        "projection_ewa_3dgs_fused_bwd",
        "intersect_tile",
        "intersect_offset",
        "rasterize_to_pixels_3dgs_fwd",
        "rasterize_to_pixels_3dgs_bwd",
    )

    def __init__(self, device: torch.device) -> None:
        self.device, self.values = device, device.type != "meta"

    def _check(self, dtype: torch.dtype = FLOAT, **tensors: tuple[Tensor, tuple]) -> None:
        for name, (value, shape) in tensors.items():
            require(value, name, self.device, dtype, shape)

    def _empty(self, *shape: int, dtype: torch.dtype = FLOAT) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self.device)

    def spherical_harmonics_fwd(self, degrees_to_use, dirs, coeffs, masks):
        require_kind(degrees_to_use, "degrees_to_use", int)
        self._check(dirs=(dirs, (None, None, 3)), coeffs=(coeffs, (*dirs.shape[:2], None, 3)))
        assert masks is None
        return reference._spherical_harmonics(degrees_to_use, dirs, coeffs).detach().contiguous()

    def spherical_harmonics_bwd(self, K, degrees_to_use, dirs, coeffs, masks, v_colors, compute_v_dirs):
        assert coeffs.shape[-2] == K
        self._check(dirs=(dirs, dirs.shape), coeffs=(coeffs, (*dirs.shape[:2], K, 3)))
        self._check(v_colors=(v_colors, dirs.shape))
        assert masks is None

        def forward(dirs, coeffs):
            return reference._spherical_harmonics(degrees_to_use, dirs, coeffs)

        to_dirs, to_coeffs = backward(forward, (dirs, coeffs), v_colors)
        return to_coeffs, to_dirs if compute_v_dirs else None

    def _project(self, means, quats, scales, viewmats, Ks, width, height, eps2d, near=0.01, far=1e10):
        covariance, _ = reference._quat_scale_to_covar_preci(quats, scales, True, False)
        return reference._fully_fused_projection(
            means, covariance, viewmats, Ks, width, height, eps2d, near, far
        )

    def projection_ewa_3dgs_fused_fwd(
        self, means, covars, quats, scales, opacities, viewmats, Ks, image_width, image_height, eps2d,
        near_plane, far_plane, radius_clip, calc_compensations, camera_model,
    ):  # fmt: skip
        count, views = len(means), len(viewmats)
        assert covars is None
        assert camera_model is CameraModelType.PINHOLE
        assert not calc_compensations
        assert radius_clip == 0
        for name, number in (("image_width", image_width), ("image_height", image_height)):
            require_kind(number, name, int)
        for name, number in (("eps2d", eps2d), ("near_plane", near_plane), ("far_plane", far_plane)):
            require_kind(number, name, float)
        self._check(means=(means, (count, 3)), quats=(quats, (count, 4)), scales=(scales, (count, 3)))
        self._check(
            viewmats=(viewmats, (views, 4, 4)), Ks=(Ks, (views, 3, 3)), opacities=(opacities, (count,))
        )
        if not self.values:
            shapes = ((views, count, 2), (views, count), (views, count, 3))
            return (self._empty(views, count, 2, dtype=INT), *(self._empty(*s) for s in shapes), None)
        size = (image_width, image_height)
        whole = self._project(means, quats, scales, viewmats, Ks, *size, eps2d, near_plane, far_plane)
        radii, means2d, depths, conics, _ = (None if t is None else t.detach() for t in whole)
        det = conics[..., 0] * conics[..., 2] - conics[..., 1] ** 2
        deviation = torch.stack([conics[..., 2], conics[..., 0]], -1).div(det[..., None]).sqrt()
        reach = torch.sqrt(2 * torch.log((opacities * 255).clamp_min(1.0))).clamp_max(3.33)
        tight = torch.ceil(reach[:, None] * deviation).int()
        extent = torch.tensor(size)
        meets = ((means2d + tight > 0) & (means2d - tight < extent)).all(-1) & (opacities >= 1 / 255)
        drawn = (radii > 0).all(-1) & meets
        garbage = torch.where(drawn, 0.0, torch.nan)
        radii = torch.where(drawn[..., None], tight, 0)
        return radii, means2d + garbage[..., None], depths + garbage, conics + garbage[..., None], None

    def projection_ewa_3dgs_fused_bwd(
        self, means, covars, quats, scales, viewmats, Ks, image_width, image_height, eps2d, camera_model,
        radii, conics, compensations, v_means2d, v_depths, v_conics, v_compensations, viewmats_requires_grad,
    ):  # fmt: skip
        both = (len(viewmats), len(means))
        self._check(INT, radii=(radii, (*both, 2)))
        self._check(conics=(conics, (*both, 3)), v_means2d=(v_means2d, (*both, 2)))
        self._check(v_depths=(v_depths, both), v_conics=(v_conics, (*both, 3)))
        assert compensations is None
        assert v_compensations is None

        def forward(means, quats, scales, viewmats):
            given = (means, quats, scales, viewmats, Ks, image_width, image_height, eps2d)
            return self._project(*given)[1:4]

        drawn = (radii > 0).all(-1)
        upstream = [torch.where(drawn[..., None], v_means2d, 0), torch.where(drawn, v_depths, 0)]
        upstream.append(torch.where(drawn[..., None], v_conics, 0))
        grads = backward(forward, (means, quats, scales, viewmats), upstream)
        return grads[0], None, grads[1], grads[2], grads[3] if viewmats_requires_grad else None

    def intersect_tile(
        self, means2d, radii, depths, image_ids, gaussian_ids, I, tile_size, tile_width, tile_height,
        sort, segmented,
    ):  # fmt: skip
        self._check(means2d=(means2d, (I, None, 2)), depths=(depths, means2d.shape[:2]))
        self._check(INT, radii=(radii, means2d.shape))
        assert image_ids is None
        assert gaussian_ids is None
        assert sort
        if not self.values:
            # how many there are depends on the values: as if every Gaussian met one tile
            total = depths.numel()
            return (
                self._empty(*depths.shape, dtype=INT),
                self._empty(total, dtype=LONG),
                self._empty(total, dtype=INT),
            )
        drawn = (radii > 0).all(-1)
        # what is not drawn has no place that means anything, and may be NaN
        place = torch.where(drawn[..., None], means2d, torch.zeros_like(means2d))
        first, last = (place - radii) / tile_size, (place + radii) / tile_size
        limit = torch.tensor([tile_width, tile_height])
        first, last = first.floor().int().clamp(min=0), torch.minimum(last.ceil().int(), limit)
        tile_bits = (tile_width * tile_height).bit_length()
        keys, flat = [], []
        count = depths.shape[1]
        for image, row in drawn.nonzero().tolist():
            depth = int(depths[image, row].view(INT))
            for y in range(int(first[image, row, 1]), int(last[image, row, 1])):
                for x in range(int(first[image, row, 0]), int(last[image, row, 0])):
                    keys.append((((image << tile_bits) | (y * tile_width + x)) << 32) | depth)
                    flat.append(image * count + row)
        keys, flat = torch.tensor(keys, dtype=LONG), torch.tensor(flat, dtype=INT)
        keys, order = torch.sort(keys, stable=True)
        return drawn.int(), keys, flat[order]

    def intersect_offset(self, isect_ids, I, tile_width, tile_height):
        self._check(LONG, isect_ids=(isect_ids, (None,)))
        if not self.values:
            return self._empty(I, tile_height, tile_width, dtype=INT)
        tiles, bits = tile_width * tile_height, (tile_width * tile_height).bit_length()
        key = isect_ids >> 32
        place = (key >> bits) * tiles + (key & ((1 << bits) - 1))
        return torch.searchsorted(place, torch.arange(I * tiles)).int().reshape(I, tile_height, tile_width)

    def _check_pixels(self, means2d, conics, colors, opacities, backgrounds, offsets, flat) -> None:
        both = means2d.shape[:2]
        self._check(means2d=(means2d, (*both, 2)), conics=(conics, (*both, 3)), opacities=(opacities, both))
        self._check(colors=(colors, (*both, None)))
        assert colors.shape[2] in (1, 2, 3, 4, 5, 8, 9, 16, 17, 32)
        self._check(backgrounds=(backgrounds, (both[0], colors.shape[2])))
        self._check(INT, tile_offsets=(offsets, (both[0], None, None)), flatten_ids=(flat, (None,)))

    def rasterize_to_pixels_3dgs_fwd(
        self, means2d, conics, colors, opacities, backgrounds, masks, image_width, image_height, tile_size,
        tile_offsets, flatten_ids,
    ):  # fmt: skip
        self._check_pixels(means2d, conics, colors, opacities, backgrounds, tile_offsets, flatten_ids)
        assert masks is None
        shape = (len(means2d), image_height, image_width)
        last = self._empty(*shape, dtype=INT)
        if not self.values:
            return self._empty(*shape, colors.shape[2]), self._empty(*shape, 1), last
        size = (image_height, image_width)
        tiles = (tile_size, tile_offsets, flatten_ids)
        layers, alpha = blend(means2d, conics, colors, opacities, backgrounds, size, *tiles)
        return layers.detach(), alpha.detach(), last

    def rasterize_to_pixels_3dgs_bwd(
        self, means2d, conics, colors, opacities, backgrounds, masks, image_width, image_height, tile_size,
        tile_offsets, flatten_ids, render_alphas, last_ids, v_render_colors, v_render_alphas, absgrad,
    ):  # fmt: skip
        self._check_pixels(means2d, conics, colors, opacities, backgrounds, tile_offsets, flatten_ids)
        shape = (len(means2d), image_height, image_width)
        self._check(v_render_colors=(v_render_colors, (*shape, colors.shape[2])))
        self._check(
            v_render_alphas=(v_render_alphas, (*shape, 1)), render_alphas=(render_alphas, (*shape, 1))
        )
        self._check(INT, last_ids=(last_ids, shape))
        assert not absgrad
        inputs = (means2d, conics, colors, opacities)
        if not self.values:
            return (None, *(torch.zeros_like(t) for t in inputs))

        def forward(*inputs):
            tiles = (tile_size, tile_offsets, flatten_ids)
            return blend(*inputs, backgrounds, (image_height, image_width), *tiles)

        return (None, *backward(forward, inputs, (v_render_colors, v_render_alphas)))


def backward(forward, inputs, upstream) -> list[Tensor]:
    """Gradients by autograd of a torch function, for the hand-written kernels of the extension."""
    with torch.enable_grad():
        leaves = [t.detach().requires_grad_() for t in inputs]
        outputs = forward(*leaves)
    grads = torch.autograd.grad(outputs, leaves, upstream, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(inputs, grads, strict=True)]


def blend(means2d, conics, colors, opacities, backgrounds, size, tile_size, offsets, flat):
    """(layers (I, H, W, C), alpha (I, H, W, 1)) from the lists of every tile."""
    (height, width), (images, rows, columns) = size, offsets.shape
    layers, alphas = [], []
    ends = torch.cat([offsets.flatten()[1:], torch.tensor([len(flat)])]).reshape(offsets.shape)
    for image in range(images):
        tall = []
        for r in range(rows):
            wide = []
            for c in range(columns):
                index = flat[offsets[image, r, c] : ends[image, r, c]].long()
                y, x = torch.meshgrid(
                    torch.arange(r * tile_size, min((r + 1) * tile_size, height)) + 0.5,
                    torch.arange(c * tile_size, min((c + 1) * tile_size, width)) + 0.5,
                    indexing="ij",
                )
                mean, conic = means2d.reshape(-1, 2)[index], conics.reshape(-1, 3)[index]
                dx, dy = x[..., None] - mean[:, 0], y[..., None] - mean[:, 1]
                sigma = 0.5 * (conic[:, 0] * dx**2 + conic[:, 2] * dy**2) + conic[:, 1] * dx * dy
                alpha = (opacities.reshape(-1)[index] * torch.exp(-sigma)).clamp_max(0.999)
                counted = (alpha >= 1 / 255) & (sigma >= 0)
                counted = counted & (torch.cumprod(1 - alpha * counted, 2) > 1e-4)
                alpha = torch.where(counted, alpha, 0)
                through = torch.cumprod(torch.cat([torch.ones_like(x)[..., None], 1 - alpha], 2), 2)
                colour = (alpha * through[..., :-1]) @ colors.reshape(-1, colors.shape[2])[index]
                wide.append(
                    torch.cat([colour + through[..., -1:] * backgrounds[image], 1 - through[..., -1:]], 2)
                )
            tall.append(torch.cat(wide, 1))
        whole = torch.cat(tall, 0)
        layers.append(whole[..., :-1])
        alphas.append(whole[..., -1:])
    return torch.stack(layers), torch.stack(alphas)
