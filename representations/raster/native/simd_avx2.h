// simd.h on AVX2 with FMA: two vectors of eight lanes.
#pragma once
#include <immintrin.h>

namespace SDS3D_ISA {

struct F {
    __m256 a, b;
};
struct M {
    __m256 a, b;
};

constexpr int kChains = 6;  // independent chains of fma that fit the registers

SDS3D_INLINE F splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SDS3D_INLINE F halves(float x, float y) { return {_mm256_set1_ps(x), _mm256_set1_ps(y)}; }
SDS3D_INLINE F load(const float* p) { return {_mm256_load_ps(p), _mm256_load_ps(p + 8)}; }
SDS3D_INLINE F loadu(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SDS3D_INLINE void store(float* p, F x) {
    _mm256_store_ps(p, x.a);
    _mm256_store_ps(p + 8, x.b);
}
SDS3D_INLINE F operator+(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
SDS3D_INLINE F operator-(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
SDS3D_INLINE F operator*(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
SDS3D_INLINE F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
SDS3D_INLINE F fnma(F x, F y, F z) { return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)}; }
SDS3D_INLINE F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
SDS3D_INLINE F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
SDS3D_INLINE F sqrt(F x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
SDS3D_INLINE F floor(F x) { return {_mm256_floor_ps(x.a), _mm256_floor_ps(x.b)}; }
SDS3D_INLINE __m256 recip8(__m256 a) {
    const __m256 r = _mm256_rcp_ps(a);
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(a, r, _mm256_set1_ps(1.f)), r, r);
}
SDS3D_INLINE F recip(F x) { return {recip8(x.a), recip8(x.b)}; }

SDS3D_INLINE M operator<(F x, F y) {
    return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
SDS3D_INLINE M operator>(F x, F y) {
    return {_mm256_cmp_ps(x.a, y.a, _CMP_GT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GT_OQ)};
}
SDS3D_INLINE M operator>=(F x, F y) {
    return {_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)};
}
SDS3D_INLINE M operator&(M x, M y) { return {_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)}; }
SDS3D_INLINE M andnot(M x, M y) { return {_mm256_andnot_ps(y.a, x.a), _mm256_andnot_ps(y.b, x.b)}; }
SDS3D_INLINE uint32_t bits(M x) { return (uint32_t)_mm256_movemask_ps(x.a) | ((uint32_t)_mm256_movemask_ps(x.b) << 8); }
SDS3D_INLINE bool any(M x) { return _mm256_movemask_ps(_mm256_or_ps(x.a, x.b)) != 0; }
SDS3D_INLINE F select(M m, F x, F y) { return {_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)}; }
SDS3D_INLINE F keep(M m, F x) { return {_mm256_and_ps(m.a, x.a), _mm256_and_ps(m.b, x.b)}; }

SDS3D_INLINE F exp2_fraction(F x) { return x - floor(x); }
SDS3D_INLINE __m256 scale8(__m256 x, __m256 p) {
    const __m256 n = _mm256_floor_ps(_mm256_max_ps(x, _mm256_set1_ps(-126.f)));
    const __m256 scaled =
        _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvttps_epi32(n), 23)));
    return _mm256_and_ps(scaled, _mm256_cmp_ps(x, _mm256_set1_ps(-126.f), _CMP_GE_OQ));
}
SDS3D_INLINE F exp2neg_with(F x, F p) { return {scale8(x.a, p.a), scale8(x.b, p.b)}; }

// lanes 0-3: sums of the four vectors
SDS3D_INLINE __m128 fold4(const F* v) {
    const __m256 a = _mm256_add_ps(v[0].a, v[0].b), b = _mm256_add_ps(v[1].a, v[1].b);
    const __m256 c = _mm256_add_ps(v[2].a, v[2].b), d = _mm256_add_ps(v[3].a, v[3].b);
    const __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}
SDS3D_INLINE void sums12(const F* v, float* out) {
    __m128 a = fold4(v), b = fold4(v + 4), c = fold4(v + 8), z = _mm_setzero_ps();
    _MM_TRANSPOSE4_PS(a, b, c, z);
    _mm_store_ps(out, a);
    _mm_store_ps(out + 4, b);
    _mm_store_ps(out + 8, c);
    _mm_store_ps(out + 12, z);
}

SDS3D_INLINE void transpose8(__m256* r) {
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
    for (int j = 0; j < 4; ++j) {
        r[j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x20);
        r[4 + j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x31);
    }
}
SDS3D_INLINE void transpose(F* v) {
    __m256 q[4][8];
    for (int i = 0; i < 8; ++i) {
        q[0][i] = v[i].a;
        q[1][i] = v[i].b;
        q[2][i] = v[8 + i].a;
        q[3][i] = v[8 + i].b;
    }
    for (int k = 0; k < 4; ++k) transpose8(q[k]);
    for (int i = 0; i < 8; ++i) {
        v[i] = {q[0][i], q[2][i]};
        v[8 + i] = {q[1][i], q[3][i]};
    }
}

SDS3D_INLINE uint64_t cover(F edge) {
    const __m256i first = _mm256_cvttps_epi32(edge.a), last = _mm256_cvttps_epi32(edge.b),
                  ones = _mm256_set1_epi32(0xFF);
    const __m256i rows = _mm256_and_si256(_mm256_and_si256(_mm256_sllv_epi32(ones, first), ones),
                                          _mm256_srlv_epi32(ones, _mm256_sub_epi32(_mm256_set1_epi32(7), last)));
    const __m128i half = _mm_packus_epi32(_mm256_castsi256_si128(rows), _mm256_extracti128_si256(rows, 1));
    return (uint64_t)_mm_cvtsi128_si64(_mm_packus_epi16(half, half));
}

}  // namespace SDS3D_ISA
