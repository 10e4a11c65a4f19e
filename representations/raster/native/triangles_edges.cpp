// Silhouettes: which faces share edges, and antialiasing where two pixels see different faces.
//
// Coverage is found once a pair of pixels, in parallel; what is then mixed, and the gradients, are sums within a view
// and in a fixed order: results do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <vector>

#include "triangles_arrays.h"

namespace triangles {

// For edge i of a face (opposite its corner i) the one other face's same edge, as 3 * face + i; -1 where there is none
// or several. Faces that name a vertex twice have no edges.
static int64_t topology(Faces faces, FacesOut partners, int64_t vertex_count) {
    const int64_t count = int64_t(faces.shape(0));
    require(faces.ndim() == 2 && faces.shape(1) == 3 && partners.size() == faces.size(), "faces must be (F, 3)");
    const int64_t *f = faces.data();
    int64_t *out = partners.data();
    nb::gil_scoped_release release;
    if (!all_within(f, 3 * size_t(count), 0, vertex_count)) return kBadIndex;
    struct Slot {
        uint64_t key;
        int64_t first, second;
        int count;
    };
    size_t size = 16;
    while (size < 6 * size_t(count)) size *= 2;
    std::vector<Slot> slots(size, Slot{0, -1, -1, 0});
    for (int64_t h = 0; h < 3 * count; h++) {
        const int64_t *c = f + h / 3 * 3;
        out[h] = -1;
        if (c[0] == c[1] || c[1] == c[2] || c[2] == c[0]) continue;
        const uint64_t a = uint64_t(c[(h + 1) % 3]), b = uint64_t(c[(h + 2) % 3]);
        const uint64_t key = std::min(a, b) * uint64_t(vertex_count) + std::max(a, b) + 1;
        size_t at = (key * 0x9E3779B97F4A7C15ull >> 20) & (size - 1);
        while (slots[at].count && slots[at].key != key) at = (at + 1) & (size - 1);
        Slot &slot = slots[at];
        slot.key = key;
        (slot.count == 0 ? slot.first : slot.second) = h;
        slot.count++;
    }
    for (const Slot &slot : slots)
        if (slot.count == 2) {
            out[slot.first] = slot.second;
            out[slot.second] = slot.first;
        }
    return kDone;
}

constexpr int kSteps = 8;  // triangles that a walk between two pixels crosses at most

// Where the surface that is nearer at one of two neighbouring pixels ends between their centres.
struct Crossing {
    bool found = false, second_near = false;
    int64_t face = 0;    // whose edge it is
    int edge = 0;        // opposite that corner
    double near, far;    // the edge function at the nearer pixel's centre and the other's
};

struct Picture {
    Scene scene;
    const int64_t *partners;  // (F, 3)
    const float *depth;       // (B, H, W)
    // (B, F): 1 where corners run clockwise in the image, -1 where counter-clockwise, 0 edge-on. Found when asked for:
    // few faces lie at an outline. Threads that ask for the same one write the same.
    std::vector<int8_t> facing = {};

    static constexpr int8_t kUnknown = 2;

    void prepare() { facing.assign(size_t(scene.views) * scene.face_count, kUnknown); }

    int side(int view, int64_t face) {
        int8_t &known = facing[view * scene.face_count + face];
        const int8_t found = __atomic_load_n(&known, __ATOMIC_RELAXED);
        if (found != kUnknown) return found;
        Vec p[3];
        for (int i = 0; i < 3; i++) p[i] = Vec::of(scene.position(view, scene.faces[3 * face + i]));
        const double volume = at(cross(p[1], p[2]), p[0]);
        const int8_t sign = volume > 0 ? 1 : volume < 0 ? -1 : 0;
        __atomic_store_n(&known, sign, __ATOMIC_RELAXED);
        return sign;
    }

    // Whether the edge at `half` lies inside the surface as it is seen: the face beyond it looks the same way.
    bool goes_on(int view, int64_t half) {
        const int64_t partner = partners[half], f = half / 3, other = partner / 3;
        if (partner < 0) return false;
        // neighbours that are wound alike run along their edge in opposite directions
        const bool alike = scene.faces[3 * f + (half + 1) % 3] == scene.faces[3 * other + (partner + 2) % 3];
        const int product = side(view, f) * side(view, other);
        return alike ? product > 0 : product < 0;
    }

    bool neighbours(int view, int64_t face1, int64_t face2) {
        for (int64_t half = 3 * face1; half < 3 * face1 + 3; half++)
            if (partners[half] >= 0 && partners[half] / 3 == face2 && goes_on(view, half)) return true;
        return false;
    }

    // Pixel (y, x) and its right (axis 0) or lower (axis 1) neighbour; the caller has seen that their faces differ.
    Crossing crossing(int view, int y, int x, int axis) {
        const int64_t first = view * scene.plane() + int64_t(y) * scene.width + x;
        const int64_t second = first + (axis ? scene.width : 1);
        const int64_t face1 = scene.face[first], face2 = scene.face[second];
        Crossing c;
        c.second_near = face1 < 0 || (face2 >= 0 && depth[second] < depth[first]);
        c.face = c.second_near ? face2 : face1;
        if (face1 >= 0 && face2 >= 0 && neighbours(view, face1, face2)) return c;
        Vec near = scene.ray(view, y, x), far = scene.ray(view, y + axis, x + 1 - axis);
        if (c.second_near) std::swap(near, far);
        for (int step = 0; step < kSteps; step++) {
            const int64_t *corner = scene.faces + 3 * c.face;
            const double sign = side(view, c.face) > 0 ? 1 : -1;
            Vec p[3], n = {0, 0, 0};
            for (int i = 0; i < 3; i++) p[i] = Vec::of(scene.position(view, corner[i]));
            double best = INFINITY;
            for (int i = 0; i < 3; i++) {  // not through the edge it came in by: that one rises
                const Vec m = cross(p[(i + 1) % 3], p[(i + 2) % 3]);
                const double at_far = at(m, far);
                if (sign * at_far > 0) continue;
                const double at_near = at(m, near);
                if (!(sign * (at_near - at_far) > 0)) continue;
                const double t = at_near / (at_near - at_far);
                if (!(t < best)) continue;
                best = t;
                n = m;
                c.edge = i;
                c.near = at_near;
                c.far = at_far;
            }
            if (!(best < INFINITY)) return c;
            if (!goes_on(view, 3 * c.face + c.edge)) {
                c.found = axis ? std::abs(n.y) > std::abs(n.x) : std::abs(n.x) >= std::abs(n.y);
                return c;
            }
            c.face = partners[3 * c.face + c.edge] / 3;
        }
        return c;
    }

    bool sound() const {
        const int64_t edges = 3 * scene.face_count;
        return scene.sound() && all_within(partners, size_t(edges), -1, edges);
    }
};

// How much of its neighbour each pixel of a pair takes: share[(pixel, axis)] > 0 goes from the first pixel to the
// second, < 0 from the second to the first.
static void find_shares(Picture &picture, float *share, int threads) {
    const Scene &s = picture.scene;
    const int64_t rows = int64_t(s.views) * s.height;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t row = 0; row < rows; row++) {
        const int view = int(row / s.height), y = int(row % s.height);
        const int32_t *face = s.face + row * s.width;
        float *out = share + 2 * row * s.width;
        std::fill(out, out + 2 * s.width, 0.f);
        const auto find = [&](int x, int axis) {
            const Crossing c = picture.crossing(view, y, x, axis);
            if (!c.found) return;
            const double t = c.near / (c.near - c.far);
            float &to = out[2 * x + axis];
            to = float(c.second_near ? 0.5 - t : t - 0.5);
            // exactly between the pixels nothing is mixed yet, but the gradient is there
            if (to == 0.f) to = c.second_near ? 1e-30f : -1e-30f;
        };
        const int32_t *below = y + 1 < s.height ? face + s.width : face;
        for (int x = 0; x < s.width; x++) {
            if (x + 1 < s.width && face[x] != face[x + 1]) find(x, 0);
            if (face[x] != below[x]) find(x, 1);
        }
    }
}

// f(pair, into, from, amount): the pixels of a view's pairs in which `into` takes `amount` of `from`, in order.
template <class F>
static void each_share(const Scene &s, const float *share, int view, F f) {
    for (int64_t pair = 2 * s.plane() * view; pair < 2 * s.plane() * (view + 1); pair++) {
        if (share[pair] == 0) continue;
        const int64_t first = pair / 2, second = first + (pair & 1 ? s.width : 1);
        if (share[pair] > 0)
            f(pair, second, first, share[pair]);
        else
            f(pair, first, second, -share[pair]);
    }
}

static Picture picture_of(const In &positions, const Faces &faces, const Faces &partners, const In &focal,
                          const IntIn &face, const In &depth, const In &image, const Out &share) {
    require(partners.size() == faces.size(), "partners must have the shape of faces");
    require(depth.size() == face.size() && share.size() == 2 * face.size(), "pixels must agree in number");
    require(image.ndim() == 4 && image.size() == face.size() * image.shape(3), "image must be (B, H, W, C)");
    return {scene_of(positions, faces, focal, face), partners.data(), depth.data()};
}

static int64_t antialias(In positions, Faces faces, Faces partners, In focal, IntIn face, In depth, In image, Out share,
                         Out out, int threads) {
    Picture picture = picture_of(positions, faces, partners, focal, face, depth, image, share);
    require(out.size() == image.size(), "out must have the image's shape");
    const size_t channels = image.shape(3);
    const float *from = image.data();
    float *to = out.data(), *shares = share.data();
    nb::gil_scoped_release release;
    const Scene &s = picture.scene;
    if (!all_finite(s.positions, positions.size()) || !all_finite(s.focal, s.views)) return kNotFinite;
    if (!all_finite(from, image.size())) return kNotFinite;
    if (!picture.sound()) return kBadIndex;
    picture.prepare();
    find_shares(picture, shares, threads);
    std::copy(from, from + image.size(), to);
#pragma omp parallel for schedule(dynamic) num_threads(std::min(threads, s.views)) if (threads > 1 && s.views > 1)
    for (int view = 0; view < s.views; view++)
        each_share(s, shares, view, [&](int64_t, int64_t into, int64_t other, float amount) {
            for (size_t k = 0; k < channels; k++)
                to[into * channels + k] += amount * (from[other * channels + k] - from[into * channels + k]);
        });
    return kDone;
}

// d t, times `to_t`, to the two vertices of the crossing's edge; returns d t / d focal.
static double crossing_backward(const Picture &picture, int view, int y, int x, int axis, const Crossing &c, double to_t,
                                double *to_positions) {
    const Scene &s = picture.scene;
    Vec near = s.ray(view, y, x), far = s.ray(view, y + axis, x + 1 - axis);
    if (c.second_near) std::swap(near, far);
    const int64_t j = s.faces[3 * c.face + (c.edge + 1) % 3], k = s.faces[3 * c.face + (c.edge + 2) % 3];
    const Vec pj = Vec::of(s.position(view, j)), pk = Vec::of(s.position(view, k));
    const double inverse = 1.0 / (c.near - c.far), to_near = -to_t * c.far * inverse * inverse,
                 to_far = to_t * c.near * inverse * inverse;
    const Vec to_n = to_near * near + to_far * far;
    cross(pk, to_n).add_to(to_positions + 3 * j);
    cross(to_n, pj).add_to(to_positions + 3 * k);
    return (to_near + to_far) * cross(pj, pk).z;
}

static void antialias_backward(In positions, Faces faces, Faces partners, In focal, IntIn face, In depth, In image,
                               Out share, In upstream, Out to_image, Out to_positions, Out to_focal, int threads) {
    Picture picture = picture_of(positions, faces, partners, focal, face, depth, image, share);
    require(upstream.size() == image.size() && to_image.size() == image.size(), "gradients must fit");
    require(to_positions.size() == positions.size() && to_focal.size() == focal.size(), "gradients must fit");
    const int64_t channels = int64_t(image.shape(3));
    const float *from = image.data(), *up = upstream.data(), *shares = share.data();
    float *colour = to_image.data(), *place = to_positions.data(), *focal_out = to_focal.data();
    nb::gil_scoped_release release;
    require(picture.sound(), "an index is out of range");
    picture.prepare();
    const Scene &s = picture.scene;
    std::copy(up, up + upstream.size(), colour);
#pragma omp parallel for schedule(dynamic) num_threads(std::min(threads, s.views)) if (threads > 1 && s.views > 1)
    for (int view = 0; view < s.views; view++) {
        std::vector<double> sums(3 * s.vertex_count);
        double focal_sum = 0;
        each_share(s, shares, view, [&](int64_t pair, int64_t into, int64_t other, float amount) {
            double to_amount = 0;
            for (int64_t k = 0; k < channels; k++) {
                const int64_t i = into * channels + k, o = other * channels + k;
                colour[i] -= amount * up[i];
                colour[o] += amount * up[i];
                to_amount += double(up[i]) * (double(from[o]) - from[i]);
            }
            const int64_t within = pair / 2 - s.plane() * view;
            const int y = int(within / s.width), x = int(within % s.width), axis = int(pair & 1);
            const Crossing c = picture.crossing(view, y, x, axis);
            // amount = |share|, share = t - 1/2 from the nearer pixel's side
            const double sign = (shares[pair] > 0) == !c.second_near ? 1 : -1;
            focal_sum += crossing_backward(picture, view, y, x, axis, c, sign * to_amount, sums.data());
        });
        for (size_t i = 0; i < sums.size(); i++) place[3 * s.vertex_count * view + i] = float(sums[i]);
        focal_out[view] = float(focal_sum);
    }
}

}  // namespace triangles

void register_triangles_edges(nb::module_ &m) {
    using namespace nb::literals;
    using namespace triangles;
    m.def("triangles_topology", &topology, "faces"_a, "partners"_a, "vertex_count"_a,
          "Write partners (F, 3). -1: done; -3: an index is wrong.");
    m.def("triangles_antialias", &antialias, "positions"_a, "faces"_a, "partners"_a, "focal"_a, "face"_a, "depth"_a,
          "image"_a, "share"_a, "out"_a, "threads"_a,
          "Write share (B, H, W, 2) and out. -1: done; -2: not finite; -3: an index is wrong.");
    m.def("triangles_antialias_backward", &antialias_backward, "positions"_a, "faces"_a, "partners"_a, "focal"_a,
          "face"_a, "depth"_a, "image"_a, "share"_a, "upstream"_a, "to_image"_a, "to_positions"_a, "to_focal"_a,
          "threads"_a, "Write every to_ array; share is antialias's.");
}
