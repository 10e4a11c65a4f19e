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

from sds3d.representations.raster.warp.modules import kernel_modules, kernels_of

MODULES = [module.__name__.rpartition(".")[2] for module in kernel_modules()]
ARCHITECTURES = (75, 80, 90, 120)
QUICK = ("march_kernels", 75)  # what is compiled in every run of the tests
CASES = [
    pytest.param(name, arch, marks=[] if (name, arch) == QUICK else pytest.mark.slow)
    for name in MODULES
    for arch in ARCHITECTURES
]
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


def test_every_file_with_kernels_is_compiled() -> None:
    folder = Path(importlib.import_module("sds3d.representations.raster.warp").__file__).parent
    assert {path.stem for path in folder.glob("*.py") if "\n@wp.kernel" in path.read_text()} == {*MODULES}
    assert QUICK[0] in MODULES


@pytest.mark.parametrize(("name", "arch"), CASES)
def test_kernels_compile_to_ptx_without_a_gpu(tmp_path, name, arch) -> None:
    text = compiled(name, arch, tmp_path).read_text()
    assert f".target sm_{arch}" in text
    kernels = set(re.findall(r"\.entry (\w+?)_[0-9a-f]{8}_cuda_kernel_forward", text))
    module = importlib.import_module(f"sds3d.representations.raster.warp.{name}")
    assert kernels == {*kernels_of(module)}
    assert "_cuda_kernel_backward" not in text  # adjoints are written by hand
    if name in ("triangles_scan", "triangles_edges"):  # what is seen is decided with the twin's roundings
        assert re.search(r"mul\.(rn\.)?f64", text)
        assert "fma.rn.f64" not in text


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
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
