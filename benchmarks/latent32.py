"""What the latent model in the box is worth: its autoencoder, its words, and samples by the judge.

python benchmarks/latent32.py        # some minutes; writes benchmarks/results/latent32.json
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.evaluate.retrieval import Judge, r_precision
from sds3d.objects.catalogue import catalogue
from sds3d.priors.base import Prompts
from sds3d.priors.kinds.diffusers import DiffusersPrior, Options, create
from sds3d.priors.models.resolve import resolved
from sds3d.priors.words import read_vocabulary
from sds3d.training.batches import Batch, Batches
from sds3d.training.options import PictureOptions
from sds3d.training.render import open_set, render_set

RESULT = Path(__file__).parent / "results" / "latent32.json"
PICTURES, CAPTIONS, SIDE = 48, 60, 32
TIMES = (0.5, 0.7, 0.85, 0.95)
SCALES = (2.0, 4.0)


def pictures(words: set[str]) -> Batch:
    """Pictures of builds of another seed than the training's, with captions that say the side."""
    kinds = tuple(name for name, kind in catalogue().items() if set(kind.name.split()) <= words)
    options = PictureOptions(seed=77, kinds=kinds, per_kind=2, per_relation=0, of_three=0, patterned=0)
    folder = Path(tempfile.mkdtemp())
    render_set(options, folder, 1, lambda done, count: None)
    return Batches(*open_set(options, folder), Streams(78), SIDE, view_words=1.0).draw(0, PICTURES)


@torch.no_grad()
def errors(prior: DiffusersPrior, batch: Batch, t: float) -> list[float]:
    """Mean squared error of latents: told right, told nothing, told of another picture."""
    look = Look(orbit([0.0], [15.0]), (SIDE, SIDE), torch.ones(1, 3))
    time = torch.tensor([t], dtype=torch.float64)
    alpha, sigma = (float(v) for v in prior.schedule.levels(time))
    z = prior.encode(batch.rgb)
    noise = Streams(5).normal(tuple(z.shape[1:]), "noise", ids=range(PICTURES))
    sums = torch.zeros(3)
    for i in range(PICTURES):
        said = batch.captions[i], batch.captions[(i + PICTURES // 2 + 1) % PICTURES]
        right, wrong = (
            prior.condition(prior.prepare(Prompts(text, view_words=False)), look, {}) for text in said
        )
        z_t = alpha * z[i : i + 1] + sigma * noise[i : i + 1]
        for k, cond in enumerate((right["y"], right["null"], wrong["y"])):
            sums[k] += (prior.predict(z_t, time, cond).x0 - z[i : i + 1]).square().mean()
    return [round(v, 4) for v in (sums / PICTURES).tolist()]


def retrieval(folder: str, scale: float, words: set[str]) -> dict[str, float]:
    """R@1 and R@5 of one sample a caption, 20 DDIM steps of diffusers' own pipeline."""
    from diffusers import StableDiffusionPipeline

    jury = Judge.bundled()
    known = [caption for caption in jury.captions if words.issuperset(caption.split())]
    picked = Streams(3).integers(len(known), (CAPTIONS,), "pick")[0].tolist()
    asked = [known[i] for i in picked]
    pipe: Any = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True).to(torch.float32)
    pipe.set_progress_bar_config(disable=True)
    verdicts = []
    for start in range(0, CAPTIONS, 12):
        part = asked[start : start + 12]
        noise = Streams(start).normal((4, 16, 16), "eval", ids=range(len(part)))
        options = {"num_inference_steps": 20, "guidance_scale": scale, "output_type": "pt"}
        images = pipe(part, latents=noise, **options).images
        verdicts += [jury.rank(images[i : i + 1], caption) for i, caption in enumerate(part)]
    return {f"R@{n}": round(r_precision(verdicts, n), 3) for n in (1, 5)}


def main() -> None:
    """Measure, print and keep."""
    torch.set_num_threads(1)
    options = resolved(Options(folder="latent32", precision="float32"))
    prior = create(options)
    words = set(read_vocabulary(Path(options.folder) / "tokenizer")[0])
    batch = pictures(words)
    with torch.no_grad():
        back = prior.decode(prior.encode(batch.rgb)).clamp(0, 1)
    found = {
        "autoencoder, dB": round(float(-10 * (back - batch.rgb).square().mean().log10()), 1),
        "errors at t: right caption, none, another's": {str(t): errors(prior, batch, t) for t in TIMES},
        "samples at guidance": {str(s): retrieval(str(options.folder), s, words) for s in SCALES},
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
