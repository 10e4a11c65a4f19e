"""Batch: many prompts at once, from a YAML, a CSV or one a line; and the queue."""

# annotations stay values here: gradio looks for gr.Request among them, and gradio is imported late
import csv
import io
from pathlib import Path
from typing import Any

from sds3d.core.errors import ConfigError, Sds3dError

from .. import form, page
from ..service import Service


def build(service: Service) -> None:
    """Lay the tab out."""
    import gradio as gr

    with gr.Row():
        with gr.Column(min_width=320):
            text = gr.Textbox(
                label="Prompts", lines=8, max_lines=30, elem_id="prompts", placeholder="a red car\na blue mushroom",
                info="One a line, a YAML, or a CSV with columns such as prompt, seed, guidance.",
            )  # fmt: skip
            file = gr.UploadButton("Load a YAML or CSV file", file_types=[".yaml", ".yml", ".csv", ".txt"])
            priority = gr.Slider(-10, 10, 0, step=1, label="Priority", info="Higher ones go first.")
            go = gr.Button("Put them into the queue", variant="primary", elem_id="enqueue")
            trouble = gr.HTML(elem_id="batch-trouble")
        with gr.Column(min_width=320):
            gr.HTML('<h3>Queue</h3><div class="turns-place" data-place="turns"></div>')

    def on_file(path: str | None) -> Any:
        return Path(path).read_text(errors="replace") if path else gr.skip()

    def on_go(text: str, priority: float, request: gr.Request) -> tuple[str, str]:
        done, trouble = 0, list[str]()
        try:
            for one in documents(text):
                folders, refused = service.submit(page.who(request), one, int(priority))
                done += len(folders)
                trouble += refused
        except Sds3dError as error:
            trouble.append(str(error))
        told = f"<p role='status'>{done} in the queue.</p>" if done else ""
        return "" if done and not trouble else text, told + page.note("\n".join(trouble))

    file.upload(on_file, file, text, show_progress="hidden", api_visibility="private")
    go.click(on_go, [text, priority], [text, trouble], show_progress="hidden", api_name="enqueue")


def documents(text: str) -> list[str]:
    """The YAML texts of what was typed: a YAML as it is, a CSV's rows, or a prompt a line.

    Raises:
        ConfigError: there is nothing in it, or a row has more cells than the head.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError("is empty; write a prompt a line", file="your prompts")
    head = [cell.strip() for cell in next(csv.reader([lines[0]]))]
    if "prompt" in head and len(head) > 1:
        return [_row(head, row, n) for n, row in enumerate(csv.reader(io.StringIO("\n".join(lines[1:]))), 2)]
    if any(line.split(":")[0].strip() in ("prompt", "prompts") and ":" in line for line in lines):
        return [text]
    return [form.to_yaml({"prompts": [line.strip() for line in lines]})]


def _row(head: list[str], row: list[str], number: int) -> str:
    from sds3d.config.source import parse_value

    if len(row) > len(head):
        raise ConfigError(f"has {len(row)} cells, the head has {len(head)}", file=f"your CSV, line {number}")
    cells = {k: v.strip() for k, v in zip(head, row, strict=False) if v.strip()}
    return form.to_yaml(
        {k: v if k in ("prompt", "negative_prompt", "name") else parse_value(v) for k, v in cells.items()}
    )
