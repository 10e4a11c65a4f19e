"""The text's volume is learned from layers: it knows sides that it was shown, and a model folder carries it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sds3d.core.cameras import orbit
from sds3d.core.errors import Sds3dError, StopRequested
from sds3d.core.streams import Streams
from sds3d.priors.kinds.embedded import Options, load_folder
from sds3d.priors.text_volume import FILE
from sds3d.training.batches import Batches
from sds3d.training.denoising import encode_captions
from sds3d.training.network import make_unet, save_model
from sds3d.training.options import (
    AutoencoderOptions,
    NetworkOptions,
    PictureOptions,
    ReadingOptions,
    TrainOptions,
    VolumeOptions,
)
from sds3d.training.plan import learned_kinds, plan
from sds3d.training.reading import reader_of
from sds3d.training.render import open_set, render_set
from sds3d.training.run import train
from sds3d.training.sampling import ddim
from sds3d.training.start import grown, load_start
from sds3d.training.volume import VolumeFit, targets, volume_of

PICTURES = PictureOptions(
    kinds=("cube", "duck", "letter t"), per_kind=24, per_relation=4, of_three=0, size=16
)
VOLUME = VolumeOptions(steps=3, batch=4, hidden=8, side=6)
NETWORK = NetworkOptions(size=16, unshuffle=2, channels=(8, 16), attention=(False, True), text_volume=VOLUME)
READING = ReadingOptions(steps=40, batch=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pictures and a tower that tells three kinds apart."""
    path = tmp_path_factory.mktemp("volume")
    render_set(PICTURES, path / "pictures")
    tower(path)
    return path


def tower(folder: Path):
    kinds = learned_kinds(PICTURES)
    return reader_of(folder / "reader", kinds, lambda: plan(PICTURES), READING, 0.3, lambda: False, print)


def batches(folder: Path) -> Batches:
    return Batches(*open_set(PICTURES, folder / "pictures"), Streams(0), 16)


def test_targets_are_layers_in_the_mean(folder):
    layers, _ = open_set(PICTURES, folder / "pictures")
    found = targets(layers, 8).float()
    assert found.shape == (len(layers), 5, 8, 8)
    whole = torch.from_numpy(layers[:].copy()).float().mean((1, 2)) / 255
    expected = torch.cat([whole[:, 7:8], whole[:, :3], whole[:, 3:6].mean(1, keepdim=True)], 1)
    torch.testing.assert_close(found.mean((2, 3)), expected, atol=1e-3, rtol=1e-3)


def test_it_learns_what_each_side_looks_like(folder):
    """Pictures of the set are nearer to the volume's view from their own side than to that from another."""
    options = VolumeOptions(steps=150, batch=24, hidden=32, side=10, learning_rate=5e-3)
    read, drawn = tower(folder), batches(folder)
    volume = VolumeFit(drawn, read, options, 8, 0.1).train(lambda: False, print)
    rows, captions, _ = drawn.named(10_000, 64)
    _, pooled = encode_captions(read, [c.text for c in captions])
    truth = targets(drawn.layers, 8)[rows].float()
    angles = torch.tensor([[drawn.pictures[i].azimuth_deg, drawn.pictures[i].elevation_deg] for i in rows])

    def error(turn_deg: float) -> float:
        turned = torch.deg2rad(angles + torch.tensor([turn_deg, 0.0]))
        waves = torch.stack([turned.sin(), turned.cos()], -1)
        return float((volume(pooled, waves[:, 0], waves[:, 1], 8)[:, :5] - truth).square().mean())

    assert error(0.0) < 0.8 * min(error(90.0), error(-90.0))
    assert error(0.0) < 0.3 * float(truth.square().mean())


def test_a_finished_volume_is_read_back_and_a_stop_is_heard(folder, tmp_path):
    ask = VolumeFit(batches(folder), tower(folder), VOLUME, 8, 0.1)
    first = volume_of(tmp_path, ask, lambda: False, print)
    again = volume_of(tmp_path, ask, lambda: True, print)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(StopRequested, match="step 0 of 3"):
        volume_of(tmp_path / "other", ask, lambda: True, print)


def test_a_volume_of_another_tower_or_of_other_options_is_refused(folder, tmp_path):
    """It used to be taken as it lay there, and its maps said nothing."""
    read, rest = tower(folder), (lambda: False, print)
    volume_of(tmp_path, VolumeFit(batches(folder), read, VOLUME, 8, 0.1), *rest)
    wider = VOLUME.model_copy(update={"hidden": 9})
    with pytest.raises(Sds3dError, match="another text tower, other pictures or with other options"):
        volume_of(tmp_path, VolumeFit(batches(folder), read, wider, 8, 0.1), *rest)
    with torch.no_grad():
        read.text_projection.bias += 0.1
    with pytest.raises(Sds3dError, match="Delete the folder"):
        volume_of(tmp_path, VolumeFit(batches(folder), read, VOLUME, 8, 0.1), *rest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"autoencoder": AutoencoderOptions()}, "network.text_volume: is for pixel models"),
        ({"shares": 5}, "shares: 5 parts of 4 pictures"),
        ({"autoencoder": AutoencoderOptions(), "shares": 2}, "shares: is for pixel models"),
        (
            {"autoencoder": AutoencoderOptions(), "network": NetworkOptions(prediction="x0")},
            "network.prediction: is for pixel models",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused_at_once(folder, tmp_path, change, said):
    options = TrainOptions(
        folder=tmp_path, parts=folder, pictures=PICTURES, reading=READING, network=NETWORK, batch=4
    ).model_copy(update=change)
    with pytest.raises(Sds3dError, match=said):
        train(options, 1, lambda: False, print)


def test_a_model_without_its_volume_is_named(folder, tmp_path):
    read = tower(folder)
    volume = volume_of(
        tmp_path / "volume", VolumeFit(batches(folder), read, VOLUME, 8, 0.1), lambda: False, print
    )
    save_model(make_unet(NETWORK, 0), read, NETWORK, tmp_path / "model", volume)
    with pytest.raises(ValueError, match="go together"):
        save_model(make_unet(NETWORK, 0), read, NETWORK, tmp_path / "other")
    (tmp_path / "model" / FILE).write_bytes(b"cut")
    with pytest.raises(Sds3dError, match="is no text's volume"):
        load_folder(tmp_path / "model", Options())
    (tmp_path / "model" / FILE).unlink()
    with pytest.raises(Sds3dError, match=f"missing: {FILE}"):
        load_folder(tmp_path / "model", Options())


def test_from_pictures_to_a_prior_that_carries_its_volume(folder, tmp_path):
    options = TrainOptions(
        folder=tmp_path, parts=folder, pictures=PICTURES, reading=READING, network=NETWORK, batch=4, images=8,
        precision="float32",
    )  # fmt: skip
    place = train(options, 1, lambda: False, print)
    assert place is not None
    prior = load_folder(place, Options(precision="float32"))
    assert prior.view_features.volume is not None
    assert prior.view_features.volume.side == VOLUME.side
    pictures = ddim(prior, ["a red cube"], orbit([0.0], 10.0), torch.ones(1, 3), 2)
    assert pictures.shape == (1, 3, 16, 16)
    start = load_start(str(place), [], 0)
    assert start.volume is not None
    assert start.network.text_volume is not None
    assert (start.network.text_volume.side, start.network.text_volume.hidden) == (6, 8)


def test_a_network_gains_a_volume_at_weight_zero_and_does_not_lose_it(folder, tmp_path):
    plain = NETWORK.model_copy(update={"text_volume": None})
    read = tower(folder)
    save_model(make_unet(plain, 0), read, plain, tmp_path / "plain")
    start = load_start(str(tmp_path / "plain"), [], 0)
    wide = grown(start, NETWORK, 0).state_dict()["conv_in.weight"]
    narrow = start.unet.state_dict()["conv_in.weight"]
    assert torch.equal(wide[:, : narrow.shape[1]], narrow)
    assert wide.shape[1] == narrow.shape[1] + 6
    assert not wide[:, narrow.shape[1] :].any()
    volume = volume_of(
        tmp_path / "volume", VolumeFit(batches(folder), read, VOLUME, 8, 0.1), lambda: False, print
    )
    save_model(make_unet(NETWORK, 0), read, NETWORK, tmp_path / "with", volume)
    with pytest.raises(Sds3dError, match="differs from the started one in text_volume"):
        grown(load_start(str(tmp_path / "with"), [], 0), plain, 0)
