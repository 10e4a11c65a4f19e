"""What a guidance asks of the scene is checked at second 0: before a run folder, and before step 0 of a stage."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sds3d.guidance.base import Needs
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from small_run import SMALL
from toys import ColorPrior, toy_stage
from typer.testing import CliRunner

from sds3d.cli.main import app
from sds3d.core.cameras import Still
from sds3d.core.errors import ConfigError
from sds3d.jobs import batch, configs
from sds3d.optimize.loop import Session
from sds3d.optimize.needs import check_needs, check_sees
from sds3d.optimize.stage import Original


class Scene:
    def __init__(self, *provides):
        self.provides = frozenset(provides)


DEPTH = Needs(frozenset(), media=frozenset({"depth", "alpha"}))


def test_outputs_are_asked_for_only_where_there_are_cameras():
    check_needs(DEPTH, Scene("rgb", "alpha", "depth"), cameras=True)
    check_needs(DEPTH, Scene("rgb"), cameras=False)
    with pytest.raises(ConfigError, match="reads the alpha and depth of the renders"):
        check_needs(DEPTH, Scene("rgb"), cameras=True)
    with pytest.raises(ConfigError, match="the term 'flow': the method reads the depth"):
        check_needs(DEPTH, Scene("rgb", "alpha"), cameras=True, name="flow")


def test_a_source_and_a_picture_are_asked_for():
    with pytest.raises(ConfigError, match="the method edits"):
        check_needs(Needs(frozenset(), source=True), Scene("rgb"), cameras=True)
    check_needs(Needs(frozenset(), source=True), Scene("rgb"), cameras=True, source=True)
    pixels = Needs(frozenset(), pixels=True)
    check_needs(pixels, Scene("rgb"), cameras=False)
    with pytest.raises(ConfigError, match="latents, where no picture is rendered"):
        check_needs(pixels, Scene("rgb", "z"), cameras=False)


def test_a_stage_refuses_before_step_0():
    base = toy_stage()
    for method in ("dds", "pds"):
        prior = ColorPrior()
        prior.info = replace(prior.info, branches=("y", "null", "neg", "src"))
        with pytest.raises(ConfigError, match="the method edits"):
            replace(base, prior=prior, guidance=build_guidance(parse(method), prior, 12))
    flow = build_guidance(parse("cfd"), base.prior, 12)
    replace(base, guidance=flow)
    flat = Scene("rgb")
    with pytest.raises(ConfigError, match="depth"):
        replace(base, guidance=flow, representation=flat)
    replace(base, guidance=flow, representation=flat, sampler=Still())


IMAGE = ["representation=image"]
REFUSED = [
    (["guidance=cfd", *IMAGE, "representation.azimuth_deg=0"], "reads the alpha and depth of the renders"),
    (["guidance=dds"], "the method edits"),
    (["guidance=pds"], "the method edits"),
    (["guidance=csd_edit"], "the method edits"),
    (["guidance={method: free, rule: C - src}"], "the method edits"),
    (["guidance=hifa", *IMAGE, "representation.space=latents"], "representation.space=pixels"),
    (
        ["guidance.image_post=[clip_pixels]", *IMAGE, "representation.space=latents"],
        "representation.space=pixels",
    ),
    (["guidance={terms: [{guidance: sds}, {guidance: dds}]}"], "the term 'dds': the method edits"),
    (["guidance={method: free, rule: G - null@s}"], "the rule reads the state 's'"),
    (["guidance={method: free, rule: G - CRITIC}"], "none is trained"),
    (["guidance=rewardsds", "guidance.draws=3"], "2 best and 2 worst need 4 draws"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_no_run_folder_is_made(words, said, tmp_path):
    runs = tmp_path / "runs"
    small = "prior={kind: analytic, shape: [3, 8, 8]}"
    done = CliRunner().invoke(app, ["run", "a red cube", small, *words, f"runs={runs}"])
    assert done.exit_code != 0
    assert said in str(done.exception) + done.output
    assert isinstance(done.exception, ConfigError)
    assert not runs.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"guidance": "cfd", "representation": "image"},
        {
            "guidance": {"method": "cfd", "noise": "fixed"},
            "representation": {"kind": "image", "azimuth_deg": 0},
        },
        {
            "guidance": {"method": "hifa", "image_loss": 0},
            "representation": {"kind": "image", "space": "latents"},
        },
    ],
)
def test_what_can_be_served_is_taken(changes, tmp_path):
    config = configs.from_mapping(
        {"prompt": "a red cube", "prior": SMALL["prior"], "runs": str(tmp_path), **changes}
    )
    assert batch.create_folder(config).path.is_dir()


def test_what_a_prior_looks_at_is_rendered_and_asked_for():
    """Depth and normals come with the render, an original's picture with the conditions; else second 0 says it."""
    info = replace(ColorPrior().info, maps=frozenset({"depth", "source"}))
    check_sees(info, Scene("rgb", "alpha", "depth"), cameras=True, source=True)
    with pytest.raises(ConfigError, match="looks at the depth of each view"):
        check_sees(info, Scene("rgb", "alpha"), cameras=True, source=True)
    with pytest.raises(ConfigError, match="looks at an original that is edited"):
        check_sees(info, Scene("rgb", "alpha", "depth"), cameras=True, source=False)


def test_a_prior_that_looks_at_the_original_is_shown_it():
    class Looking(ColorPrior):
        def __init__(self):
            super().__init__()
            self.info = replace(self.info, maps=frozenset({"depth", "source"}))
            self.seen = []

        def condition(self, embedded, look, maps):
            self.seen.append({name: maps[name] for name in ("depth", "source")})
            return super().condition(embedded, look, maps)

    prior, before = Looking(), toy_stage(seed=1).representation
    base = toy_stage()
    stage = replace(base, prior=prior, original=Original(before, "a thing"))
    assert {"depth", "rgb", "alpha"} <= stage.wants
    Session(stage).gradients()
    (seen,) = prior.seen
    look = stage.look(0)
    torch.testing.assert_close(seen["source"], before.render(look)["rgb"].detach())
    torch.testing.assert_close(seen["depth"], base.representation.render(look)["depth"].detach())
    with pytest.raises(ConfigError, match="looks at an original"):
        replace(stage, original=None)
