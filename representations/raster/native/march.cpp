// Grid kernels: builds for each instruction set, choice at run time, threads, and the Python functions.
//
// The kernels are plain C++ on vector extensions; including them under a target pragma compiles them for it.
// Standard headers come first, so that no inline function of theirs is compiled for a newer machine.
#include "march_types.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;

#define MARCH_TABLE                                                                                             \
    static const Kernels table = {upsample, activate, activate_back, upsample_back, forward, backward, variation}

#if defined(__x86_64__)
#define MARCH_X86
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // eight-float arguments: every such function is inlined
#endif

namespace march {

namespace baseline {
#include "march_math.h"
#include "march_compose.h"
#include "march_rays.h"
MARCH_TABLE;
}  // namespace baseline

#ifdef MARCH_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#include "march_math.h"
#include "march_compose.h"
#include "march_rays.h"
MARCH_TABLE;
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

// the level is dispatch.py's: 0 baseline, 1 AVX2, 2 AVX-512 (for which eight floats leave nothing to gain)
static const Kernels &choose(int level) {
#ifdef MARCH_X86
    if (level >= 1) return avx2::table;
#endif
    (void)level;
    return baseline::table;
}

// f(part, first, last) over `parts` equal ranges; the split depends on `parts` alone
template <class F>
static void share(int parts, int64_t units, F f) {
#pragma omp parallel for schedule(static, 1) num_threads(parts) if (parts > 1)
    for (int part = 0; part < parts; part++) f(part, units * part / parts, units * (part + 1) / parts);
}

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

static void require(bool ok, const char *what) {
    if (!ok) throw std::invalid_argument(what);
}

template <class Array>
static void require_grid(const Array &a, size_t size, const char *what) {
    require(a.ndim() == 4 && a.shape(0) == size && a.shape(1) == size && a.shape(2) == size && a.shape(3) == 4, what);
}

struct Workspace {
    std::vector<std::unique_ptr<float[]>> rows;
    std::vector<Level> levels;

    void add(const float *value, float *gradient, size_t size, size_t resolution) {
        rows.emplace_back(size == resolution ? nullptr : new float[size * resolution * resolution * 4]);
        levels.push_back({value, gradient, rows.back().get(), int(size)});
    }
};

static void compose(const std::vector<In> &grids, In bias, float density_gain, float color_gain, Out volume,
                    int threads, int level) {
    const Kernels &k = choose(level);
    const size_t R = bias.shape(0);
    require(R >= 2 && bias.ndim() == 3 && bias.shape(1) == R && bias.shape(2) == R, "bias must be (R, R, R), R >= 2");
    require_grid(volume, R, "volume must be (R, R, R, 4)");
    Workspace work;
    for (const In &grid : grids) {
        require(grid.ndim() == 4 && grid.shape(0) >= 2, "a level must be (L, L, L, 4) with L >= 2");
        require_grid(grid, grid.shape(0), "a level must be (L, L, L, 4) with L >= 2");
        work.add(grid.data(), nullptr, grid.shape(0), R);
    }
    Compose c{work.levels.data(), int(grids.size()), int(R),        bias.data(), density_gain,
              color_gain,         volume.data(),      volume.data(), nullptr};
    nb::gil_scoped_release release;
    for (int n = 0; n < c.level_count; n++)
        if (c.levels[n].rows)
            share(threads, c.levels[n].size, [&](int, int64_t a, int64_t b) { k.upsample(c, n, int(a), int(b)); });
    share(threads, R, [&](int, int64_t a, int64_t b) { k.activate(c, int(a), int(b)); });
}

static void compose_backward(In volume, In upstream, float density_gain, float color_gain,
                             const std::vector<Out> &gradients, int threads, int level) {
    const Kernels &k = choose(level);
    const size_t R = volume.shape(0);
    require_grid(volume, R, "volume must be (R, R, R, 4)");
    require_grid(upstream, R, "upstream must have the volume's shape");
    Workspace work;
    for (const Out &gradient : gradients) {
        require_grid(gradient, gradient.shape(0), "a gradient must be (L, L, L, 4)");
        work.add(nullptr, gradient.data(), gradient.shape(0), R);
    }
    Compose c{work.levels.data(), int(gradients.size()), int(R),        nullptr, density_gain,
              color_gain,         nullptr,               volume.data(), upstream.data()};
    nb::gil_scoped_release release;
    share(threads, R, [&](int, int64_t a, int64_t b) { k.activate_back(c, int(a), int(b)); });
    for (int n = 0; n < c.level_count; n++)
        if (c.levels[n].rows)
            share(threads, c.levels[n].size, [&](int, int64_t a, int64_t b) { k.upsample_back(c, n, int(a), int(b)); });
}

static Rays rays_of(const In &volume, const In &origins, const In &directions, const In &offsets, double radius,
                    int samples, float stop) {
    const size_t count = offsets.shape(0);
    require_grid(volume, volume.shape(0), "volume must be (R, R, R, 4)");
    require(volume.shape(0) >= 2, "volume must have R >= 2");
    require(origins.ndim() == 2 && origins.shape(0) == count && origins.shape(1) == 3, "origins must be (N, 3)");
    require(directions.ndim() == 2 && directions.shape(0) == count && directions.shape(1) == 3,
            "directions must be (N, 3)");
    return {volume.data(),  int(volume.shape(0)), origins.data(), directions.data(),
            offsets.data(), radius,               samples,        stop};
}

static void march_forward(In volume, In origins, In directions, In offsets, double radius, int samples, float stop,
                          Out out, int threads, int level) {
    const Kernels &k = choose(level);
    const Rays r = rays_of(volume, origins, directions, offsets, radius, samples, stop);
    require(out.ndim() == 2 && out.shape(0) == offsets.shape(0) && out.shape(1) == 5, "out must be (N, 5)");
    float *o = out.data();
    const int64_t count = offsets.shape(0);
    nb::gil_scoped_release release;
    share(threads, count, [&](int, int64_t a, int64_t b) { k.forward(r, a, b, o); });
}

static void march_backward(In volume, In origins, In directions, In offsets, double radius, int samples, float stop,
                           In upstream, Out gradient, int threads, int level) {
    const Kernels &k = choose(level);
    const Rays r = rays_of(volume, origins, directions, offsets, radius, samples, stop);
    require(upstream.ndim() == 2 && upstream.shape(0) == offsets.shape(0) && upstream.shape(1) == 5,
            "upstream must be (N, 5)");
    require_grid(gradient, r.resolution, "gradient must have the volume's shape");
    const int64_t count = offsets.shape(0), size = int64_t(gradient.size());
    const float *u = upstream.data();
    float *g = gradient.data();
    nb::gil_scoped_release release;
    // one volume a thread, summed in a fixed order: the same bits for the same number of threads
    std::vector<std::vector<float>> own(threads - 1);
    share(threads, count, [&](int part, int64_t a, int64_t b) {
        float *mine = g;
        if (part > 0) {
            own[part - 1].assign(size, 0.0f);
            mine = own[part - 1].data();
        } else {
            std::fill(g, g + size, 0.0f);
        }
        k.backward(r, a, b, u, mine);
    });
    share(threads, size, [&](int, int64_t a, int64_t b) {
        for (const std::vector<float> &other : own)
            for (int64_t i = a; i < b; i++) g[i] += other[i];
    });
}

static double total_variation(In volume, const std::vector<float> &weights, nb::object gradient, int threads,
                              int level) {
    const Kernels &k = choose(level);
    const size_t R = volume.shape(0);
    require_grid(volume, R, "volume must be (R, R, R, 4)");
    require(weights.size() == 4, "one weight a channel");
    float *g = nullptr;
    if (!gradient.is_none()) {
        Out out = nb::cast<Out>(gradient);
        require_grid(out, R, "gradient must have the volume's shape");
        g = out.data();
    }
    std::vector<double> slices(R);
    Variation t{volume.data(), int(R), weights.data(), g, slices.data()};
    nb::gil_scoped_release release;
    share(threads, R, [&](int, int64_t a, int64_t b) { k.variation(t, int(a), int(b)); });
    double total = 0;
    for (double s : slices) total += s;
    return total;
}

}  // namespace march

void register_march(nb::module_ &m) {
    using namespace nb::literals;
    m.def("march_compose", &march::compose, "grids"_a, "bias"_a, "density_gain"_a, "color_gain"_a, "volume"_a,
          "threads"_a, "level"_a, "Write the activated sum of levels into volume (R, R, R, 4).");
    m.def("march_compose_backward", &march::compose_backward, "volume"_a, "upstream"_a, "density_gain"_a,
          "color_gain"_a, "gradients"_a, "threads"_a, "level"_a, "Write d loss / d level into each gradient.");
    m.def("march_forward", &march::march_forward, "volume"_a, "origins"_a, "directions"_a, "offsets"_a, "radius"_a,
          "samples"_a, "stop"_a, "out"_a, "threads"_a, "level"_a, "Write colour, alpha, alpha * distance (N, 5).");
    m.def("march_backward", &march::march_backward, "volume"_a, "origins"_a, "directions"_a, "offsets"_a, "radius"_a,
          "samples"_a, "stop"_a, "upstream"_a, "gradient"_a, "threads"_a, "level"_a,
          "Write d loss / d volume into gradient.");
    m.def("march_total_variation", &march::total_variation, "volume"_a, "weights"_a, "gradient"_a.none(), "threads"_a,
          "level"_a, "Value; its gradient is written where given.");
}
