"""What a training run is: the options of configs/prior/*.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ..config.options import Options
from .optimizers import Which
from .precision import Precision


class PictureOptions(Options):
    """The pictures: how many, of what."""

    seed: int = 0
    """Seed of builds, cameras and scenes."""
    kinds: tuple[str, ...] = ()
    """Names of the kinds to learn; empty takes all that are not held out."""
    per_kind: int = Field(256, ge=1)
    """Pictures of each kind alone."""
    per_relation: int = Field(3000, ge=0)
    """Pictures of scenes of two, for each relation."""
    of_three: int = Field(2000, ge=0)
    """Pictures of scenes of three."""
    patterned: float = Field(0.25, ge=0, le=1)
    """Share of the single objects that carry a pattern."""
    views_per_build: int = Field(4, ge=1)
    """Pictures of one build before the next is made."""
    size: int = Field(64, ge=8)
    """Side in pixels; rendered at twice that and averaged."""
    elevation_deg: tuple[float, float] = (-10.0, 70.0)
    """Range of the camera's elevation; the azimuth is anywhere."""


class ShortFitOptions(Options):
    """A fit of minutes."""

    seed: int = 0
    """Seed of weights and sentences."""
    steps: int = Field(1000, ge=1)
    """Optimisation steps."""
    batch: int = Field(128, ge=1)
    """Samples a step."""
    learning_rate: float = Field(2e-3, gt=0)
    """AdamW's rate, falling over the second half."""


class ReadingOptions(ShortFitOptions):
    """A text tower that learns from sentences and what they mean, without pictures."""

    seed: int = 1
    """Seed of weights and sentences."""
    steps: int = Field(1500, ge=1)
    """Optimisation steps."""


class TextOptions(Options):
    """The contrastive run that gives the text tower, or a scorer."""

    seed: int = 1
    """Seed of weights, captions and augmentation."""
    steps: int = Field(4000, ge=1)
    """Optimisation steps."""
    batch: int = Field(128, ge=2)
    """Pictures a step."""
    learning_rate: float = Field(1.5e-3, gt=0)
    """Peak of the optimizer's rate, cosine to zero."""
    optimizer: Which = "adamw"
    """AdamW, or Muon for the inner matrices and kernels beside AdamW for the rest."""
    channels: tuple[int, ...] = (32, 64, 64, 128, 128, 192, 192)
    """Channels of the picture tower's blocks."""
    strides: tuple[int, ...] = (1, 2, 1, 2, 1, 2, 1)
    """Their strides."""
    size: int = 32
    """Side of the pictures that it sees."""
    start: str = ""
    """A finished scorer to go on from, of the same picture tower: "scorer", the bundled one, or a folder."""
    reading: ReadingOptions | None = None
    """Begin the text side as a tower that learned from sentences, of a seed of its own."""
    every_pair: bool = False
    """Show held-out pairs and relations too: for the judge, never for the prior's tower or a reward."""


class VolumeOptions(ShortFitOptions):
    """The volume that a text makes (priors.text_volume), learned from the pictures' layers before the network."""

    seed: int = 3
    """Seed of weights and captions."""
    steps: int = Field(2000, ge=1)
    """Optimisation steps."""
    hidden: int = Field(224, ge=1)
    """Width of the layer before the volume."""
    side: int = Field(14, ge=2)
    """Voxels a side."""


class NetworkOptions(Options):
    """The UNet."""

    size: int = 64
    """Side of the pictures in pixels."""
    unshuffle: int = 4
    """Side of the blocks of pixels that become channels."""
    channels: tuple[int, ...] = (64, 96, 128)
    """Width of each scale; multiples of 8."""
    attention: tuple[bool, ...] = (False, False, True)
    """Cross-attention to the words at each scale."""
    prediction: Literal["v", "x0"] = "v"
    """What the network says: v, or the clean picture, for which blocks of many pixels leave it more room: it need not
    carry the noise through (decision 022)."""
    azimuth_harmonics: int = 4
    """Sines and cosines of the azimuth."""
    elevation_harmonics: int = 2
    """Sines and cosines of the elevation."""
    camera_gain: float = 3.0
    """Factor of the camera's numbers beside the text's."""
    view_maps: bool = True
    """Show the network, beside the picture, where in the world each pixel looks."""
    text_volume: VolumeOptions | None = None
    """Show it what the camera sees of a coarse volume that the text makes."""


class FitOptions(Options):
    """How a network is fitted."""

    images: int = Field(2_400_000, ge=1)
    """Pictures to train on in all, repeats counted."""
    decay_share: float = Field(0.25, ge=0, le=1)
    """Share of them, at the end, over which the learning rate falls to zero."""
    batch: int = Field(32, ge=1)
    """Pictures a step."""
    shares: int = Field(1, ge=1)
    """Parts that a step's pictures are taken in, each on a thread of its own; for pixel models. Two parts on two
    threads are quicker than one whose every layer is split."""
    learning_rate: float = Field(1e-3, gt=0)
    """The optimizer's rate after the warm-up of 200 steps."""
    optimizer: Which = "adamw"
    """AdamW, or Muon for the inner matrices and kernels beside AdamW for the rest; its steps take longer and fewer are
    needed."""
    ema: float = Field(0.9995, ge=0, lt=1)
    """Decay of the averaged weights, which are what is saved."""
    precision: Precision = "auto"
    """Arithmetic of the network's forward and backward; auto is bfloat16 where the CPU has it. Weights and moments stay
    float32."""
    save_every_s: float = Field(180.0, gt=0)
    """Seconds between checkpoints."""
    preview_every_s: float = Field(600.0, gt=0)
    """Seconds between sheets of samples."""


class AutoencoderOptions(FitOptions):
    """The autoencoder of a latent model."""

    images: int = Field(60_000, ge=1)
    """Pictures to train it on."""
    channels: tuple[int, ...] = (16, 32, 48)
    """Width of each scale; multiples of 8. Each scale but the last halves the side."""
    latent_channels: int = Field(4, ge=1)
    """Channels of a latent."""
    learning_rate: float = Field(2e-3, gt=0)
    """AdamW's rate after the warm-up."""
    kl: float = Field(1e-4, ge=0)
    """Weight of the divergence from the standard normal, beside the error of the pictures."""


class TrainOptions(FitOptions):
    """A whole training run."""

    folder: Path = Path("out/prior")
    """Where pictures, checkpoints, previews and the finished model go."""
    parts: Path | None = None
    """Where pictures, text tower, judge and scorer lie, made there if they are missing; runs that share them name one
    folder. Default: `folder`."""
    seed: int = 0
    """Seed of weights, noise, captions and dropout."""
    pictures: PictureOptions = PictureOptions()
    """The training pictures."""
    text: TextOptions = TextOptions()
    """The text tower, where it is learned from pictures; it then is a reward as well."""
    reading: ReadingOptions | None = None
    """Learn the text tower from sentences alone instead."""
    judge: TextOptions = TextOptions(
        seed=7, size=48, channels=(40, 80, 80, 160, 160, 240), strides=(2, 1, 2, 1, 2, 1), every_pair=True
    )
    """The metric scorer: other seed, captions and architecture; it has seen every pair and relation."""
    scorer: TextOptions | None = None
    """A second scorer, which rewards ask: it shares nothing with the judge and saw nothing that is held out. Without it
    the bundled one."""
    network: NetworkOptions = NetworkOptions()
    """The network; where `start` is given and not grown, that model's own takes its place."""
    autoencoder: AutoencoderOptions | None = None
    """Train a latent model, with this autoencoder: an ordinary StableDiffusionPipeline folder, told words alone."""
    start: str = ""
    """A finished model to go on from: prior32, prior64 or a model folder. Without it the weights are drawn. A latent
    model takes its text tower, and of its network what fits."""
    grow: bool = False
    """With `start`: give that model what `network` has and it lacks (view maps, harmonics; at weight zero first), and
    room for longer sentences. Off keeps the network's inputs as they are."""
    data: Path | None = None
    """A folder of your own GLB, glTF, OBJ or PLY files; red_dragon.glb is "a red dragon", or see captions.yaml."""
    data_share: float = Field(0.5, gt=0, le=1)
    """Share of each step's pictures that show them; at 1 no procedural picture is made."""
    data_views: int = Field(96, ge=1)
    """Pictures of each of them."""
    high_noise_share: float = Field(0.35, ge=0, le=1)
    """Share of the times drawn from the noisier 70 % alone, where shape is decided."""
    clear_power: float = Field(0.5, ge=0)
    """Power of min(1, 2 sigma^2), the weight of a time: the error of v is largest where a picture is hardly noised and
    only its grain is undecided; 0 weighs all times alike."""
    drop_text: float = Field(0.12, ge=0, le=1)
    """Share of the pictures whose caption is left out: the null prompt is learned from them."""
    drop_camera: float = Field(0.15, ge=0, le=1)
    """Share whose camera is not told."""
    drop_background: float = Field(0.30, ge=0, le=1)
    """Share whose background is not told."""
    view_words: float = Field(0.30, ge=0, le=1)
    """Share whose caption says the side that is seen."""

    @field_validator("scorer")
    @classmethod
    def _saw_nothing_held_out(cls, scorer: TextOptions | None) -> TextOptions | None:
        if scorer is not None and scorer.every_pair:
            raise ValueError("every_pair: what rewards ask may not have seen what is held out; leave it out")
        return scorer

    @model_validator(mode="after")
    def _two_scorers_differ(self) -> TrainOptions:
        taken = {self.judge.seed} | (set() if self.reading else {self.text.seed})
        if self.scorer is not None and self.scorer.seed in taken:
            raise ValueError(
                f"scorer.seed: {self.scorer.seed} is that of the judge or the text tower; take another"
            )
        return self

    @property
    def parts_folder(self) -> Path:
        """Where pictures, text tower, judge and scorer lie."""
        return self.parts or self.folder
