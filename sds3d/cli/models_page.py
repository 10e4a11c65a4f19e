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
model needs its terms accepted on its page and `hf auth login`. An interrupted fetch goes on where it stopped, within \
a file too (`*.partial`), and every large file is checked by its SHA-256.

## Pickles and foreign code
Pickled weights (.ckpt, .bin, .pt) and Python code that comes with a model are refused, since either can run any \
program. You allow them by name, in a config or under `prior:` of a models.yaml:
```
sds3d run "a fox" prior=./old-model 'prior.allow_pickle=[unet/diffusion_pytorch_model.bin]'
sds3d run "a fox" prior.kind=diffusers prior.folder=sd15 prior.file=fox.ckpt 'prior.allow_pickle=[fox.ckpt]'
sds3d run "a fox" prior=./their-model 'prior.trust_remote_code=[their-model]'
```
Even a named pickle is opened by torch's restricted reader, which makes tensors and runs nothing. Foreign code is run \
only for components whose class has the name of one that the families below know.

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
| `prior.memory` | what it does | what it costs |
|---|---|---|
| `roomy` | everything stays on the GPU | nothing |
| `lean` | the autoencoder takes one view at a time and computes its activations twice | its encoder runs twice |
| `tight` | nothing of a view is kept but its pixels | its encoder runs three times |
| `offload` | besides, layers of denoiser and text encoders come one by one from main memory | their traffic |

`auto` takes the first that is predicted to fit the free memory of the GPU and says so. Results and gradients are the \
same in all four (tested on tiny models of the true architectures). Besides: `prior.vae_precision=bfloat16`, fewer \
`optimize.views`, a smaller `prior.size`; `prior.vae_tiles=512` lets the autoencoder take larger pictures in \
overlapping tiles, which is an approximation. Text encoders are loaded for one call and let go, and their tensors are \
kept on disk.

`prior.quantize` holds the denoiser's linear layers in fewer bits:

| value | package | bits a weight | runs on | tested here |
|---|---|---|---|---|
| `torchao-int8` | `pip install torchao` | 8 | CPU, GPU | tiny models on the CPU, where the package is installed |
| `quanto-int8`, `quanto-int4` | `pip install optimum-quanto` | 8, 4.25 | CPU, GPU | tiny models on the CPU |
| `bnb-int8`, `bnb-nf4` | `pip install bitsandbytes` | 8, 4.5 | GPU | by a fake only: it needs a GPU |
| a `.gguf` file as `prior.file` | `pip install gguf` | the file's | CPU, GPU | tiny models on the CPU |

Predicted, not measured: FLUX.1 dev with `bnb-nf4` and `prior.memory=tight` needs 16.4 GB for 4 views of 1024 px \
(33.4 GB without). A critic (VSD) can be trained on quantised layers; LoRA files and `offload` do not go together with \
them.

## Speed
`prior.compile`, `prior.channels_last` and `prior.attention` change how fast a network computes and nothing else. What \
they do on one CPU is in docs/performance.md (`python benchmarks/published.py` measures yours); on GPUs nothing was \
measured here.

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
        f"{entry.download_gb:g} GB" if entry.download_gb else "in the box" if entry.in_the_box else "",
        f"{base.vram_gb:g} GB" if base.vram_gb else "not predicted",
        entry.licence,
        entry.commercial,
        entry.use,
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
