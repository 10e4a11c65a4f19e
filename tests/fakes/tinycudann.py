"""A stand-in for `tinycudann`, the torch binding of tiny-cuda-nn 2.0: modules, checks and types of its results.

Published API: github.com/NVlabs/tiny-cuda-nn. `device` stands for the CUDA device. What users trip over is kept:
results are half precision unless asked otherwise, inputs must lie on the device, outputs are views of rows padded
to 16 columns. Values are a fixed random linear map of the inputs, not the real encodings.
"""

from __future__ import annotations

import types

import torch
from torch import Tensor, nn

from .strict import require_kind

GRID_KEYS = {
    "otype", "type", "hash", "n_levels", "n_features_per_level", "log2_hashmap_size", "base_resolution",
    "per_level_scale", "interpolation", "n_dims_to_pass_through", "n_quant_bins",
}  # fmt: skip
ENCODINGS = {
    "Grid": GRID_KEYS,
    "HashGrid": GRID_KEYS,
    "DenseGrid": GRID_KEYS,
    "SphericalHarmonics": {"otype", "degree"},
    "Frequency": {"otype", "n_frequencies"},
    "Identity": {"otype", "scale", "offset"},
}
NETWORKS = ("FullyFusedMLP", "CutlassMLP")
NETWORK_KEYS = {"otype", "activation", "output_activation", "n_neurons", "n_hidden_layers"}
WIDTHS = (16, 32, 64, 128)  # that FullyFusedMLP has


def make(device: torch.device) -> types.ModuleType:
    """The module, for tensors on that device."""
    module = types.ModuleType("tinycudann")
    for kind in (Encoding, Network, NetworkWithInputEncoding):
        setattr(module, kind.__name__, type(kind.__name__, (kind,), {"device": device}))
    return module


class _Module(nn.Module):
    device: torch.device

    def _prepare(self, n_input_dims: int, n_output_dims: int, dtype: torch.dtype, seed: int) -> None:
        require_kind(n_input_dims, "n_input_dims", int)
        require_kind(n_output_dims, "n_output_dims", int)
        require_kind(seed, "seed", int)
        self.n_input_dims, self.n_output_dims, self.dtype = n_input_dims, n_output_dims, dtype
        self.padded = -(-n_output_dims // 16) * 16
        start = torch.empty(n_input_dims * self.padded, device=self.device)
        if self.device.type != "meta":
            start = torch.randn(start.shape, generator=torch.Generator().manual_seed(seed))
        self.params = nn.Parameter(start)  # float32, whatever the results are

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_output_dims) of type `dtype`, a view of wider rows."""
        if x.device != self.device:
            raise TypeError(
                f"input must be on {self.device}, is on {x.device} (the original copies it, slowly)"
            )
        if x.ndim != 2 or x.shape[1] != self.n_input_dims:
            raise TypeError(f"input must be (N, {self.n_input_dims}), is {tuple(x.shape)}")
        out = x.float() @ self.params.reshape(self.n_input_dims, self.padded)
        return out.to(self.dtype)[:, : self.n_output_dims]


def _known(config: dict, table: dict[str, set[str]], kind: str) -> str:
    name = config.get("otype")
    if name not in table:
        raise RuntimeError(f"{kind}: otype {name!r} is none of {sorted(table)}")
    if unknown := config.keys() - table[name]:
        raise RuntimeError(f"{kind} {name}: unknown keys {sorted(unknown)}")
    return name


def _width(config: dict, inputs: int) -> int:
    name = _known(config, ENCODINGS, "encoding")
    if "Grid" in name:
        return config.get("n_levels", 16) * config.get("n_features_per_level", 2)
    if name == "SphericalHarmonics":
        return config.get("degree", 4) ** 2
    return inputs * 2 * config.get("n_frequencies", 12) if name == "Frequency" else inputs


def _check_network(config: dict) -> None:
    name = _known(config, dict.fromkeys(NETWORKS, NETWORK_KEYS), "network")
    if name == "FullyFusedMLP" and config.get("n_neurons", 128) not in WIDTHS:
        raise RuntimeError(f"FullyFusedMLP: n_neurons must be one of {WIDTHS}")


class Encoding(_Module):
    """Of coordinates in [0, 1]."""

    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None) -> None:
        super().__init__()
        if dtype not in (None, torch.float32, torch.float16):
            raise ValueError(f"Encoding: dtype {dtype} is neither float32 nor float16")
        self._prepare(n_input_dims, _width(encoding_config, n_input_dims), dtype or torch.float16, seed)


class Network(_Module):
    """A small perceptron."""

    def __init__(self, n_input_dims, n_output_dims, network_config, seed=1337) -> None:
        super().__init__()
        _check_network(network_config)
        self._prepare(n_input_dims, n_output_dims, torch.float16, seed)


class NetworkWithInputEncoding(_Module):
    """Both in one."""

    def __init__(self, n_input_dims, n_output_dims, encoding_config, network_config, seed=1337) -> None:
        super().__init__()
        _width(encoding_config, n_input_dims)
        _check_network(network_config)
        self._prepare(n_input_dims, n_output_dims, torch.float16, seed)
