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
static constexpr Kernels kKernels = {project, composite, composite_backward, project_backward};
}
