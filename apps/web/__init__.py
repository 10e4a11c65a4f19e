"""A plain web page over run folders."""
