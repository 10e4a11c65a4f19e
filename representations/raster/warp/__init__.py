"""The rasterization core as NVIDIA Warp kernels: one Python source for CUDA devices and, in tests, the CPU.

Modules that hold kernels import `warp` at their top, so they are imported only when a call was given to them;
`runtime` can be asked whether Warp is there at no cost. Warp runs kernels serially on a CPU, so races cannot
show in tests: threads share nothing but atomic adds, one output element has one writer, and each kernel says
why that holds.
"""
