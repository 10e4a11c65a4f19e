"""A file that a representation starts from and that is not there is told before a run folder is made."""

from __future__ import annotations

import pytest

from sds3d.core.errors import ConfigError
from sds3d.jobs import configs
from sds3d.jobs.batch import check_choices, create_folder

STARTS = {
    "init.file": [
        {"kind": "gaussians", "init": {"file": "away.glb"}},
        {"kind": "tetmesh", "init": {"file": "away.glb"}},
    ],
    "file": [{"kind": "mesh", "file": "away.glb"}],
    "init": [{"kind": "image", "init": "away.png"}],
}


@pytest.mark.parametrize(("key", "representation"), [(k, r) for k, many in STARTS.items() for r in many])
def test_a_missing_start_is_refused_by_key(key, representation, tmp_path):
    """Such a run used to fail in a folder of its own, and a dry run passed."""
    config = configs.from_mapping(
        {"prompt": "a red car", "representation": representation, "runs": str(tmp_path / "runs")}
    )
    with pytest.raises(ConfigError, match=f"representation.{key}: there is no file away"):
        check_choices(config)
    with pytest.raises(ConfigError, match="there is no file away"):
        create_folder(config)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("key", "representation"), [(k, r) for k, many in STARTS.items() for r in many])
def test_a_broken_start_is_refused_by_key(key, representation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, head in (("away.glb", b"glTF\2\0\0\0"), ("away.png", b"\x89PNG\r\n\x1a\n")):
        (tmp_path / name).write_bytes(head + bytes(40))
    config = configs.from_mapping({"prompt": "a red car", "representation": representation, "runs": "runs"})
    with pytest.raises(ConfigError, match=rf"representation\.{key}: away\.\w+: ") as refusal:
        create_folder(config)
    assert refusal.value.key == f"representation.{key}"
    assert not (tmp_path / "runs").exists()


def test_starts_without_a_file_are_no_business_of_the_check():
    for kind in ("grid", "gaussians", "tetmesh", "image"):
        check_choices(configs.from_mapping({"prompt": "a red car", "representation": kind}))
