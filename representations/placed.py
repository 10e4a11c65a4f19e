"""Where sds3d's world lies in the space of a file, as a config says it."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator, Field

from sds3d.config.options import Options
from sds3d.core.frame import UNTURNED, Frame, Vector, about_up

Turn = tuple[Vector, Vector, Vector]


def _rotation(turn: Turn) -> Turn:
    rows = torch.tensor(turn, dtype=torch.float64)
    if not torch.allclose(rows @ rows.T, torch.eye(3, dtype=torch.float64), atol=1e-6) or rows.det() < 0:
        raise ValueError(f"the rows of a turn are a rotation, got {list(turn)}")
    return turn


class Placed(Options):
    """A point of the file is centre + scale · turn · point of our world."""

    scale: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    """Units of the file in one of ours."""
    turn: Annotated[Turn, AfterValidator(_rotation)] = UNTURNED
    """Rows of a rotation, our axes to the file's."""
    centre: Vector = (0.0, 0.0, 0.0)
    """Where our origin lies in the file."""
    whole: bool = True
    """Scale and centre hold too; false: only the turn does, and they follow from what the file shows."""

    def frame(self, front_deg: float = 0.0) -> Frame:
        """The frame, turned on so that the front is at that azimuth."""
        turn = about_up(torch.tensor(self.turn, dtype=torch.float64), front_deg) if front_deg else self.turn
        return Frame(self.scale, turn, self.centre)

    @classmethod
    def of(cls, frame: Frame, whole: bool) -> Placed:
        """What says that frame."""
        return cls(scale=frame.scale, turn=frame.turn, centre=frame.centre, whole=whole)
