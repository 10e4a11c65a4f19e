"""What the prototype's own distillation reaches on the 14 acceptance prompts: the bar for our runs.

The prototype is throw-away code outside this repository; its folder is an argument and the benchmark skips
where it is absent. Settings: 400 steps of the 48³ voxel field, 4 views, cfg 4.5, the x0 loss with half
standard-deviation rescale, opacity .03, entropy .02, total variation 1e-3, half of the backgrounds white.

usage: python benchmarks/prototype_baseline.py PROTOTYPE_FOLDER [--weights prior32|prior64] [--seed N]
                                           [--pictures DIR] [--steps N]
Needs numba (development only). Numbers go to benchmarks/results/prototype_baseline.json, prompt by prompt, so
that a stopped run continues; other seeds than 0 have columns of their own (prior32-seed1 …).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from reference import HELD_OUT, PROMPTS, kind_of, reference_mesh

from sds3d.core.cameras import turntable
from sds3d.evaluate.mesh_render import render_mesh
from sds3d.evaluate.retrieval import Judge
from sds3d.evaluate.silhouette import silhouette_iou
from sds3d.priors.kinds.embedded import assets_folder

RESULTS = Path(__file__).parent / "results" / "prototype_baseline.json"
SETTINGS = {
    "bs": 4,
    "cfg": 4.5,
    "mode": "x0",
    "rescale": 0.5,
    "tvw": 1e-3,
    "opw": 0.03,
    "ent": 0.02,
    "wbg": 0.5,
}
SIZE = 128


def load_prior(modules, folder: Path):
    """The prototype's network with the weights of a model folder in diffusers layout."""
    from safetensors.torch import load_file

    index = json.loads((folder / "model_index.json").read_text())
    prior = modules["model"].Prior(
        index["image_size"], index["pixel_unshuffle"], ch=(48, 96, 128), attn=(0, 0, 1), film=2, cams=1.0
    )
    for part, name in (
        (prior.unet, "unet/diffusion_pytorch_model.safetensors"),
        (prior.text, "text_encoder/model.safetensors"),
        (prior.tp, "text_projection.safetensors"),
    ):
        part.load_state_dict({key: value.float() for key, value in load_file(folder / name).items()})
    return prior.requires_grad_(False).eval()


@torch.no_grad()
def views(
    modules, field, elevation: float, size: int, background: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """rgb (8, 3, S, S) and alpha (8, 1, S, S) of a field on the turntable, by the prototype's own marcher."""
    volume, out = field.volume(), []
    for azimuth in range(0, 360, 45):
        out.append(modules["sds"].render(
            volume, field.half, [azimuth], [elevation], size, 96, torch.full((1, 3), background), False
        )[:2])  # fmt: skip
    return torch.cat([rgb for rgb, _ in out]), torch.cat([alpha for _, alpha in out])


def picture(modules, field, path: Path) -> None:
    """Two rows of eight views, at 15° on white and at 50° on grey."""
    from PIL import Image

    rows = [
        torch.cat(list(views(modules, field, *row)[0]), dim=2) for row in ((15.0, 96, 1.0), (50.0, 96, 0.3))
    ]
    image = (torch.cat(rows, dim=1).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(image).save(path)


def measure(modules, field, prompt: str, judge: Judge) -> dict[str, float]:
    """Silhouette IoU at 15° over 8 views, and the rank of the caption over 16 views."""
    truth = render_mesh(reference_mesh(kind_of(prompt)), turntable(8, 15.0), (SIZE, SIZE))
    alpha = views(modules, field, 15.0, SIZE)[1]
    iou = silhouette_iou(alpha, truth["alpha"])
    turned = [float(silhouette_iou(alpha.roll(k, 0), truth["alpha"]).mean()) for k in range(8)]
    seen = torch.cat([views(modules, field, elevation, 64)[0] for elevation in (15.0, 45.0)])
    verdict = judge.rank(seen, prompt)
    return {
        "iou": float(iou.mean()), "iou_best_turn": max(turned),
        "iou_views": [round(v, 4) for v in iou.tolist()], "rank": verdict.rank, "best": verdict.best,
    }  # fmt: skip


def main() -> None:
    """Run what is missing in the results file, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prototype", type=Path)
    parser.add_argument("--weights", default="prior32", choices=["prior32", "prior64"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, default=Path("out/baseline"))
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    if not (args.prototype / "sds.py").is_file():
        print(f"skipped: no prototype in {args.prototype}")
        return
    torch.set_num_threads(1)
    sys.path.insert(0, str(args.prototype))
    modules = {name: importlib.import_module(name) for name in ("sds", "model")}
    prior, judge = load_prior(modules, assets_folder() / args.weights), Judge.bundled()
    column = args.weights + (f"-seed{args.seed}" if args.seed else "")
    args.pictures.mkdir(parents=True, exist_ok=True)
    for prompt in PROMPTS:
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        if prompt in results.get(column, {}):
            continue
        start = time.perf_counter()
        field, _ = modules["sds"].run(prior, prompt, args.steps, **SETTINGS, seed=args.seed)
        seconds = time.perf_counter() - start
        picture(modules, field, args.pictures / f"{column}_{prompt.replace(' ', '_')}.png")
        np.savez_compressed(
            args.pictures / f"{column}_{prompt.replace(' ', '_')}.npz", field.volume().detach().numpy()
        )
        row = {
            **measure(modules, field, prompt, judge),
            "seconds": round(seconds, 1),
            "held_out": prompt in HELD_OUT,
        }
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results.setdefault(column, {})[prompt] = row
        results["settings"] = {**SETTINGS, "steps": args.steps}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{column} {prompt:18s} IoU {row['iou']:.3f} rank {row['rank']} {seconds:.0f} s", flush=True)
    rows = json.loads(RESULTS.read_text())[column]
    print(f"{column}: mean IoU {np.mean([r['iou'] for r in rows.values()]):.3f} over {len(rows)} prompts")


if __name__ == "__main__":
    main()
