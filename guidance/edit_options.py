"""What methods share that edit with InstructPix2Pix's triple."""

from __future__ import annotations

from sds3d.config.options import Scalar
from sds3d.core import schedules

from .options import GuidanceOptions
from .predictions import CFG
from .rules import Linear, guided
from .triple import Triple


class TripleOptions(GuidanceOptions):
    """Guidance by a prompt and a source, each by a scale of its own."""

    cfg_scale: Scalar = schedules.constant(7.5)
    """s in u + s (ti - i) + s_img (i - u)."""
    image_scale: Scalar = schedules.constant(1.5)
    """s_img: how strongly the source's picture, or on a prior that reads words alone its prompt, is kept."""

    def triple(self) -> Triple:
        """The guided prediction's combiner."""
        return Triple(self.cfg_scale, self.image_scale)

    def delta_of_triples(self) -> Linear:
        """eps_tgt at t minus eps_src at src; the source's branch has no words: u + s_img (i - u)."""
        source = guided(CFG(self.image_scale, positive="src"), at="src")
        return guided(self.triple()) - source
