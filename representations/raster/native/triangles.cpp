// Triangle rasterization on the CPU: builds for each instruction set, threads, and the Python functions.
//
// Work is split by what is written (bands of rows, pixels), so results do not depend on the number of threads.
// Standard headers come first, so that no inline function of theirs is compiled for a newer machine.
#if defined(__x86_64__)
#define TRIANGLES_X86
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <vector>

#include "triangles_arrays.h"
#include "triangles_types.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // vector arguments: every such function is inlined
#endif

namespace triangles {

namespace baseline {
#include "triangles_scan.h"
static const Kernels table = {scan};
}  // namespace baseline

#ifdef TRIANGLES_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#define TRIANGLES_AVX2
namespace avx2 {
#include "triangles_scan.h"
static const Kernels table = {scan};
}  // namespace avx2
#undef TRIANGLES_AVX2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw")
#endif
#define TRIANGLES_AVX512
namespace avx512 {
#include "triangles_scan.h"
static const Kernels table = {scan};
}  // namespace avx512
#undef TRIANGLES_AVX512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

// the level is dispatch.py's: 0 baseline, 1 AVX2, 2 AVX-512
static const Kernels &choose(int level) {
#ifdef TRIANGLES_X86
    if (level >= 2) return avx512::table;
    if (level == 1) return avx2::table;
#endif
    (void)level;
    return baseline::table;
}

struct Task {
    const float *positions, *focal;
    std::vector<int32_t> faces;
    int64_t vertex_count;
    int views, height, width, threads;
    double near;
};

static std::vector<Point> seen_points(const Task &task, int view) {
    std::vector<Point> points(task.vertex_count);
    const float *p = task.positions + 3 * task.vertex_count * view;
    const double focal = task.focal[view], x = 0.5 * task.width, y = 0.5 * task.height;
    for (int64_t i = 0; i < task.vertex_count; i++, p += 3) {
        const double scale = focal / double(p[2]);
        points[i] = {p[0] * scale + x, p[1] * scale + y};
    }
    return points;
}

// One band's planes, kept by its thread from band to band.
struct Planes {
    std::vector<float> values;
    std::vector<int32_t> faces;
};

static void draw_band(const Task &task, const Kernels &kernels, const std::vector<Point> &points,
                      const std::vector<double> &u, int view, int first, int last, Planes &planes, int32_t *face,
                      float *barycentric, float *depth) {
    const int stride = int(u.size()), width = task.width;
    const size_t count = size_t(stride) * (last - first), offset = (size_t(view) * task.height + first) * width;
    planes.values.assign(4 * count, 0.f);
    planes.faces.assign(count, -1);
    float *plane = planes.values.data();
    std::fill(plane, plane + count, INFINITY);
    const View scene = {task.positions + 3 * task.vertex_count * view,
                        task.faces.data(),
                        int64_t(task.faces.size() / 3),
                        points.data(),
                        task.focal[view],
                        task.near,
                        task.height,
                        width};
    const Band band = {first, last, stride, u.data(), plane, planes.faces.data(),
                       {plane + count, plane + 2 * count, plane + 3 * count}};
    kernels.scan(scene, band);
    for (int y = 0; y < last - first; y++) {
        const size_t from = size_t(y) * stride, to = offset + size_t(y) * width;
        std::copy_n(planes.faces.data() + from, width, face + to);
        for (int x = 0; x < width; x++) depth[to + x] = face[to + x] < 0 ? 0.f : plane[from + x];
        const float *w0 = band.weights[0] + from, *w1 = band.weights[1] + from, *w2 = band.weights[2] + from;
        float *out = barycentric + 3 * to;
        for (int x = 0; x < width; x++) {
            out[3 * x] = w0[x];
            out[3 * x + 1] = w1[x];
            out[3 * x + 2] = w2[x];
        }
    }
}

static int64_t forward(In positions, Faces faces, In focal, IntOut face, Out barycentric, Out depth, double near,
                       int threads, int level) {
    require(positions.ndim() == 3 && positions.shape(2) == 3, "positions must be (B, V, 3)");
    require(faces.ndim() == 2 && faces.shape(1) == 3, "faces must be (F, 3)");
    require(focal.ndim() == 1 && focal.shape(0) == positions.shape(0), "focal must be (B,)");
    require(face.ndim() == 3 && face.shape(0) == positions.shape(0), "face must be (B, H, W)");
    require(depth.size() == face.size() && barycentric.size() == 3 * face.size(), "outputs must agree in size");
    Task task = {positions.data(), focal.data(), {}, int64_t(positions.shape(1)), int(positions.shape(0)),
                 int(face.shape(1)), int(face.shape(2)), threads, near};
    const int64_t *given = faces.data();
    const size_t corners = faces.size(), coordinates = positions.size();
    int32_t *to_face = face.data();
    float *to_barycentric = barycentric.data(), *to_depth = depth.data();
    nb::gil_scoped_release release;
    if (!all_finite(task.positions, coordinates) || !all_finite(task.focal, task.views)) return kNotFinite;
    if (!all_within(given, corners, 0, task.vertex_count)) return kBadIndex;
    task.faces.assign(given, given + corners);
    std::vector<std::vector<Point>> points(task.views);
    std::vector<double> u((task.width + kLanes - 1) / kLanes * kLanes + kLanes);
    for (size_t x = 0; x < u.size(); x++) u[x] = double(x) + 0.5 - 0.5 * task.width;
    const int bands = threads > task.views ? (2 * threads + task.views - 1) / task.views : 1, jobs = task.views * bands;
    const Kernels &kernels = choose(level);
#pragma omp parallel num_threads(std::min(threads, jobs)) if (threads > 1 && jobs > 1)
    {
        Planes planes;
#pragma omp for schedule(dynamic)
        for (int view = 0; view < task.views; view++) points[view] = seen_points(task, view);
#pragma omp for schedule(dynamic)
        for (int job = 0; job < jobs; job++) {
            const int view = job / bands, band = job % bands;
            draw_band(task, kernels, points[view], u, view, int(int64_t(task.height) * band / bands),
                      int(int64_t(task.height) * (band + 1) / bands), planes, to_face, to_barycentric, to_depth);
        }
    }
    return kDone;
}

}  // namespace triangles

void register_triangles_pixels(nb::module_ &m);
void register_triangles_edges(nb::module_ &m);
void register_triangles_place(nb::module_ &m);
void register_triangles_texture(nb::module_ &m);

void register_triangles(nb::module_ &m) {
    using namespace nb::literals;
    m.def("triangles_forward", &triangles::forward, "positions"_a, "faces"_a, "focal"_a, "face"_a, "barycentric"_a,
          "depth"_a, "near"_a, "threads"_a, "level"_a,
          "Draw into face, barycentric and depth. -1: done; -2: not finite; -3: an index is wrong.");
    register_triangles_place(m);
    register_triangles_pixels(m);
    register_triangles_edges(m);
    register_triangles_texture(m);
}
