"""A flat picture from the prior in the box: no camera took it, and it shows what was asked, in the end on white."""

import numpy as np
import pytest
import torch
from PIL import Image

from sds3d.cli.main import main
from sds3d.evaluate.retrieval import Judge

PROMPT = "a yellow duck"


def picture(folder, *words: str) -> torch.Tensor:
    """(1, 3, h, w) what a run makes."""
    command = ["run", PROMPT, "representation=image", "optimize.views=1", f"runs={folder}", *words]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0
    (file,) = folder.glob("*/asset.png")
    return torch.from_numpy(np.array(Image.open(file).convert("RGB"))).movedim(-1, 0)[None] / 255


def test_it_shows_what_was_asked(tmp_path):
    verdict = Judge.bundled().rank(picture(tmp_path, "optimize.steps=100"), PROMPT)
    assert verdict.rank <= 3, verdict


@pytest.mark.slow
def test_its_ground_ends_white(tmp_path):
    shown = picture(tmp_path)
    assert Judge.bundled().rank(shown, PROMPT).rank == 1
    assert float(shown[..., :4, :].min()) > 0.85
    assert float(shown[..., :4, :].mean()) > 0.95
