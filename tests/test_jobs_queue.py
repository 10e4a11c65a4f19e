"""The queue: order, wishes, workers that die, servers that come back."""

import os
import signal
import threading
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_run import small_config, small_folder

from sds3d.core.errors import RunFolderError
from sds3d.jobs.queue import ticket
from sds3d.jobs.queue.queue import MOST_TRIES, Queue, state_of
from sds3d.jobs.queue.ticket import Ticket
from sds3d.jobs.runfolder import Status
from sds3d.jobs.trash import deleted, discard, pack, restore


class Quiet(Queue):
    """A queue whose workers never begin: the order of turns alone."""

    def __init__(self, runs):
        super().__init__(runs)
        self.begun = []
        self.pool.begin = lambda order: self.begun.append(order.path)


def until(true, seconds=240.0):
    """Wait for something."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


def state(queue, folder):
    return queue.job(folder).state


@settings(max_examples=3)
@example([1, 0, 1, 0, 1])  # those of one priority keep their order
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=6))
def test_higher_priority_first_and_then_the_older(tmp_path_factory, priorities):
    runs = tmp_path_factory.mktemp("runs")
    queue = Quiet(runs)
    folders = [queue.add(small_folder(runs, seed=k), priority=p) for k, p in enumerate(priorities)]
    turns = [job.folder.path for job in queue.jobs()]
    expected = sorted(range(len(folders)), key=lambda k: (-priorities[k], k))
    assert turns == [folders[k].path for k in expected]
    assert [job.place for job in queue.jobs()] == list(range(1, len(folders) + 1))


def test_every_pair_of_wish_and_status_has_a_state():
    for wish in ("run", "pause", "cancel", "keep"):
        for status in ("queued", "running", "stopped", "finished", "failed"):
            assert state_of(Ticket(wish=wish), status, True) == ("running" if wish == "run" else "stopping")
    assert state_of(Ticket(), "queued", False) == "waiting"
    assert state_of(Ticket(), "stopped", False) == "waiting"
    assert state_of(Ticket(wish="pause"), "stopped", False) == "paused"
    assert state_of(Ticket(wish="cancel"), "stopped", False) == "stopped"
    assert state_of(Ticket(wish="pause"), "finished", False) == "finished"


def test_a_ticket_comes_back_and_a_damaged_one_is_told(tmp_path):
    folder = small_folder(tmp_path)
    assert ticket.read(folder) is None
    told = Ticket("somebody", 2, 3.5, "pause", 1, ("red", "lab"))
    ticket.write(folder, told)
    assert ticket.read(folder) == told
    for text in ("[]", "{", '{"wish": "dance"}'):
        (folder.path / ticket.NAME).write_text(text)
        with pytest.raises(RunFolderError, match=r"job\.json"):
            ticket.read(folder)


def test_runs_are_done_one_after_another_by_one_worker(tmp_path):
    with Queue(tmp_path).serving() as queue:
        folders = [queue.submit(small_config(tmp_path, seed=k)) for k in range(3)]
        until(lambda: all(state(queue, f) == "finished" for f in folders))
        assert len({f.status().pid for f in folders}) == 1  # one process, its imports paid once
        assert os.getpid() not in {f.status().pid for f in folders}
        assert not queue.jobs()
        with pytest.raises(RunFolderError, match="another process"), Queue(tmp_path).serving():
            pass
    for folder in folders:
        assert (folder.path / "asset.glb").is_file()


def test_pause_go_on_keep_and_cancel(tmp_path):
    with Queue(tmp_path).serving() as queue:
        folder = queue.submit(small_config(tmp_path, optimize__steps=100000))
        waiting = queue.submit(small_config(tmp_path, seed=5))
        until(lambda: folder.status().step > 2 or folder.previews.is_dir())
        queue.wish(waiting, "cancel")
        queue.wish(folder, "pause")
        until(lambda: state(queue, folder) == "paused")
        until(lambda: state(queue, waiting) == "stopped")
        assert waiting.status().reason == "cancelled before it began"
        step = folder.status().step or int(max(folder.checkpoints.iterdir()).stem[-6:])
        queue.wish(folder, "run")
        until(lambda: state(queue, folder) == "running")
        queue.wish(folder, "keep")
        until(lambda: "kept as it was" in folder.status().reason)
        until(lambda: state(queue, folder) == "stopped")
        assert (folder.path / "asset.glb").is_file()
        assert int(folder.status().reason.split()[-1]) >= step


def test_a_worker_that_is_killed_is_told_and_the_queue_goes_on(tmp_path):
    with Queue(tmp_path).serving() as queue:
        folder = queue.submit(small_config(tmp_path, optimize__steps=100000))
        after = queue.submit(small_config(tmp_path, seed=5))
        until(lambda: folder.status().state == "running")
        os.kill(folder.status().pid, signal.SIGKILL)
        until(lambda: state(queue, after) == "finished")
        assert folder.status().state == "failed"
        assert "SIGKILL" in folder.status().reason
        queue.wish(folder, "run")  # by hand it can be tried again
        until(lambda: state(queue, folder) == "running")


def test_a_new_server_goes_on_where_the_old_one_stopped(tmp_path):
    with Queue(tmp_path).serving() as queue:
        folder = queue.submit(small_config(tmp_path, optimize__steps=40))
        waiting = queue.submit(small_config(tmp_path, seed=5))
        paused = queue.submit(small_config(tmp_path, seed=6))
        queue.wish(paused, "pause")
        until(lambda: folder.status().state == "running")
    assert folder.status().state in ("stopped", "finished")
    with Queue(tmp_path).serving() as queue:
        until(lambda: state(queue, folder) == state(queue, waiting) == "finished")
        assert state(queue, paused) == "paused"


def test_a_run_that_takes_the_server_down_is_not_begun_for_ever(tmp_path):
    queue, folder = Quiet(tmp_path), small_folder(tmp_path)
    queue.add(folder)
    for _ in range(MOST_TRIES):
        queue.tick()
        folder.set_status(Status("running"))  # and then everything vanishes
    assert len(queue.begun) == MOST_TRIES
    queue.tick()
    assert len(queue.begun) == MOST_TRIES
    assert folder.status().state == "failed"
    assert "vanished" in folder.status().reason
    queue.wish(folder, "run")  # by hand it has all its tries again
    queue.tick()
    assert len(queue.begun) == MOST_TRIES + 1
    assert ticket.read(folder).tries == 1


def test_a_run_of_a_server_that_died_takes_its_place_until_it_ends(tmp_path):
    queue, orphan, after = Quiet(tmp_path), small_folder(tmp_path), small_folder(tmp_path, seed=5)
    queue.add(orphan)
    queue.add(after)
    with orphan.lock():  # its worker goes on to the end without the server
        queue.tick()
        assert queue.begun == []
    queue.tick()
    assert str(after.path) in queue.begun


def test_many_submit_while_the_queue_looks(tmp_path):
    queue = Queue(tmp_path, workers=0)
    folders = [small_folder(tmp_path, seed=k) for k in range(12)]
    adding = threading.Thread(target=lambda: [queue.add(f) for f in folders])
    adding.start()
    while adding.is_alive():
        queue.tick()
    queue.tick()
    assert {job.folder.path for job in queue.jobs()} == {f.path for f in folders}


def test_a_defect_in_one_look_does_not_end_the_queue(tmp_path, monkeypatch, caplog):
    looks = []

    def tick(self):
        looks.append(1)
        raise RuntimeError("a defect")

    monkeypatch.setattr(Queue, "tick", tick)
    with Queue(tmp_path).serving():
        until(lambda: len(looks) > 2)
    assert "a defect" in caplog.text


def test_the_trash_gives_back_what_it_took(tmp_path):
    folder = small_folder(tmp_path / "runs")
    text = folder.config_file.read_bytes()
    with folder.lock(), pytest.raises(RunFolderError):
        discard(folder)
    gone = discard(folder)
    assert not folder.path.exists()
    assert deleted(tmp_path / "runs") == [gone]
    small_folder(tmp_path / "runs")  # its name is taken again
    back = restore(gone)
    assert back.path.name == f"{folder.path.name}-2"
    assert back.config_file.read_bytes() == text
    with pytest.raises(RunFolderError, match="no deleted run"):
        restore(back.path)
    with open(tmp_path / "a.zip", "wb") as out:
        pack(back, out)
    import zipfile

    names = zipfile.ZipFile(tmp_path / "a.zip").namelist()
    assert f"{back.path.name}/config.yaml" in names
    assert not any(name.endswith(".lock") for name in names)
