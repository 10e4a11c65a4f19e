"""The gsplat branch, on a strict stand-in for gsplat's compiled module; dispatch to it and around it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from fakes.elsewhere import META, on_meta
from gaussian_cases import Case, assert_close, random_case, with_gradients
from sds3d.representations.raster import dispatch, gaussians_gsplat
from sds3d.representations.raster.gaussians import GaussianRender

from sds3d.core.errors import NonFiniteError

pytest.importorskip("gsplat")


@pytest.fixture
def extension(monkeypatch):
    """A function: install the stand-in, for tensors on a device that stands for the CUDA device."""
    from fakes import gsplat_csrc

    def install(device: torch.device):
        module = gsplat_csrc.make(device)
        gaussians_gsplat.compiled_module.cache_clear()
        monkeypatch.setitem(sys.modules, "gsplat.csrc", module)
        # gsplat's wrappers ask for the module there, by an import that would otherwise try to build it
        backend = type(sys)("gsplat.cuda._backend")
        backend._C = module
        monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", backend)
        monkeypatch.setattr(gaussians_gsplat, "gsplat_status", lambda _: gaussians_gsplat.compiled_module())
        monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", {device.type: ("gsplat", "warp")})
        return module

    yield install
    gaussians_gsplat.compiled_module.cache_clear()


def draw(case: Case, probe: torch.Tensor, implementation: str = "auto") -> GaussianRender:
    """As `Case.draw`, with a field of view that asks for no gradient: gsplat has none to give."""
    cameras = replace(case.cameras, fov_y_deg=case.cameras.fov_y_deg.detach())
    return replace(case, cameras=cameras).draw(implementation, probe=probe)


def test_pictures_and_gradients_are_the_definition_s(extension) -> None:
    module = extension(torch.device("cpu"))
    case = random_case(31, count=90, sh_count=9, size=(40, 52), views=2)
    fast, fast_grads = with_gradients(case, draw)
    assert {name.removesuffix("_fwd").removesuffix("_bwd") for name in module.calls} == {
        "projection_ewa_3dgs_fused",
        "spherical_harmonics",
        "intersect_tile",
        "intersect_offset",
        "rasterize_to_pixels_3dgs",
    }
    exact, exact_grads = with_gradients(case, lambda c, probe: c.draw("twin", probe=probe))
    assert_close(fast.rgb, exact.rgb, 1e-5, "rgb", floor=1.0)
    assert_close(fast.alpha, exact.alpha, 1e-5, "alpha", floor=1.0)
    assert_close(fast.depth, exact.depth, 1e-4, "depth", floor=1.0)
    assert (fast.radii - exact.radii).abs().max() <= 1
    assert exact_grads.keys() - fast_grads.keys() == {"fov_y_deg"}
    for key in fast_grads:
        assert_close(fast_grads[key], exact_grads[key], 3e-4, key)


def test_no_gaussians_leave_the_background(extension) -> None:
    extension(torch.device("cpu"))
    case = random_case(0, count=0, views=2)
    render, _ = with_gradients(case, draw)
    assert torch.equal(render.rgb, case.background[:, :, None, None].expand(2, 3, *case.size))


def test_values_that_are_not_finite_are_refused(extension) -> None:
    extension(torch.device("cpu"))
    case = random_case(0)
    case.arrays["sh"][5, 2, 1] = torch.nan
    with pytest.raises(NonFiniteError, match=r"sh\[5, 2, 1\] is nan"):
        case.draw("gsplat")


def test_every_array_is_made_where_the_inputs_are(extension, monkeypatch) -> None:
    """On the meta device, which mixes with the CPU as little as a CUDA device does, gradients included."""
    module = extension(META)
    monkeypatch.setattr(gaussians_gsplat, "_all_finite", lambda given: True)
    case = on_meta(random_case(0, count=30, views=2))
    leaves = [value.requires_grad_() for value in (*case.arrays.values(), case.cameras.c2w, case.background)]
    render = draw(case, torch.zeros(2, 30, 2, device=META))
    assert render.rgb.shape == (2, 3, *case.size)
    assert {render.rgb.device, render.alpha.device, render.depth.device, render.radii.device} == {META}
    grads = torch.autograd.grad(render.rgb.sum() + render.depth.sum(), leaves)
    assert all(g.shape == leaf.shape and g.device == META for g, leaf in zip(grads, leaves, strict=True))
    assert "projection_ewa_3dgs_fused_bwd" in module.calls


def test_a_gradient_of_the_field_of_view_goes_to_warp(extension, caplog) -> None:
    pytest.importorskip("warp")
    module = extension(torch.device("cpu"))
    case = random_case(3)
    case.cameras.fov_y_deg.requires_grad_()
    case.draw("auto").rgb.sum().backward()
    assert not module.calls
    assert case.cameras.fov_y_deg.grad.abs() > 0


def test_the_stand_in_is_strict() -> None:
    from fakes import gsplat_csrc

    module = gsplat_csrc.make(torch.device("cpu"))
    ids = torch.zeros(4, dtype=torch.int64)
    assert module.intersect_offset(ids, 1, 2, 2).dtype == torch.int32
    with pytest.raises(TypeError, match=r"isect_ids must be torch\.int64"):
        module.intersect_offset(ids.int(), 1, 2, 2)
    with pytest.raises(TypeError, match="isect_ids must be contiguous"):
        module.intersect_offset(torch.zeros(8, dtype=torch.int64)[::2], 1, 2, 2)
    with pytest.raises(TypeError, match="isect_ids must be on meta"):
        gsplat_csrc.make(torch.device("meta")).intersect_offset(ids, 1, 2, 2)
    with pytest.raises(TypeError, match=r"dirs must be \(None, None, 3\)"):
        module.spherical_harmonics_fwd(0, torch.zeros(3, 3), torch.zeros(3, 1, 3), None)


def test_without_its_compiled_module_gsplat_is_left_alone() -> None:
    """In a process of its own: asking must not import the part of gsplat that starts a build."""
    program = (
        "import sys, torch\n"
        "from sds3d.representations.raster.gaussians_gsplat import gsplat_status\n"
        "print(gsplat_status(torch.device('cuda')))\n"
        "print('gsplat.cuda._backend' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    reason, built = result.stdout.splitlines()
    if "gsplat.csrc" not in reason:
        pytest.skip("gsplat has its compiled module here")
    assert "compiled module does not import" in reason
    assert built == "False"
