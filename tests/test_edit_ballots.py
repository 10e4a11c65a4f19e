"""How views are counted, by hand, and selectors that are written wrongly."""

from __future__ import annotations

import pytest
import torch
import yaml
from sds3d.representations.region import FORMS, SEEN, Ballot, well_formed

from sds3d.core.errors import ConfigError
from sds3d.jobs import configs


def test_a_half_is_no_yes_and_a_half_of_the_views_no_majority():
    """Columns: exactly half under white; one view of two; two of three; seen by nobody."""
    values = torch.tensor([[0.5, 0.9, 0.9, 1.0], [0.5, 0.1, 0.9, 1.0], [0.5, 0.9, 0.1, 1.0]])
    shares = torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 0], [1, 0, 1, 0]])
    ballot = Ballot(values, shares)
    assert ballot.majority().tolist() == [False, False, True, False]
    assert ballot.mean().tolist() == pytest.approx([0.5, 0.5, 1.9 / 3, 0.0])


def test_a_view_that_shows_a_sliver_has_no_voice():
    """It takes more than a tenth of what the best view shows, of each element by itself."""
    best = torch.tensor([1.0, 40.0])
    shares = torch.stack([best, 0.9 * SEEN * best, 1.1 * SEEN * best])
    ballot = Ballot(torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]), shares)
    assert ballot.seen().tolist() == [[True, True], [False, False], [True, True]]
    assert ballot.mean().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("selector", "told"),
    [
        ("boxx:0,0,0,1,1,1", f"Did you mean {FORMS['box']}?"),
        ("txt:roof", f"Did you mean {FORMS['text']}?"),
        ("colr:c01020", f"Did you mean {FORMS['colour']}?"),
        ("auto & ", "'' is no region"),
        ("sphere:1,2,3", "expected 4 numbers"),
        ("mask:a.png", "mask:FILE.png@azimuth,elevation"),
        ("text:", "'text:' is no region"),
    ],
)
def test_a_selector_that_is_none_is_refused_where_it_stands(tmp_path, selector, told):
    """With file and line, before anything is looked for."""
    file = tmp_path / "edit.yaml"
    edit = {"source": "none.glb", "file": "none.glb", "sha256": "0", "region": ["auto", selector]}
    document = {"prompt": "a blue car", "edit": edit, "representation": "edited_mesh", "export": ["glb"]}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    line = 1 + next(k for k, text in enumerate(file.read_text().splitlines()) if selector.strip()[:5] in text)
    with pytest.raises(ConfigError) as caught:
        configs.read(file)
    assert told in str(caught.value)
    assert f"edit.yaml:{line}: edit.region[1]" in str(caught.value)


@pytest.mark.parametrize(
    "selector",
    [
        "box:0,0,0,1,1,1 & auto",
        "color:#c01020,0.1",
        "part:wheel*",
        "mask:a.png@0,0; b.png@90,-10",
        "text:a hat",
    ],
)
def test_what_is_written_well_is_taken_as_it_stands(selector):
    assert well_formed(selector) == selector
