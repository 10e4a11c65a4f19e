"""`sds3d doctor --gpu` rehearsed without a GPU: end to end, and with faults that have to be called by their names."""

from __future__ import annotations

import errno
import json
import shutil

import pytest
import torch
from fakes.second_device import SECOND, computing
from family_cases import folder_of
from rehearsal import TINY, bench
from sds3d.representations.raster import dispatch
from sds3d.representations.raster.warp import gaussians as gaussians_warp
from sds3d.representations.raster.warp import march as march_warp
from sds3d.representations.raster.warp import runtime

from sds3d.cli import checks, gpu_checks
from sds3d.cli.main import main
from sds3d.core.devices import Cuda
from sds3d.core.streams import Streams
from sds3d.jobs import assemble
from sds3d.jobs.prior_word import prior_options
from sds3d.optimize.loop import Session
from sds3d.priors.kinds import embedded
from sds3d.testing.gpu import examination, kernels, steps
from sds3d.testing.gpu.bench import AGREE, Bench, Gpu, Sizes
from sds3d.testing.gpu.cases import MAKERS
from sds3d.testing.gpu.finding import Finding, Outcome, carry_out
from sds3d.testing.gpu.model import Knows, Loads
from sds3d.testing.gpu.rehearsal import Rehearsal

pytest.importorskip("warp")

CPU = torch.device("cpu")


def look(bench: Bench, *names: str) -> dict[str, Finding]:
    """The findings of those checks by name; what is not named counts as passed."""
    chosen = [c for c in examination.all_checks(bench) if c.name in names]
    assert {c.name for c in chosen} == {*names}
    return {f.name: f for f in carry_out(chosen, bench, lambda finding: None)}


def assert_wrong(finding: Finding, detail: str, advice: str) -> None:
    assert finding.verdict == "wrong"
    assert detail in finding.detail
    assert advice in finding.advice


def test_a_whole_examination_is_rehearsed(tmp_path) -> None:
    told: list[Finding] = []
    made = bench(tmp_path)
    findings = examination.examine(made, told.append)
    assert told == findings
    assert [f for f in findings if f.verdict == "wrong"] == []
    by_name = {f.name: f for f in findings}
    for name in ("driver", "warp", "rasterize_gaussians by warp", "prior", "steps", "time", "export"):
        assert by_name[name].verdict == "ok", by_name[name]
    assert by_name["steps"].numbers["steps"] == 4
    assert sum(by_name["time"].numbers.values()) == pytest.approx(1.0, abs=1e-2)
    assert len(made.priors) == 1  # loaded once
    assert {*by_name["export"].numbers} == {"asset.glb", "asset.3dgs.ply"}
    assert by_name["without the GPU"].numbers["psnr_db"] > 60
    report = json.loads(json.dumps(examination.report(made, findings)))
    assert (report["ok"], report["rehearsed"], len(report["findings"])) == (True, True, len(findings))
    assert {*Finding.__dataclass_fields__} == {*report["findings"][0]}


MACHINES = {
    "no driver": (Cuda("2.13.0", "12.6"), "there is no NVIDIA driver", "install the driver"),
    "a wheel without CUDA": (
        Cuda("2.13.0+cpu", "", "12.8"),
        "built without CUDA",
        "pip install --force-reinstall torch",
    ),
    "an old driver": (
        Cuda("2.13.0", "12.6", "11.4"),
        "the NVIDIA driver serves CUDA up to 11.4",
        "update the driver",
    ),
    "hidden devices": (
        Cuda("2.13.0", "12.6", "12.8", hidden="-1"),
        "CUDA_VISIBLE_DEVICES='-1' hides",
        "unset it",
    ),
}


@pytest.mark.parametrize("fault", MACHINES)
def test_a_gpu_that_cannot_be_used_ends_it_at_once(tmp_path, fault) -> None:
    made = bench(tmp_path)
    made.gpu.cuda, detail, advice = MACHINES[fault]
    first, *others = examination.examine(made)
    assert_wrong(first, detail, advice)
    assert first.name == "driver"
    assert {f.verdict for f in others} == {"skipped"}
    assert all("driver" in f.detail for f in others)
    assert not examination.is_ok([first, *others])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_no_check_mixes_devices(monkeypatch, tmp_path) -> None:
    """The checks on a device that mixes with the CPU as little as a GPU does; the twins draw there."""
    made, run_config = bench(tmp_path), steps.run_config

    def config(bench: Bench) -> tuple:
        bench.gpu.device = CPU
        found = run_config(bench)
        bench.gpu.device = SECOND
        return found

    monkeypatch.setattr(steps, "run_config", config)
    monkeypatch.setattr(assemble, "device_of", lambda config: SECOND)
    monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", {"cpu": ("native", "twin"), SECOND.type: ("twin",)})
    made.gpu.device, made.gpu.rasterizer = SECOND, "twin"
    model = [Loads(), Knows(), steps.Steps(needs=()), steps.TimeSplit(), steps.SamePicture(), steps.Export()]
    checks = [*(kernels.Agreement(name, "twin", ()) for name in MAKERS), *model]
    with computing():
        findings = carry_out(checks, made, lambda finding: None)
    assert [(f.name, f.detail) for f in findings if f.verdict != "ok"] == []
    assert len(findings) > len(checks)


def test_a_gpu_that_pytorch_was_not_built_for_is_named(tmp_path) -> None:
    made = bench(tmp_path)
    made.gpu.failed = "no kernel image is available for execution on the device"
    assert_wrong(look(made, "driver")["driver"], "no kernel image", "built for other GPUs: pip install")


def test_a_gpu_that_is_too_old_is_named(tmp_path) -> None:
    made = bench(tmp_path)
    made.gpu.compute = (6, 1)
    assert_wrong(look(made, "driver")["driver"], "compute capability 6.1", "7.5 (Turing, 2018) or newer")


def test_a_full_gpu_is_named(tmp_path) -> None:
    made = bench(tmp_path)
    made.gpu.free = 10**9
    assert_wrong(look(made, "memory")["memory"], "1.0 of 24.0 GB are free", "close other programs")


def test_a_file_that_warp_does_not_compile_is_named(monkeypatch, tmp_path) -> None:
    import warp

    def load_module(module, device):
        raise RuntimeError("Kernel build failed: ptxas fatal: unsupported architecture\nmore")

    monkeypatch.setattr(warp, "load_module", load_module)
    found = look(bench(tmp_path), "driver", "warp", "march by warp", "prior")
    assert_wrong(
        found["warp"], "march_kernels.py does not compile: Kernel build failed", "Delete Warp's cache"
    )
    assert found["march by warp"].verdict == "skipped"
    assert found["prior"].verdict == "ok"


def test_warp_that_is_not_there_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(
        "sds3d.testing.gpu.machine.warp_status", lambda _: f"warp-lang is missing: {runtime.INSTALL}"
    )
    found = look(bench(tmp_path), "warp")
    assert_wrong(found["warp"], "warp-lang is missing", "pip install 'sds3d[cuda]'")


def test_a_kernel_with_wrong_values_is_named(monkeypatch, tmp_path) -> None:
    good = march_warp.march
    monkeypatch.setattr(march_warp, "march", lambda *given: 1.01 * good(*given))
    found = look(bench(tmp_path), "march by warp", "compose by warp")
    assert_wrong(found["march by warp"], "value 1.0e-02", "gives wrong values")
    assert found["compose by warp"].verdict == "ok"


@pytest.mark.parametrize(
    ("factor", "advice"),
    [
        (float("nan"), "gives NaN or infinity in the gradient of volume"),
        (-1.0, "gives a wrong gradient of volume"),
    ],
)
def test_a_kernel_with_wrong_gradients_is_named(monkeypatch, tmp_path, factor, advice) -> None:
    good = march_warp.march

    def march(volume, *given):
        volume = volume.clone()
        volume.register_hook(lambda gradient: factor * gradient)
        return good(volume, *given)

    monkeypatch.setattr(march_warp, "march", march)
    assert_wrong(look(bench(tmp_path), "march by warp")["march by warp"], "(volume)", advice)


def test_a_kernel_whose_threads_race_is_named(monkeypatch, tmp_path) -> None:
    good, calls = gaussians_warp.rasterize, []

    def rasterize(*given):
        calls.append(1)
        rgb, *others = good(*given)
        return rgb * (1 + 5e-5 * len(calls)), *others

    monkeypatch.setattr(gaussians_warp, "rasterize", rasterize)
    finding = look(bench(tmp_path), "rasterize_gaussians by warp")["rasterize_gaussians by warp"]
    assert_wrong(finding, "again 5.0e-05", "does not repeat")
    assert "representation.rasterizer=gsplat" in finding.advice


def test_a_model_that_is_not_there_is_named_and_the_built_in_one_runs(tmp_path) -> None:
    made = bench(tmp_path, prior_options(str(tmp_path / "no-such-model")))
    found = look(made, "prior", "self-check", "steps")
    assert_wrong(found["prior"], "no-such-model", "Do as the message says")
    assert found["self-check"].verdict == "skipped"
    assert "with the built-in prior since the other did not load" in found["steps"].detail


def test_a_wrong_prediction_type_is_named(tmp_path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(embedded.assets_folder() / "prior32", folder)
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": "epsilon"}))
    options = embedded.Options(folder=folder, precision="float32")
    found = look(bench(tmp_path, options), "prior", "self-check")
    assert found["prior"].verdict == "ok"
    advice = "set prior.prediction=v"
    assert_wrong(found["self-check: error of the noise at middle noise"], "at most 0.4", advice)


def test_memory_that_runs_out_in_the_steps_is_named(monkeypatch, tmp_path) -> None:
    good = Session.gradients

    def gradients(self):
        if self.step == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return good(self)

    monkeypatch.setattr(Session, "gradients", gradients)
    found = look(bench(tmp_path), "steps", "peak memory", "export", "memory")
    assert_wrong(found["steps"], "out of memory at step 2: CUDA out of memory", "prior.memory=lean")
    assert {found[name].verdict for name in ("peak memory", "export")} == {"skipped"}
    assert found["memory"].verdict == "ok"


def test_a_number_that_is_none_in_the_steps_is_named(monkeypatch, tmp_path) -> None:
    from sds3d.priors.kinds.embedded import EmbeddedPrior

    good = EmbeddedPrior.encode
    monkeypatch.setattr(EmbeddedPrior, "encode", lambda self, media: good(self, media) * float("nan"))
    assert_wrong(look(bench(tmp_path), "steps")["steps"], "z", "report it")


def test_a_full_disk_at_export_is_named(monkeypatch, tmp_path) -> None:
    made = bench(tmp_path)
    look(made, "steps")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sds3d.assetio.files.os.fsync", full)
    found = look(made, "export", "time")
    assert_wrong(found["export"], "the disk is full", "Free some gigabytes")
    assert found["time"].verdict == "ok"


def test_memory_far_from_what_was_predicted_is_named(monkeypatch, tmp_path) -> None:
    made = bench(tmp_path)
    look(made, "steps")
    for held, verdict, advice in (
        (1.0, "ok", ""),
        (1.3, "wrong", "More than predicted: set prior.memory=lean"),
        (0.2, "wrong", "Far less than predicted"),
    ):
        monkeypatch.setattr("sds3d.testing.gpu.steps.predicted_peak", lambda *_, h=held: made.gpu.held / h)
        outcome = look(made, "peak memory")["peak memory"]
        assert outcome.verdict == verdict
        assert advice in outcome.advice


@pytest.mark.parametrize("function", MAKERS)
def test_every_case_has_something_to_compare(function) -> None:
    case = MAKERS[function][0](Streams(3), TINY)
    found = kernels.answer(case, "twin", CPU, case.exact)
    parts = {**{f"value{n}": v for n, v in enumerate(found.values)}, **found.gradients}
    for name, value in parts.items():
        assert float(value.norm()) > 1e-3, name
        assert float((value != 0).float().mean()) > 0.02, name


def test_differences_leave_out_a_thousandth_and_no_more() -> None:
    exact = torch.ones(4000)
    few, many, nan = exact.clone(), exact.clone(), exact.clone()
    few[:4], many[:40], nan[0] = 9.0, 9.0, float("nan")
    assert kernels.difference(few, exact) == 0.0
    assert kernels.difference(many, exact) > 0.1
    assert kernels.difference(nan, exact) == float("inf")
    assert kernels.difference(1.5 * exact, exact) == pytest.approx(0.5, rel=1e-3)


def status_of(*words: str) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as left:
        main([*words])
    return left.value.code


def test_without_a_gpu_the_command_says_at_once_what_is_missing(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(Gpu, "found", lambda self: Cuda("2.13.0", "12.6"))
    assert status_of("doctor", "--gpu", "--save", str(tmp_path / "gpu.json")) == 1
    out = capsys.readouterr().out
    first, second, *_ = out.splitlines()
    assert first.startswith(
        "wrong    driver: this PyTorch was built for CUDA 12.6, but there is no NVIDIA driver"
    )
    assert second.strip().startswith("do: install the driver")
    assert "There is no GPU here" in out
    told = json.loads((tmp_path / "gpu.json").read_text())
    assert (told["ok"], told["rehearsed"]) == (False, False)


def test_the_command_prints_tables_and_writes_its_findings(monkeypatch, tmp_path, capsys) -> None:
    def some(bench: Bench) -> list:
        chosen = ("driver", "compose by warp", "memory")
        return [c for c in all_checks(bench) if c.name in chosen]

    all_checks = examination.all_checks
    monkeypatch.setattr(examination, "all_checks", some)
    gpu = Rehearsal()
    assert gpu_checks.examine_gpu(None, False, tmp_path / "gpu.json", gpu, Sizes(TINY, TINY)) == 0
    out = capsys.readouterr().out
    assert "ok       driver: the CPU in the place of a GPU" in out
    assert "Kernels against plain PyTorch" in out
    assert "sds3d can run on this GPU." in out
    assert json.loads((tmp_path / "gpu.json").read_text())["ok"]
    gpu.free = 0
    assert gpu_checks.examine_gpu(None, True, None, gpu, Sizes(TINY, TINY)) == 1
    assert [f["verdict"] for f in json.loads(capsys.readouterr().out)["findings"]] == ["ok", "wrong", "ok"]


def test_the_plain_doctor_says_why_a_gpu_is_not_used_and_goes_on(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sds3d.core.devices.probe", lambda: Cuda("2.13.0+cpu", "", "12.8"))
    found = {c.name: c for c in checks.all_checks()}["gpu"]
    assert found.state == "optional"  # the exit status stays 0
    assert "built without CUDA, and the driver is there (CUDA 12.8)" in found.detail
    assert found.fix.startswith("install one that has it: pip install")
    monkeypatch.setattr("sds3d.core.devices.probe", lambda: Cuda("2.13.0+cpu"))
    found = {c.name: c for c in checks.all_checks()}["gpu"]
    assert (found.detail, found.fix) == ("none that torch can use; sds3d runs on the processor", "")


def test_a_file_for_findings_goes_with_the_examination(capsys) -> None:
    assert status_of("doctor", "--save", "x.json") == 2
    assert "goes with --gpu" in capsys.readouterr().err


@pytest.mark.cuda
def test_this_gpu_passes_its_examination(tmp_path) -> None:
    made = Bench(Gpu(), tmp_path, embedded.Options(), Sizes(AGREE, TINY))
    findings = examination.examine(made, print)
    assert [(f.name, f.detail) for f in findings if f.verdict == "wrong"] == []
    assert any(f.name == "steps" and f.verdict == "ok" for f in findings)


def test_a_published_model_is_examined_with_its_prediction(tmp_path) -> None:
    options = prior_options(str(folder_of("sd1"))).model_copy(update={"precision": "float32", "size": 16})
    made = bench(tmp_path, options, steps=2)
    found = look(made, "prior", "steps", "peak memory")
    assert found["prior"].numbers["tier"] == "roomy"
    assert found["steps"].verdict == "ok"
    # a tiny network: the prediction is what is set aside for the GPU's library, and little more
    assert found["peak memory"].numbers["predicted"] == pytest.approx(1e9, rel=0.05)
    assert found["peak memory"].verdict == "ok"


def test_an_unforeseen_exception_is_a_finding_and_no_end() -> None:
    class Broken:
        name, does, needs = "broken", "breaks", ()

        def run(self, bench):
            raise KeyError("surprise")

    class Fine:
        name, does, needs = "fine", "works", ()

        def run(self, bench):
            return Outcome("all is well")

    first, second = carry_out([Broken(), Fine()], None, lambda finding: None)
    assert_wrong(first, "KeyError: 'surprise'", "defect of sds3d")
    assert (second.verdict, second.detail) == ("ok", "all is well")
