"""Procedural sounds with their captions: what the audio prior is trained on, and what is held out."""
