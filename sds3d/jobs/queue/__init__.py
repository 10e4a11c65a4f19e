"""A queue of runs, worked off by processes apart: what a server, or a lab's shared machine, leaves running."""
