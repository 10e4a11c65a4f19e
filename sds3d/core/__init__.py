"""Shared vocabulary of every room: random streams, cameras, schedules, asset types, errors."""
