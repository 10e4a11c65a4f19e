"""The whole configuration of a run, put together from the option classes of the rooms."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from sds3d.guidance.options import GuidanceOptions
from sds3d.guidance.registry import method_of
from sds3d.representations.base import RepresentationOptions

from ..config.kinds import KindOf, Names
from ..config.options import Options, Scalar
from ..core import schedules
from ..core.cameras import DEFAULT_DISTANCE, DEFAULT_FOV_Y_DEG, OrbitSampler, Sampler
from ..core.devices import check_word
from ..core.errors import ConfigError
from ..core.places import RingSampler
from ..core.streams import Streams
from ..optimize.options import OptimizeOptions, Side
from ..optimize.terms import Mix, check_terms
from ..priors import registry as prior_registry
from ..priors.models import resolve as models
from .capture_options import CaptureOptions
from .edit_options import EditOptions
from .output_options import BakingOptions, DebugOptions, PictureOptions
from .reference_options import ReferenceOptions

PRIORS = KindOf(
    prior_registry.PACKAGE,
    default="embedded",
    group=prior_registry.GROUP,
    names=Names(models.expand, models.words, "a model's name (`sds3d models` lists them) or folder"),
)
_FLAT = "gaussians with representation.surfels=true (in YAML {kind: gaussians, surfels: true})"
REPRESENTATIONS = KindOf(
    "sds3d.representations",
    default="grid",
    group="sds3d.representations",
    instead={"surfels": _FLAT, "gaussians-2d": _FLAT, "2dgs": _FLAT, "splats": "gaussians"},
)
GUIDANCE = method_of()

ExportKind = Literal[
    "glb",
    "obj",
    "usdz",
    "stl",
    "ply",
    "3dgs",
    "compressed",
    "splat",
    "spz",
    "png",
    "jpg",
    "wav",
    "flac",
    "gif",
    "nerfstudio",
    "colmap",
]
"""File kinds: glb, obj, usdz, stl and ply hold the mesh, 3dgs, compressed (both PLY), splat and spz the splats, png and
jpg a picture, wav and flac a sound, gif a turn of it; nerfstudio and colmap are folders of views with their cameras."""


def _increasing(value: tuple[float, float]) -> tuple[float, float]:
    if value[1] < value[0]:
        raise ValueError(f"a range is [low, high] with low ≤ high, got {list(value)}")
    return value


def _inside(low: float, high: float, what: str) -> Any:
    def check(value: tuple[float, float]) -> tuple[float, float]:
        if value[0] < low or value[1] > high:
            raise ValueError(f"{what} must lie in [{low:g}, {high:g}], got {list(value)}")
        return value

    return check


Range = Annotated[tuple[float, float], AfterValidator(_increasing)]
"""[low, high]; each view draws a value between."""


class CameraOptions(Options):
    """Where the training views stand: orbit cameras around the object, stratified in azimuth over a step."""

    azimuth_deg: Annotated[Range, AfterValidator(_inside(-360, 360, "azimuth_deg"))] = (-180.0, 180.0)
    """Range of azimuths in degrees; 0 looks at the front, 90 stands on the object's left."""
    elevation_deg: Annotated[Range, AfterValidator(_inside(-90, 90, "elevation_deg"))] = (-10.0, 60.0)
    """Range of elevations in degrees; 0 is the horizon, positive above."""
    distance: Annotated[Range, AfterValidator(_inside(0.01, 1000, "distance"))] = (
        DEFAULT_DISTANCE,
        DEFAULT_DISTANCE,
    )
    """Range of distances to the centre in world units; an object fills a ball of radius 0.8."""
    fov_y_deg: Annotated[Range, AfterValidator(_inside(1, 170, "fov_y_deg"))] = (
        DEFAULT_FOV_Y_DEG,
        DEFAULT_FOV_Y_DEG,
    )
    """Range of vertical fields of view in degrees."""
    azimuth_jitter: float = Field(default=0.45, ge=0, le=1)
    """How far each view may leave its place in the even ring of views, as a share of the gap between two."""
    places: int | None = Field(default=None, ge=1, le=1000)
    """A fixed number of places that fill these ranges and come again and again, as dataset_update needs them; by
    default every step has new ones."""

    def sampler(self) -> Sampler:
        """The sampler of these ranges."""
        ranges = self.model_dump(exclude={"places"})
        if self.places is None:
            return OrbitSampler(**ranges)
        del ranges["azimuth_jitter"]
        return RingSampler(self.places, **ranges)


class TermOptions(Options):
    """One guidance among several: {guidance: vsd, prior: …, factor: 0.5}. What is left out is the run's own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    """Before its numbers in the metrics; by default that of its method. Letters, digits, "_" and "-"."""
    guidance: Annotated[GuidanceOptions, GUIDANCE]
    """How its prior's judgement becomes a gradient."""
    prior: Annotated[Options, PRIORS] | None = None
    """Who judges. Default: the run's prior."""
    cameras: CameraOptions | None = None
    """From where it looks. Default: the run's cameras."""
    prompt: str | None = None
    """What it judges by. Default: the run's prompt."""
    part: int = Field(default=0, ge=0)
    """Which part of the scene it judges, where there are several, as sources of a recording."""
    size: Side | None = None
    """Side of its renders in pixels. Default: the run's optimize.size, or else its prior's own size."""
    factor: Scalar = schedules.constant(1.0)
    """Factor on its gradient; while it is 0 the term costs nothing."""
    chance: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    """mix alternate: chance of being the one that judges a step, relative to the others'."""
    stream: int = Field(default=0, ge=0)
    """Terms of one number see the same cameras, times and noise; 0 is the run's own."""

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_method(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "name" in data:
            return data
        guidance = GUIDANCE.expand(data.get("guidance"))
        method = guidance.get(GUIDANCE.key) if isinstance(guidance, dict) else None
        return {"name": method, **data} if isinstance(method, str) else data


class TermsOptions(Options):
    """Several guidances on one object, each with a prior, cameras and a state of its own."""

    method: Literal["several"] = "several"
    """Several guidances; may be left out where `terms` is given."""
    terms: Annotated[tuple[TermOptions, ...], Field(min_length=1, max_length=16)]
    """The guidances."""
    mix: Mix = "sum"
    """sum: their gradients are added up, each times its factor; alternate: in each step one judges, drawn by chance."""

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        try:
            check_terms(self.terms)
        except ConfigError as error:
            raise ValueError(f"{error.message} {error.hint}".strip()) from error
        for term in self.terms:
            if self.mix == "sum" and term.chance != 1.0:
                raise ValueError(
                    f"{term.name} has a chance, which only `mix: alternate` asks for; write a factor"
                )
        return self


class OneOrSeveral(KindOf):
    """The annotation of the run's guidance: any method's options, or a mapping with `terms`."""

    def choices(self) -> dict[str, type[Options]]:
        """Method, or "several" -> option class."""
        return {**super().choices(), "several": TermsOptions}

    def expand(self, value: Any) -> Any:
        """As KindOf; a mapping with `terms` needs no method."""
        if isinstance(value, dict) and "terms" in value and self.key not in value:
            value = {self.key: "several", **value}
        return super().expand(value)


JUDGES = OneOrSeveral(GUIDANCE.package, GUIDANCE.default, GUIDANCE.group, GUIDANCE.key)


def _split_words(value: Any) -> Any:
    """`glb,3dgs` as a list, since shells dislike brackets."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


class StageOptions(Options):
    """One stage of several: what it changes of the run's own options; see jobs.staging for how they come together."""

    model_config = ConfigDict(defer_build=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
    """Of its folder below stages/, and in the metrics. Letters, digits, "_" and "-"."""
    prompt: str | None = None
    """What to make. Default: the run's prompt."""
    negative_prompt: str | None = None
    """What to keep away from. Default: the run's."""
    view_words: bool | None = None
    """See the run's. Default: the run's."""
    prior: Annotated[Options, PRIORS] = Field(default_factory=PRIORS.make_default)
    """Who judges. Keys that are left out are the run's."""
    representation: Annotated[RepresentationOptions, REPRESENTATIONS] = Field(
        default_factory=REPRESENTATIONS.make_default
    )
    """What is optimised; it starts from what the stage before it made. Keys that are left out are the run's."""
    particles: Annotated[int, Field(ge=1, le=256)] | None = None
    """How many of it. Default: the run's."""
    guidance: Annotated[GuidanceOptions | TermsOptions, JUDGES] = Field(default_factory=GUIDANCE.make_default)
    """How the prior's judgement becomes a gradient. Keys that are left out are the run's."""
    cameras: CameraOptions = Field(default_factory=CameraOptions)
    """Training views. Keys that are left out are the run's."""
    optimize: OptimizeOptions = Field(default_factory=OptimizeOptions)
    """The loop. Keys that are left out are the run's."""
    reference: ReferenceOptions | None = Field(default=None, exclude_if=lambda value: value is None)
    """A picture to follow. Keys that are left out are the run's; weights of 0 leave it out."""


class RunConfig(Options):
    """A run: a sentence, the prior that judges, the representation that learns, and how.

    A file may name several `prompts`; each becomes a run of its own.
    """

    # the unions over plug-ins are built when a config is first read, not when this module is imported
    model_config = ConfigDict(defer_build=True)

    prompt: str | None = None
    """What to make."""
    prompts: tuple[str, ...] = ()
    """Several things to make, one run each; instead of `prompt`."""
    negative_prompt: str = ""
    """What to keep away from."""
    view_words: bool | None = None
    """Add "front view" and the like to the prompt by camera. Default: only for priors that take no camera."""
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    """Name of the run folder; made from the prompt by default."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of every random number."""
    prior: Annotated[Options, PRIORS] = Field(default_factory=PRIORS.make_default)
    """The model that judges the renders."""
    representation: Annotated[RepresentationOptions, REPRESENTATIONS] = Field(
        default_factory=REPRESENTATIONS.make_default
    )
    """What is optimised."""
    particles: Annotated[int, Field(ge=1, le=256)] = 1
    """How many of it are optimised together, each from noise of its own, under one guidance whose critic is shared."""
    guidance: Annotated[GuidanceOptions | TermsOptions, JUDGES] = Field(default_factory=GUIDANCE.make_default)
    """How the prior's judgement becomes a gradient: a method, or several as {terms: [...], mix: sum}."""
    cameras: CameraOptions = Field(default_factory=CameraOptions)
    """Training views."""
    optimize: OptimizeOptions = Field(default_factory=OptimizeOptions)
    """The loop."""
    reference: ReferenceOptions | None = None
    """A picture of the object, which it is to look like from one camera. Default: words alone say what to make."""
    edit: EditOptions | None = None
    """What is edited, and how far it may change. Default: something new is made."""
    capture: CaptureOptions | None = None
    """Photographs that are fitted; no prior and no guidance has a say then. Default: something new is made."""
    stages: Annotated[tuple[StageOptions, ...], Field(max_length=16)] = ()
    """Stages one after another, each starting from what the one before it made: a name, and what differs from the run's
    own options. Default: the run is one stage."""
    export: Annotated[tuple[ExportKind, ...] | None, BeforeValidator(_split_words)] = None
    """File kinds to write: glb, obj, usdz, stl, ply (mesh), 3dgs, compressed, splat, spz (splats), png, jpg (pictures),
    wav, flac (sounds), gif (a turn), nerfstudio, colmap (views with cameras). Default: glb, and 3dgs where there are
    splats; png of a picture, wav of a sound."""
    baking: BakingOptions = Field(default_factory=BakingOptions)
    """Texture and size of the mesh."""
    pictures: PictureOptions = Field(default_factory=PictureOptions)
    """Contact sheet and film."""
    debug: DebugOptions = Field(default_factory=DebugOptions)
    """A closer look."""
    device: Annotated[str, AfterValidator(check_word)] = "auto"
    """Where the scene lies and the prior runs: cpu, cuda or cuda:N; auto takes a GPU if it can be used."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads; results are bit-identical for one number. Default: what torch takes."""
    runs: str = "runs"
    """Folder that holds the run folders."""

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        if self.prompt is None and not self.prompts:
            why = ": only what the embedded prior knows is read in a picture" if self.reference else ""
            raise ValueError(
                f'needs a prompt, such as `prompt: a blue mushroom` (or several under "prompts"){why}'
            )
        if self.prompt is not None and self.prompts:
            raise ValueError("has both prompt and prompts; keep one")
        if any(not text.strip() for text in self.all_prompts()):
            raise ValueError("has an empty prompt; say what to make, such as a blue mushroom")
        if self.edit is not None and (self.stages or self.particles > 1):
            raise ValueError("edits something: that takes neither stages nor particles")
        if self.capture is not None and (self.stages or self.particles > 1 or self.edit is not None):
            raise ValueError("fits photographs: that takes no stages, particles or edit")
        names = [stage.name.lower() for stage in self.stages]
        for index, name in enumerate(names):
            if (first := names.index(name)) < index:
                one, other = self.stages[first].name, self.stages[index].name
                alike = f"are both named {one!r}" if one == other else f"are named {one!r} and {other!r}"
                raise ValueError(
                    f"stages[{first}] and stages[{index}] {alike}; give one another name: folders are called by them, "
                    "and on many disks capitals do not count"
                )
        return self

    def all_prompts(self) -> tuple[str, ...]:
        """The prompt, or the prompts."""
        return self.prompts if self.prompt is None else (self.prompt,)

    def one_each(self) -> list[RunConfig]:
        """One config a prompt, each with `prompt` set and `prompts` empty."""
        if self.prompt is not None:
            return [self]
        return [self.model_copy(update={"prompt": text, "prompts": ()}) for text in self.prompts]

    def in_stages(self) -> list[RunConfig]:
        """The config of each stage as if it were a run of its own; the config itself where there are no stages.

        Stages after the first draw other random numbers, by a seed made of the run's.
        """
        out = [] if self.stages else [self]
        for index, stage in enumerate(self.stages):
            given = {name: getattr(stage, name) for name in StageOptions.model_fields if name != "name"}
            change = {name: value for name, value in given.items() if value is not None}
            seed = Streams(self.seed).seed_of("stage", index) if index else self.seed
            out.append(self.model_copy(update=change | {"seed": seed, "stages": ()}))
        return out

    def stage_names(self) -> list[str]:
        """The names of the stages; [""] where there are none."""
        return [stage.name for stage in self.stages] or [""]

    def total_steps(self) -> int:
        """Steps of all stages together."""
        return sum(config.optimize.steps for config in self.in_stages())

    def apart(self) -> list[Alone]:
        """Each guidance as if it were alone; one with the name "" where there is one."""
        if not isinstance(self.guidance, TermsOptions):
            return [Alone("", self, self.guidance)]
        out = []
        for term in self.guidance.terms:
            change = {
                "guidance": term.guidance,
                "prior": term.prior,
                "cameras": term.cameras,
                "prompt": term.prompt,
            }
            alone = self.model_copy(update={k: v for k, v in change.items() if v is not None})
            if term.size is not None:
                optimize = alone.optimize.model_copy(update={"size": term.size})
                alone = alone.model_copy(update={"optimize": optimize})
            out.append(Alone(term.name, alone, term.guidance, term.part))
        return out

    def slug(self) -> str:
        """The beginning of the run folder's name: lower-case letters, digits and hyphens, at most 40."""
        text = unicodedata.normalize("NFKD", self.name or self.prompt or "run")
        words = re.findall(r"[a-z0-9]+", text.encode("ascii", "ignore").decode().lower())
        if self.name is None and len(words) > 1 and words[0] in ("a", "an", "the"):
            words = words[1:]
        return "-".join(words)[:40].strip("-") or "run"


@dataclass(frozen=True)
class Alone:
    """One of a run's guidances by itself.

    Args:
        name: of the term, "" where there is one guidance. guidance: its options.
        config: the run's, with the prior, the cameras, the prompt and the size of this one, and nothing but it as
            guidance. part: of the scene, see TermOptions.
    """

    name: str
    config: RunConfig
    guidance: GuidanceOptions
    part: int = 0
