"""RunState: everything that a run is at a step boundary."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.tree import Tree, tree_hash


@dataclass(frozen=True)
class RunState:
    """Explicit state of a run; two runs are in the same state exactly when their hashes agree.

    Args:
        step: steps done in this stage. stage: index of the stage.
        representation, optimizer, guidance: trees of tensors and plain values; a guidance that is None begins anew.
        config_hash: hash of the resolved config that made this state.
    """

    step: int
    stage: int
    representation: Tree
    optimizer: Tree
    guidance: Tree | None
    config_hash: str

    def tree(self) -> Tree:
        """The state as one tree, the form that is hashed and saved."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_tree(cls, tree: Tree) -> RunState:
        """The inverse of `tree`."""
        return cls(**tree)

    def hash(self) -> str:
        """32 hex digits over every bit of the state."""
        return tree_hash(self.tree())
