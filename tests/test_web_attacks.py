"""What the server does with hostile requests and with run folders that are damaged: refused or told, never a crash."""

import errno
import json
import shutil
import threading

import pytest
from sds3d.apps.web import guard, paths, server
from sds3d.apps.web.facts import facts_of
from small_run import small_folder
from test_jobs_queue import Quiet
from web_cases import client, dump, service_for, small_yaml, submit

from sds3d.config import source
from sds3d.core.errors import AssetError, ConfigError, RunFolderError
from sds3d.jobs.queue import queue as queues
from sds3d.jobs.queue import ticket
from sds3d.jobs.runfolder import RunFolder, Status, list_runs

pytest.importorskip("fastapi", reason="the web page needs the extra sds3d[web]")
YAML = {"content-type": "application/yaml"}


@pytest.fixture
def service(tmp_path):
    return service_for(tmp_path / "runs")


GARBAGE = (
    b"",
    b"\x00" * 64,
    b"\xff\xfe{",
    b'{"state": "fini',
    b"[1, 2]",
    b"7",
    b'{"state": ["x"]}',
    b'{"state": "dancing"}',
    b'{"state": "queued", "step": "many", "steps": null, "reason": 3, "updated": "now"}',
    b'{"owner": "1f0d", "priority": "high", "submitted": null, "tags": [1]}',
    b'{"step": 1}\n{"step": "x", "seconds": 3, "residual": []}\n[1]\n{"seconds": {}}\nnot json\n',
    b'{"step": 1, "seconds": {"total": NaN}, "residual": Infinity, "t": null}\n' * 3,
    None,  # a folder in its place
)


@pytest.mark.parametrize(
    "file", ["status.json", "job.json", "metrics.jsonl", "config.yaml", "provenance.json", "worker.log"]
)
def test_a_damaged_run_is_told_and_the_others_are_served(service, file):
    anna = client(service, browser="anna")
    (good,) = submit(anna, small_yaml())
    service.queue.pool.begin = lambda order: None
    for number, data in enumerate(GARBAGE):
        bad = f"bad-{number}"
        shutil.copytree(service.runs / good, service.runs / bad)
        service.queue.add(RunFolder(service.runs / bad), ticket.read(RunFolder(service.runs / good)).owner)
        path = service.runs / bad / file
        path.unlink(missing_ok=True)
        path.mkdir() if data is None else path.write_bytes(data)
        asked = [anna.get(f"/api/runs/{bad}{end}") for end in ("", "/curves", "/history")]
        asked += [
            anna.post(f"/api/runs/{bad}/{act}", json=["seed=3"])
            for act in ("pause", "run", "keep", "fork", "tag")
        ]
        assert {answer.status_code for answer in asked} <= {200, 404, 409, 422}, (
            data,
            [a.text for a in asked],
        )
    assert good in [run["name"] for run in anna.get("/api/runs").json()]
    begun = []
    service.queue.pool.begin = begun.append
    service.queue.pool.size = 100
    service.queue.tick()  # nothing is raised, and the others get their turn
    assert str(service.runs / good) in [order.path for order in begun]
    assert anna.post("/api/runs/bad-1/cancel").status_code in (200, 404, 409)
    service.queue.tick()


def test_a_damaged_status_does_not_hold_up_the_others(tmp_path, caplog):
    """A tick ended at the first run whose status could not be read, and nobody's turn came."""
    queue = Quiet(tmp_path)
    bad, good = (queue.add(small_folder(tmp_path, seed=k)) for k in range(2))
    queue.wish(bad, "cancel")
    bad.status_file.write_text("{")
    for _ in range(3):
        queue.tick()
    assert queue.begun == [str(good.path)] * 3  # nothing is at work in this queue
    assert caplog.text.count("is damaged") == 1  # told once, not five times a second


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "[::1"}, 400),
        ({"origin": "http://[evil"}, 400),
        ({"host": "evil.example"}, 403),
        ({"host": ""}, 403),
        ({"origin": "null"}, 403),  # a page in a sandbox, or one that hides where it is
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"origin": "http://testserver:81"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 200),
        ({"origin": "http://testserver"}, 200),
        ({}, 200),
    ],
)
def test_other_sites_pages_reach_nothing(service, headers, status):
    assert client(service).get("/api/runs", headers=headers).status_code == status
    posted = client(service).post("/api/check", content=small_yaml(), headers=YAML | headers)
    foreign = headers.get("sec-fetch-site") == "cross-site"  # a form of theirs that is sent is no visit
    assert posted.status_code == (403 if foreign else status)


def test_a_body_in_chunks_may_not_be_larger_than_one_that_says_its_length(service, monkeypatch):
    monkeypatch.setattr(guard, "MOST_BYTES", 1000)
    monkeypatch.setattr(guard, "_AROUND", 0)
    text = small_yaml(negative_prompt="x" * 2000).encode()
    anna = client(service, browser="anna")
    assert anna.post("/api/runs", content=text, headers=YAML).status_code == 413
    answer = anna.post("/api/runs", content=iter([text[:900], text[900:]]), headers=YAML)
    assert answer.status_code >= 400
    assert list_runs(service.runs) == []
    assert anna.post("/api/runs", content=iter([small_yaml().encode()]), headers=YAML).status_code == 201


@pytest.mark.parametrize("key", ["sesame", "a;b, c=d", "schlüssel", '"'])
def test_any_key_signs_in_and_lies_in_no_cookie(service, key):
    outside = client(service, key=key, names=())
    answer = outside.post("/sign-in", data={"key": key})
    assert answer.status_code == 303
    assert key not in answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert outside.get("/api/runs").status_code == 200
    other = client(service, key="another", names=())
    other.cookies.update(outside.cookies)
    assert other.get("/api/runs").status_code == 401


def test_scripts_from_elsewhere_see_their_own_runs_and_not_the_command_lines(tmp_path):
    folder = small_folder(tmp_path)
    service = service_for(tmp_path, local=False)
    script = client(service, key="sesame", names=(), authorization="Bearer sesame")
    assert script.get("/api/runs").json() == []
    assert script.get(f"/api/runs/{folder.path.name}").status_code == 404
    (name,) = submit(script, small_yaml(seed=1))
    assert [run["name"] for run in script.get("/api/runs").json()] == [name]
    anna = client(service, key="sesame", names=(), browser="anna", authorization="Bearer sesame")
    assert anna.get("/api/runs").json() == []


def test_names_that_no_disk_takes_are_not_there(service):
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml())
    (service.runs / name / "round").symlink_to("round")
    for address in (
        f"/api/runs/{'ü' * 199}",
        f"/runs/{name}/{'x' * 5000}.png",
        f"/runs/{name}/{'ü' * 200}.png",
        f"/runs/{name}/round/x.png",
        f"/runs/{name}/%00.png",
    ):
        assert anna.get(address).status_code == 404, address
    kept = anna.post("/api/uploads", files={"file": ("ü" * 300 + ".glb", b"1")})
    assert kept.status_code == 201
    assert kept.json()["file"].endswith(".glb")


def test_what_is_finished_stays_finished(service):
    """`keep` wrote a finished run out again, and called it stopped."""
    anna = client(service, browser="anna")
    (name,) = submit(anna, small_yaml())
    folder = RunFolder(service.runs / name)
    for state, allowed in (("finished", ()), ("failed", ("run",))):
        for action in ("keep", "pause", "cancel", "run"):
            folder.set_status(Status(state, step=8, steps=8))
            answer = anna.post(f"/api/runs/{name}/{action}")
            assert answer.status_code == (200 if action in allowed else 409), (state, action)
    assert "failed" in answer.json().get("error", "failed")


def test_a_tag_and_a_wish_at_one_time_are_both_kept(tmp_path):
    queue = Quiet(tmp_path)
    folder = queue.add(small_folder(tmp_path))

    def tag():
        for k in range(24):
            queue.tag(folder, (str(k),))

    beside = threading.Thread(target=tag)
    beside.start()
    for k in range(24):
        wish = ("pause", "run")[k % 2]
        queue.wish(folder, wish)
        assert ticket.read(folder).wish == wish
    beside.join()
    assert ticket.read(folder).tags == ("23",)


def test_a_clock_that_is_set_back_changes_no_turns(tmp_path, monkeypatch):
    queue = Quiet(tmp_path)
    times = iter((2e9, 1e9, 1e9, 3e9))
    monkeypatch.setattr(queues.time, "time", lambda: next(times))
    monkeypatch.setattr(queues.RunFolder, "set_status", lambda self, status: None)
    folders = [queue.add(small_folder(tmp_path, seed=k)) for k in range(4)]
    assert [job.folder.path for job in queue.jobs()] == [f.path for f in folders]


def test_a_second_server_on_the_same_runs_is_refused(tmp_path, monkeypatch):
    service = service_for(tmp_path)
    monkeypatch.setattr(server, "make", lambda settings: (None, service, guard.Door()))
    monkeypatch.setattr(server, "_serve", lambda *given: pytest.fail("it served"))
    first, service.queue = queues.Queue(tmp_path), queues.Queue(tmp_path)
    with first.serving(), pytest.raises(RunFolderError, match="another process"):
        server.serve(server.Settings(tmp_path))


@pytest.mark.parametrize("text", ["prompt: a \x00", "seed: " + "9" * 5000, "prompt: \ud800", "[" * 5000])
def test_odd_yaml_is_told(text):
    try:
        problems = source.parse(text, "your YAML").problems
    except ConfigError as error:
        problems = [error]
    assert problems


@pytest.mark.parametrize("local", [True, False])
def test_nobody_builds_on_the_runs_of_others(tmp_path, local, monkeypatch):
    service = service_for(tmp_path / "runs", local)
    anna, berta = client(service, browser="anna"), client(service, browser="berta")
    (name,) = submit(anna, small_yaml())
    (mine,) = submit(berta, small_yaml(seed=5))
    folder = service.runs / name
    (folder / "asset.glb").write_bytes(b"glTF")
    taken = anna.post("/api/uploads", files={"file": ("m.png", b"1")}).json()["file"]
    (service.runs / mine / "link.glb").symlink_to(folder / "asset.glb")
    opened = []
    monkeypatch.setattr("sds3d.jobs.editing.source_of", lambda file: opened.append(file))
    edit = {"prompt": "a blue car", "edit.prompt": "a red car"}
    for values in (
        edit | {"edit.source": str(folder)},
        edit | {"edit.source": name},
        edit | {"edit.source": f"{service.runs}/{mine}/../{name}"},
        edit | {"edit.source": str(service.runs / mine / "link.glb")},
        edit | {"edit.source": str(service.runs)},
        edit | {"edit.source": str(service.runs / ".trash" / name)},
        {"representation": "gaussians", "representation.init.file": str(folder / "asset.glb")},
        {"representation": "separation", "representation.mixture": taken},
        {"edit": {"source": mine, "region": [f"mask:{taken}@30,15"]}},
        {"edit": {"source": mine, "region": [f"part:x & mask:{taken}@30,15"]}},
        {"prior": {"kind": "embedded", "folder": str(folder)}},
    ):
        for asker in (lambda t: berta.post("/api/runs", content=t, headers=YAML),
                      lambda t: berta.post("/api/check", content=t, headers=YAML)):  # fmt: skip
            answer = asker(dump(json.loads(json.dumps({"prompt": "a red car"} | nested(values)))))
            assert answer.status_code == 422, (values, answer.text)
    answer = berta.post(f"/api/runs/{mine}/fork", json=[f"representation.init.file={folder}/asset.glb"])
    assert answer.status_code == 422
    assert opened == []  # nothing was looked at before it was refused
    own = berta.post("/api/uploads", files={"file": ("m.png", b"1")}).json()["file"]
    region = [f"mask:{own}@30,15", f"part:x & mask:{own}@0,0", "material:paint*", "box:-1,0,-1,1,1,1"]
    who = ticket.read(RunFolder(service.runs / mine)).owner
    service.check_files(who, {"edit": {"source": mine, "region": region}, "representation": {"mixture": ""}})
    service.check_files(who, {"name": "x" * 300, "optimize": {"note": "y" * 5000}})  # words, however long


def nested(values):
    """Dotted keys as mappings."""
    from sds3d.apps.web.form import to_yaml

    return source.parse(to_yaml(values), "x").data


def test_a_full_disk_leaves_no_half_upload(tmp_path, monkeypatch):
    class Full:
        def __init__(self, path, mode):
            self.file = open(path, mode)  # noqa: SIM115 - closed below

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            self.file.close()

        def write(self, data):
            self.file.write(data[:3])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(paths, "open", Full, raising=False)
    with pytest.raises(AssetError, match="No space left"):
        paths.keep_upload(tmp_path, "x.glb", b"glTF...")
    assert list(tmp_path.iterdir()) == []
    answer = client(service_for(tmp_path)).post("/api/uploads", files={"file": ("x.glb", b"glTF")})
    assert answer.status_code == 507


def test_a_run_that_a_command_line_carries_out_is_at_work(service):
    """It was called "stopping", since nobody had wished that the queue should run it."""
    folder = small_folder(service.runs)
    with folder.lock():
        told = client(service, browser="anna").get(f"/api/runs/{folder.path.name}").json()
    assert (told["state"], told["actions"]) == ("running", [])


def test_facts_are_read_as_our_files_mean_them(tmp_path):
    for prompt in ("no", "1e3", "null: [x] #1", "12:30:00", "a red car"):
        folder = small_folder(tmp_path, prompt=prompt, seed=7)
        found = facts_of(folder)
        assert (found.prompt, found.seed, found.representation, found.method) == (prompt, 7, "grid", "sds")
    folder.config_file.write_text("prompt: a red car\nunheard_of: 1\n")  # another version's
    assert facts_of(folder).prompt == "a red car"
    folder.config_file.write_text("prompt: {")
    assert facts_of(folder).prompt == ""


def test_the_gallery_asks_for_as_many_as_it_shows(service):
    anna = client(service, browser="anna")
    names = [submit(anna, small_yaml(seed=k))[0] for k in range(4)]
    assert len(anna.get("/api/runs").json()) == 4
    assert len(anna.get("/api/runs", params={"most": 2}).json()) == 2
    assert anna.get("/api/runs", params={"most": -1}).json() == []
    assert {run["name"] for run in anna.get("/api/runs").json()} == set(names)


def test_without_the_key_no_route_answers(tmp_path):
    """Every route that the server has, page and interface, with every method."""
    pytest.importorskip("gradio")
    from fastapi.testclient import TestClient

    app, _, door = server.make(server.Settings(tmp_path, host="0.0.0.0", key="sesame"))
    outside = TestClient(app, follow_redirects=False)
    routes = [
        (route.path, method)
        for route in all_routes(app.app)
        for method in getattr(route, "methods", None) or ("GET",)
    ]
    assert len(routes) > 30
    assert door.key == "sesame"
    for path, method in routes:
        filled = path.replace("{", "").replace("}", "").replace(":path", "")
        answer = outside.request(method, filled or "/", headers={"accept": "text/html"})
        assert answer.status_code == 401, (method, path)
        assert "set-cookie" not in answer.headers


def all_routes(app):
    """Routes of an application, of its routers and of what is mounted in it."""
    for route in app.routes:
        if hasattr(route, "path"):
            yield route
        for inner in (getattr(route, "original_router", None), getattr(route, "app", None)):
            if hasattr(inner, "routes"):
                yield from all_routes(inner)
