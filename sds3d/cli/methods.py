"""sds3d methods: the guidance methods: what they compute, cost and need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sds3d.guidance.catalogue import Method

EPILOG = "Use one with: sds3d run PROMPT guidance=NAME guidance.cfg_scale=5. Exit status: 0 done, 2 an unknown method."


def command(
    name: str | None = typer.Argument(None, metavar="[NAME]", help="Tell all about this one."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    markdown: bool = typer.Option(False, "--markdown", help="Print docs/methods.md."),
) -> None:
    """List the guidance methods, or explain one: formula, paper, defaults, cost, pitfalls, options."""
    from dataclasses import asdict

    from sds3d.guidance.catalogue import all_methods, method

    from .output import print_json

    found = all_methods() if name is None else [method(name)]
    if as_json:
        told = [asdict(m) | {"calls": m.calls} for m in found]
        print_json(told if name is None else told[0])
    elif markdown:
        typer.echo(page(found), nl=False)
    elif name is None:
        _list(found)
    else:
        typer.echo(_explained(found[0]))


def _list(found: list[Method]) -> None:
    rows = [("NAME", "FAMILY", "CALLS OF THE NETWORK", "EXTRA MEMORY", "NEEDS", "PAPER")]
    rows += [(m.name, m.family, m.calls, m.memory, ", ".join(m.needs) or "-", _paper(m)) for m in found]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo("`sds3d methods NAME` prints the formula, the defaults and what goes wrong.")


def _paper(m: Method) -> str:
    return f"{m.year}, arXiv {m.arxiv}" if m.arxiv else m.year


def _explained(m: Method) -> str:
    import textwrap

    def wrapped(text: str, indent: str = "") -> str:
        return textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent)

    parts = [m.title, textwrap.indent(m.formula, "    "), wrapped(m.source)]
    parts += [wrapped(f"Defaults: {m.defaults}"), wrapped(f"Cost: {m.cost} Extra memory: {m.memory}.")]
    parts += [wrapped(f"Pitfalls: {m.pitfalls}")]
    if m.needs:
        parts.append(f"Needs: {', '.join(m.needs)}.")
    options = [f"  {key} = {_short(value)}\n{wrapped(text, '      ')}" for key, value, text in m.options]
    return "\n\n".join([*parts, "Options:\n" + "\n".join(options)])


def _short(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def page(found: list[Method]) -> str:
    """docs/methods.md."""
    lines = [
        "# Guidance methods",
        "",
        "Written by `sds3d methods --markdown` from the methods' own files; `make docs` brings it up to date.",
        "",
        "| method | family | calls of the network | extra memory | needs | paper |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| [{m.name}](#{m.name}) | {m.family} | {m.calls} | {m.memory} | {', '.join(m.needs) or '–'} | {_link(m)} |"
        for m in found
    ]
    for m in found:
        lines += ["", f"## {m.name}", "", m.title, "", "```", m.formula, "```", "", m.source, ""]
        lines += [f"**Defaults.** {m.defaults}", "", f"**Cost.** {m.cost}", "", f"**Pitfalls.** {m.pitfalls}"]
        lines += ["", "| option | default | |", "|---|---|---|"]
        lines += [f"| `{key}` | `{_short(value)}` | {text} |" for key, value, text in m.options]
    return "\n".join(lines) + "\n"


def _link(m: Method) -> str:
    return f"{m.year}, [{m.arxiv}](https://arxiv.org/abs/{m.arxiv})" if m.arxiv else m.year
