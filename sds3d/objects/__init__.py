"""Procedural objects with names: what the embedded prior is trained on, and the true shape behind a sentence."""
