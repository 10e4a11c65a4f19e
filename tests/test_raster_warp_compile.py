"""The Warp kernels compiled ahead of time for real GPUs, which needs neither a GPU nor a driver."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("warp")

TRIANGLES = ("triangles_scan", "triangles_pixels", "triangles_edges", "triangles_texels")
MODULES = ("projection", "projection_backward", "compositing", "march_kernels", *TRIANGLES)
SLOW = [pytest.param(arch, marks=pytest.mark.slow) for arch in (80, 90, 120)]
REGISTERS_PER_BLOCK = 65536  # of every architecture here


def compiled(name: str, arch: int, folder: Path) -> Path:
    """The PTX of one module's kernels."""
    import warp

    module = importlib.import_module(f"sds3d.representations.raster.warp.{name}")
    (path,) = warp.compile_aot_module(module, arch=arch, module_dir=folder, use_ptx=True)
    return path


def ptxas() -> str | None:
    """The assembler: on the PATH, or in the package nvidia-cuda-nvcc."""
    site = Path(sysconfig.get_path("purelib"))
    return shutil.which("ptxas") or next(map(str, site.glob("nvidia/*/bin/ptxas")), None)


@pytest.mark.parametrize("arch", [75, *SLOW])
@pytest.mark.parametrize("name", MODULES)
def test_kernels_compile_to_ptx_without_a_gpu(tmp_path, name, arch) -> None:
    text = compiled(name, arch, tmp_path).read_text()
    assert f".target sm_{arch}" in text
    kernels = set(re.findall(r"\.entry (\w+?)_[0-9a-f]{8}_cuda_kernel_forward", text))
    module = importlib.import_module(f"sds3d.representations.raster.warp.{name}")
    own = {key for key, value in vars(module).items() if hasattr(value, "adj") and hasattr(value, "key")}
    assert kernels
    assert kernels <= own
    assert "_cuda_kernel_backward" not in text  # adjoints are written by hand
    if name in ("triangles_scan", "triangles_edges"):  # what is seen is decided with the twin's roundings
        assert re.search(r"mul\.(rn\.)?f64", text)
        assert "fma.rn.f64" not in text


@pytest.mark.slow
@pytest.mark.parametrize("arch", [75, 80, 90, 120])
@pytest.mark.parametrize("name", MODULES)
def test_a_block_fits_the_registers_and_nothing_spills(tmp_path, capsys, name, arch) -> None:
    from sds3d.representations.raster.warp.runtime import BLOCK

    assembler = ptxas()
    if assembler is None:
        pytest.skip("no ptxas here: pip install --no-deps 'nvidia-cuda-nvcc>=13.4'")
    source = tmp_path / "kernels.ptx"
    source.write_bytes(compiled(name, arch, tmp_path).read_bytes().rstrip(b"\0"))
    command = [assembler, "-v", f"-arch=sm_{arch}", str(source), "-o", str(tmp_path / "kernels.cubin")]
    report = subprocess.run(command, capture_output=True, text=True)
    if "Unsupported .version" in report.stderr:
        pytest.skip(f"ptxas is older than Warp's compiler: {report.stderr.splitlines()[0]}")
    assert report.returncode == 0, report.stderr
    found = re.findall(
        r"entry function '(\w+?)_[0-9a-f]{8}_cuda.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers",
        report.stderr,
        re.DOTALL,
    )
    assert found
    for kernel, stores, loads, registers in found:
        with capsys.disabled():
            print(f"\nsm_{arch} {kernel}: {registers} registers, {stores} + {loads} bytes spilled", end="")
        assert stores == loads == "0", kernel
        assert int(registers) * BLOCK <= REGISTERS_PER_BLOCK, kernel
