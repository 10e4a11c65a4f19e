"""A flat picture from the prior in the box: no camera took it, and it shows what was asked, in the end on white."""

import numpy as np
import pytest
import torch
from PIL import Image
from sds3d.guidance.predictions import Guided
from sds3d.guidance.states import Noisy

from sds3d.cli.main import main
from sds3d.evaluate.retrieval import Judge
from sds3d.jobs import configs
from sds3d.priors.base import Prediction

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
    for turned in (shown, shown.flip(-2), shown.mT, shown.mT.flip(-2)):
        edge = turned[..., :4, :]
        assert float(edge.min()) > 0.85
        assert float(edge.mean()) > 0.95


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("sds", []),
        ("vsd", []),
        ("esd", []),
        ("cfd", []),
        ("hifa", []),
        ("rewardsds", ["guidance.reward=scorer"]),
    ],
)
def test_what_is_recommended_leaves_a_white_ground_white(method, extra):
    """Guidance spreads the predicted object over more values; the ground around it stays what both answers say."""
    options = configs.from_words([PROMPT, "prior=embedded", f"guidance={method}", *extra]).guidance
    shape, one = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 1, 1)
    shape[..., 2:6, 2:6] = 1.0
    state = Noisy(0.6 - 0.6 * shape, 0 * shape, one[0, 0, 0], 0.6 * one[0, 0, 0], 0.8 * one[0, 0, 0])
    answers = {
        name: Prediction.of(1 - depth * shape, state.z_t, 0.6 * one, 0.8 * one, "x0")
        for name, depth in (("y", 0.9), ("null", 0.5))
    }
    found = Guided(options.build_combiner(), options.build_transforms()).evaluate(answers, state, 0.0).x0
    assert float(found[..., 2:6, 2:6].max()) < -0.5, "it is guided"
    torch.testing.assert_close(found[..., :2, :], torch.ones(1, 3, 2, 8))
