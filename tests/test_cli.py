"""The command line in-process: statuses, messages, JSON, and a snapshot of commands and options."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from small_run import SMALL, StopAt, small_folder

from sds3d.cli import main as cli
from sds3d.core.errors import StopRequested
from sds3d.jobs import configs, execute
from sds3d.jobs.runfolder import list_runs

SNAPSHOT = Path(__file__).parent / "snapshots" / "cli.txt"


@pytest.fixture
def sds3d(capsys, tmp_path, monkeypatch):
    """Runs a command line in an empty folder: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return call


def small_words(**changes):
    """The small run as command-line words."""
    values = {**SMALL, "optimize.steps": 2, **changes}
    prompt = values.pop("prompt")
    return [prompt, *(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items())]


def one_paragraph(text):
    """An error for people: begins with error:, no traceback, no blank line inside."""
    return text.startswith("error: ") and "Traceback" not in text and "\n\n" not in text.strip()


def test_commands_and_options_are_as_they_were():
    lines = []
    group = typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        lines.append(f"{name}: {command.help}")
        for parameter in command.params:
            words = "/".join(parameter.opts) if parameter.param_type_name == "option" else parameter.metavar
            lines.append(f"  {words}: {parameter.help}")
        lines.append(f"  {command.epilog}")
    text = "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text(), "set UPDATE_SNAPSHOTS=1 to accept the change"


@pytest.mark.parametrize("command", ["run", "resume", "export", "info", "doctor", "schema", "web"])
def test_every_command_has_help(sds3d, command):
    status, out, _ = sds3d(command, "--help")
    assert status == 0
    assert "Usage: sds3d " + command in out


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom sds3d.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'rich', 'diffusers', 'yaml') if m in sys.modules])"
    )
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began < 0.5


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["rnu"], 2, "run"),
        (["run"], 2, "Missing argument"),
        (["run", "--colour", "x"], 2, "--colour"),
        (["run", "prompt.yaml"], 2, "prompt.yaml: cannot be read"),
        (["run", "a duck", "seed"], 2, "Write key=value"),
        (
            ["run", "a duck", "guidance.cfgscale=2"],
            2,
            "command line: guidance.cfgscale: unknown key. Did you mean cfg_scale",
        ),
        (["run", "seed=3"], 2, "needs a prompt"),
        (["resume", "nowhere"], 1, "no such run folder"),
        (["export", "nowhere"], 1, "no such run folder"),
        (["export", "nowhere", "--texture", "-5"], 2, "--texture"),
        (["export", "nowhere", "--to", "glb,objj"], 2, "Did you mean obj?"),
        (["info", "nowhere.glb"], 1, "does not exist"),
        (["info", "nowhere.safetensors"], 1, "nowhere.safetensors"),
        (["web", "--port", "0"], 2, "port"),
    ],
)
def test_wrong_usage(sds3d, tmp_path, words, status, text):
    got, out, err = sds3d(*words)
    assert got == status
    assert text in err
    assert "Traceback" not in err
    assert not out
    assert not list(tmp_path.iterdir())


WRONG = {
    "unknown key": ("prompt: a duck\nguidence: sds\n", "2: guidence: unknown key. Did you mean guidance?"),
    "wrong type": ("prompt: a duck\nseed: abc\n", '2: seed: expected an integer, got "abc"'),
    "unknown prior": ("prompt: a duck\nprior: embeded\n", "Did you mean embedded?"),
    "unknown method": ("prompt: a duck\nguidance: {method: sdss}\n", "Did you mean sds?"),
    "misplaced key": ("prompt: a duck\ncfg_scale: 4\n", "Did you mean guidance.cfg_scale?"),
    "out of range": (
        "prompt: a duck\noptimize:\n  steps: 0\n",
        "3: optimize.steps: expected greater than or equal to 1",
    ),
    "no pixels": (
        "prompt: a duck\noptimize: {size: {linear: [16, 0]}}\n",
        "optimize.size: a side is 1 to 8192",
    ),
    "crossed times": (
        "prompt: a duck\nguidance:\n  times: {low: 0.9, high: 0.1}\n",
        "3: guidance.times: needs 0 <= low <= high <= 1",
    ),
    "key of the run in a stage": (
        "prompt: a duck\nstages: [{name: a, seed: 3}]\n",
        "stages[0].seed: unknown key. Did you mean seed at the top level?",
    ),
    "reversed range": (
        "prompt: a duck\ncameras:\n  elevation_deg: [60, -10]\n",
        "3: cameras.elevation_deg: a range is",
    ),
    "duplicate": ("prompt: a duck\nseed: 1\nseed: 2\n", "3: seed: is written twice, first in line 2"),
    "schedule": (
        "prompt: a duck\nguidance:\n  cfg_scale: {linaer: [1, 2]}\n",
        "3: guidance.cfg_scale: expected a number or one",
    ),
    "both": ("prompt: a duck\nprompts: [a car]\n", "has both prompt and prompts"),
    "syntax": ("prompt: a duck\nexport: [glb\n", "is not valid YAML"),
    "export": (
        "prompt: a duck\nexport: [glb, fbx]\n",
        "2: export[1]: expected one of glb, obj, usdz, stl, ply, 3dgs",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configs_touch_nothing(sds3d, tmp_path, name):
    text, words = WRONG[name]
    (tmp_path / "c.yaml").write_text(text)
    status, out, err = sds3d("run", "c.yaml")
    assert status == 2
    assert one_paragraph(err)
    assert "c.yaml" in err
    assert words in err
    assert not out
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a red gloxinia"], "gloxinia"),
        (["a red cube", "representation=image", "export=glb"], "asks for glb"),
        (
            ["a red cube", "stages=[{name: a, representation: image}, {name: b, representation: nerf}]"],
            "image",
        ),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(sds3d, words, told):
    status, _, err = sds3d("run", *words, "--dry-run")
    assert status == 1
    assert told in err


def test_splats_of_a_grid_are_refused_before_anything_is_made(sds3d, tmp_path):
    status, _, err = sds3d("run", "a duck", "representation=grid", "export=[glb,3dgs]")
    assert status == 2
    assert "Take representation=gaussians" in err
    assert not list(tmp_path.iterdir())


def test_all_problems_of_a_file_are_told_at_once(sds3d, tmp_path):
    (tmp_path / "c.yaml").write_text("promt: a duck\nseed: x\noptimize: {step: 3}\n")
    status, _, err = sds3d("run", "c.yaml")
    assert status == 2
    assert [line.split(":")[1] for line in err.splitlines() if line.startswith("  - c.yaml:")] == [
        "1",
        "2",
        "3",
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished run and a stopped one, for commands that read."""
    root = tmp_path_factory.mktemp("work") / "runs"
    done = small_folder(root, optimize__steps=2)
    execute.execute(done)
    stopped = small_folder(root, optimize__steps=4)
    with pytest.raises(StopRequested):
        execute.execute(stopped, StopAt(2))
    return done, stopped


def broken_files(folder, run):
    """Files that were good once, each damaged in its own way."""
    checkpoint = sorted(run.checkpoints.glob("*.safetensors"))[-1].read_bytes()
    glb = (run.path / "asset.glb").read_bytes()
    axes = b"".join(b"property float %s\n" % axis for axis in (b"x", b"y", b"z"))
    ply = b"ply\nformat ascii 1.0\nelement vertex 2\n" + axes + b"end_header\n0 0 0\n"
    files = {
        "half.safetensors": checkpoint[: len(checkpoint) // 2],
        "flipped.safetensors": checkpoint[:-4] + bytes(b ^ 255 for b in checkpoint[-4:]),
        "empty.safetensors": b"",
        "header.safetensors": b"\xff" * 8 + checkpoint[8:],
        "half.glb": glb[: len(glb) // 2],
        "magic.glb": b"glTX" + glb[4:],
        "short.ply": ply,
        "header.ply": b"ply\nformat ascii 1.0\nelement vertex many\nend_header\n",
        "nan.ply": ply.replace(b"0 0 0", b"0 nan 0\n1 1 1"),
        "index.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n",
        "binary.yaml": b"\x93\x00\xff",
        "torn.yaml": b"prompt: 'a duck\nseed: 1\n",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return files


def test_broken_files_give_a_paragraph_and_stay_as_they_are(sds3d, tmp_path, runs):
    for name, data in broken_files(tmp_path, runs[0]).items():
        status, out, err = sds3d("info", name)
        assert status in (1, 2), name
        assert one_paragraph(err), (name, err)
        assert name in err, (name, err)
        assert not out, name
        assert (tmp_path / name).read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 12


def test_run_prints_where_the_assets_lie(sds3d, tmp_path):
    status, out, err = sds3d("run", *small_words(runs=str(tmp_path / "out")))
    assert status == 0, err
    folder = list_runs(tmp_path / "out")[0]
    assert out.splitlines()[0] == str(folder.path / "asset.glb")
    assert {Path(line).name for line in out.splitlines()} == {
        "asset.glb",
        "turntable.mp4",
        "contact.png",
        "report.html",
    }
    assert all(Path(line).is_file() for line in out.splitlines())
    assert "step 2/2" in err
    assert "it/s" in err


def test_a_file_with_prompts_and_json(sds3d, tmp_path):
    config = {k: v for k, v in SMALL.items() if "." not in k} | {
        "prompt": None,
        "prompts": ["one", "two"],
        "optimize": {"steps": 1, "views": 1, "preview_steps": 0},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    status, out, err = sds3d("run", "c.yaml", "--json", "seed=3")
    assert status == 0, err
    told = json.loads(out)
    assert [t["prompt"] for t in told] == ["one", "two"]
    assert all(t["state"] == "finished" and Path(t["assets"]["glb"]).is_file() for t in told)
    assert configs.read(Path(told[0]["run"]) / "config.yaml").seed == 3


def test_resume_finishes_what_was_stopped(sds3d, runs):
    folder = small_folder(runs[0].path.parent, optimize__steps=4, seed=5)
    with pytest.raises(StopRequested):
        execute.execute(folder, StopAt(1))
    status, out, _ = sds3d("resume", folder.path, "--quiet")
    assert status == 0
    assert str(folder.path / "asset.glb") in out
    with folder.lock():
        status, _, err = sds3d("resume", folder.path, "--quiet")
    assert status == 1
    assert f"pid {os.getpid()}" in err


def test_export_by_name_to_other_kinds(sds3d, runs, monkeypatch, tmp_path):
    monkeypatch.chdir(runs[0].path.parents[1])
    status, out, err = sds3d("export", runs[0].path.name, "--to", "obj,ply", "--out", tmp_path / "x")
    assert status == 0, err
    assert sorted(p.suffix for p in (tmp_path / "x").iterdir()) == [".obj", ".ply"]
    assert out.splitlines() == [str(tmp_path / "x" / f"{runs[0].path.name}{s}") for s in (".obj", ".ply")]
    status, _, err = sds3d("export", runs[0].path, "--to", "obj", "--out", tmp_path / "x")
    assert status == 1
    assert "exists already" in err
    status, _, err = sds3d("export", runs[0].path, "--to", "3dgs")
    assert status == 2
    assert "representation=gaussians" in err


def test_info_of_a_run_a_file_and_a_checkpoint(sds3d, runs):
    status, out, _ = sds3d("info", runs[1].path, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["state"] == "stopped"
    assert facts["step"] == "2 of 4"
    assert facts["representation"] == "grid"
    assert facts["milliseconds"]["total"] > 0
    status, out, _ = sds3d("info", runs[0].path / "asset.glb", "--json")
    assert json.loads(out)["mesh"]["faces"] > 0
    checkpoint = runs[0].checkpoints / facts["checkpoints"][-1]
    status, out, _ = sds3d("info", checkpoint, "--json")
    assert json.loads(out)["step"] == 2
    status, out, _ = sds3d("info", runs[0].path)
    assert "prompt" in out
    assert "asset.glb" in out
    status, out, _ = sds3d("info", runs[0].config_file, "--json")
    assert json.loads(out)["hash"] == configs.hash_of(runs[0].config())


def test_doctor(sds3d):
    status, out, _ = sds3d("doctor", "--json")
    told = json.loads(out)
    checks = {c["name"]: c for c in told["checks"]}
    assert status == (0 if told["ok"] else 1)
    assert checks["torch"]["state"] == "ok"
    assert {"python", "processor", "native core", "built-in prior", "runs folder", "gradio"} <= set(checks)
    assert all(c["fix"] for c in told["checks"] if c["state"] == "missing")
    _, out, _ = sds3d("doctor")
    assert all(name in out for name in checks)


def test_doctor_names_a_folder_that_cannot_be_written(tmp_path):
    from sds3d.cli.checks import _folder

    (tmp_path / "f").touch()
    assert _folder("runs", tmp_path / "new" / "runs").state == "ok"
    assert _folder("runs", Path("/proc/1")).state == "missing"


def test_schema_to_a_file(sds3d, tmp_path):
    status, out, _ = sds3d("schema", "--out", "s.json")
    assert status == 0
    schema = json.loads((tmp_path / "s.json").read_text())
    assert {"embedded", "analytic"} <= set(schema["properties"]["prior"]["anyOf"][0]["enum"])
    assert schema["additionalProperties"] is False
    assert out.strip() == "s.json"


def test_the_web_page_without_its_package(sds3d, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, err = sds3d("web")
    assert status == 1
    assert "pip install 'sds3d[web]'" in err


def test_defects_are_called_so_and_debug_shows_where(sds3d, monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("one")

    monkeypatch.setattr("sds3d.jobs.configs.from_words", broken)
    status, _, err = sds3d("run", "a duck")
    assert status == 1
    assert "defect" in err
    assert "--debug" in err
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", "a duck", "--debug"])
