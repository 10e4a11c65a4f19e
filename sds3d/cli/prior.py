"""sds3d prior: train the embedded prior, sample it, judge it; the objects and the words that it knows."""

from __future__ import annotations

from pathlib import Path

import typer

EPILOG = "Example: sds3d prior train configs/prior/prior64.yaml images=240000 folder=out/short"

app = typer.Typer(help="The embedded prior: train, sample, eval, objects, words.", no_args_is_help=True)


def _options(words: list[str]):
    """Training options of a YAML file and overrides `a.b=c`; those of the audio prior where it says medium: audio."""
    from ..config import load, overrides, source
    from ..training.options import TrainOptions
    from ..training.sound_options import SoundTrainOptions

    first = words.pop(0) if words and not overrides.is_override(words[0]) else None
    document = source.read(first) if first else source.Document({}, {(): source.Mark(source.COMMAND_LINE)})
    kind = (
        SoundTrainOptions
        if isinstance(document.data, dict) and document.data.get("medium") == "audio"
        else TrainOptions
    )
    overrides.apply(document, kind, words)
    return load.validate(kind, document)


@app.command(epilog=EPILOG)
def train(
    words: list[str] = typer.Argument(None, metavar="CONFIG.yaml [key=value ...]", help="What to train."),
    workers: int = typer.Option(1, "--workers", help="Processes that render the pictures."),
    data: Path | None = typer.Option(
        None, "--data", help="Folder of your own GLB, glTF, OBJ, PLY files; their names are the captions."
    ),
    start: str = typer.Option("", "--from", help="Model to go on from: prior32, prior64 or a folder."),
) -> None:
    """Train from nothing, fine-tune on your own assets, or go on where a run in the same folder stopped.

    Ctrl-C saves.
    """
    from ..jobs.interrupt import stop_on_signals
    from ..training.run import train as carry_on
    from ..training.sound_options import SoundTrainOptions
    from ..training.sound_run import train as carry_on_sounds

    said = {"data": data and str(data), "start": start}
    options = _options([*(words or []), *(f"{k}={v}" for k, v in said.items() if v)])
    with stop_on_signals() as flag:
        if isinstance(options, SoundTrainOptions):
            folder = carry_on_sounds(options, lambda: flag.requested, typer.echo)
        else:
            folder = carry_on(options, workers, lambda: flag.requested, typer.echo)
    if folder is None:
        typer.echo(f"stopped; the same command goes on from {options.folder}/checkpoints", err=True)
        raise typer.Exit(130)
    typer.echo(folder)


@app.command()
def sample(
    prompts: list[str] = typer.Argument(..., help="Sentences, one row of pictures each."),
    model: str = typer.Option(
        "", "--model", help="prior32, prior64 or a folder; the default prior without it."
    ),
    out: Path = typer.Option(Path("samples.png"), "--out", help="PNG to write."),
    cfg_scale: float = typer.Option(4.0, "--cfg-scale", help="1 is plain conditional."),
    steps: int = typer.Option(20, "--steps", min=1, help="DDIM steps."),
    seed: int = typer.Option(0, "--seed", help="Of the noise."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace OUT if it exists."),
) -> None:
    """Draw 2D samples: eight sides of each sentence."""
    import torch

    from ..assetio.pictures import contact_sheet
    from ..core.cameras import orbit
    from ..training.sampling import ddim

    prior = _prior(model)
    sides = [45.0 * k for k in range(8)]
    cameras = orbit(sides * len(prompts), 20.0)
    asked = [p for p in prompts for _ in sides]
    pictures = ddim(prior, asked, cameras, torch.ones(len(asked), 3), steps, cfg_scale, seed)
    typer.echo(contact_sheet(list(pictures), out, 8, overwrite))


@app.command("eval")
def evaluate(
    words: list[str] = typer.Argument(..., metavar="CONFIG.yaml [key=value ...]", help="The training run."),
    captions: int = typer.Option(500, "--captions", min=1, help="How many seen captions."),
    held_out: int | None = typer.Option(
        None, "--held-out", min=1, help="At most how many of each held-out sort; as --captions without it."
    ),
    seeds: int = typer.Option(3, "--seeds", min=1, help="Samples of each caption."),
    views: bool = typer.Option(
        False, "--views", help="Judge instead which side each view shows: camera told, and view words only."
    ),
    model: str = typer.Option(
        "", "--model", help="With --views: prior32, prior64 or a folder in place of the run's own."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """Judge a trained model: R@1 and R@5 by judge and scorer, and what caption and camera are worth."""
    from ..core.errors import Sds3dError
    from ..training.report import evaluate_run
    from ..training.sound_options import SoundTrainOptions
    from ..training.sound_report import evaluate_sounds
    from ..training.view_report import evaluate_views
    from .output import print_json, print_table

    def say(line: str) -> None:
        typer.echo(line, err=True)

    options = _options(list(words))
    if model and not views:
        raise Sds3dError("--model goes with --views; without it the run's own model is judged")
    if held_out and (views or isinstance(options, SoundTrainOptions)):
        raise Sds3dError("--held-out: goes with the captions of a picture model, not with sounds or --views")
    if isinstance(options, SoundTrainOptions):
        if views:
            raise Sds3dError("--views: sounds have no sides; leave it out")
        result = evaluate_sounds(options, captions, seeds, say)
    elif options.autoencoder is not None and not model:
        raise Sds3dError(
            "eval: a latent model is told no camera and cannot be judged so; see benchmarks/latent32.py"
        )
    elif views:
        result = evaluate_views(options, model, seeds, say)
    else:
        result = evaluate_run(options, captions, seeds, say, held_out)
    if as_json:
        print_json(result)
    else:
        print_table(result.items())


@app.command()
def objects(
    names: list[str] = typer.Argument(None, help="Kinds or shelves; all without it."),
    out: Path = typer.Option(Path("objects.png"), "--out", help="PNG to write."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace OUT if it exists."),
    as_json: bool = typer.Option(False, "--json", help="Print the catalogue instead of drawing it."),
) -> None:
    """Draw the catalogue of procedural objects: each kind from four sides."""
    from ..objects.catalogue import catalogue, find
    from .output import print_json

    kinds = list(catalogue().values())
    if names:
        shelves = {k.group for k in kinds}
        wanted = {find(n).name for n in names if n not in shelves}
        kinds = [k for k in kinds if k.name in wanted or k.group in names]
    if as_json:
        print_json(
            [
                {"name": k.name, "words": k.words, "group": k.group, "natural": k.natural, "second": k.second,
                 "roles": sorted(k.roles)}
                for k in kinds
            ]
        )  # fmt: skip
        return
    from ..assetio.files import replacing
    from ..training.sheet import catalogue_sheet

    with replacing(out, overwrite) as part:
        catalogue_sheet(kinds).save(part, format="PNG")
    typer.echo(out)


@app.command()
def words(
    model: str = typer.Option(
        "", "--model", help="prior32, prior64 or a folder; the default prior without it."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """List the words that the prior reads."""
    from .output import print_json

    known = sorted(w for w in _prior(model).tokenizer.get_vocab() if not w.startswith("<"))
    if as_json:
        print_json(known)
    else:
        typer.echo(" ".join(known))


def _prior(model: str):
    """The embedded prior of a shipped name or a folder.

    Raises:
        Sds3dError: it is neither.
    """
    from ..core.errors import Sds3dError
    from ..priors.kinds.embedded import Options, create, load_folder

    if not model:
        return create(Options())
    if Path(model).is_dir():
        return load_folder(Path(model), Options())
    if model not in ("prior32", "prior64"):
        raise Sds3dError(f"--model: {model!r} is neither a model folder nor prior32 nor prior64")
    return create(Options.model_validate({"model": model}))
