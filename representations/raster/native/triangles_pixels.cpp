// What follows the z-buffer, pixel by pixel: gradients of barycentrics and depth, interpolation, mip levels.
//
// Gradients of positions have one slice a view, and a view is one unit of work: results do not depend on the
// number of threads. Attributes are summed over views by each thread apart, and then in a fixed order.
#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>
#include <vector>

#include <nanobind/stl/optional.h>

#include "triangles_arrays.h"

namespace triangles {

template <class T>
static auto *pointer(const std::optional<T> &array) {
    return array ? array->data() : nullptr;
}

// The gradients of one face over a run of pixels: what depends on the face alone is done once.
struct Run {
    const Scene &scene;
    int view;
    int64_t face = -1;
    Vec p[3], n[3], to_n[3];  // corners, edge functions, and their gradients
    double to_z[3];

    void open(int64_t f) {
        face = f;
        for (int i = 0; i < 3; i++) p[i] = Vec::of(scene.position(view, scene.faces[3 * f + i]));
        for (int i = 0; i < 3; i++) {
            n[i] = cross(p[(i + 1) % 3], p[(i + 2) % 3]);
            to_n[i] = {0, 0, 0};
            to_z[i] = 0;
        }
    }

    // Returns d loss / d focal.
    double add(int y, int x, const float *to_weights, double to_depth) {
        const Vec ray = scene.ray(view, y, x);
        double e[3], to_b[3], mean = 0, to_focal = 0;
        for (int i = 0; i < 3; i++) e[i] = at(n[i], ray);
        const double inverse = 1.0 / (e[0] + e[1] + e[2]);
        for (int i = 0; i < 3; i++) {
            to_b[i] = (to_weights ? to_weights[i] : 0.0) + to_depth * p[i].z;
            mean += to_b[i] * e[i] * inverse;
        }
        for (int i = 0; i < 3; i++) {
            const double to_e = (to_b[i] - mean) * inverse;
            to_focal += to_e * n[i].z;
            to_n[i] = to_n[i] + to_e * ray;
            to_z[i] += to_depth * e[i] * inverse;
        }
        return to_focal;
    }

    // e_{i+1} = ray · (p_{i+2} × p_i) and e_{i+2} = ray · (p_i × p_{i+1}) depend on p_i.
    void close(double *to_positions) {
        if (face < 0) return;
        for (int i = 0; i < 3; i++) {
            const int j = (i + 1) % 3, k = (i + 2) % 3;
            Vec to_p = cross(to_n[j], p[k]) - cross(to_n[k], p[j]);
            to_p.z += to_z[i];
            to_p.add_to(to_positions + 3 * scene.faces[3 * face + i]);
        }
        face = -1;
    }
};

// Gradients of barycentrics (B, H, W, 3) and depth (B, H, W), either or both, to positions and focal lengths.
static void backward(In positions, Faces faces, In focal, IntIn face, std::optional<In> to_barycentric,
                     std::optional<In> to_depth, Out to_positions, Out to_focal, int threads) {
    const Scene scene = scene_of(positions, faces, focal, face);
    require(to_positions.size() == positions.size() && to_focal.size() == focal.size(), "gradients must fit");
    const float *weights = pointer(to_barycentric), *depths = pointer(to_depth);
    float *out = to_positions.data(), *out_focal = to_focal.data();
    nb::gil_scoped_release release;
    require(scene.sound(), "an index is out of range");
#pragma omp parallel for schedule(dynamic) num_threads(std::min(threads, scene.views)) if (threads > 1 && scene.views > 1)
    for (int view = 0; view < scene.views; view++) {
        std::vector<double> sums(3 * scene.vertex_count);
        double focal_sum = 0;
        Run run{scene, view};
        for (int y = 0; y < scene.height; y++)
            for (int x = 0; x < scene.width; x++) {
                const int64_t at = view * scene.plane() + int64_t(y) * scene.width + x;
                if (scene.face[at] < 0) continue;
                const float *w = weights ? weights + 3 * at : nullptr;
                const double d = depths ? depths[at] : 0.0;
                if (d == 0 && (!w || (w[0] == 0 && w[1] == 0 && w[2] == 0))) continue;
                if (scene.face[at] != run.face) {
                    run.close(sums.data());
                    run.open(scene.face[at]);
                }
                focal_sum += run.add(y, x, w, d);
            }
        run.close(sums.data());
        float *to = out + 3 * scene.vertex_count * view;
        for (size_t i = 0; i < sums.size(); i++) to[i] = float(sums[i]);
        out_focal[view] = float(focal_sum);
    }
}

// Attributes (V, C) that faces point into, or (F, 3, C), one row a corner, without faces.
struct Table {
    const float *values;
    const int64_t *faces;
    int64_t rows, face_count;
    size_t channels;

    bool sound(const int32_t *face, size_t pixels) const {
        return all_within(face, pixels, -1, face_count) &&
               (!faces || all_within(faces, 3 * size_t(face_count), 0, rows));
    }
    size_t row(int64_t f, int corner) const { return size_t(faces ? faces[3 * f + corner] : 3 * f + corner) * channels; }
};

static Table table_of(const In &attributes, const std::optional<Faces> &faces) {
    require(attributes.ndim() == (faces ? 2 : 3), "attributes must be (V, C) with faces, (F, 3, C) without");
    return {attributes.data(), faces ? faces->data() : nullptr,
            int64_t(attributes.shape(0)) * (faces ? 1 : 3), int64_t(faces ? faces->shape(0) : attributes.shape(0)),
            size_t(attributes.shape(attributes.ndim() - 1))};
}

// f(number of channels): a constant for the usual ones, so that the compiler unrolls loops over them.
template <class F>
static void with_channels(size_t channels, F f) {
    if (channels == 1) return f(std::integral_constant<size_t, 1>());
    if (channels == 2) return f(std::integral_constant<size_t, 2>());
    if (channels == 3) return f(std::integral_constant<size_t, 3>());
    if (channels == 4) return f(std::integral_constant<size_t, 4>());
    f(channels);
}

// Each pixel's three rows, weighted; zeros where there is no face.
static int64_t interpolate(In attributes, std::optional<Faces> faces, IntIn face, In barycentric, Out out,
                           int threads) {
    const Table table = table_of(attributes, faces);
    const size_t pixels = face.size();
    require(barycentric.size() == 3 * pixels && out.size() == table.channels * pixels, "pixels must agree in number");
    const float *weight = barycentric.data();
    const int32_t *seen = face.data();
    float *to = out.data();
    nb::gil_scoped_release release;
    if (!all_finite(table.values, attributes.size())) return kNotFinite;
    if (!table.sound(seen, pixels)) return kBadIndex;
    with_channels(table.channels, [&](auto channels) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
        for (int64_t n = 0; n < int64_t(pixels); n++) {
            float *o = to + size_t(n) * channels;
            if (seen[n] < 0) {
                for (size_t k = 0; k < channels; k++) o[k] = 0.f;
                continue;
            }
            const float *a = table.values + table.row(seen[n], 0), *b = table.values + table.row(seen[n], 1),
                        *c = table.values + table.row(seen[n], 2), *w = weight + 3 * n;
            for (size_t k = 0; k < channels; k++) o[k] = w[0] * a[k] + w[1] * b[k] + w[2] * c[k];
        }
    });
    return kDone;
}

static void interpolate_backward(In attributes, std::optional<Faces> faces, IntIn face, In barycentric, In upstream,
                                 std::optional<Out> to_attributes, std::optional<Out> to_barycentric, int threads) {
    const Table table = table_of(attributes, faces);
    const size_t pixels = face.size(), size = attributes.size();
    require(upstream.size() == table.channels * pixels && barycentric.size() == 3 * pixels,
            "pixels must agree in number");
    const float *weight = barycentric.data(), *up = upstream.data();
    const int32_t *seen = face.data();
    float *to_values = pointer(to_attributes), *to_weights = pointer(to_barycentric);
    nb::gil_scoped_release release;
    require(table.sound(seen, pixels), "an index is out of range");
    // the first thread sums into the result itself, the others into their own copies
    std::vector<std::vector<float>> sums(threads - 1);
    with_channels(table.channels, [&](auto channels) {
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
        for (int part = 0; part < threads; part++) {
            float *own = to_values;
            if (own && part > 0) {
                sums[part - 1].assign(size, 0.f);
                own = sums[part - 1].data();
            }
            if (own && part == 0) std::fill(own, own + size, 0.f);
            for (size_t n = pixels * part / threads; n < pixels * (part + 1) / threads; n++) {
                const float *g = up + n * channels, *w = weight + 3 * n;
                for (int i = 0; i < 3; i++) {
                    float dot = 0;
                    if (seen[n] >= 0) {
                        const size_t row = table.row(seen[n], i);
                        if (own)
                            for (size_t k = 0; k < channels; k++) own[row + k] += w[i] * g[k];
                        for (size_t k = 0; k < channels; k++) dot += table.values[row + k] * g[k];
                    }
                    if (to_weights) to_weights[3 * n + i] = dot;
                }
            }
        }
    });
    for (const std::vector<float> &other : sums)
        for (size_t i = 0; i < other.size(); i++) to_values[i] += other[i];
}

// Mip level at every pixel: half the binary logarithm of the largest squared stretch from pixels to texels.
static int64_t mip_level(In positions, Faces faces, In focal, IntIn face, In corners, double texels_x, double texels_y,
                         Out level) {
    const Scene scene = scene_of(positions, faces, focal, face);
    require(corners.size() == 6 * size_t(scene.face_count) && level.size() == face.size(), "arrays must fit");
    const float *uv = corners.data();
    float *out = level.data();
    nb::gil_scoped_release release;
    if (!all_finite(uv, corners.size())) return kNotFinite;
    if (!scene.sound()) return kBadIndex;
    for (int view = 0; view < scene.views; view++)
        for (int y = 0; y < scene.height; y++)
            for (int x = 0; x < scene.width; x++, out++) {
                const int64_t f = scene.face[view * scene.plane() + int64_t(y) * scene.width + x];
                *out = 0.f;
                if (f < 0) continue;
                const Vec ray = scene.ray(view, y, x);
                Vec p[3], n[3], sum = {0, 0, 0};
                for (int i = 0; i < 3; i++) p[i] = Vec::of(scene.position(view, scene.faces[3 * f + i]));
                for (int i = 0; i < 3; i++) {
                    n[i] = cross(p[(i + 1) % 3], p[(i + 2) % 3]);
                    sum = sum + n[i];
                }
                const double inverse = 1.0 / at(sum, ray);
                double j[4] = {0, 0, 0, 0};  // d texel x, y / d column; d texel x, y / d row
                for (int i = 0; i < 3; i++) {
                    const double b = at(n[i], ray) * inverse;
                    const double bx = (n[i].x - b * sum.x) * inverse, by = (n[i].y - b * sum.y) * inverse;
                    const double u = uv[6 * f + 2 * i] * texels_x, v = uv[6 * f + 2 * i + 1] * texels_y;
                    j[0] += bx * u, j[1] += bx * v, j[2] += by * u, j[3] += by * v;
                }
                const double xx = j[0] * j[0] + j[1] * j[1], yy = j[2] * j[2] + j[3] * j[3],
                             xy = j[0] * j[2] + j[1] * j[3], half = 0.5 * (xx - yy);
                const double largest = 0.5 * (xx + yy) + std::sqrt(half * half + xy * xy);
                *out = float(0.5 * std::log2(std::max(largest, 1.0)));
            }
    return kDone;
}

}  // namespace triangles

void register_triangles_pixels(nb::module_ &m) {
    using namespace nb::literals;
    using namespace triangles;
    m.def("triangles_backward", &backward, "positions"_a, "faces"_a, "focal"_a, "face"_a, "to_barycentric"_a.none(),
          "to_depth"_a.none(), "to_positions"_a, "to_focal"_a, "threads"_a, "Write to_positions and to_focal.");
    m.def("triangles_interpolate", &interpolate, "attributes"_a, "faces"_a.none(), "face"_a, "barycentric"_a, "out"_a,
          "threads"_a, "Write weighted attributes (B, H, W, C). -1: done; -2: not finite; -3: an index is wrong.");
    m.def("triangles_interpolate_backward", &interpolate_backward, "attributes"_a, "faces"_a.none(), "face"_a,
          "barycentric"_a, "upstream"_a, "to_attributes"_a.none(), "to_barycentric"_a.none(), "threads"_a,
          "Write the gradients that are given.");
    m.def("triangles_mip_level", &mip_level, "positions"_a, "faces"_a, "focal"_a, "face"_a, "corners"_a, "texels_x"_a,
          "texels_y"_a, "level"_a, "Write level (B, H, W), at least 0. Returns as triangles_interpolate does.");
}
