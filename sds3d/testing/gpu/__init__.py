"""The first day on a GPU: checks of everything that could not be run where sds3d was built; see docs/gpu.md."""
