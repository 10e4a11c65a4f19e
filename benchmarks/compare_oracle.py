"""Every method against a prior that knows three assets: PSNR at equal network calls, through `sds3d compare`.

usage: python benchmarks/compare_oracle.py [--out DIR] [--report] [--calls N] [--seeds N]

The assets are procedural objects, written as GLB; the prior believes in their renders at the asked camera (y: the
asked one, null: all three alike). Every method has the same guidance scale, 1, and is asked for the same times; what
differs is its rule. VSD, ESD and RewardVSD train a network's change, and this prior has no network; RewardSDS has a
judge. They are left out. Stopped, it goes on. With --report nothing is run. Results: docs/evidence/compare-oracle.*
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import yaml
from compare_page import EVIDENCE, compact, load, sheet, table, write_between

from sds3d.assetio import kinds
from sds3d.cli.main import main as command
from sds3d.evaluate.truth import truth_of

ASSETS = {"car": "a red car", "duck": "a yellow duck", "chair": "a brown chair"}
FALLING = {"high": {"linear": [0.98, 0.6]}, "low": {"linear": [0.9, 0.3]}, "scale": "native"}
ONE = {"high": {"linear": [0.98, 0.3]}, "low": {"linear": [0.98, 0.3]}, "scale": "native"}
METHODS = {
    "sds": {"cfg_scale": 1.0, "weight": "kappa", "times": FALLING},
    "sjc": {"cfg_scale": 1.0, "times": FALLING},
    "hifa": {"cfg_scale": 1.0, "weight": "kappa", "times": {"law": "uniform", **ONE}},
    "ism": {"cfg_scale": 1.0, "times": FALLING},
    "tsm": {"cfg_scale": 1.0, "times": FALLING},
    "sdi": {"cfg_scale": 1.0, "times": ONE, "inversion_scale": -1.0},
    "cfd": {"cfg_scale": 1.0, "times": {"law": "uniform", **ONE, "shared": True}},
    "csd": {"times": FALLING},
    "nfsd": {"cfg_scale": 1.0, "times": FALLING},
    "asd": {"cfg_scale": 1.0, "times": FALLING},
}


def config(calls: int, seeds: int) -> dict:
    """The comparison's file."""
    files = [f"assets/{name}.glb" for name in ASSETS]
    return {
        "prompts": files,
        "prior": {"kind": "oracle_scene", "assets": files, "size": 32},
        "representation": {
            "kind": "grid", "resolutions": [6, 12, 24], "samples": 64, "tv": 0.0, "opacity": 0.0, "entropy": 0.0,
        },
        "cameras": {"elevation_deg": [-30.0, 70.0]},
        "optimize": {"views": 4, "checkpoint_steps": 1000},
        "pictures": {"turntable_frames": 0, "contact_views": 4, "contact_size": 96},
        "export": [],
        "threads": 1,
        "methods": METHODS,
        "seeds": seeds,
        "equal": "nfe",
        "budget": calls,
    }  # fmt: skip


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/compare-oracle"))
    parser.add_argument("--calls", type=int, default=160)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    (args.out / "assets").mkdir(parents=True, exist_ok=True)
    # file names are prompts here; relative ones keep the place of this checkout out of the results
    os.chdir(args.out)
    for name, prompt in ASSETS.items():
        truth = truth_of(prompt)
        assert truth is not None
        kinds.write(truth.mesh, Path(f"assets/{name}.glb"), "glb", True)
    Path("oracle.yaml").write_text(yaml.safe_dump(config(args.calls, args.seeds), sort_keys=False))
    try:
        command(["compare", "oracle.yaml", "--out", ".", *(["--report"] if args.report else [])])
    except SystemExit as left:
        if left.code == 130:
            raise
    found = load(Path())
    (EVIDENCE / "compare-oracle.json").write_text(json.dumps(compact(found), ensure_ascii=False) + "\n")
    sheet(Path(), EVIDENCE / "compare-oracle.png", 72, columns=2)
    names = ("psnr", "iou", "second_face", "heading_error", "saturation", "steps", "calls")
    digits = {"iou": 3, "heading_error": 0, "steps": 0, "calls": 0}
    write_between(EVIDENCE / "compare-oracle.md", "compare_oracle.py", [table(found, names, digits)])


if __name__ == "__main__":
    main()
