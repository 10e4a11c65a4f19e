"""docs/models.md, made from the table of models: `python -m sds3d.cli.models_page docs/models.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from ..priors.models.entry import ModelEntry
from ..priors.models.table import built_in

_HEAD = """# Models

Made from the table in `sds3d/priors/models/models.yaml` (`python -m sds3d.cli.models_page docs/models.md`). VRAM is \
**predicted** from the architectures on torch's meta device for 4 views a step with `prior.memory=lean`; no big model \
was run for it. Repositories' names were checked in stored copies of pages and in others' code, never by a download.

```
sds3d models                     # the table, and what is on this disk
sds3d models fetch sd15          # only the files that are read, resumed, checked by SHA-256
sds3d run "a fox" prior=sd15     # fetches it first if it is not here
sds3d run "a fox" prior=sd15 --dry-run --gpu-gb 12    # predicted memory and time; makes nothing
sds3d run "a fox" prior=./my-model --offline          # a folder of yours; nothing is asked of the network
```

"""

_TAIL = """
## Where a model is looked for
In this order: the folders in `SDS3D_MODELS` (separated as in PATH) and `./models`, each with a subfolder of \
the model's or the repository's name; then the cache that the hub's tools share (`HF_HUB_CACHE`). With `--offline` or \
`HF_HUB_OFFLINE=1` nothing is fetched, and what is missing is listed at once with the place where it goes. A gated \
model needs its terms accepted on its page and `hf auth login`. Pickled weights and code that comes with a \
model are refused.

## Your own
`./models.yaml` or `~/.config/sds3d/models.yaml` (the first wins, both win over the built-in table):
```yaml
models:
  my-fox:
    title: My fine-tuned 1.5
    family: stable-diffusion      # see the families above
    folder: /data/my-fox          # or repositories: [{id: owner/name, revision: main}]
    licence: mine
  fox-lora:
    title: A LoRA on it
    base: my-fox
    folder: /data/loras
    loras: [fox.safetensors]
```
`prior: my-fox` then works everywhere, and a single file does too: `prior: ./fox.safetensors` takes tokenizers and \
configs from the model that its tensors' names give away.

## Memory
`prior.memory` is `auto` (the first that is predicted to fit the free memory of the GPU, said at the start), `roomy` \
(everything on the GPU), `lean` (the autoencoder takes one view at a time and computes its activations twice) or \
`offload` (besides, the denoiser's layers stay in main memory and come one by one). `prior.vae_precision=bfloat16`, \
fewer `optimize.views` and a smaller `prior.size` need less in each. Text encoders are loaded for one call and let go.
"""


def page() -> str:
    """The page's text."""
    rows = [
        "| name | model | family | pixels | predicts | fetch | VRAM, predicted | licence | commercial use | good for |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows += [_row(name, entry) for name, entry in built_in().items()]
    places = ["", "## Repositories", "Tried in order; `checked` is how far a name was verified.", ""]
    places += ["| name | repository | revision | checked | |", "|---|---|---|---|---|"]
    for name, entry in built_in().items():
        for one in entry.repositories:
            note = one.note + ("; gated" if entry.gated and one.note else "gated" if entry.gated else "")
            places.append(f"| `{name}` | {one.id} | {one.revision} | {one.checked} | {note} |")
    return _HEAD + "\n".join(rows) + "\n" + "\n".join(places) + "\n" + _TAIL


def _row(name: str, entry: ModelEntry) -> str:
    base = built_in()[entry.base] if entry.base else entry
    cells = (
        f"`{name}`",
        entry.title,
        base.family or "no adapter yet",
        str(base.size or ""),
        base.prediction or "",
        f"{entry.download_gb:g} GB" if entry.download_gb else "",
        f"{base.vram_gb:g} GB" if base.vram_gb else "not predicted",
        entry.licence,
        entry.commercial,
        entry.use,
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
