"""The `sds3d` command. Nothing heavy is imported here: every command imports what it needs when it runs.

Exit statuses: 0 done; 1 a run or a command failed; 2 wrong usage or configuration; 130 stopped by Ctrl-C,
with the state saved.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from ..core.errors import ConfigError, Sds3dError, StopRequested
from . import (
    compare,
    doctor,
    edit,
    export,
    fit,
    fork,
    history,
    import_,
    info,
    lint,
    mesh_qa,
    methods,
    models,
    plot_schedule,
    prior,
    resume,
    run,
    schema,
    separate,
    submit,
    undo,
    web,
)

EPILOG = (
    "Exit status: 0 done, 1 a run or a command failed, 2 wrong usage or configuration, "
    "130 stopped by Ctrl-C (the state is saved)."
)

app = typer.Typer(
    help="A sentence in, a 3D asset out, by score distillation.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (
    run,
    fit,
    edit,
    history,
    undo,
    separate,
    resume,
    fork,
    compare,
    export,
    info,
    mesh_qa,
    methods,
    lint,
    plot_schedule,
    doctor,
    schema,
    submit,
    web,
):
    app.command(module.__name__.rpartition(".")[2].replace("_", "-"), epilog=module.EPILOG)(module.command)
app.add_typer(prior.app, name="prior")
app.add_typer(models.app, name="models")
app.add_typer(import_.app, name="import")


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        typer.echo(f"sds3d {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(
        False, "--debug", help="Print tracebacks and debug messages (any place in the line)."
    ),
    offline: bool = typer.Option(
        False, "--offline", help="Ask nothing of the network; what is missing is told at once (any place)."
    ),
) -> None:
    """Options of every command; --debug and --offline are taken out by `main` before this is read."""


def main(argv: list[str] | None = None) -> None:
    """Entry point: runs a command, prints errors as a paragraph, and exits with the documented status."""
    # waiting threads sleep instead of spinning: on two busy cores the difference is tenfold (docs/performance.md)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    if "--offline" in words:
        # the hub's library reads this when it is first imported, which no command has done yet
        os.environ["HF_HUB_OFFLINE"] = "1"
    words = [w for w in words if w not in ("--debug", "--offline")]
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="%(message)s", stream=sys.stderr
    )
    if not debug:
        for chatty in ("httpx", "transformers", "diffusers", "matplotlib", "PIL"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
    sys.exit(_run(words, debug))


def _run(words: list[str], debug: bool) -> int:
    try:
        return app(words, prog_name="sds3d", standalone_mode=False) or 0
    except Exception as error:
        if debug:
            raise
        return _report(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _report(error: Exception) -> int:
    if isinstance(error, (typer.Abort, StopRequested)):
        print(str(error) or "interrupted", file=sys.stderr)
        return 130
    # usage errors are known by what they offer: some releases of typer carry a click of their own
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        error.show()
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return 1
    if isinstance(error, Sds3dError):
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    print(
        f"error: {type(error).__name__}: {error}\nThis is a defect of sds3d. The same command with --debug shows "
        f"where it happened; please report it with that output.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    main()
