// Sixteen float lanes, the same interface on every instruction set.
//
// A kernel file is compiled once per instruction set, with SDS3D_ISA naming the set and -march giving it; all
// code lies in that namespace (and is static), so that the linker can never mix two sets' functions. Kernel
// files include no C++ standard headers with templates for the same reason.
//
//   F: 16 floats.  M: 16 booleans.
//   splat load store (aligned to 64 bytes) loadu;  halves(a, b) = a in lanes 0-7, b in lanes 8-15
//   + - *, fma(a, b, c) = a b + c, fnma(a, b, c) = c - a b, min max sqrt floor
//   a < b, a > b, a >= b -> M;  & and andnot(a, b) = a and not b;  any(m);  bits(m): bit i is lane i
//   select(m, a, b) = a where m, else b;  keep(m, a) = a where m, else 0
//   recip(a): 1/a to float precision for normal a.  exp2neg(a): 2^a for a <= 0, relative error 2e-7
//   sums12(v, out): sums of 12 vectors; out[4k + j] = sum of v[4j + k]; out[3], out[7], ... are 0
//   transpose(v): 16 vectors as a matrix.
//   cover(edge): 8x8 block mask; lanes r and 8 + r are the first and last block (whole numbers) of row r,
//                first in 0..8, last in -1..7; bit 8 r + c is set for first <= c <= last
#pragma once
#include <stdint.h>

#define SDS3D_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BW__)
#include "simd_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "simd_avx2.h"
#else
#include "simd_base.h"
#endif

namespace SDS3D_ISA {

// Minimax polynomial of 2^f on [0, 1], relative error 8e-8 before rounding.
SDS3D_INLINE F exp2_polynomial(F f) {
    F p = splat(0.0018775766802648973f);
    p = fma(p, f, splat(0.00898934028353325f));
    p = fma(p, f, splat(0.05582631767084446f));
    p = fma(p, f, splat(0.24015361728432333f));
    p = fma(p, f, splat(0.6931530731468372f));
    return fma(p, f, splat(0.9999999250665456f));
}

SDS3D_INLINE F exp2neg(F x) { return exp2neg_with(x, exp2_polynomial(exp2_fraction(x))); }

}  // namespace SDS3D_ISA
