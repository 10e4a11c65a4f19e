"""The rasterization core: one signature a function, a native and a plain-torch implementation behind it."""
