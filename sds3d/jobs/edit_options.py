"""Options of an edit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sds3d.representations.edited import SceneEdit


class EditOptions(SceneEdit):
    """A run that edits something that exists: the run's prompt says what it shall become."""

    source: Annotated[str, Field(min_length=1)]
    """What is edited: a mesh or splat file, or a run folder, whose asset is meant."""
    prompt: str = ""
    """What it shows now; methods that compare with the original need these words."""
    strength: float = Field(default=1.0, ge=0.0, le=1.0)
    """How far it may go: 0 changes nothing, 1 is the method as it is; see docs/editing.md for what it turns."""
    fidelity: float = Field(default=0.0, ge=0.0)
    """Weight of half the squared difference between the training views and the original's, summed over a view's
    pixels; what `strength` adds comes on top."""
