"""The examination of `sds3d doctor --gpu` with the CPU in the place of a GPU, as a page for docs/evidence.

What it shows: the Warp kernels, run by Warp's CPU device, against their definitions, at the sizes of the examination.
What it does not: anything about a GPU. Times are left out.

Run: python benchmarks/gpu_rehearsal.py > docs/evidence/gpu.md
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from sds3d.priors.kinds import embedded
from sds3d.testing.gpu.bench import AGREE, Bench, Sizes
from sds3d.testing.gpu.examination import examine
from sds3d.testing.gpu.kernels import MOST_GRADIENT, MOST_REPEAT, MOST_VALUE
from sds3d.testing.gpu.rehearsal import Rehearsal

HEAD = """# The first day on a GPU: not yet

No GPU has been at hand; when one is, the output of `sds3d doctor --gpu` takes the place of this page. Until then it is
the rehearsal: the same checks with the CPU in the GPU's place, the kernels run by Warp's CPU device
(`python benchmarks/gpu_rehearsal.py`). That says nothing about a GPU; times are left out.
"""


def main() -> None:
    """Print the page."""
    with TemporaryDirectory() as folder:
        sizes = Sizes(AGREE, AGREE, run={"representation.init.count": 1000})
        bench = Bench(Rehearsal(), Path(folder), embedded.Options(precision="float32"), sizes)
        findings = examine(bench)
    print(HEAD)
    print("| kernel | values off by | gradients off by | worst of | again off by |\n|---|---|---|---|---|")
    for f in findings:
        if "implementation" in f.numbers:
            row = f.numbers
            print(
                f"| {f.name} | {row['value']:.1e} | {row['gradient']:.1e} | {row['of']} | {row['again']:.1e} |"
            )
    limits = (
        f"{MOST_VALUE:g} for values, {MOST_GRADIENT:g} for gradients, {MOST_REPEAT:g} for the same once more"
    )
    print(f"\nLimits: {limits}.\n")
    print("| check | verdict | what came out |\n|---|---|---|")
    told = ("self-check", "without the GPU", "export")
    for f in findings:
        if f.name.startswith(told):
            print(f"| {f.name} | {f.verdict} | {f.detail} |")
    wrong = [f.name for f in findings if f.verdict == "wrong"]
    print(f"\n{len(findings)} findings, wrong: {', '.join(wrong) or 'none'}.")


if __name__ == "__main__":
    main()
