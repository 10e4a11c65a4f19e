// simd.h on AVX-512 (F, DQ, VL, BW).
#pragma once
#include <immintrin.h>

namespace SDS3D_ISA {

struct F {
    __m512 v;
};
struct M {
    __mmask16 k;
};

constexpr int kChains = 12;  // independent chains of fma that fit the registers

SDS3D_INLINE F splat(float a) { return {_mm512_set1_ps(a)}; }
SDS3D_INLINE F halves(float a, float b) { return {_mm512_mask_mov_ps(_mm512_set1_ps(a), 0xFF00, _mm512_set1_ps(b))}; }
SDS3D_INLINE F load(const float* p) { return {_mm512_load_ps(p)}; }
SDS3D_INLINE F loadu(const float* p) { return {_mm512_loadu_ps(p)}; }
SDS3D_INLINE void store(float* p, F a) { _mm512_store_ps(p, a.v); }
SDS3D_INLINE F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
SDS3D_INLINE F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
SDS3D_INLINE F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
SDS3D_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SDS3D_INLINE F fnma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
SDS3D_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
SDS3D_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
SDS3D_INLINE F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
SDS3D_INLINE F floor(F a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }
SDS3D_INLINE F recip(F a) {
    const __m512 r = _mm512_rcp14_ps(a.v);
    return {_mm512_fmadd_ps(_mm512_fnmadd_ps(a.v, r, _mm512_set1_ps(1.f)), r, r)};
}

SDS3D_INLINE M operator<(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
SDS3D_INLINE M operator>(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
SDS3D_INLINE M operator>=(F a, F b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
SDS3D_INLINE M operator&(M a, M b) { return {(__mmask16)(a.k & b.k)}; }
SDS3D_INLINE M andnot(M a, M b) { return {(__mmask16)(a.k & ~b.k)}; }
SDS3D_INLINE bool any(M a) { return a.k != 0; }
SDS3D_INLINE uint32_t bits(M a) { return a.k; }
SDS3D_INLINE F select(M m, F a, F b) { return {_mm512_mask_mov_ps(b.v, m.k, a.v)}; }
SDS3D_INLINE F keep(M m, F a) { return {_mm512_maskz_mov_ps(m.k, a.v)}; }

// x - floor(x), and p 2^floor(x)
SDS3D_INLINE F exp2_fraction(F x) { return {_mm512_reduce_ps(x.v, 0x09)}; }
SDS3D_INLINE F exp2neg_with(F x, F p) { return {_mm512_scalef_ps(p.v, x.v)}; }

SDS3D_INLINE __m512 fold4(const F* v) {
    const __m512 ab =
        _mm512_add_ps(_mm512_shuffle_f32x4(v[0].v, v[1].v, 0x44), _mm512_shuffle_f32x4(v[0].v, v[1].v, 0xEE));
    const __m512 cd =
        _mm512_add_ps(_mm512_shuffle_f32x4(v[2].v, v[3].v, 0x44), _mm512_shuffle_f32x4(v[2].v, v[3].v, 0xEE));
    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
}
SDS3D_INLINE void sums12(const F* v, float* out) {
    const __m512 a = fold4(v), b = fold4(v + 4), c = fold4(v + 8), z = _mm512_setzero_ps();
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cz = _mm512_add_ps(_mm512_unpacklo_ps(c, z), _mm512_unpackhi_ps(c, z));
    _mm512_store_ps(out, _mm512_add_ps(_mm512_shuffle_ps(ab, cz, 0x44), _mm512_shuffle_ps(ab, cz, 0xEE)));
}

SDS3D_INLINE void transpose(F* v) {
    __m512 t[16], u[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i].v, v[i + 1].v);
        t[i + 1] = _mm512_unpackhi_ps(v[i].v, v[i + 1].v);
    }
    for (int i = 0; i < 16; i += 4) {
        u[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xEE);
        u[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
    for (int j = 0; j < 4; ++j) {
        const __m512 low = _mm512_shuffle_f32x4(u[j], u[4 + j], 0x88),
                     low2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0x88);
        const __m512 high = _mm512_shuffle_f32x4(u[j], u[4 + j], 0xDD),
                     high2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0xDD);
        v[j].v = _mm512_shuffle_f32x4(low, low2, 0x88);
        v[8 + j].v = _mm512_shuffle_f32x4(low, low2, 0xDD);
        v[4 + j].v = _mm512_shuffle_f32x4(high, high2, 0x88);
        v[12 + j].v = _mm512_shuffle_f32x4(high, high2, 0xDD);
    }
}

SDS3D_INLINE uint64_t cover(F edge) {
    const __m512i i = _mm512_cvttps_epi32(edge.v);
    const __m256i first = _mm512_castsi512_si256(i), last = _mm512_extracti64x4_epi64(i, 1),
                  ones = _mm256_set1_epi32(0xFF);
    const __m256i rows = _mm256_and_si256(_mm256_sllv_epi32(ones, first),
                                          _mm256_srlv_epi32(ones, _mm256_sub_epi32(_mm256_set1_epi32(7), last)));
    return (uint64_t)_mm_cvtsi128_si64(_mm256_cvtepi32_epi8(rows));
}

}  // namespace SDS3D_ISA
