// The Gaussian kernels of one instruction set: the including file names it (SDS3D_ISA) and is compiled for it.
#pragma once
#include "gaussians.h"

namespace SDS3D_ISA {
using namespace sds3d;
}

#include "simd.h"

#include "gaussians_composite.h"
#include "gaussians_project.h"
#include "gaussians_project_backward.h"

namespace SDS3D_ISA {

// What this processor can do at most: chains enough to fill its pipelines, all in registers.
static float multiply_adds(int64_t repeats, double* flops) {
    F chain[kChains];
    for (int k = 0; k < kChains; ++k) chain[k] = splat((float)k);
    const F factor = splat(0.999f), term = splat(1e-3f);
    for (int64_t i = 0; i < repeats; ++i)
        for (int k = 0; k < kChains; ++k) chain[k] = fma(chain[k], factor, term);
    for (int k = 1; k < kChains; ++k) chain[0] = chain[0] + chain[k];
    alignas(64) float out[kLanes];
    store(out, chain[0]);
    *flops += 2.0 * kLanes * kChains * (double)repeats;
    return out[0];
}

static constexpr Kernels kKernels = {project, composite, composite_backward, project_backward, multiply_adds};
}  // namespace SDS3D_ISA
