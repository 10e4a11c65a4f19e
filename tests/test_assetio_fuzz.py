"""A few hundred mutated files of every format: an asset or one clear error, in the folder, in time.

benchmarks/fuzz_readers.py runs as many as asked for; docs/evidence/exports.md tells what 100,000 showed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_assets import Watch, case, judge, lay, seeds

WATCH = Watch()
SEEDS = seeds()
CASES = 60


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_sound_files_are_read(kind: str, tmp_path: Path) -> None:
    for index, seed in enumerate(SEEDS[kind]):
        folder = tmp_path / str(index)
        folder.mkdir()
        assert judge(lay(seed, seed.data, folder), WATCH) == ("read", "")


@pytest.mark.parametrize("kind", sorted(SEEDS))
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_mutated_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    outcomes = set()
    for number in range(CASES):
        seed = SEEDS[kind][number % len(SEEDS[kind])]
        folder = tmp_path / str(number % len(SEEDS[kind]))
        folder.mkdir(exist_ok=True)
        outcome, detail = judge(lay(seed, case(seed, number), folder), WATCH)
        assert outcome != "defect", f"{kind} {number}: {detail}"
        outcomes.add(outcome)
    assert "refused" in outcomes


def test_the_judge_sees_strays_and_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in" / "a.glb"
    path.parent.mkdir()
    (tmp_path / "secret").write_bytes(b"x")

    def stray(_: Path) -> object:
        return (tmp_path / "secret").read_bytes()

    def crash(_: Path) -> object:
        raise IndexError("oops")

    monkeypatch.setattr("fuzz_assets.assetio.read", crash)
    assert judge(path, WATCH) == ("defect", "IndexError: oops")
    monkeypatch.setattr("fuzz_assets.assetio.read", lambda p: stray(p) and crash(p))
    assert judge(path, WATCH) == ("defect", f"opened {tmp_path / 'secret'}")


def test_a_numbered_case_is_always_the_same() -> None:
    seed = SEEDS["glb"][0]
    assert case(seed, 5) == case(seed, 5)
    assert case(seed, 5) != case(seed, 6)
