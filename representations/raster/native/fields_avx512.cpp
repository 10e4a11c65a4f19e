#define SDS3D_ISA sds3d_avx512
#include "fields_kernel.h"

const sds3d::FieldKernels& sds3d::field_kernels_avx512() { return SDS3D_ISA::kFieldKernels; }
