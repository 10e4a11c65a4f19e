"""The kinds of sounds, one shelf a file; found by scanning."""
