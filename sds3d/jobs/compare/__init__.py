"""Comparing methods: the same prompts, seeds, cameras and noise, and equal steps or equal network calls."""
