// The z-buffer of one band of rows. Included by triangles.cpp once per instruction set.
//
// All arithmetic is in double and without fused multiply-adds (CMakeLists.txt), in the order of the twin: both
// find the same face at every pixel, and the two sides of an edge cancel exactly.

#if defined(TRIANGLES_AVX512)
constexpr int kWidth = 8;
#elif defined(TRIANGLES_AVX2)
constexpr int kWidth = 4;
#else
constexpr int kWidth = 2;
#endif
static_assert(kWidth <= kLanes, "rows are padded for kLanes");

typedef double Doubles __attribute__((vector_size(8 * kWidth)));
typedef int64_t Longs __attribute__((vector_size(8 * kWidth)));
typedef float Floats __attribute__((vector_size(4 * kWidth)));
typedef int32_t Ints __attribute__((vector_size(4 * kWidth)));

template <class Vector, class T>
static inline Vector read(const T *p) {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class Vector, class T>
static inline void write(T *p, const Vector &v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// Whether any lane's sign bit is set.
static inline bool any(const Longs &m) {
#if defined(TRIANGLES_AVX512)
    return _mm512_movepi64_mask((__m512i)m) != 0;
#elif defined(TRIANGLES_AVX2)
    return _mm256_movemask_pd((__m256d)m) != 0;
#else
    return (m[0] | m[1]) < 0;
#endif
}

struct Box {
    int x0, y0, x1, y1;  // columns and rows whose centres may be covered, half open
};

// First pixel whose centre is not before `low`, and one past the last that is not after `high`, in [0, size].
static inline int first_centre(double low, int size) {
    const double c = low - 0.5;
    return c <= 0 ? 0 : c >= size ? size : int(c) + (double(int(c)) < c);
}
static inline int end_centre(double high, int size) {
    const double c = high - 0.5;
    return c < 0 ? 0 : c >= size - 1 ? size : int(c) + 1;
}

struct Extent {
    double x0 = 1e300, y0 = 1e300, x1 = -1e300, y1 = -1e300;

    void add(double x, double y) {
        x0 = x < x0 ? x : x0;
        x1 = x > x1 ? x : x1;
        y0 = y < y0 ? y : y0;
        y1 = y > y1 ? y : y1;
    }
    // Rounding of the seen points is far under the margin; coverage itself is decided by the edges.
    Box box(const View &view, const Band &band) const {
        const double mx = 1e-9 * (1.0 + (x1 - x0)), my = 1e-9 * (1.0 + (y1 - y0));
        Box b = {first_centre(x0 - mx, view.width), first_centre(y0 - my, view.height),
                 end_centre(x1 + mx, view.width), end_centre(y1 + my, view.height)};
        if (b.y0 < band.first) b.y0 = band.first;
        if (b.y1 > band.last) b.y1 = band.last;
        return b;
    }
};

// Where the part of a triangle beyond the near plane is seen.
static inline Extent extent_of(const View &view, const int32_t *corner, const float *const *p) {
    Extent extent;
    for (int i = 0; i < 3; i++) {
        const float *a = p[i], *b = p[i == 2 ? 0 : i + 1];
        const bool front = a[2] > view.near;
        if (front) extent.add(view.points[corner[i]].x, view.points[corner[i]].y);
        if (front == (b[2] > view.near)) continue;
        // always from the same end, so that neighbours cut their edge at the same place
        const float *in = front ? a : b, *out = front ? b : a;
        const double t = (double(in[2]) - view.near) / (double(in[2]) - double(out[2]));
        const double scale = view.focal / view.near;
        extent.add(scale * (in[0] + t * (double(out[0]) - in[0])) + 0.5 * view.width,
                   scale * (in[1] + t * (double(out[1]) - in[1])) + 0.5 * view.height);
    }
    return extent;
}

constexpr double kTiny = 1e-300;

// A corner's edge function x u + y v + z: positive on one side of the opposite edge.
struct Edge {
    double x, y, z;
    double positive, negative;  // thresholds: a centre on the edge counts as a hair to the right, then below
};

static inline Edge edge_of(const float *a, const float *b, double focal) {
    const double ax = a[0], ay = a[1], az = a[2], bx = b[0], by = b[1], bz = b[2];
    Edge e;
    e.x = ay * bz - az * by;
    e.y = az * bx - ax * bz;
    e.z = (ax * by - ay * bx) * focal;
    e.positive = e.x > 0 || (e.x == 0 && e.y > 0) ? 0.0 : kTiny;
    e.negative = e.x < 0 || (e.x == 0 && e.y < 0) ? 0.0 : -kTiny;
    return e;
}

static inline void scan_row(const View &view, const Band &band, const Edge *edges, const double *z, int y, int x0,
                            int x1, int32_t face) {
    const double v = y + 0.5 - 0.5 * view.height;
    const size_t row = size_t(y - band.first) * band.stride;
    double base[3];
    for (int i = 0; i < 3; i++) base[i] = edges[i].y * v + edges[i].z;
    for (int x = x0; x < x1; x += kWidth) {
        const Doubles u = read<Doubles>(band.u + x);
        const Doubles e0 = edges[0].x * u + base[0], e1 = edges[1].x * u + base[1], e2 = edges[2].x * u + base[2];
        const Longs in = ((e0 >= edges[0].positive) & (e1 >= edges[1].positive) & (e2 >= edges[2].positive)) |
                         ((e0 <= edges[0].negative) & (e1 <= edges[1].negative) & (e2 <= edges[2].negative));
        if (!any(in)) continue;
        const Doubles inverse = 1.0 / (e0 + e1 + e2);
        const Doubles depth = (e0 * z[0] + e1 * z[1] + e2 * z[2]) * inverse;
        const Floats near = __builtin_convertvector(depth, Floats), old = read<Floats>(band.depth + row + x);
        const Longs seen = in & (depth > view.near);
        const Ints closer = __builtin_convertvector(seen, Ints) & (near < old);
        write(band.depth + row + x, (Floats)(closer ? (Ints)near : (Ints)old));
        write(band.face + row + x, closer ? face - Ints{} : read<Ints>(band.face + row + x));
        const Doubles e[3] = {e0, e1, e2};
        for (int i = 0; i < 3; i++) {
            const Floats weight = __builtin_convertvector(e[i] * inverse, Floats);
            float *at = band.weights[i] + row + x;
            write(at, closer ? (Ints)weight : read<Ints>(at));
        }
    }
}

static void scan(const View &view, const Band &band) {
    for (int64_t f = 0; f < view.face_count; f++) {
        const int32_t *corner = view.faces + 3 * f;
        const float *p[3];
        for (int i = 0; i < 3; i++) p[i] = view.positions + 3 * int64_t(corner[i]);
        Extent extent;
        if (p[0][2] > view.near && p[1][2] > view.near && p[2][2] > view.near)
            for (int i = 0; i < 3; i++) extent.add(view.points[corner[i]].x, view.points[corner[i]].y);
        else
            extent = extent_of(view, corner, p);
        const Box box = extent.box(view, band);
        if (box.x0 >= box.x1 || box.y0 >= box.y1) continue;
        const Edge edges[3] = {edge_of(p[1], p[2], view.focal), edge_of(p[2], p[0], view.focal),
                               edge_of(p[0], p[1], view.focal)};
        const double z[3] = {p[0][2], p[1][2], p[2][2]};
        for (int y = box.y0; y < box.y1; y++) scan_row(view, band, edges, z, y, box.x0, box.x1, int32_t(f));
    }
}
