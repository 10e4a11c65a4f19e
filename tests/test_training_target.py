"""What a network learns to say: v or the clean picture, one error in two words."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sds3d.core.cameras import orbit
from sds3d.core.errors import Sds3dError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.embedded import Options, load_folder
from sds3d.priors.pixel_unet import unet_output
from sds3d.training.denoising import Noising
from sds3d.training.options import NetworkOptions, PictureOptions, ReadingOptions, TrainOptions
from sds3d.training.render import render_set
from sds3d.training.run import train
from sds3d.training.start import grown, load_start

PICTURES = PictureOptions(
    kinds=("cube", "mug", "duck"), per_kind=8, per_relation=0, of_three=0, views_per_build=2, size=16
)
NETWORK = NetworkOptions(
    size=16, unshuffle=2, channels=(8, 16), attention=(False, True), view_maps=False, prediction="x0"
)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), power=st.sampled_from([0.0, 0.5]))
def test_an_error_of_the_picture_weighs_what_it_is_as_an_error_of_v(seed, power):
    """v = (alpha z - x0) / sigma says the same; the losses agree but where sigma^2 < .01."""
    options = TrainOptions(seed=seed, batch=8, clear_power=power)
    x0 = Streams(seed).normal((8, 3, 4, 4), "picture")[0].float()
    said = Streams(seed).normal((8, 3, 4, 4), "said")[0].float()
    drawn = Noising(options).drawn(0)
    as_v, as_x0 = (Noising(options, target).noised(x0, drawn, 0) for target in ("v", "x0"))
    assert torch.equal(as_v.z_t, as_x0.z_t)
    a, s = (
        level[as_v.index][:, None, None, None] for level in (Noising(options).alpha, Noising(options).sigma)
    )
    for i in range(8):
        one = slice(i, i + 1)
        v = ((a * as_v.z_t - said) / s)[one]
        clear = float(s[i]) ** 2 < 0.01
        ratio = float(as_x0.rows(one).loss(said[one]) / as_v.rows(one).loss(v))
        assert ratio == pytest.approx((float(s[i]) ** 2 / 0.01) if clear else 1.0, rel=2e-3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two steps whose network says the picture."""
    folder = tmp_path_factory.mktemp("run")
    render_set(PICTURES, folder / "pictures")
    options = TrainOptions(
        folder=folder, pictures=PICTURES, reading=ReadingOptions(steps=2, batch=4), network=NETWORK, batch=4, images=8,
        precision="float32",
    )  # fmt: skip
    assert train(options, 1, lambda: False, print) == folder / "model"
    return options


def test_the_folder_tells_what_its_network_says(made):
    prior = load_folder(made.folder / "model", Options(precision="float32"))
    assert prior.info.prediction == "x0"
    told = prior.condition(
        prior.prepare(Prompts("a red cube")), Look(orbit([0.0], 10.0), (16, 16), torch.ones(1, 3)), {}
    )
    z, t = Streams(0).normal((1, 3, 16, 16), "z")[0].float(), torch.tensor([0.6], dtype=torch.float64)
    said = prior.predict(z, t, told["y"])
    tensors = told["y"].tensors
    native = unet_output(
        prior.unet,
        prior.view_features,
        2,
        z,
        prior.schedule.index(t),
        tensors["states"],
        tensors["class_labels"],
    )
    assert torch.equal(said.x0, native)
    a, s = prior.schedule.levels(t)
    assert torch.allclose(float(a) * said.x0 + float(s) * said.eps, z, atol=1e-5)


def test_training_goes_on_from_it_with_the_same_target(made, tmp_path):
    start = load_start(str(made.folder / "model"), [], 0)
    assert start.network.prediction == "x0"
    with pytest.raises(Sds3dError, match="differs from the started one in prediction"):
        grown(start, NETWORK.model_copy(update={"prediction": "v"}), 0)


def test_a_run_does_not_go_on_with_another_target(made):
    other = made.model_copy(update={"network": NETWORK.model_copy(update={"prediction": "v"}), "images": 16})
    with pytest.raises(Sds3dError, match="began with another network, prediction or optimizer"):
        train(other, 1, lambda: False, print)
