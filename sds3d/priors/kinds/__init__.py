"""One file a kind of prior, found by scanning."""
