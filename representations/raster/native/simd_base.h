// simd.h in GCC/Clang vector extensions: four vectors of four lanes, on any processor.
#pragma once
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace SDS3D_ISA {

typedef float Quad __attribute__((vector_size(16)));
typedef int32_t QuadInt __attribute__((vector_size(16)));

struct F {
    Quad q[4];
};
struct M {
    QuadInt q[4];
};

#define SDS3D_EACH(expression)                         \
    F r;                                               \
    for (int i = 0; i < 4; ++i) r.q[i] = (expression); \
    return r
#define SDS3D_EACH_MASK(expression)                    \
    M r;                                               \
    for (int i = 0; i < 4; ++i) r.q[i] = (expression); \
    return r

constexpr int kChains = 3;  // independent chains of fma that fit the registers

SDS3D_INLINE F splat(float x) { SDS3D_EACH((Quad{x, x, x, x})); }
SDS3D_INLINE F halves(float x, float y) {
    return {{Quad{x, x, x, x}, Quad{x, x, x, x}, Quad{y, y, y, y}, Quad{y, y, y, y}}};
}
SDS3D_INLINE F load(const float* p) {
    F r;
    __builtin_memcpy(&r, __builtin_assume_aligned(p, 64), sizeof r);
    return r;
}
SDS3D_INLINE F loadu(const float* p) {
    F r;
    __builtin_memcpy(&r, p, sizeof r);
    return r;
}
SDS3D_INLINE void store(float* p, F x) { __builtin_memcpy(__builtin_assume_aligned(p, 64), &x, sizeof x); }
SDS3D_INLINE F operator+(F x, F y) { SDS3D_EACH(x.q[i] + y.q[i]); }
SDS3D_INLINE F operator-(F x, F y) { SDS3D_EACH(x.q[i] - y.q[i]); }
SDS3D_INLINE F operator*(F x, F y) { SDS3D_EACH(x.q[i] * y.q[i]); }
SDS3D_INLINE F fma(F x, F y, F z) { SDS3D_EACH(x.q[i] * y.q[i] + z.q[i]); }
SDS3D_INLINE F fnma(F x, F y, F z) { SDS3D_EACH(z.q[i] - x.q[i] * y.q[i]); }
SDS3D_INLINE Quad pick(QuadInt m, Quad x, Quad y) { return (Quad)((m & (QuadInt)x) | (~m & (QuadInt)y)); }
SDS3D_INLINE F min(F x, F y) { SDS3D_EACH(pick(x.q[i] < y.q[i], x.q[i], y.q[i])); }
SDS3D_INLINE F max(F x, F y) { SDS3D_EACH(pick(x.q[i] > y.q[i], x.q[i], y.q[i])); }
SDS3D_INLINE F sqrt(F x) {
    F r;
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) r.q[i][j] = __builtin_sqrtf(x.q[i][j]);
    return r;
}
// for |x| < 2^31
SDS3D_INLINE Quad floor4(Quad x) {
    const Quad t = __builtin_convertvector(__builtin_convertvector(x, QuadInt), Quad);
    return t - (Quad)((QuadInt)(t > x) & (QuadInt)Quad{1.f, 1.f, 1.f, 1.f});
}
SDS3D_INLINE F floor(F x) { SDS3D_EACH(floor4(x.q[i])); }
SDS3D_INLINE F recip(F x) { SDS3D_EACH(1.f / x.q[i]); }

SDS3D_INLINE M operator<(F x, F y) { SDS3D_EACH_MASK(x.q[i] < y.q[i]); }
SDS3D_INLINE M operator>(F x, F y) { SDS3D_EACH_MASK(x.q[i] > y.q[i]); }
SDS3D_INLINE M operator>=(F x, F y) { SDS3D_EACH_MASK(x.q[i] >= y.q[i]); }
SDS3D_INLINE M operator&(M x, M y) { SDS3D_EACH_MASK(x.q[i] & y.q[i]); }
SDS3D_INLINE M andnot(M x, M y) { SDS3D_EACH_MASK(x.q[i] & ~y.q[i]); }
#if defined(__SSE2__)
SDS3D_INLINE uint32_t bits4(QuadInt m) { return (uint32_t)_mm_movemask_ps((__m128)m); }
#else
SDS3D_INLINE uint32_t bits4(QuadInt m) { return (uint32_t)((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8)); }
#endif
SDS3D_INLINE uint32_t bits(M x) {
    return bits4(x.q[0]) | (bits4(x.q[1]) << 4) | (bits4(x.q[2]) << 8) | (bits4(x.q[3]) << 12);
}
SDS3D_INLINE bool any(M x) { return bits4((x.q[0] | x.q[1]) | (x.q[2] | x.q[3])) != 0; }
SDS3D_INLINE F select(M m, F x, F y) { SDS3D_EACH(pick(m.q[i], x.q[i], y.q[i])); }
SDS3D_INLINE F keep(M m, F x) { SDS3D_EACH((Quad)(m.q[i] & (QuadInt)x.q[i])); }

SDS3D_INLINE F exp2_fraction(F x) {
    const F y = max(x, splat(-126.f));
    return y - floor(y);
}
SDS3D_INLINE F exp2neg_with(F x, F p) {
    const F low = splat(-126.f), y = max(x, low);
    F r;
    for (int i = 0; i < 4; ++i) {
        const QuadInt n = __builtin_convertvector(floor4(y.q[i]), QuadInt);
        r.q[i] = (Quad)((QuadInt)p.q[i] + (n << 23));
    }
    return keep(x >= low, r);
}

SDS3D_INLINE void sums12(const F* v, float* out) {
    for (int j = 0; j < 4; ++j)
        for (int k = 0; k < 4; ++k) {
            if (j == 3) {
                out[4 * k + j] = 0.f;
                continue;
            }
            const F& x = v[4 * j + k];
            const Quad s = (x.q[0] + x.q[1]) + (x.q[2] + x.q[3]);
            out[4 * k + j] = (s[0] + s[1]) + (s[2] + s[3]);
        }
}
SDS3D_INLINE void transpose(F* v) {
    float t[16][16], u[16][16];
    __builtin_memcpy(t, v, sizeof t);
    for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 16; ++j) u[j][i] = t[i][j];
    __builtin_memcpy(v, u, sizeof u);
}
SDS3D_INLINE uint64_t cover(F edge) {
    uint64_t mask = 0;
    for (int r = 0; r < 8; ++r) {
        const int first = (int)edge.q[r >> 2][r & 3], last = (int)edge.q[2 + (r >> 2)][r & 3];
        mask |= (uint64_t)((0xFFu << first) & (0xFFu >> (7 - last)) & 0xFFu) << (8 * r);
    }
    return mask;
}

#undef SDS3D_EACH
#undef SDS3D_EACH_MASK

}  // namespace SDS3D_ISA
