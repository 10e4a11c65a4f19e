#define SDS3D_ISA sds3d_avx512
#include "gaussians_kernel.h"

const sds3d::Kernels& sds3d::kernels_avx512() { return SDS3D_ISA::kKernels; }
