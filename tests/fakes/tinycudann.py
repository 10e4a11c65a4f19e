"""A stand-in for `tinycudann`, the torch binding of tiny-cuda-nn 2.0: modules, checks and types of its results.

Published API: github.com/NVlabs/tiny-cuda-nn. `device` stands for the CUDA device. What users trip over is kept:
results are half precision unless asked otherwise, parameters are used in that precision too, inputs must lie on the
device, outputs are views of rows padded to 16 columns and 256 rows. Grid encodings have their real values
(tcnn_grid.py); networks and the other encodings are a fixed random linear map of the inputs.
"""

from __future__ import annotations

import types

import torch
from torch import Tensor, nn

from .strict import require_kind
from .tcnn_grid import Grid

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
ROWS = 256  # rows of a call are padded to a multiple of this


def make(device: torch.device) -> types.ModuleType:
    """The module, for tensors on that device."""
    module = types.ModuleType("tinycudann")
    for kind in (Encoding, Network, NetworkWithInputEncoding):
        setattr(module, kind.__name__, type(kind.__name__, (kind,), {"device": device}))
    return module


class _Module(nn.Module):
    device: torch.device

    grid: Grid | None = None

    def _prepare(self, n_input_dims: int, n_output_dims: int, dtype: torch.dtype, seed: int) -> None:
        require_kind(n_input_dims, "n_input_dims", int)
        require_kind(n_output_dims, "n_output_dims", int)
        require_kind(seed, "seed", int)
        self.n_input_dims, self.n_output_dims, self.dtype = n_input_dims, n_output_dims, dtype
        self.loss_scale = 128.0 if dtype == torch.float16 else 1.0
        self.padded = -(-n_output_dims // 16) * 16
        count = self.grid.params if self.grid else n_input_dims * self.padded
        start = torch.empty(count, device=self.device)
        if self.device.type != "meta":
            generator = torch.Generator().manual_seed(seed)
            start = torch.randn(count, generator=generator) * (1e-4 if self.grid else 1.0)
        self.params = nn.Parameter(start)  # float32, whatever the results are

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_output_dims) of type `dtype`, a view of wider rows."""
        if x.device != self.device:
            raise TypeError(
                f"input must be on {self.device}, is on {x.device} (the original copies it, slowly)"
            )
        if x.ndim != 2 or x.shape[1] != self.n_input_dims:
            raise TypeError(f"input must be (N, {self.n_input_dims}), is {tuple(x.shape)}")
        rows = -(-len(x) // ROWS) * ROWS
        whole = nn.functional.pad(x.float(), (0, 0, 0, rows - len(x)))
        if self.device.type == "meta":
            out = whole.sum() + self.params.sum() + torch.empty(rows, self.padded, device=self.device)
        elif self.grid is None:
            out = whole @ self.params.to(self.dtype).float().reshape(self.n_input_dims, self.padded)
        else:
            out = self.grid(whole, self.params.to(self.dtype).float())
            out = nn.functional.pad(out, (0, self.padded - self.n_output_dims))
        return out.to(self.dtype)[: len(x), : self.n_output_dims]


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
        return Grid(inputs, config).width
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
        self.encoding_config = encoding_config
        width = _width(encoding_config, n_input_dims)
        if "Grid" in encoding_config["otype"]:
            self.grid = Grid(n_input_dims, encoding_config)
        self._prepare(n_input_dims, width, dtype or torch.float16, seed)


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
