#define SDS3D_ISA sds3d_baseline
#include "fields_kernel.h"

const sds3d::FieldKernels& sds3d::field_kernels_baseline() { return SDS3D_ISA::kFieldKernels; }
