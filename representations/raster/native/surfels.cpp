// Flat Gaussians on the CPU: what surfels_twin.py defines, forward and backward.
//
// Surfels are drawn one after another, nearest first, each over the pixels of its own box; what a pixel has gathered
// is its state. The backward pass goes the other way and takes the transmittance apart again. A view is one unit of
// work and every gradient has one slice a view: results do not depend on the number of threads.
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

namespace surfels {

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int32_t, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using IntOut = nb::ndarray<int32_t, nb::c_contig, nb::device::cpu>;

constexpr float max_alpha = 0.999f, min_alpha = 1.0f / 255.0f, min_transmittance = 1e-4f, edge_on = 1e-9f;
constexpr int channels = 10, inputs = 18, lanes = 16;

// exp(-x) for x >= 0, to a few units in the last place; loops over it vectorise. Below 2^-40 it is as good as 0.
static INLINE float exp_minus(float x) {
    const float y = std::max(-x * 1.44269504f, -40.0f);
    const int whole = int(y) - 1;
    const float f = y - float(whole);  // in (0, 1]
    const float g = (f - 1.0f) * 0.693147181f;
    const float p = 1.0f + g * (1.0f + g * (0.5f + g * (0.166666667f + g * (0.0416666667f + g * (0.00833333333f +
                    g * (0.00138888889f + g * (0.000198412698f + g * 0.0000248015873f)))))));
    const int32_t bits = (whole + 1 + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return scale * p;
}

struct Scene {
    const float *transform, *centre, *values, *opacities;
    const int32_t *order, *box;
    int64_t count;
    int height, width;
    float near;

    int64_t plane() const { return int64_t(height) * width; }
};

// One surfel at one pixel.
struct Seen {
    float k[3], u, v, third, z, weight, alpha, met, counts;
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

    INLINE Seen at(int column) const {
        Seen s;
        const float x = float(column) + 0.5f;
        for (int j = 0; j < 3; j++) s.k[j] = x * t[6 + j] - t[j];
        const float p0 = s.k[1] * l[2] - s.k[2] * l[1], p1 = s.k[2] * l[0] - s.k[0] * l[2];
        const float p2 = s.k[0] * l[1] - s.k[1] * l[0];
        const bool facing = std::fabs(p2) > edge_on;
        s.third = facing ? p2 : 1.0f;
        const float inverse = 1.0f / s.third;
        s.u = p0 * inverse, s.v = p1 * inverse;
        const float inside = s.u * s.u + s.v * s.v;
        const float dx = x - c[0], dy = y - c[1], around = 2.0f * (dx * dx + dy * dy);
        const bool met = facing && inside <= around;
        s.met = met ? 1.0f : 0.0f;
        s.z = met ? t[6] * s.u + t[7] * s.v + t[8] : t[8];
        s.weight = exp_minus(0.5f * (met ? inside : around));
        s.alpha = std::min(max_alpha, opacity * s.weight);
        s.counts = s.alpha >= min_alpha && s.z > near ? 1.0f : 0.0f;
        return s;
    }
};

CLONES static void draw(const Scene &s, int view, float *out, int32_t *last) {
    const int64_t plane = s.plane();
    float *const through = out + 9 * plane;
    std::fill(out, out + 9 * plane, 0.0f);
    std::fill(through, through + plane, 1.0f);
    std::fill(last, last + plane, 0);
    std::vector<float> open(plane, 1.0f);
    for (int64_t rank = 0; rank < s.count; rank++) {
        const int64_t i = s.order[view * s.count + rank];
        if (i < 0) break;
        const float *value = s.values + 6 * (view * s.count + i);
        const int32_t *box = s.box + 4 * (view * s.count + i);
        Surfel surfel(s, view, i);
        for (int y = box[1]; y < box[3]; y++) {
            surfel.row(y);
            const int64_t line = int64_t(y) * s.width;
#pragma omp simd
            for (int x = box[0]; x < box[2]; x++) {
                const int64_t at = line + x;
                const Seen seen = surfel.at(x);
                const float t = through[at], next = t * (1.0f - seen.alpha);
                const float counts = seen.counts * open[at];
                const float drawn = next > min_transmittance ? counts : 0.0f;
                open[at] = counts > drawn ? 0.0f : open[at];
                const float w = drawn * seen.alpha * t, z = seen.z;
                out[8 * plane + at] += w * (z * z * (1.0f - t) + out[7 * plane + at] - 2.0f * z * out[6 * plane + at]);
                for (int c = 0; c < 6; c++) out[c * plane + at] += w * value[c];
                out[6 * plane + at] += w * z;
                out[7 * plane + at] += w * z * z;
                through[at] = drawn > 0.0f ? next : t;
                last[at] = drawn > 0.0f ? int32_t(rank + 1) : last[at];
            }
        }
    }
}

// Gradients of one view; to[18]: transform 9, centre 2, opacity, values 6 of each surfel.
CLONES static void pull_back(const Scene &s, int view, const float *out, const int32_t *last, const float *g, float *to) {
    const int64_t plane = s.plane();
    std::vector<float> through(out + 9 * plane, out + 10 * plane), behind(plane, 0.0f);
    std::fill(to, to + inputs * s.count, 0.0f);
    int64_t drawn = 0;
    while (drawn < s.count && s.order[view * s.count + drawn] >= 0) drawn++;
    for (int64_t rank = drawn - 1; rank >= 0; rank--) {
        const int64_t i = s.order[view * s.count + rank];
        const float *value = s.values + 6 * (view * s.count + i);
        const int32_t *box = s.box + 4 * (view * s.count + i);
        Surfel surfel(s, view, i);
        const float *t = surfel.t;
        float a[inputs][lanes] = {};  // each lane sums its own pixels, so that the loop vectorises
        for (int y = box[1]; y < box[3]; y++) {
            surfel.row(y);
            const float *l = surfel.l;
            const int64_t line = int64_t(y) * s.width;
            for (int left = box[0]; left < box[2]; left += lanes)
#pragma omp simd
            for (int lane = 0; lane < std::min(lanes, box[2] - left); lane++) {
                const int x = left + lane;
                const int64_t at = line + x;
                const Seen n = surfel.at(x);
                const float on = rank < last[at] ? n.counts : 0.0f;
                const float alpha = on * n.alpha, rest = 1.0f / (1.0f - alpha), before = through[at] * rest;
                const float w = alpha * before, z = n.z;
                const float all = 1.0f - out[9 * plane + at], first = out[6 * plane + at], second = out[7 * plane + at];
                const float g_z = g[6 * plane + at], g_d = g[8 * plane + at];
                float said = g_z * z + g_d * (z * z * all + second - 2.0f * z * first) - g[9 * plane + at];
#pragma GCC unroll 6
                for (int c = 0; c < 6; c++) {
                    said += g[c * plane + at] * value[c];
                    a[12 + c][lane] += w * g[c * plane + at];
                }
                const float to_alpha = on * (before * said - behind[at] * rest);
                behind[at] += w * said;
                through[at] = before;
                const float moved = n.alpha < max_alpha ? to_alpha : 0.0f;
                a[11][lane] += moved * n.weight;
                const float to_rho = -0.5f * moved * n.alpha;
                const float to_z = w * (g_z + g_d * 2.0f * (z * all - first));
                // through the point that is met
                const float met = n.met, inverse = met / n.third;
                const float to_u = 2.0f * n.u * to_rho + to_z * t[6], to_v = 2.0f * n.v * to_rho + to_z * t[7];
                const float p0 = to_u * inverse, p1 = to_v * inverse, p2 = -(p0 * n.u + p1 * n.v);
                const float k0 = l[1] * p2 - l[2] * p1, k1 = l[2] * p0 - l[0] * p2, k2 = l[0] * p1 - l[1] * p0;
                const float l0 = p1 * n.k[2] - p2 * n.k[1], l1 = p2 * n.k[0] - p0 * n.k[2];
                const float l2 = p0 * n.k[1] - p1 * n.k[0];
                const float px = float(x) + 0.5f, py = surfel.y, straight = met * to_z;
                a[0][lane] -= k0, a[1][lane] -= k1, a[2][lane] -= k2;
                a[3][lane] -= l0, a[4][lane] -= l1, a[5][lane] -= l2;
                a[6][lane] += px * k0 + py * l0 + straight * n.u;
                a[7][lane] += px * k1 + py * l1 + straight * n.v;
                a[8][lane] += px * k2 + py * l2 + to_z;
                // through the centre, where the surfel is thinner than a pixel
                const float thin = (1.0f - met) * to_rho * -4.0f;
                a[9][lane] += thin * (px - surfel.c[0]);
                a[10][lane] += thin * (py - surfel.c[1]);
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
