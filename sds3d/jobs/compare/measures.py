"""The numbers of a comparison: what they mean, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    Args:
        name: its key. label: heading of a column. unit: "" for none. better: which way, "" where neither is better.
        share: whether a run has it (1) or not (0), so that means are shares of runs. digits: after the point.
        told: what it means, in a sentence.
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower", ""]
    share: bool
    digits: int
    told: str


MEASURES = (
    Measure("r1", "R@1", "", "higher", True, 2, "Share of runs whose caption the judge ranks first of 1404."),
    Measure("r5", "R@5", "", "higher", True, 2, "Share of runs whose caption is among the judge's first five."),
    Measure("cosine", "Cosine", "", "higher", False, 3, "The judge's cosine of renders and caption."),
    Measure(
        "psnr", "PSNR", "dB", "higher", False, 2, "Against the known asset inside its outline, over 16 unseen views."
    ),
    Measure(
        "iou", "IoU", "", "higher", False, 3,
        "Silhouettes against the typical shape of the prompt's object: eight views at elevation 15°, or the picture's "
        "told camera.",
    ),
    Measure(
        "iou_turned", "IoU, turned", "", "higher", False, 3,
        "The same at the best heading: what is wrong beside the object facing elsewhere.",
    ),
    Measure(
        "second_face", "Second face", "", "lower", True, 2,
        "Share of runs that show the true object's front from more than one side (objects with a front).",
    ),
    Measure(
        "judged_faces", "Two fronts to the judge", "", "lower", True, 2,
        "Share of runs whose front-or-back profile over azimuth, as the judge sees it, repeats twice a turn.",
    ),
    Measure(
        "heading_error", "Heading error", "°", "lower", False, 0,
        "Median distance of the seen side to the camera's azimuth, after the best turn of the whole object.",
    ),
    Measure(
        "consistency", "View consistency", "", "higher", False, 3,
        "Mean cosine of the judge's vectors of neighbouring views, 15° apart.",
    ),
    Measure("saturation", "Saturation", "", "", False, 2, "Mean saturation of the object's pixels (HSV)."),
    Measure("clipped", "Clipped", "", "lower", False, 2, "Share of the object's pixels at an end of the scale."),
    Measure("steps", "Steps", "", "", False, 0, "Optimisation steps."),
    Measure(
        "calls", "Network calls", "", "", False, 0,
        "Predictions of the prior's network a view over the run, a critic's training included.",
    ),
    Measure("pictures", "Pictures", "", "", False, 0, "Pictures that went through the network: calls times views."),
    Measure("seconds", "Seconds", "s", "lower", False, 1, "Training alone, without export and pictures."),
    Measure("peak", "Peak memory", "MB", "lower", False, 0, "Of the process, or of the GPU where one is in use."),
)  # fmt: skip
"""In the order of the table's columns."""
