#define SDS3D_ISA sds3d_avx2
#include "fields_kernel.h"

const sds3d::FieldKernels& sds3d::field_kernels_avx2() { return SDS3D_ISA::kFieldKernels; }
