#define SDS3D_ISA sds3d_baseline
#include "gaussians_kernel.h"

const sds3d::Kernels& sds3d::kernels_baseline() { return SDS3D_ISA::kKernels; }
