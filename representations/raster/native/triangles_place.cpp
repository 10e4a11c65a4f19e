// What comes before the triangles: vertices in camera axes right, down, forward.
//
// Sums and products are the twin's, in its order and in float, so that vertices at one place come to one place.
// Gradients are summed in double and in a fixed order: results do not depend on the number of threads.
#include <algorithm>
#include <optional>

#include <nanobind/stl/optional.h>

#include "triangles_arrays.h"

namespace triangles {

static void check_places(const In &vertices, const In &c2w, const In &positions) {
    require(vertices.ndim() == 2 && vertices.shape(1) == 3, "vertices must be (V, 3)");
    require(c2w.ndim() == 3 && c2w.shape(1) == 4 && c2w.shape(2) == 4, "c2w must be (B, 4, 4)");
    require(positions.size() == vertices.size() * c2w.shape(0), "positions must be (B, V, 3)");
}

static void place(In vertices, In c2w, Out positions, int threads) {
    check_places(vertices, c2w, In(positions));
    const int64_t count = int64_t(vertices.shape(0)), views = int64_t(c2w.shape(0));
    const float *from = vertices.data(), *cameras = c2w.data();
    float *to = positions.data();
    nb::gil_scoped_release release;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t i = 0; i < count; i++)
        for (int64_t view = 0; view < views; view++) {
            const float *m = cameras + 16 * view;
            const float x = from[3 * i] - m[3], y = from[3 * i + 1] - m[7], z = from[3 * i + 2] - m[11];
            float *out = to + 3 * (count * view + i);
            out[0] = x * m[0] + y * m[4] + z * m[8];
            out[1] = -(x * m[1] + y * m[5] + z * m[9]);
            out[2] = -(x * m[2] + y * m[6] + z * m[10]);
        }
}

static void place_backward(In vertices, In c2w, In upstream, std::optional<Out> to_vertices, std::optional<Out> to_c2w,
                           int threads) {
    check_places(vertices, c2w, upstream);
    require(!to_vertices || to_vertices->size() == vertices.size(), "to_vertices must be (V, 3)");
    require(!to_c2w || to_c2w->size() == c2w.size(), "to_c2w must be (B, 4, 4)");
    const int64_t count = int64_t(vertices.shape(0)), views = int64_t(c2w.shape(0));
    const float *from = vertices.data(), *cameras = c2w.data(), *up = upstream.data();
    float *places = to_vertices ? to_vertices->data() : nullptr, *matrices = to_c2w ? to_c2w->data() : nullptr;
    nb::gil_scoped_release release;
    // the gradient of a vertex's offset from one camera
    const auto pull = [=](int64_t view, int64_t i, double *g, double *to_offset) {
        const float *m = cameras + 16 * view, *u = up + 3 * (count * view + i);
        g[0] = u[0], g[1] = -double(u[1]), g[2] = -double(u[2]);
        for (int k = 0; k < 3; k++) to_offset[k] = m[4 * k] * g[0] + m[4 * k + 1] * g[1] + m[4 * k + 2] * g[2];
    };
    if (places) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t i = 0; i < count; i++) {
            double sum[3] = {0, 0, 0}, g[3], to_offset[3];
            for (int64_t view = 0; view < views; view++) {
                pull(view, i, g, to_offset);
                for (int k = 0; k < 3; k++) sum[k] += to_offset[k];
            }
            for (int k = 0; k < 3; k++) places[3 * i + k] = float(sum[k]);
        }
    }
    if (!matrices) return;
    std::fill(matrices, matrices + 16 * views, 0.f);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t view = 0; view < views; view++) {
        double sums[12] = {}, g[3], to_offset[3];
        const float *m = cameras + 16 * view;
        for (int64_t i = 0; i < count; i++) {
            pull(view, i, g, to_offset);
            for (int k = 0; k < 3; k++) {
                const double offset = from[3 * i + k] - m[4 * k + 3];
                for (int j = 0; j < 3; j++) sums[4 * k + j] += offset * g[j];
                sums[4 * k + 3] -= to_offset[k];
            }
        }
        for (int k = 0; k < 12; k++) matrices[16 * view + k] = float(sums[k]);
    }
}

}  // namespace triangles

void register_triangles_place(nb::module_ &m) {
    using namespace nb::literals;
    m.def("triangles_place", &triangles::place, "vertices"_a, "c2w"_a, "positions"_a, "threads"_a,
          "Write positions (B, V, 3).");
    m.def("triangles_place_backward", &triangles::place_backward, "vertices"_a, "c2w"_a, "upstream"_a,
          "to_vertices"_a.none(), "to_c2w"_a.none(), "threads"_a, "Write the gradients that are given.");
}
