// Flat Gaussians on the CPU: what surfels_twin.py defines, forward and backward.
//
// Surfels are drawn one after another, nearest first, each over the pixels of its own box, eight of a row at a time;
// what a pixel has gathered is its state. Eights without an open pixel, or without one where the surfel counts, are left
// at once. The backward pass goes the other way and takes the transmittance apart again. A view is one unit of work and
// every gradient has one slice a view: results do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

namespace nb = nanobind;

// One source, a build for each instruction set that pays, chosen by the loader.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define INLINE inline __attribute__((always_inline))
#else
#define CLONES
#define INLINE inline
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // vector arguments: every such function is inlined
#endif

namespace surfels {

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int32_t, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using IntOut = nb::ndarray<int32_t, nb::c_contig, nb::device::cpu>;

constexpr float max_alpha = 0.999f, min_alpha = 1.0f / 255.0f, min_transmittance = 1e-4f, edge_on = 1e-9f;
constexpr int channels = 10, inputs = 18, lanes = 8;

typedef float F __attribute__((vector_size(4 * lanes)));
typedef int32_t I __attribute__((vector_size(4 * lanes)));  // as a mask: all bits of a lane, or none
typedef int64_t L __attribute__((vector_size(4 * lanes)));

template <class V, class T>
static INLINE V load(const T *p) {
    V v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class V, class T>
static INLINE void store(T *p, V v) {
    std::memcpy(p, &v, sizeof v);
}
static INLINE F splat(float x) { return x - F{}; }
static INLINE F keep(I mask, F v) { return (F)(mask & (I)v); }
static INLINE F magnitude(F v) { return (F)((I)v & 0x7fffffff); }
static INLINE bool any(I mask) {
    const L m = (L)mask;
    return (m[0] | m[1] | m[2] | m[3]) != 0;
}

// exp(-x) for x >= 0, to a few units in the last place. Below 2^-40 it is as good as 0.
static INLINE F exp_minus(F x) {
    F y = x * -1.44269504f;
    y = y > -40.0f ? y : splat(-40.0f);
    const I whole = __builtin_convertvector(y, I) - 1;
    const F f = y - __builtin_convertvector(whole, F);  // in (0, 1]
    const F g = (f - 1.0f) * 0.693147181f;
    const F p = 1.0f + g * (1.0f + g * (0.5f + g * (0.166666667f + g * (0.0416666667f + g * (0.00833333333f +
                g * (0.00138888889f + g * (0.000198412698f + g * 0.0000248015873f)))))));
    return (F)((whole + 1 + 127) << 23) * p;
}

struct Scene {
    const float *transform, *centre, *values, *opacities;
    const int32_t *order, *box;
    int64_t count;
    int height, width;
    float near;

    int64_t plane() const { return int64_t(height) * width; }
};

// One surfel at eight pixels of a row.
struct Seen {
    F k[3], u, v, third, z, weight, alpha;
    I met, counts;
};

struct Surfel {
    const float *t, *c;
    float opacity, near, l[3], y;

    Surfel(const Scene &s, int view, int64_t i)
        : t(s.transform + 9 * (view * s.count + i)), c(s.centre + 2 * (view * s.count + i)),
          opacity(s.opacities[i]), near(s.near) {}

    INLINE void row(int line) {
        y = float(line) + 0.5f;
        for (int j = 0; j < 3; j++) l[j] = y * t[6 + j] - t[3 + j];
    }

    INLINE Seen at(F x) const {
        Seen s;
        for (int j = 0; j < 3; j++) s.k[j] = x * t[6 + j] - t[j];
        const F p0 = s.k[1] * l[2] - s.k[2] * l[1], p1 = s.k[2] * l[0] - s.k[0] * l[2];
        const F p2 = s.k[0] * l[1] - s.k[1] * l[0];
        const I facing = magnitude(p2) > edge_on;
        s.third = facing ? p2 : splat(1.0f);
        const F inverse = 1.0f / s.third;
        s.u = p0 * inverse, s.v = p1 * inverse;
        const F inside = s.u * s.u + s.v * s.v, dx = x - c[0];
        const float dy = y - c[1];
        const F around = 2.0f * (dx * dx + dy * dy);
        s.met = facing & (inside <= around);
        s.z = s.met ? t[6] * s.u + t[7] * s.v + t[8] : splat(t[8]);
        s.weight = exp_minus(0.5f * (s.met ? inside : around));
        const F covered = opacity * s.weight;
        s.alpha = covered < max_alpha ? covered : splat(max_alpha);
        s.counts = (s.alpha >= min_alpha) & (s.z > near);
        return s;
    }
};

// Rows of pixels as the kernels hold them: one after another the planes of a row, which eights may run out of.
struct Rows {
    int planes, stride;
    std::vector<float> values;

    Rows(int planes, int height, int width)
        : planes(planes), stride((width + 2 * lanes - 1) / lanes * lanes), values(size_t(planes) * stride * height) {}

    float *at(int y, int plane) { return values.data() + (size_t(y) * planes + plane) * stride; }
    void take(int plane, const float *from, int height, int width) {
        for (int y = 0; y < height; y++) std::copy_n(from + int64_t(y) * width, width, at(y, plane));
    }
    void give(int plane, float *to, int height, int width) {
        for (int y = 0; y < height; y++) std::copy_n(at(y, plane), width, to + int64_t(y) * width);
    }
};

static INLINE I columns_from(int left) { return left + I{0, 1, 2, 3, 4, 5, 6, 7}; }
static INLINE F centres(I columns) { return __builtin_convertvector(columns, F) + 0.5f; }

CLONES static void draw(const Scene &s, int view, float *out, int32_t *last) {
    constexpr int through_at = 9, open_at = 10, last_at = 11;  // a mask and an index among floats
    const int64_t plane = s.plane();
    Rows rows(12, s.height, s.width);
    for (int y = 0; y < s.height; y++) {
        std::fill_n(rows.at(y, through_at), s.width, 1.0f);
        std::memset(rows.at(y, open_at), 0xff, sizeof(float) * s.width);
    }
    const size_t step = rows.stride;
    for (int64_t rank = 0; rank < s.count; rank++) {
        const int64_t i = s.order[view * s.count + rank];
        if (i < 0) break;
        const float *value = s.values + 6 * (view * s.count + i);
        const int32_t *box = s.box + 4 * (view * s.count + i);
        Surfel surfel(s, view, i);
        for (int y = box[1]; y < box[3]; y++) {
            surfel.row(y);
            float *const row = rows.at(y, 0);
            for (int left = box[0]; left < box[2]; left += lanes) {
                float *const at = row + left;
                const I columns = columns_from(left), open = load<I>(at + open_at * step) & (columns < box[2]);
                if (!any(open)) continue;
                const Seen seen = surfel.at(centres(columns));
                const I counts = seen.counts & open;
                if (!any(counts)) continue;
                const F t = load<F>(at + through_at * step), next = t * (1.0f - seen.alpha);
                const I drawn = counts & (next > min_transmittance);
                store(at + open_at * step, load<I>(at + open_at * step) & (drawn | ~counts));
                const F w = keep(drawn, seen.alpha * t), z = seen.z;
                const F first = load<F>(at + 6 * step), second = load<F>(at + 7 * step);
                store(at + 8 * step,
                      load<F>(at + 8 * step) + w * (z * z * (1.0f - t) + second - 2.0f * z * first));
                for (int c = 0; c < 6; c++) store(at + c * step, load<F>(at + c * step) + w * value[c]);
                store(at + 6 * step, first + w * z);
                store(at + 7 * step, second + w * z * z);
                store(at + through_at * step, drawn ? next : t);
                store(at + last_at * step, drawn ? int32_t(rank + 1) - I{} : load<I>(at + last_at * step));
            }
        }
    }
    for (int c = 0; c < channels; c++) rows.give(c, out + c * plane, s.height, s.width);
    for (int y = 0; y < s.height; y++)
        std::memcpy(last + int64_t(y) * s.width, rows.at(y, last_at), sizeof(int32_t) * s.width);
}

// Gradients of one view; to[18]: transform 9, centre 2, opacity, values 6 of each surfel.
CLONES static void pull_back(const Scene &s, int view, const float *out, const int32_t *last, const float *g, float *to) {
    // after the gradients: sums of depth and depth², 1 - transmittance, transmittance, what lies behind, where it ended
    constexpr int first_at = 10, second_at = 11, all_at = 12, through_at = 13, behind_at = 14, last_at = 15;
    const int64_t plane = s.plane();
    Rows rows(16, s.height, s.width);
    for (int c = 0; c < channels; c++) rows.take(c, g + c * plane, s.height, s.width);
    rows.take(first_at, out + 6 * plane, s.height, s.width);
    rows.take(second_at, out + 7 * plane, s.height, s.width);
    rows.take(through_at, out + 9 * plane, s.height, s.width);
    for (int y = 0; y < s.height; y++) {
        for (int x = 0; x < s.width; x++) rows.at(y, all_at)[x] = 1.0f - rows.at(y, through_at)[x];
        std::memcpy(rows.at(y, last_at), last + int64_t(y) * s.width, sizeof(int32_t) * s.width);
    }
    const size_t step = rows.stride;
    std::fill(to, to + inputs * s.count, 0.0f);
    int64_t drawn = 0;
    while (drawn < s.count && s.order[view * s.count + drawn] >= 0) drawn++;
    for (int64_t rank = drawn - 1; rank >= 0; rank--) {
        const int64_t i = s.order[view * s.count + rank];
        const float *value = s.values + 6 * (view * s.count + i);
        const int32_t *box = s.box + 4 * (view * s.count + i);
        Surfel surfel(s, view, i);
        const float *t = surfel.t;
        F a[inputs] = {};
        for (int y = box[1]; y < box[3]; y++) {
            surfel.row(y);
            const float *l = surfel.l;
            float *const row = rows.at(y, 0);
            for (int left = box[0]; left < box[2]; left += lanes) {
                float *const at = row + left;
                const I columns = columns_from(left);
                const I reached = (load<I>(at + last_at * step) > int32_t(rank)) & (columns < box[2]);
                if (!any(reached)) continue;
                const F px = centres(columns);
                const Seen n = surfel.at(px);
                const I on = n.counts & reached;
                if (!any(on)) continue;
                const F alpha = keep(on, n.alpha), rest = 1.0f / (1.0f - alpha);
                const F before = load<F>(at + through_at * step) * rest, w = alpha * before, z = n.z;
                const F all = load<F>(at + all_at * step), first = load<F>(at + first_at * step);
                const F g_z = load<F>(at + 6 * step), g_d = load<F>(at + 8 * step);
                F said = g_z * z + g_d * (z * z * all + load<F>(at + second_at * step) - 2.0f * z * first) -
                         load<F>(at + 9 * step);
#pragma GCC unroll 6
                for (int c = 0; c < 6; c++) {
                    const F g_c = load<F>(at + c * step);
                    said += g_c * value[c];
                    a[12 + c] += w * g_c;
                }
                const F behind = load<F>(at + behind_at * step);
                const F to_alpha = keep(on, before * said - behind * rest);
                store(at + behind_at * step, behind + w * said);
                store(at + through_at * step, before);
                const F moved = keep(n.alpha < max_alpha, to_alpha);
                a[11] += moved * n.weight;
                const F to_rho = -0.5f * moved * n.alpha;
                const F to_z = w * (g_z + g_d * 2.0f * (z * all - first));
                // through the point that is met
                const F inverse = keep(n.met, 1.0f / n.third);
                const F to_u = 2.0f * n.u * to_rho + to_z * t[6], to_v = 2.0f * n.v * to_rho + to_z * t[7];
                const F p0 = to_u * inverse, p1 = to_v * inverse, p2 = -(p0 * n.u + p1 * n.v);
                const F k0 = l[1] * p2 - l[2] * p1, k1 = l[2] * p0 - l[0] * p2, k2 = l[0] * p1 - l[1] * p0;
                const F l0 = p1 * n.k[2] - p2 * n.k[1], l1 = p2 * n.k[0] - p0 * n.k[2];
                const F l2 = p0 * n.k[1] - p1 * n.k[0], straight = keep(n.met, to_z);
                const float py = surfel.y;
                a[0] -= k0, a[1] -= k1, a[2] -= k2;
                a[3] -= l0, a[4] -= l1, a[5] -= l2;
                a[6] += px * k0 + py * l0 + straight * n.u;
                a[7] += px * k1 + py * l1 + straight * n.v;
                a[8] += px * k2 + py * l2 + to_z;
                // through the centre, where the surfel is thinner than a pixel
                const F thin = keep(~n.met, to_rho * -4.0f);
                a[9] += thin * (px - surfel.c[0]);
                a[10] += thin * (py - surfel.c[1]);
            }
        }
        for (int k = 0; k < inputs; k++)
            for (int lane = 0; lane < lanes; lane++) to[inputs * i + k] += a[k][lane];
    }
}

static Scene scene_of(In transform, In centre, In values, In opacities, Ints order, Ints box, int height, int width,
                      float near) {
    const int64_t count = opacities.size();
    const int64_t views = count ? int64_t(transform.size()) / (9 * count) : 0;
    const bool fits = int64_t(transform.size()) == 9 * views * count && int64_t(centre.size()) == 2 * views * count &&
                      int64_t(values.size()) == 6 * views * count && int64_t(order.size()) == views * count &&
                      int64_t(box.size()) == 4 * views * count;
    if (!fits || height < 1 || width < 1) throw nb::value_error("surfels: arrays do not fit each other");
    for (int64_t k = 0; k < views * count; k++) {
        const int32_t *b = box.data() + 4 * k;
        if (order.data()[k] >= count || b[0] < 0 || b[1] < 0 || b[2] > width || b[3] > height)
            throw nb::value_error("surfels: an index is out of range");
    }
    return {transform.data(), centre.data(), values.data(), opacities.data(), order.data(), box.data(), count,
            height,           width,         near};
}

static void forward(In transform, In centre, In values, In opacities, Ints order, Ints box, float near, Out out,
                    IntOut last, int threads) {
    const int views = int(out.shape(0)), height = int(out.shape(2)), width = int(out.shape(3));
    const Scene scene = scene_of(transform, centre, values, opacities, order, box, height, width, near);
    float *to = out.data();
    int32_t *ends = last.data();
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(dynamic) num_threads(std::min(threads, views)) if (threads > 1 && views > 1)
    for (int view = 0; view < views; view++)
        draw(scene, view, to + channels * scene.plane() * view, ends + scene.plane() * view);
}

static void backward(In transform, In centre, In values, In opacities, Ints order, Ints box, float near, In out,
                     Ints last, In gradient, Out to, int threads) {
    const int views = int(out.shape(0)), height = int(out.shape(2)), width = int(out.shape(3));
    const Scene scene = scene_of(transform, centre, values, opacities, order, box, height, width, near);
    const float *seen = out.data(), *g = gradient.data();
    const int32_t *ends = last.data();
    float *sums = to.data();
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(dynamic) num_threads(std::min(threads, views)) if (threads > 1 && views > 1)
    for (int view = 0; view < views; view++) {
        const int64_t pixels = scene.plane() * view;
        pull_back(scene, view, seen + channels * pixels, ends + pixels, g + channels * pixels,
                  sums + inputs * scene.count * view);
    }
}

}  // namespace surfels

void register_surfels(nb::module_ &m) {
    m.def("surfels_forward", &surfels::forward);
    m.def("surfels_backward", &surfels::backward);
}
