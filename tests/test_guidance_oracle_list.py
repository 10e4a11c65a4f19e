"""No oracle without a test, no marker without an oracle, and the page that lists them is current."""

from __future__ import annotations

from pathlib import Path

from oracle_list import ORACLES, marked

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "guidance-oracles.md"


def test_every_oracle_has_a_test_and_every_marker_an_oracle():
    assert set(marked()) <= set(ORACLES)
    # these are marked case by case, in test_guidance_fixed_points
    assert set(ORACLES) - set(marked()) <= {"O3.3", "O3.9"}


def test_the_page_lists_them():
    rows = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 4 and cells[1] in ORACLES:
            rows[cells[1]] = cells
    assert set(rows) == set(ORACLES), "regenerate it with: python benchmarks/guidance_oracles.py"
    for number, tests in marked().items():
        assert all(f"`{name}`" in rows[number][3] for name in tests), number
        assert rows[number][2] == ORACLES[number]
