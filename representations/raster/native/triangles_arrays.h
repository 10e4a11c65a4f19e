// What the triangle files share: array types, checks, and a pixel's edge functions. Include it after the standard
// headers and nanobind.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace nb = nanobind;

namespace triangles {

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Faces = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu>;
using FacesOut = nb::ndarray<int64_t, nb::c_contig, nb::device::cpu>;
using IntIn = nb::ndarray<const int32_t, nb::c_contig, nb::device::cpu>;
using IntOut = nb::ndarray<int32_t, nb::c_contig, nb::device::cpu>;

// What a function answers that has nothing to report, that met NaN or infinity, or an index out of range.
constexpr int64_t kDone = -1, kNotFinite = -2, kBadIndex = -3;

inline void require(bool ok, const char *what) {
    if (!ok) throw std::invalid_argument(what);
}

// Whether no value is NaN or infinite: not all bits of the exponent set.
inline bool all_finite(const float *values, size_t count) {
    constexpr uint32_t kExponent = 0x7f800000u;
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        std::memcpy(&word, values + i, sizeof word);
        found |= (word & kExponent) == kExponent;
    }
    return found == 0;
}

// Whether every index of `values` lies in [first, end). Differences keep their sign where both bounds hold; plain
// x86-64 has no comparison of 64-bit numbers to do four at a time.
template <class T>
inline bool all_within(const T *values, size_t count, int64_t first, int64_t end) {
    using Unsigned = std::make_unsigned_t<T>;
    const Unsigned low = Unsigned(first), high = Unsigned(end - 1);
    Unsigned outside = 0;
    for (size_t i = 0; i < count; i++) outside |= (Unsigned(values[i]) - low) | (high - Unsigned(values[i]));
    return T(outside) >= 0;
}

struct Vec {
    double x, y, z;

    static Vec of(const float *p) { return {p[0], p[1], p[2]}; }
    Vec operator+(Vec o) const { return {x + o.x, y + o.y, z + o.z}; }
    Vec operator-(Vec o) const { return {x - o.x, y - o.y, z - o.z}; }
    void add_to(double *to) const {
        to[0] += x;
        to[1] += y;
        to[2] += z;
    }
};

inline Vec operator*(double s, Vec a) { return {s * a.x, s * a.y, s * a.z}; }
inline Vec cross(Vec a, Vec b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }

// An edge function at a ray, in the twin's order of operations.
inline double at(Vec n, Vec ray) { return n.x * ray.x + (n.y * ray.y + n.z * ray.z); }

// What B views of one mesh have in common; pixels are (B, H, W).
struct Scene {
    const float *positions, *focal;  // (B, V, 3), (B)
    const int64_t *faces;            // (F, 3)
    int64_t vertex_count, face_count;
    const int32_t *face;  // (B, H, W)
    int views, height, width;

    int64_t plane() const { return int64_t(height) * width; }
    const float *position(int view, int64_t vertex) const {
        return positions + 3 * (vertex_count * view + vertex);
    }
    Vec ray(int view, int y, int x) const {
        return {x + 0.5 - 0.5 * width, y + 0.5 - 0.5 * height, focal[view]};
    }
    // Every index that is followed later lies inside its array.
    bool sound() const {
        return all_within(faces, 3 * size_t(face_count), 0, vertex_count) &&
               all_within(face, size_t(views) * plane(), -1, face_count);
    }
};

inline Scene scene_of(const In &positions, const Faces &faces, const In &focal, const IntIn &face) {
    require(positions.ndim() == 3 && positions.shape(2) == 3, "positions must be (B, V, 3)");
    require(faces.ndim() == 2 && faces.shape(1) == 3, "faces must be (F, 3)");
    require(focal.ndim() == 1 && focal.shape(0) == positions.shape(0), "focal must be (B,)");
    require(face.ndim() == 3 && face.shape(0) == positions.shape(0), "face must be (B, H, W)");
    return {positions.data(),
            focal.data(),
            faces.data(),
            int64_t(positions.shape(1)),
            int64_t(faces.shape(0)),
            face.data(),
            int(face.shape(0)),
            int(face.shape(1)),
            int(face.shape(2))};
}

}  // namespace triangles
