"""Evidence for sounds: prompts in FM and impact, ranked by two scorers; mixtures taken apart.

    OMP_NUM_THREADS=1 python benchmarks/audio.py --out out/audio-evidence [--judge out/audio/judge] [--part fm ...]

Writes results.json and pictures below --out as it goes (a second call uses what is there), and docs/evidence/audio.md
from them with --write. Ranks are among every caption of the kinds that the prior knows, held-out pairs included.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from sds3d.assetio import read, write
from sds3d.assetio.pictures import contact_sheet
from sds3d.assetio.sounds import load_sound
from sds3d.core.assets import Sound
from sds3d.core.sound_pictures import sound_picture
from sds3d.core.streams import Streams
from sds3d.evaluate.separation import improvement, in_best_order, si_sdr
from sds3d.jobs import configs
from sds3d.jobs.execute import execute
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.separating import separation
from sds3d.priors.sound_scorer import load_sound_scorer
from sds3d.sounds.captions import plain_caption
from sds3d.sounds.catalogue import find
from sds3d.sounds.wave import RATE

ROOT = Path(__file__).resolve().parents[1]
PROMPTS = {
    "fm": (
        "a high bell", "a low bell", "a flute", "a trumpet", "a siren", "a high beep", "an organ", "a violin",
        "a laser", "a chirp", "a buzzer", "a horn",
    ),
    "impact": (
        "a bell", "a high bell", "a low bell", "a gong", "a drum", "a low drum", "a clap", "a cymbal", "a long gong",
        "a piano", "a guitar", "a short drum",
    ),
}  # fmt: skip
"""Twelve sentences for each synthesiser, of what it can make: tones that are held for FM, things that are struck."""
MIXTURES = (
    ("drum", "bird"),
    ("beep", "wind"),
    ("bell", "engine"),
    ("flute", "clap"),
    ("cow", "cricket"),
    ("rain", "siren"),
)
"""Six pairs of kinds, made by the generator at equal power."""


def captions() -> list[str]:
    """The field: kinds of configs/prior/audio.yaml alone, and with each of their modifiers."""
    import yaml

    names = yaml.safe_load((ROOT / "configs/prior/audio.yaml").read_text())["sounds"]["kinds"]
    kinds = [find(name) for name in names]
    return [plain_caption(k) for k in kinds] + [plain_caption(k, (m,)) for k in kinds for m in k.modifiers]


def run(words: list[str], place: Path) -> tuple[RunFolder, float]:
    """A finished run and its seconds; one that is there already is used."""
    config = configs.from_words([*words, f"runs={place}", "optimize.preview_steps=0", "threads=1"])
    return finished(config, place)


def finished(config, place: Path) -> tuple[RunFolder, float]:
    """The folder of a config, carried out unless it was."""
    mark = place / f"{configs.hash_of(config)}.json"
    if mark.is_file():
        told = json.loads(mark.read_text())
        return RunFolder.open(told["folder"]), told["seconds"]
    folder, start = RunFolder.create(config), time.perf_counter()
    execute(folder)
    seconds = time.perf_counter() - start
    mark.write_text(json.dumps({"folder": str(folder.path), "seconds": seconds}))
    return folder, seconds


def mixture(kinds: tuple[str, str], number: int) -> torch.Tensor:
    """(2, T) sources at the same root mean square, peaks of their sum below 0.9."""
    parts = [torch.from_numpy(find(k).sound(Streams(77), number)).float() for k in kinds]
    sources = torch.stack([p / p.square().mean().sqrt() for p in parts])
    return 0.9 * sources / sources.sum(0).abs().max()


def ranks_of(sound: torch.Tensor, prompt: str, judges: dict, field: list[str]) -> dict[str, int]:
    """Rank of the prompt by each scorer."""
    return {name: judge.ranks(sound[None], [prompt], field)[0] for name, judge in judges.items()}


def synthesis(part: str, out: Path, judges: dict, extra: list[str]) -> dict:
    """Every prompt of a synthesiser."""
    field, rows, pictures = captions(), [], []
    for prompt in PROMPTS[part]:
        folder, seconds = run([prompt, f"representation={part}", *extra], out / part)
        sound = load_sound(folder.path / "asset.wav")
        pictures.append(sound_picture(sound.samples, sound.rate, (150, 200)))
        rows.append(
            {"prompt": prompt, "seconds": round(seconds, 1), **ranks_of(sound.samples, prompt, judges, field)}
        )
        print(rows[-1], flush=True)
    contact_sheet(pictures, out / f"{part}.png", 4, overwrite=True)
    return {"field": len(field), "rows": rows}


def separations(out: Path, extra: list[str]) -> dict:
    """Every mixture."""
    rows, pictures = [], []
    for number, kinds in enumerate(MIXTURES):
        truth = mixture(kinds, number)
        path = out / "mixtures" / f"{'-'.join(kinds)}.wav"
        write(Sound(truth.sum(0, keepdim=True), RATE), path, overwrite=True)
        said = [plain_caption(find(k)) for k in kinds]
        words = [*extra, f"runs={out / 'separation'}", "optimize.preview_steps=0", "threads=1"]
        (out / "separation").mkdir(parents=True, exist_ok=True)
        folder, seconds = finished(separation(path, said, words), out / "separation")
        found = torch.stack(
            [read(folder.path / name).sound.samples[0] for name in ("asset.wav", "asset_2.wav")]
        )
        gain = improvement(found, truth, truth.sum(0))
        rows.append(
            {"sources": " + ".join(said), "seconds": round(seconds, 1), "gain": [round(float(g), 2) for g in gain],
             "SI-SDR": [round(float(s), 2) for s in si_sdr(found, truth)],
             "swapped": in_best_order(found, truth) != (0, 1), "best masks": best_masks(truth)}
        )  # fmt: skip
        print(rows[-1], flush=True)
        pictures += [sound_picture(x[None], RATE, (150, 200)) for x in (truth.sum(0), *found, *truth)]
    contact_sheet(pictures, out / "separation.png", 5, overwrite=True)
    return {"rows": rows}


def best_masks(truth: torch.Tensor) -> list[float]:
    """The gain of shares by the true sources' magnitudes: what masks of this transform can reach at about best."""
    from sds3d.core.spectra import istft, stft

    spectra = stft(truth, 1024, 256)
    share = spectra.abs() / spectra.abs().sum(0, keepdim=True).clamp(min=1e-9)
    found = istft(share * spectra.sum(0), 1024, 256)
    return [round(float(g), 2) for g in improvement(found, truth, truth.sum(0))]


NOTES = "## Looked at"
"""What stands below this line on the page was written by hand and is kept."""


def page(found: dict) -> str:
    """docs/evidence/audio.md."""
    lines = ["# Sounds: what the embedded prior makes and takes apart", ""]
    lines += ["Made by `benchmarks/audio.py` with every option as it comes, seed 0, one thread.", ""]
    lines += [
        "scorer: the prior's own text tower, as a reward uses it; judge: a second one, which only measures.",
        "",
    ]
    for part in ("fm", "impact"):
        if part not in found:
            continue
        rows, field = found[part]["rows"], found[part]["field"]
        scorers = [k for k in rows[0] if k not in ("prompt", "seconds")]
        lines += [f"## {part}: rank of the prompt among {field} captions", ""]
        lines += [f"| prompt | {' | '.join(scorers)} | seconds |", "|---|" + "---:|" * (len(scorers) + 1)]
        lines += [
            f"| {r['prompt']} | {' | '.join(str(r[s]) for s in scorers)} | {r['seconds']} |" for r in rows
        ]
        for s in scorers:
            firsts, fives = (sum(r[s] <= k for r in rows) for k in (1, 5))
            lines.append(f"\n{s}: R@1 {firsts} of {len(rows)}, R@5 {fives} of {len(rows)}.")
        lines += [
            "",
            f"![Spectrograms and waveforms, in the order of the table](../images/audio-{part}.jpg)",
            "",
        ]
    if "separation" in found:
        rows = found["separation"]["rows"]
        gains = [g for r in rows for g in r["gain"]]
        lines += ["## Separation of two sources: gain in SI-SDR over the mixture, dB", ""]
        lines += [
            "| sources | gain | SI-SDR | gain of shares by the true sources | swapped | seconds |",
            "|---|---|---|---|---|---:|",
        ]
        for r in rows:
            told = (", ".join(map(str, r[k])) for k in ("gain", "SI-SDR", "best masks"))
            lines.append(
                f"| {r['sources']} | {' | '.join(told)} | {'yes' if r['swapped'] else 'no'} | {r['seconds']} |"
            )
        lines.append(f"\nMean gain {sum(gains) / len(gains):.2f} dB over {len(gains)} sources.")
        lines += ["", "![Mixture, the two sources found, the two true ones](../images/audio-separation.jpg)"]
    return "\n".join(lines) + "\n"


def publish(out: Path) -> None:
    """The pictures, into docs/images."""
    from PIL import Image

    for part in ("fm", "impact", "separation"):
        if (out / f"{part}.png").is_file():
            Image.open(out / f"{part}.png").convert("RGB").save(
                ROOT / f"docs/images/audio-{part}.jpg", quality=88
            )


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/audio-evidence"))
    parser.add_argument("--judge", type=Path, help="folder of the second scorer")
    parser.add_argument("--scorer", type=Path, help="folder of the first scorer; the shipped one by default")
    parser.add_argument("--part", nargs="*", default=["fm", "impact", "separation"])
    parser.add_argument("--set", nargs="*", default=[], help="options of every run")
    parser.add_argument("--write", action="store_true", help="write docs/evidence/audio.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    judges = {"scorer": load_sound_scorer(args.scorer)}
    if args.judge:
        judges["judge"] = load_sound_scorer(args.judge)
    args.out.mkdir(parents=True, exist_ok=True)
    store = args.out / "results.json"
    found = json.loads(store.read_text()) if store.is_file() else {}
    for part in args.part:
        (args.out / part).mkdir(parents=True, exist_ok=True)
        found[part] = (
            separations(args.out, args.set)
            if part == "separation"
            else synthesis(part, args.out, judges, args.set)
        )
        store.write_text(json.dumps(found, indent=1))
    if args.write:
        publish(args.out)
        file = ROOT / "docs/evidence/audio.md"
        notes = file.read_text().partition(NOTES)[2] if file.is_file() else ""
        file.write_text(page(found) + (f"\n{NOTES}{notes}" if notes else ""))
        print(file)


if __name__ == "__main__":
    main()
