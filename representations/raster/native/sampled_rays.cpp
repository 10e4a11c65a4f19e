// Samples of rays in the occupied cells of a grid, their weights, and sums along rays. Rays are independent: every
// thread has its own, and one output element has one writer. Formulas: representations/raster/sampled_rays_twin.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>

namespace nb = nanobind;

namespace sds3d {
namespace {

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Cells = nb::ndarray<const uint8_t, nb::c_contig, nb::device::cpu>;
using Whole = nb::ndarray<int64_t, nb::c_contig, nb::device::cpu>;
using ConstWhole = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu>;

void require(bool ok, const char* what) {
    if (!ok) throw std::invalid_argument(what);
}

struct Walk {
    const uint8_t* cells;
    int resolution;
    const float *origins, *directions, *offsets;
    double half;
    int samples;
};

// The samples of ray n that lie in occupied cells: f(distance, length, point), nearest first. In double, so that every
// implementation takes the same ones.
template <class F>
int64_t walk(const Walk& w, int64_t n, F f) {
    const float *o = w.origins + 3 * n, *d = w.directions + 3 * n;
    double middle = 0, distance2 = 0;
    for (int a = 0; a < 3; ++a) {
        middle -= (double)o[a] * d[a];
        distance2 += (double)o[a] * o[a];
    }
    const double inside = w.half * w.half - distance2 + middle * middle;
    if (!(inside > 0)) return 0;
    const double half_chord = std::sqrt(inside);
    const double near = middle - half_chord > 0 ? middle - half_chord : 0;
    const double chord = middle + half_chord - near;
    const double count = std::ceil(chord * (w.samples / (2.0 * w.half)) - 1e-6);
    if (!(count >= 1)) return 0;
    const double step = chord / count, scale = w.resolution / (2.0 * w.half);
    int64_t found = 0;
    for (int i = 0; i < (int)count; ++i) {
        const double t = near + (i + (double)w.offsets[n]) * step;
        double p[3];
        int64_t index = 0;
        for (int a = 2; a >= 0; --a) {
            p[a] = o[a] + t * d[a];
            const int place = (int)((p[a] + w.half) * scale);  // towards 0: what lies below the first cell is in it
            const int cell = place < 0 ? 0 : place > w.resolution - 1 ? w.resolution - 1 : place;
            index = index * w.resolution + cell;
        }
        if (!w.cells[index]) continue;
        f(found++, (float)t, (float)step, p);
    }
    return found;
}

Walk walk_of(const Cells& cells, const In& origins, const In& directions, const In& offsets, double half,
             int samples) {
    const size_t count = offsets.shape(0), size = cells.shape(0);
    require(cells.ndim() == 3 && size >= 1 && cells.shape(1) == size && cells.shape(2) == size,
            "cells must be (R, R, R)");
    require(origins.ndim() == 2 && origins.shape(0) == count && origins.shape(1) == 3, "origins must be (N, 3)");
    require(directions.ndim() == 2 && directions.shape(0) == count && directions.shape(1) == 3,
            "directions must be (N, 3)");
    return {cells.data(), (int)size, origins.data(), directions.data(), offsets.data(), half, samples};
}

void count_samples(Cells cells, In origins, In directions, In offsets, double half, int samples, Whole starts,
                   int threads) {
    const Walk w = walk_of(cells, origins, directions, offsets, half, samples);
    const int64_t count = (int64_t)offsets.shape(0);
    require(starts.ndim() == 1 && (int64_t)starts.shape(0) == count + 1, "starts must be (N + 1)");
    int64_t* s = starts.data();
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < count; ++n) s[n + 1] = walk(w, n, [](int64_t, float, float, const double*) {});
    s[0] = 0;
    for (int64_t n = 0; n < count; ++n) s[n + 1] += s[n];
}

void place_samples(Cells cells, In origins, In directions, In offsets, double half, int samples, ConstWhole starts,
                   Whole ray, Out distance, Out length, Out points, int threads) {
    const Walk w = walk_of(cells, origins, directions, offsets, half, samples);
    const int64_t count = (int64_t)offsets.shape(0);
    const int64_t* s = starts.data();
    const size_t total = (size_t)s[count];
    require(ray.shape(0) == total && distance.shape(0) == total && length.shape(0) == total &&
                points.ndim() == 2 && points.shape(0) == total && points.shape(1) == 3,
            "one row a sample");
    int64_t* r = ray.data();
    float *t = distance.data(), *l = length.data(), *p = points.data();
    const float bound = (float)half;
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < count; ++n)
        walk(w, n, [&](int64_t k, float at, float step, const double* place) {
            const int64_t i = s[n] + k;
            r[i] = n, t[i] = at, l[i] = step;
            for (int a = 0; a < 3; ++a) {
                const float x = (float)place[a];
                p[3 * i + a] = x < -bound ? -bound : x > bound ? bound : x;
            }
        });
}

int64_t rays_of(const ConstWhole& starts, size_t samples) {
    const int64_t count = (int64_t)starts.shape(0) - 1;
    require(count >= 0 && starts.data()[count] == (int64_t)samples, "starts must end with the number of samples");
    return count;
}

void ray_weights(In density, In length, ConstWhole starts, double stop, Out weight, int threads) {
    const int64_t count = rays_of(starts, density.shape(0));
    const float *d = density.data(), *l = length.data();
    const int64_t* s = starts.data();
    float* w = weight.data();
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < count; ++n) {
        double depth = 0;
        for (int64_t i = s[n]; i < s[n + 1]; ++i) {
            const float thickness = d[i] * l[i], before = (float)std::exp(-depth);
            w[i] = before >= (float)stop ? before * -std::expm1(-thickness) : 0.0f;
            depth += thickness;
        }
    }
}

// d loss / d density_i = length_i (T_{i+1} g_i - sum_{j>i} w_j g_j) for samples that count, the sum growing from the
// last sample so that nothing cancels
void ray_weights_backward(In density, In length, ConstWhole starts, double stop, In weight, In to_weight, Out gradient,
                          int threads) {
    const int64_t count = rays_of(starts, density.shape(0));
    const float *d = density.data(), *l = length.data(), *w = weight.data(), *g = to_weight.data();
    const int64_t* s = starts.data();
    float* to = gradient.data();
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < count; ++n) {
        double depth = 0, behind = 0;
        for (int64_t i = s[n]; i < s[n + 1]; ++i) {
            const float before = (float)std::exp(-depth);
            depth += d[i] * l[i];
            to[i] = before >= (float)stop ? (float)(before - w[i]) : 0.0f;  // T_{i+1}
        }
        for (int64_t i = s[n + 1] - 1; i >= s[n]; --i) {
            to[i] = (float)(l[i] * ((double)to[i] * g[i] - behind));
            behind += (double)w[i] * g[i];
        }
    }
}

void ray_sums(In weight, In values, ConstWhole starts, Out sums, int threads) {
    const int64_t count = rays_of(starts, weight.shape(0));
    require(values.ndim() == 2 && values.shape(0) == weight.shape(0), "values must be (P, C)");
    const int64_t width = (int64_t)values.shape(1), *s = starts.data();
    require((int64_t)sums.shape(0) == count && (int64_t)sums.shape(1) == width, "sums must be (N, C)");
    const float *w = weight.data(), *v = values.data();
    float* to = sums.data();
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < count; ++n) {
        for (int64_t c = 0; c < width; ++c) to[n * width + c] = 0;
        for (int64_t i = s[n]; i < s[n + 1]; ++i)
            for (int64_t c = 0; c < width; ++c) to[n * width + c] += w[i] * v[i * width + c];
    }
}

void ray_sums_backward(In weight, In values, ConstWhole starts, In to_sums, Out to_weight,
                       std::optional<Out> to_values, int threads) {
    const int64_t count = rays_of(starts, weight.shape(0));
    const int64_t width = (int64_t)values.shape(1), *s = starts.data();
    require((int64_t)to_sums.shape(0) == count && (int64_t)to_sums.shape(1) == width, "to_sums must be (N, C)");
    const float *w = weight.data(), *v = values.data(), *g = to_sums.data();
    float *to = to_weight.data(), *other = to_values ? to_values->data() : nullptr;
    nb::gil_scoped_release release;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < count; ++n)
        for (int64_t i = s[n]; i < s[n + 1]; ++i) {
            float sum = 0;
            for (int64_t c = 0; c < width; ++c) {
                sum += g[n * width + c] * v[i * width + c];
                if (other) other[i * width + c] = w[i] * g[n * width + c];
            }
            to[i] = sum;
        }
}

}  // namespace
}  // namespace sds3d

void register_sampled_rays(nb::module_& m) {
    using namespace nb::literals;
    using namespace sds3d;
    m.def("rays_count", &count_samples, "cells"_a, "origins"_a, "directions"_a, "offsets"_a, "half"_a, "samples"_a,
          "starts"_a, "threads"_a, "Write where each ray's samples begin.");
    m.def("rays_place", &place_samples, "cells"_a, "origins"_a, "directions"_a, "offsets"_a, "half"_a, "samples"_a,
          "starts"_a, "ray"_a, "distance"_a, "length"_a, "points"_a, "threads"_a, "Write the samples.");
    m.def("rays_weights", &ray_weights, "density"_a, "length"_a, "starts"_a, "stop"_a, "weight"_a, "threads"_a,
          "Write the weight of each sample.");
    m.def("rays_weights_backward", &ray_weights_backward, "density"_a, "length"_a, "starts"_a, "stop"_a, "weight"_a,
          "to_weight"_a, "gradient"_a, "threads"_a, "Write d loss / d density.");
    m.def("rays_sums", &ray_sums, "weight"_a, "values"_a, "starts"_a, "sums"_a, "threads"_a, "Write sums along rays.");
    m.def("rays_sums_backward", &ray_sums_backward, "weight"_a, "values"_a, "starts"_a, "to_sums"_a, "to_weight"_a,
          "to_values"_a.none(), "threads"_a, "Write both gradients.");
}
