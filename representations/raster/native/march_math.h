// Eight-float vectors and the two functions that the kernels need. Included once per instruction set, inside
// the namespace of that build (no include guard on purpose).

typedef float v8 __attribute__((vector_size(32)));
typedef float v8u __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v4 __attribute__((vector_size(16)));
typedef float v4u __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t i8 __attribute__((vector_size(32)));

#define MARCH_INLINE static inline __attribute__((always_inline))

MARCH_INLINE v8 splat(float a) { return v8{a, a, a, a, a, a, a, a}; }
MARCH_INLINE v8 load(const float *p) { return *reinterpret_cast<const v8u *>(p); }
MARCH_INLINE void store(float *p, v8 a) { *reinterpret_cast<v8u *>(p) = a; }
MARCH_INLINE v4 load4(const float *p) { return *reinterpret_cast<const v4u *>(p); }
MARCH_INLINE void store4(float *p, v4 a) { *reinterpret_cast<v4u *>(p) = a; }
MARCH_INLINE v8 max(v8 a, v8 b) { return a > b ? a : b; }
MARCH_INLINE v8 min(v8 a, v8 b) { return a < b ? a : b; }
MARCH_INLINE v4 low(v8 a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3); }
MARCH_INLINE v4 high(v8 a) { return __builtin_shufflevector(a, a, 4, 5, 6, 7); }

// exp(x) = scale * (1 + q) for x <= 0 (below -80 as at -80). Splitting x = n ln 2 + r with |r| <= ln 2 / 2
// leaves a Taylor series of seven terms, error below 2 ulp.
struct Exponential {
    v8 scale, q;
};

MARCH_INLINE Exponential exponential(v8 x) {
    x = max(x, splat(-80.0f));
    const float to_integer = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    v8 shifted = x * 1.44269504f + to_integer;
    v8 n = shifted - to_integer;
    v8 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    v8 q = 1.98412698e-4f * r + 1.38888889e-3f;
    q = q * r + 8.33333333e-3f;
    q = q * r + 4.16666667e-2f;
    q = q * r + 1.66666667e-1f;
    q = q * r + 0.5f;
    q = q * r * r + r;
    // the low bits of `shifted` hold n: move it to the exponent of 1.0
    i8 bits = (((i8)shifted) << 23) + 0x3f800000;
    return {(v8)bits, q};
}

MARCH_INLINE v8 exp_of(Exponential e) { return e.scale * e.q + e.scale; }

// 1 - exp(x), accurate also where x is close to 0
MARCH_INLINE v8 one_minus_exp(v8 x) {
    Exponential e = exponential(x);
    return (1.0f - e.scale) - e.scale * e.q;
}

// log(1 + e) for e in [0, 1]: above sqrt(2) - 1 the argument is halved, then an odd-even series in f
MARCH_INLINE v8 log_one_plus(v8 e) {
    i8 large = e > 0.41421356f;
    v8 f = large ? (e - 1.0f) * 0.5f : e;
    v8 p = 7.0376836292e-2f * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    v8 y = f + f * f * (p * f - 0.5f);
    return large ? y + 0.693147181f : y;
}
