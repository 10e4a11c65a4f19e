"""The HTTP interface: what it takes and gives, and what it refuses."""

import io
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sds3d.apps.web import paths, view
from sds3d.apps.web.guard import BROWSER_COOKIE, browser_id
from web_cases import client, dump, service_for, small_yaml, submit

from sds3d.config.dump import plain
from sds3d.core.errors import ConfigError
from sds3d.jobs.configs import from_mapping
from sds3d.jobs.execute import execute
from sds3d.jobs.runfolder import RunFolder, Status

pytest.importorskip("fastapi", reason="the web page needs the extra sds3d[web]")


@pytest.fixture
def service(tmp_path):
    return service_for(tmp_path / "runs")


def test_a_run_from_submission_to_trash_and_back(service):
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml(), priority=3)
    told = anna.get(f"/api/runs/{name}").json()
    assert (told["state"], told["place"], told["prompt"]) == ("waiting", 1, "a colour")
    assert told["actions"] == ["pause", "cancel"]
    assert anna.get("/api/queue").json()[0]["priority"] == 3
    assert anna.post(f"/api/runs/{name}/pause").json()["state"] == "paused"
    assert anna.post(f"/api/runs/{name}/run").json()["state"] == "waiting"
    assert anna.post(f"/api/runs/{name}/dance").status_code == 422
    assert anna.post(f"/api/runs/{name}/tag", json=["red", "lab,two"]).json()["tags"] == ["red", "lab", "two"]
    assert [run["name"] for run in anna.get("/api/runs", params={"words": "COLOUR lab"}).json()] == [name]
    assert anna.get("/api/runs", params={"words": "lab nothing"}).json() == []
    assert anna.get("/api/runs", params={"state": "finished"}).json() == []
    assert "a colour" in anna.get(f"/runs/{name}/config.yaml").text
    names = zipfile.ZipFile(io.BytesIO(anna.get(f"/runs/{name}.zip").content)).namelist()
    assert f"{name}/config.yaml" in names
    assert anna.post(f"/api/runs/{name}/discard").status_code == 200
    assert anna.get(f"/api/runs/{name}").status_code == 404
    assert anna.get("/api/trash").json() == [name]
    assert anna.post(f"/api/runs/{name}/restore").json() == {"run": name}
    assert anna.get(f"/api/runs/{name}").status_code == 200


def test_a_finished_run_offers_its_files(service):
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml())
    folder = RunFolder(service.runs / name)
    (folder.path / "asset.glb").write_bytes(b"glTF")
    folder.metrics_file.write_text('{"step": 1, "residual": 2.0, "seconds": {"total": 0.5}}\n' * 3)
    folder.set_status(Status("finished", step=8, steps=8))
    told = anna.get(f"/api/runs/{name}").json()
    assert [f["name"] for f in told["files"]] == ["asset.glb", "config.yaml"]
    assert anna.get(told["model"]).content == b"glTF"
    assert told["actions"] == ["edit", "more", "fork"]
    assert "<svg" in anna.get(f"/api/runs/{name}/curves").json()[0]


def test_whatever_can_be_edited_is_offered_for_editing(service):
    """An OBJ has no viewer on the page, and is edited all the same; a picture is not."""
    anna = client(service, browser="anna")
    for kind, offered in (("obj", True), ("compressed.ply", True), ("usdz", True), ("png", False)):
        (name,) = submit(anna, small_yaml())
        folder = RunFolder(service.runs / name)
        (folder.path / f"asset.{kind}").write_bytes(b"#")
        folder.set_status(Status("finished", step=8, steps=8))
        told = anna.get(f"/api/runs/{name}").json()
        assert (told["model"], "edit" in told["actions"]) == (None, offered)


def test_a_finished_run_is_written_in_other_formats(service):
    """Only in what it can be written in, not while it works, by its owner alone, one at a time."""
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml())
    folder = RunFolder(service.runs / name)
    assert anna.post(f"/api/runs/{name}/export", json=["obj"]).status_code == 409  # it waits
    service.queue.wish(folder, "pause")
    execute(folder)
    known = anna.get(f"/api/runs/{name}/formats").json()
    assert {"glb", "obj", "usdz", "stl", "ply"} <= set(known)
    assert "wav" not in known
    refused = anna.post(f"/api/runs/{name}/export", json=["wav"])
    assert refused.status_code == 422
    assert "obj" in refused.json()["error"]
    assert anna.post(f"/api/runs/{name}/export", json=["../x"]).status_code == 422
    assert client(service, browser="ben").post(f"/api/runs/{name}/export", json=["stl"]).status_code == 404
    before = folder.assets()["glb"].read_bytes()
    told = anna.post(f"/api/runs/{name}/export", json=["stl", "usdz"]).json()
    by_name = {file["name"]: file for file in told["files"]}
    assert {"asset.glb", "asset.stl", "asset.usdz"} <= set(by_name)
    assert len(anna.get(by_name["asset.stl"]["url"]).content) == by_name["asset.stl"]["bytes"] > 84
    assert folder.assets()["glb"].read_bytes() == before
    with service._writing:
        assert anna.post(f"/api/runs/{name}/export", json=["stl"]).status_code == 429


def test_every_particle_is_offered_and_sounds_by_their_words(service):
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml(particles=2))
    folder = RunFolder(service.runs / name)
    for file in ("asset.glb", "asset_2.glb"):
        (folder.path / file).write_bytes(b"glTF")
    folder.set_status(Status("finished", step=8, steps=8))
    told = anna.get(f"/api/runs/{name}").json()
    assert [f["name"] for f in told["files"]] == ["asset.glb", "asset_2.glb", "config.yaml"]
    assert (told["hears"], told["sounds"]) == (False, [])
    (name,) = submit(anna, dump({"prompt": "a high bell", "representation": "fm", "particles": 2}))
    folder = RunFolder(service.runs / name)
    for file in ("asset.wav", "asset_2.wav"):
        (folder.path / file).write_bytes(b"RIFF")
    assert anna.get(f"/api/runs/{name}").json()["sounds"] == []  # while it waits
    folder.set_status(Status("finished", step=8, steps=8))
    told = anna.get(f"/api/runs/{name}").json()
    assert [(s["name"], s["words"]) for s in told["sounds"]] == [
        ("asset.wav", "a high bell"),
        ("asset_2.wav", "a high bell"),
    ]
    assert anna.get(told["sounds"][1]["url"]).headers["content-type"] in ("audio/x-wav", "audio/wav")
    assert told["actions"] == ["more", "fork"]
    assert told["model"] is None


def test_nobody_sees_or_touches_the_runs_of_others(service):
    anna, berta = client(service, browser="anna"), client(service, browser="berta")
    (name,) = submit(anna, small_yaml())
    assert berta.get("/api/runs").json() == []
    for address in (
        f"/api/runs/{name}",
        f"/api/runs/{name}/curves",
        f"/runs/{name}/config.yaml",
        f"/runs/{name}.zip",
    ):
        assert berta.get(address).status_code == 404
        assert anna.get(address).status_code == 200
    for action in ("pause", "cancel", "keep", "run", "fork", "discard", "tag"):
        assert berta.post(f"/api/runs/{name}/{action}", json=["seed=3"]).status_code == 404
    hidden = berta.get("/api/queue").json()
    assert (hidden[0]["name"], hidden[0]["prompt"]) == ("", "")  # that one is before her, and nothing of it
    anna.post(f"/api/runs/{name}/discard")
    assert berta.get("/api/trash").json() == []
    assert berta.post(f"/api/runs/{name}/restore").status_code == 404


def test_runs_of_the_command_line_are_seen_at_this_machine_only(tmp_path):
    from small_run import small_folder

    folder = small_folder(tmp_path)
    assert (
        client(service_for(tmp_path), browser="anna").get(f"/api/runs/{folder.path.name}").status_code == 200
    )
    away = client(service_for(tmp_path, local=False), browser="anna")
    assert away.get(f"/api/runs/{folder.path.name}").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "..%2Fsecret.png", "%2e%2e/secret.png", "previews/../../secret.png", "//etc/passwd",
     "/etc/hostname.png", "link.png", "link/x.png", ".lock", ".hidden.png", "job.json%00.png", "..\\secret.png", ""],
)  # fmt: skip
def test_no_path_leads_out_of_a_run(service, path):
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml())
    (service.runs / "secret.png").write_bytes(b"TOP SECRET")
    outside = service.runs.parent / "outside"
    outside.mkdir()
    (outside / "x.png").write_bytes(b"TOP SECRET")
    (service.runs / name / "link.png").symlink_to(service.runs / "secret.png")
    (service.runs / name / "link").symlink_to(outside)
    (service.runs / name / ".hidden.png").write_bytes(b"TOP SECRET")
    answer = anna.get(f"/runs/{name}/{path}")
    assert answer.status_code in (307, 404, 405)
    assert b"TOP SECRET" not in answer.content


@pytest.mark.parametrize(
    "name", ["..", ".", ".trash", ".queue.lock", "%2e%2e", "a/b", "", "x" * 300, "a\x00b"]
)
def test_no_name_leads_out_of_the_runs(service, name):
    assert paths.plain_name(name) == ""
    assert client(service).get(f"/api/runs/{name.replace(chr(0), '%00')}/curves").status_code in (404, 405)


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_names_of_uploads_are_plain(name):
    safe = paths.clean_name(name)
    assert "/" not in safe
    assert "\\" not in safe
    assert not safe.startswith(".")
    assert 0 < len(safe) <= 80
    assert paths.clean_name(safe) == safe


def test_uploads_are_kept_apart_and_never_replaced(service):
    anna = client(service, browser="anna")
    first = anna.post("/api/uploads", files={"file": ("../../x.glb", b"one")}).json()["file"]
    second = anna.post("/api/uploads", files={"file": ("x.glb", b"two")}).json()["file"]
    assert first != second
    assert all(f.startswith(str(service.runs / ".uploads")) for f in (first, second))
    berta = client(service, browser="berta")
    assert berta.post("/api/uploads", files={"file": ("x.glb", b"3")}).json()["file"] not in (first, second)
    for name, data in (("x.exe", b"1"), ("x", b"1"), ("x.glb", b""), ("x.glb.sh", b"1")):
        assert anna.post("/api/uploads", files={"file": (name, data)}).status_code == 422


def test_what_is_too_large_is_refused_before_it_is_read(service):
    anna = client(service)
    for length in (str(10**12), "-1", "x"):
        answer = anna.post("/api/uploads", content=b"1", headers={"content-length": length})
        assert answer.status_code == 413
    long = dump({"prompt": "a" * 300_000})
    assert (
        anna.post("/api/runs", content=long, headers={"content-type": "application/yaml"}).status_code == 422
    )
    many = dump({"prompts": ["a colour"] * 500})
    assert (
        anna.post("/api/runs", content=many, headers={"content-type": "application/yaml"}).status_code == 422
    )
    assert not list(service.runs.glob("*/config.yaml"))


def test_wrong_yaml_is_told_by_line_and_makes_nothing(service):
    for text, word in (
        ("prompt: x\noptimise: 3", "optimize"),
        ("[", "YAML"),
        ("", "empty"),
        ("prompt: a guitarre", "know"),
    ):
        answer = client(service).post("/api/runs", content=text, headers={"content-type": "application/yaml"})
        assert answer.status_code == 422
        assert word in answer.json()["error"]
    assert not list(service.runs.glob("*/config.yaml"))


def test_a_server_for_others_reads_no_files_of_its_own(tmp_path):
    service = service_for(tmp_path / "runs", local=False)
    anna = client(service, browser="anna")
    start = tmp_path / "mesh.ply"
    start.write_text("ply")
    for values in (
        {"representation": "gaussians", "representation.init.file": str(start)},
        {"prior": "diffusers", "prior.folder": "/etc"},
        {"prior": "embedded", "prior.folder": "../models"},
    ):
        answer = anna.post(
            "/api/check", content=small_yaml(**values), headers={"content-type": "application/yaml"}
        )
        assert answer.status_code == 422
    mine = anna.post("/api/uploads", files={"file": ("mesh.ply", b"ply")}).json()["file"]
    config = from_mapping(
        {"prompt": "a colour", "representation": "gaussians", "representation.init.file": mine}
    )
    service.check_files(browser_id({BROWSER_COOKIE: "anna"}), plain(config))
    with pytest.raises(ConfigError, match="your uploads"):
        service.check_files(browser_id({BROWSER_COOKIE: "berta"}), plain(config))


def test_the_key(service):
    outside = client(service, key="sesame", names=())
    for address in ("/api/runs", "/api/queue", "/runs/x/config.yaml", "/gradio_api/info"):
        assert outside.get(address).status_code == 401
    assert "password" in outside.get("/").text
    assert outside.post("/sign-in", data={"key": "wrong"}).status_code == 401
    assert outside.get("/api/runs", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert outside.get("/api/runs", headers={"authorization": "Bearer sesame"}).status_code == 200
    answer = outside.post("/sign-in", data={"key": "sesame"})
    assert answer.status_code == 303
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert outside.get("/api/runs").status_code == 200  # the cookie is kept


def test_pages_elsewhere_reach_nothing(service):
    here = client(service)
    assert (
        here.get("/api/runs", headers={"host": "evil.example"}).status_code == 403
    )  # a name that points here
    assert here.post("/api/runs", headers={"origin": "http://evil.example"}).status_code == 403
    assert here.get("/api/runs", headers={"origin": "http://testserver"}).status_code == 200
    told = here.get("/api/runs").headers
    assert "default-src 'self'" in told["content-security-policy"]
    assert told["x-content-type-options"] == "nosniff"


def test_markup_in_prompts_stays_words(service):
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml(prompt='<img src=x onerror="alert(1)">'))
    assert anna.get(f"/api/runs/{name}").headers["content-type"] == "application/json"
    assert anna.get(f"/api/runs/{name}").json()["prompt"] == '<img src=x onerror="alert(1)">'
    report = service.runs / name / "report.html"
    report.write_text("<script>1</script>")
    assert "sandbox" in anna.get(f"/runs/{name}/report.html").headers["content-security-policy"]


def test_the_tail_of_a_long_metrics_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert view.tail(path) == []
    path.write_text("".join(f'{{"step": {k}, "x": "{"y" * 50}"}}\n' for k in range(2000)) + '{"step": 20')
    rows = view.tail(path)
    assert rows[-1]["step"] == 1999
    assert [r["step"] for r in rows] == list(range(rows[0]["step"], 2000))


@pytest.mark.parametrize("lead", ["running", "waiting", "finished"])
def test_time_left_is_that_of_the_steps_to_come(service, lead):
    """Two of eight steps done at half a second each: three seconds, however many are done; none when all are."""
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml())
    folder = RunFolder(service.runs / name)
    row = '{{"step": {}, "residual": 2.0, "seconds": {{"total": 0.5}}}}\n'
    folder.metrics_file.write_text(row.format(1) + row.format(2))
    folder.set_status(Status("running", step=2, steps=8))
    told = view.whole(replace(service.queue.job(folder), state=lead))
    assert told["steps_per_s"] == pytest.approx(2.0)
    assert told["seconds_left"] == (None if lead == "finished" else pytest.approx(3.0))
