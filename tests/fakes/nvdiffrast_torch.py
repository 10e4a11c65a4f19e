"""A stand-in for `nvdiffrast.torch` 0.4: signatures and checks of its operations, with values in torch.

Published API: nvlabs.github.io/nvdiffrast. `device` stands for the CUDA device. Silhouettes are not smoothed. On
the meta device nothing is computed: checks and shapes only.
"""

from __future__ import annotations

import types

import torch
from torch import Tensor

from .strict import require

FLOAT, INT = torch.float32, torch.int32


def make(device: torch.device) -> types.ModuleType:
    """The module, for tensors on that device."""
    module = types.ModuleType("nvdiffrast.torch")
    operations = Operations(device)
    module.RasterizeCudaContext = RasterizeCudaContext
    for name in ("rasterize", "interpolate", "texture", "antialias"):
        setattr(module, name, getattr(operations, name))
    return module


class RasterizeCudaContext:
    """What `rasterize` asks for first."""

    def __init__(self, device=None) -> None:
        self.output_db, self.device = True, device


class Operations:
    """The four operations."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.values = device, device.type != "meta"

    def _check(self, dtype: torch.dtype, **tensors: tuple[Tensor, tuple]) -> None:
        for name, (value, shape) in tensors.items():
            require(value, name, self.device, dtype, shape)

    def rasterize(self, glctx, pos, tri, resolution, ranges=None, grad_db=True) -> tuple[Tensor, Tensor]:
        """(u, v, z/w, face + 1) and image derivatives of u and v (zeros here) of every pixel, row 0 lowest."""
        if not isinstance(glctx, RasterizeCudaContext):
            raise TypeError("glctx must be a RasterizeCudaContext")
        if ranges is not None or not isinstance(grad_db, bool):
            raise TypeError("this stand-in draws in instanced mode: no ranges; grad_db is a bool")
        self._check(FLOAT, pos=(pos, (None, None, 4)))
        self._check(INT, tri=(tri, (None, 3)))
        height, width = resolution
        if not (pos.numel() and tri.numel() and height > 0 and width > 0):
            raise RuntimeError("pos and tri must not be empty, the resolution must be positive")
        shape = (len(pos), height, width, 4)
        if not self.values:
            return pos.sum() + torch.empty(shape, device=self.device), torch.empty(shape, device=self.device)
        y = (torch.arange(height) + 0.5) / height * 2 - 1
        x = (torch.arange(width) + 0.5) / width * 2 - 1
        corner = pos[:, tri.long()]  # (B, F, 3, 4)
        # edge functions of homogeneous coordinates: their ratios are perspective-correct weights
        a, b, c = (corner[:, :, k, [0, 1, 3]] for k in range(3))
        edges = torch.stack([torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], 2)
        grid = torch.stack(
            [x.expand(height, width), y[:, None].expand(height, width), torch.ones(height, width)], 2
        )
        weight = torch.einsum("bfke,hwe->bhwfk", edges, grid)
        total = weight.sum(-1, keepdim=True)
        weight = weight / torch.where(total == 0, torch.ones_like(total), total)
        zw = corner[..., 2:].permute(0, 1, 3, 2)[:, None, None] @ weight[..., None]
        depth = zw[..., 0, 0] / zw[..., 1, 0]
        inside = (weight >= 0).all(-1) & (total[..., 0] != 0) & (depth.abs() <= 1)
        nearest = torch.where(inside, depth, torch.inf).min(dim=3)
        face = nearest.indices[..., None]
        found = nearest.values.isfinite()[..., None]
        uv = weight[..., :2].gather(3, face[..., None].expand(*face.shape, 2))[..., 0, :]
        # the original passes gradients on through u and v alone
        out = torch.cat([uv, depth.gather(3, face).detach(), (face + 1).float()], dim=3)
        return torch.where(found, out, 0), torch.zeros(shape)

    def interpolate(self, attr, rast, tri, rast_db=None, diff_attrs=None) -> tuple[Tensor, Tensor]:
        """Attributes of every pixel; their image derivatives are not computed here."""
        if rast_db is not None or diff_attrs is not None:
            raise TypeError("this stand-in has no derivatives of attributes")
        self._check(FLOAT, attr=(attr, (None, None, None)), rast=(rast, (None, None, None, 4)))
        self._check(INT, tri=(tri, (None, 3)))
        if len(attr) not in (1, len(rast)):
            raise TypeError(f"attr has {len(attr)} images, rast {len(rast)}")
        shape = (*rast.shape[:3], attr.shape[2])
        if not self.values:
            return rast.sum() + attr.sum() + torch.empty(shape, device=self.device), torch.empty(
                0, device=self.device
            )
        face = rast[..., 3].long()
        images = torch.arange(len(rast))[:, None, None] if len(attr) > 1 else torch.zeros_like(face)
        corners = attr[images[..., None], tri.long()[face.clamp_min(1) - 1]]  # (B, H, W, 3, A)
        weight = torch.cat([rast[..., :2], 1 - rast[..., :2].sum(-1, keepdim=True)], dim=3)
        return (weight[..., None] * corners).sum(3) * (face > 0)[..., None], torch.empty(0)

    def texture(
        self, tex, uv, uv_da=None, mip_level_bias=None, mip=None, filter_mode="auto", boundary_mode="wrap",
        max_mip_level=None,
    ) -> Tensor:  # fmt: skip
        """Bilinear samples, or trilinear ones of a custom stack; (0, 0) is the outer corner of the first texel."""
        if boundary_mode not in ("wrap", "clamp") or uv_da is not None or max_mip_level is not None:
            raise TypeError("this stand-in takes wrap or clamp, and levels by mip_level_bias alone")
        mipmap = mip_level_bias is not None
        if filter_mode not in ("auto", "linear-mipmap-linear" if mipmap else "linear"):
            raise TypeError(f"filter_mode {filter_mode!r} does not go with the other arguments")
        if mipmap != isinstance(mip, list):
            raise TypeError("this stand-in takes levels together with a list of them")
        self._check(FLOAT, tex=(tex, (None, None, None, None)), uv=(uv, (None, None, None, 2)))
        if len(tex) not in (1, len(uv)):
            raise TypeError(f"tex has {len(tex)} images, uv {len(uv)}")
        stack = [tex, *(mip or [])]
        for number, image in enumerate(stack):
            height, width = (max(1, n >> number) for n in tex.shape[1:3])
            self._check(FLOAT, **{f"mip[{number - 1}]": (image, (len(tex), height, width, tex.shape[3]))})
        if mipmap:
            self._check(FLOAT, mip_level_bias=(mip_level_bias, tuple(uv.shape[:3])))
        if not self.values:
            total = sum(image.sum() for image in stack) + uv.sum()
            return total + torch.empty(*uv.shape[:3], tex.shape[3], device=self.device)
        samples = [_bilinear(image, uv, boundary_mode) for image in stack]
        if not mipmap:
            return samples[0]
        level = mip_level_bias.clamp(0, len(stack) - 1)
        shares = [(1 - (level - k).abs()).clamp_min(0)[..., None] for k in range(len(stack))]
        return sum(share * sample for share, sample in zip(shares, samples, strict=True))

    def antialias(self, color, rast, pos, tri, topology_hash=None, pos_gradient_boost=1.0) -> Tensor:
        """The colours as they are."""
        self._check(FLOAT, color=(color, (*rast.shape[:3], None)), rast=(rast, (None, None, None, 4)))
        self._check(FLOAT, pos=(pos, (len(rast), None, 4)))
        self._check(INT, tri=(tri, (None, 3)))
        return color + 0 * pos.sum()


def _bilinear(tex: Tensor, uv: Tensor, boundary_mode: str) -> Tensor:
    where = uv % 1 if boundary_mode == "wrap" else uv
    picture = tex.permute(0, 3, 1, 2).expand(len(uv), -1, -1, -1)
    mode = "circular" if boundary_mode == "wrap" else "replicate"
    padded = torch.nn.functional.pad(picture, (1, 1, 1, 1), mode=mode)
    size = torch.tensor([tex.shape[2], tex.shape[1]])
    place = (where * size + 1) / (size + 2) * 2 - 1
    samples = torch.nn.functional.grid_sample(padded, place, padding_mode="border", align_corners=False)
    return samples.permute(0, 2, 3, 1).contiguous()
