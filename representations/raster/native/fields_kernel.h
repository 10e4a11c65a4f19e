// The kernels of neural fields of one instruction set: the including file names it (SDS3D_ISA) and is compiled for it.
#pragma once
#include "fields.h"

namespace SDS3D_ISA {
using namespace sds3d;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // functions of wide vectors: every one is inlined
#endif

#include "simd.h"

#include "fields_hash_grid.h"
#include "fields_perceptron.h"

namespace SDS3D_ISA {
static constexpr FieldKernels kFieldKernels = {encode, encode_back, encode_points_back, perceptron, perceptron_back};
}  // namespace SDS3D_ISA
