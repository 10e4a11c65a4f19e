"""Configs of other tools as ours: what means the same, what means something else, and what has no counterpart."""
