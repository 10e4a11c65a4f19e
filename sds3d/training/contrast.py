"""The contrastive run: pictures and captions to unit vectors that agree (arXiv 2103.00020).

It gives the prior's text tower, and the scorers. Beside the other captions of the batch each picture meets its
own caption with one word changed, so that colours, relations and kinds count one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.errors import Sds3dError, StopRequested
from ..core.streams import Streams
from ..objects.captions import with_article
from ..objects.colours import NAMED
from ..objects.kind import Kind
from ..objects.patterns import PATTERNS
from ..priors.scorer import ImageTower, Scorer, load_scorer, packed
from .optimizers import ends_of_scorer, optimizers
from .options import TextOptions
from .precision import arithmetic
from .start import start_folder
from .words import WIDTH, adopt, half_copy, make_text_encoder, make_tokenizer, set_weights

MAX_SCALE = 60.0
WEIGHT_DECAY = 0.05
BETAS = (0.9, 0.999)

Near = Callable[[str, Sequence[float]], str]
"""(caption, two numbers in (0, 1)) -> a wrong caption that is one word away."""


class _Pairs(Protocol):
    @property
    def rgb(self) -> Float[Tensor, "b 3 s s"]: ...

    @property
    def captions(self) -> tuple[str, ...]: ...


class Captioned(Protocol):
    """Pictures in [0, 1] and their captions, by step."""

    def draw(self, step: int, count: int) -> _Pairs:
        """The batch of a step."""
        ...


def make_scorer(options: TextOptions, tokenizer) -> Scorer:
    """An untrained scorer, weights from the options' seed."""
    streams = Streams(options.seed)
    tower = ImageTower(options.size, options.channels, options.strides, WIDTH)
    scorer = Scorer(tower, make_text_encoder(len(tokenizer), streams), tokenizer, options.size)
    set_weights(scorer.image, streams, "image tower")
    set_weights(scorer.text_projection, streams, "text projection")
    with torch.no_grad():
        scorer.log_scale.fill_(math.log(10.0))
    return scorer


def begin_as(scorer: Scorer, start: str) -> None:
    """Give a scorer, in place, the weights of a finished one; words that that one lacks stay as drawn.

    Args:
        start: "scorer", the bundled one, or a folder.

    Raises:
        Sds3dError: there is no such scorer, or its picture tower is of another shape.
    """
    folder = start_folder(start, ["scorer"])
    theirs = load_scorer(folder)
    shapes = [[tuple(v.shape) for v in s.image.state_dict().values()] for s in (scorer, theirs)]
    if shapes[0] != shapes[1] or scorer.image_size != theirs.image_size:
        raise Sds3dError(f"start: the picture tower of {folder} has other channels, strides or size")
    adopt(scorer.text_encoder, scorer.tokenizer, theirs)
    for part in ("image", "text_projection"):
        getattr(scorer, part).load_state_dict(getattr(theirs, part).state_dict())
    with torch.no_grad():
        scorer.log_scale.copy_(theirs.log_scale)


def one_word_away(caption: str, kinds: Sequence[Kind], numbers: Sequence[float]) -> str:
    """The caption with one colour, kind or pattern exchanged for another of its sort."""
    words = caption.replace(",", " ,").split()
    single = [k.name for k in kinds if " " not in k.name]
    sorts = [list(NAMED), single, list(PATTERNS)]
    places = [(i, sort) for i, word in enumerate(words) for sort in sorts if word in sort]
    if not places:
        return f"{caption} , back view"
    index, sort = places[int(numbers[0] * len(places))]
    others = [word for word in sort if word != words[index]]
    words[index] = others[int(numbers[1] * len(others))]
    if index and words[index - 1] in ("a", "an"):
        # a wrong article would tell without the picture
        words[index - 1], _ = with_article(words[index]).split()
    return " ".join(words).replace(" ,", ",")


def augment(rgb: Float[Tensor, "b 3 s s"], streams: Streams, step: int) -> Float[Tensor, "b 3 s s"]:
    """Blur, noise, gain and tint, as half-made 3D objects look."""
    drawn = streams.uniform((4,), "augment", step=step)[0].tolist()
    if step % 2:
        rgb = rgb + 0.075 * drawn[0] * streams.normal(tuple(rgb.shape), "grain", step=step)[0]
        if drawn[1] < 0.4:
            rgb = F.avg_pool2d(F.pad(rgb, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gain = 1 + 0.1 * streams.normal((len(rgb), 1, 1, 1), "gain", step=step)[0]
    return (
        (rgb - 0.5) * gain + 0.5 + 0.025 * streams.normal((len(rgb), 3, 1, 1), "tint", step=step)[0]
    ).clamp(0, 1)


def contrastive_loss(
    images: Float[Tensor, "b d"], texts: Float[Tensor, "n d"], captions: Sequence[str], scale: Tensor
) -> Tensor:
    """Cross-entropy both ways; equal captions share a picture's mass.

    Args:
        texts: the B captions' vectors, then those of further wrong ones (N ≥ B), met by the pictures only.
    """
    count = len(images)
    logits = images @ texts.T * scale
    same = torch.tensor([[a == b for b in captions] for a in captions], dtype=torch.float32)
    target = same / same.sum(1, keepdim=True)
    by_image = -(F.pad(target, (0, len(texts) - count)) * logits.log_softmax(1)).sum(1).mean()
    by_text = -(target * logits[:, :count].T.log_softmax(1)).sum(1).mean()
    return (by_image + by_text) / 2


def train_scorer(
    scorer: Scorer,
    batches: Captioned,
    near: Near,
    options: TextOptions,
    report: Callable[[int, float], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scorer:
    """Train in place.

    Args:
        near: see Near. report: gets (step, mean loss) every hundred steps.

    Raises:
        StopRequested: `should_stop` said so; minutes of work are given up.
    """
    streams = Streams(options.seed)
    steppers = optimizers(
        options.optimizer,
        scorer.named_parameters(),
        ends_of_scorer,
        options.learning_rate,
        WEIGHT_DECAY,
        betas=BETAS,
    )
    recent: list[float] = []
    for step in range(options.steps):
        if should_stop():
            raise StopRequested(f"stopped at step {step} of {options.steps} of a scorer; it will start again")
        warm, share = min(1.0, (step + 1) / 50), step / options.steps
        rate = options.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * share))
        batch = batches.draw(step, options.batch)
        numbers = streams.uniform((options.batch, 2), "one word", step=step)[0].tolist()
        wrong = [near(c, n) for c, n in zip(batch.captions, numbers, strict=True)]
        rgb = augment(batch.rgb, streams, step)
        with arithmetic("auto"):
            images = F.normalize(scorer.image(rgb * 2 - 1).float(), dim=-1)
            texts = scorer.text_vectors([*batch.captions, *wrong])
        scale = scorer.log_scale.exp().clamp(max=MAX_SCALE)
        loss = contrastive_loss(images, texts, batch.captions, scale)
        scorer.zero_grad()
        loss.backward()
        for optimizer in steppers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        recent.append(float(loss.detach()))
        if report and (step + 1) % 100 == 0:
            report(step + 1, sum(recent) / len(recent))
            recent.clear()
    return scorer.eval().requires_grad_(False)


def scorer_of(
    folder: Path,
    words: Sequence[str],
    batches: Callable[[], Captioned],
    near: Near,
    options: TextOptions,
    say: Callable[[str], None],
    should_stop: Callable[[], bool],
    begin: Callable[[Scorer], None] = lambda scorer: None,
) -> Scorer:
    """The contrastive model of a folder, trained first if it is not there: text tower and reward, or judge.

    Args:
        words: its vocabulary. batches: opens what it learns from. near: see Near. begin: changes an untrained one.

    Raises:
        StopRequested: `should_stop` said so while it was trained.
    """
    if not (folder / "config.json").exists():
        scorer = make_scorer(options, make_tokenizer(words))
        if options.start:
            begin_as(scorer, options.start)
        begin(scorer)

        def report(step: int, loss: float) -> None:
            say(f"{folder.name} {step}/{options.steps} loss {loss:.3f}")

        train_scorer(scorer, batches(), near, options, report, should_stop)
        save_scorer(scorer, options, folder)
    return load_scorer(folder)


def save_scorer(scorer: Scorer, options: TextOptions, folder: Path) -> None:
    """Write the folder that priors.scorer.load_scorer reads; its weights as priors.scorer.packed."""
    import json

    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "_class_name": "ImageTextScorer", "image_size": options.size, "channels": list(options.channels),
        "strides": list(options.strides), "embedding": WIDTH,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    scorer.tokenizer.save_pretrained(folder / "tokenizer")
    own = {k: v.contiguous() for k, v in scorer.state_dict().items() if not k.startswith("text_encoder.")}
    save_file(packed(own), folder / "model.safetensors")
    half_copy(scorer.text_encoder).save_pretrained(folder / "text_encoder")
