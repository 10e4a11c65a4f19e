"""The notebook of docs/examples runs from top to bottom in a kernel of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="running notebooks needs the extra sds3d[dev]")
nbclient = pytest.importorskip("nbclient", reason="running notebooks needs the extra sds3d[dev]")

NOTEBOOK = Path(__file__).parents[1] / "docs" / "examples" / "quickstart.ipynb"
FEW = 12
"""Steps that are enough for something to stand there that a mesh can be cut from."""


def shortened(source: str) -> str:
    """The same cell with few steps and a short film in each run."""
    options = f'optimize={{"steps": {FEW}}}, pictures={{"turntable_frames": 2}}'
    source = re.sub(r'optimize={"steps": \d+}', options, source)
    return re.sub(r'generate\("([^"]*)"\)', rf'generate("\1", {options})', source)


@pytest.mark.parametrize("short", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["short", "whole"])
def test_the_notebook_runs(tmp_path, monkeypatch, short):
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    assert not any(cell.get("outputs") for cell in book.cells), "the notebook is kept without outputs"
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    if short:
        for cell in cells:
            cell.source = shortened(cell.source)
    assert sum("generate(" in cell.source for cell in cells) == 2
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert "image/png" in shown  # the contact sheet
    said = [o["data"]["text/plain"] if "data" in o else o["text"] for cell in cells for o in cell.outputs]
    assert any("asset.obj" in text for text in said)
    assert any(re.match(r"[1-9]\d* vertices, [1-9]\d* faces", text) for text in said)
    assert any(f"'step': {FEW if short else 60}" in text for text in said)
    runs = sorted(folder.name.rsplit("-", 1)[0] for folder in (tmp_path / "runs").iterdir())
    assert runs == ["blue-mushroom", "red-cube"]
