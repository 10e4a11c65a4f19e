// Texture sampling: bilinear, and trilinear through a mip pyramid, with gradients.
//
// Gradients of texels are summed by each thread apart and then in a fixed order: the same bits for the same number
// of threads.
#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include "triangles_arrays.h"

namespace triangles {

struct Image {
    const float *values;  // (height, width, C)
    int height, width;
    size_t size, offset;  // number of values; where its gradient begins among all levels'
};

// One axis of a bilinear sample: texels `low` and `high`, the weight of the latter, and d position / d coordinate.
struct Axis {
    int low, high;
    double fraction, slope;
};

// std::floor calls a library on plain x86-64
static double floor_of(double x) {
    if (!(std::abs(x) < 1e15)) return std::floor(x);
    const double whole = double(int64_t(x));
    return whole - (whole > x);
}

static Axis axis_of(double coordinate, int size, bool wrap) {
    const bool inside = coordinate >= 0 && coordinate <= 1;
    const double unit = wrap ? coordinate - floor_of(coordinate) : std::min(std::max(coordinate, 0.0), 1.0);
    const double position = unit * size - 0.5, low = floor_of(position);
    Axis a = {int(low), int(low) + 1, position - low, wrap || inside ? double(size) : 0.0};
    if (a.low < 0) a.low = wrap ? size - 1 : 0;
    if (a.high >= size) a.high = wrap ? 0 : size - 1;
    return a;
}

struct Sampler {
    std::vector<Image> levels;
    const float *uv, *level;  // (N, 2), (N) or null
    size_t pixels, channels, texels = 0;
    bool wrap;

    // The finer level of a pixel's two, and how far it is towards the coarser; -1 where its own gradient is cut.
    int finer(size_t n, double &fraction, bool &free) const {
        const int last = int(levels.size()) - 1;
        fraction = 0;
        free = false;
        if (!level || last == 0) return 0;
        const double wanted = std::min(std::max(double(level[n]), 0.0), double(last));
        free = level[n] >= 0 && level[n] <= last;
        const int low = std::min(int(wanted), last - 1);
        fraction = wanted - low;
        return low;
    }
};

static Sampler sampler_of(const std::vector<In> &levels, const In &uv, const std::optional<In> &level, bool wrap) {
    require(!levels.empty() && levels[0].ndim() == 3, "a level must be (h, w, C)");
    Sampler s;
    s.channels = levels[0].shape(2);
    for (const In &image : levels) {
        require(image.ndim() == 3 && image.size() > 0 && image.shape(2) == s.channels, "a level must be (h, w, C)");
        s.levels.push_back({image.data(), int(image.shape(0)), int(image.shape(1)), image.size(), s.texels});
        s.texels += image.size();
    }
    s.uv = uv.data();
    s.pixels = uv.size() / 2;
    s.level = level ? level->data() : nullptr;
    require(!level || level->size() == s.pixels, "level must have one number a pixel");
    s.wrap = wrap;
    return s;
}

// f(texel's first element, weight) for the four texels of a sample.
template <class F>
static void each_texel(const Image &image, const Axis &x, const Axis &y, size_t channels, F f) {
    const size_t low = size_t(y.low) * image.width, high = size_t(y.high) * image.width;
    f((low + x.low) * channels, (1 - x.fraction) * (1 - y.fraction));
    f((low + x.high) * channels, x.fraction * (1 - y.fraction));
    f((high + x.low) * channels, (1 - x.fraction) * y.fraction);
    f((high + x.high) * channels, x.fraction * y.fraction);
}

static int64_t texture(const std::vector<In> &levels, In uv, std::optional<In> level, Out out, bool wrap, int threads) {
    const Sampler s = sampler_of(levels, uv, level, wrap);
    require(out.size() == s.pixels * s.channels, "out must be (B, H, W, C)");
    float *to = out.data();
    nb::gil_scoped_release release;
    if (!all_finite(s.uv, 2 * s.pixels) || (s.level && !all_finite(s.level, s.pixels))) return kNotFinite;
    if (!all_finite(s.levels[0].values, levels[0].size())) return kNotFinite;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t n = 0; n < int64_t(s.pixels); n++) {
        float *o = to + n * s.channels;
        std::fill(o, o + s.channels, 0.f);
        double fraction;
        bool free;
        const int low = s.finer(n, fraction, free);
        for (int k = 0; k < 2; k++) {
            const double share = k ? fraction : 1 - fraction;
            if (share == 0) continue;
            const Image &image = s.levels[low + k];
            const Axis x = axis_of(s.uv[2 * n], image.width, wrap), y = axis_of(s.uv[2 * n + 1], image.height, wrap);
            each_texel(image, x, y, s.channels, [&](size_t at, double weight) {
                const float w = float(share * weight);
                for (size_t c = 0; c < s.channels; c++) o[c] += w * image.values[at + c];
            });
        }
    }
    return kDone;
}

struct PixelGradients {
    float *uv, *level;  // level or null
};

// `texels` has one target a level, or none.
static void pixel_backward(const Sampler &s, size_t n, const float *up, const std::vector<float *> &texels,
                           const PixelGradients &to) {
    double fraction, values[2] = {0, 0}, to_u = 0, to_v = 0;
    bool free;
    const int low = s.finer(n, fraction, free);
    for (int k = 0; k < 2; k++) {
        const double share = k ? fraction : 1 - fraction;
        if (share == 0 && !(free && to.level)) continue;
        const Image &image = s.levels[low + k];
        const Axis x = axis_of(s.uv[2 * n], image.width, s.wrap), y = axis_of(s.uv[2 * n + 1], image.height, s.wrap);
        float *target = texels.empty() ? nullptr : texels[low + k];
        double dots[4];
        int corner = 0;
        each_texel(image, x, y, s.channels, [&](size_t at, double weight) {
            double dot = 0;
            for (size_t c = 0; c < s.channels; c++) dot += double(image.values[at + c]) * up[c];
            values[k] += weight * dot;
            dots[corner++] = dot;
            const float w = float(share * weight);
            if (target)
                for (size_t c = 0; c < s.channels; c++) target[at + c] += w * up[c];
        });
        to_u += share * x.slope * ((dots[1] - dots[0]) * (1 - y.fraction) + (dots[3] - dots[2]) * y.fraction);
        to_v += share * y.slope * ((dots[2] - dots[0]) * (1 - x.fraction) + (dots[3] - dots[1]) * x.fraction);
    }
    to.uv[2 * n] = float(to_u);
    to.uv[2 * n + 1] = float(to_v);
    if (to.level) to.level[n] = free ? float(values[1] - values[0]) : 0.f;
}

// to_levels is empty where texels need no gradient.
static void texture_backward(const std::vector<In> &levels, In uv, std::optional<In> level, In upstream,
                             const std::vector<Out> &to_levels, Out to_uv, std::optional<Out> to_level, bool wrap,
                             int threads) {
    const Sampler s = sampler_of(levels, uv, level, wrap);
    require(upstream.size() == s.pixels * s.channels && to_uv.size() == uv.size(), "gradients must fit");
    require(to_levels.empty() || to_levels.size() == levels.size(), "one gradient a level");
    const float *up = upstream.data();
    const PixelGradients to = {to_uv.data(), to_level ? to_level->data() : nullptr};
    std::vector<float *> targets;
    for (const Out &target : to_levels) targets.push_back(target.data());
    nb::gil_scoped_release release;
    // the first thread sums into the results themselves, the others into their own copies
    std::vector<std::vector<float>> sums(threads - 1);
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int part = 0; part < threads; part++) {
        std::vector<float *> own = targets;
        if (part > 0 && !targets.empty()) {
            sums[part - 1].assign(s.texels, 0.f);
            for (size_t l = 0; l < own.size(); l++) own[l] = sums[part - 1].data() + s.levels[l].offset;
        }
        for (size_t l = 0; l < own.size() && part == 0; l++) std::fill(own[l], own[l] + s.levels[l].size, 0.f);
        for (size_t n = s.pixels * part / threads; n < s.pixels * (part + 1) / threads; n++)
            pixel_backward(s, n, up + n * s.channels, own, to);
    }
    for (size_t l = 0; l < targets.size(); l++)
        for (const std::vector<float> &other : sums)
            for (size_t i = 0; i < s.levels[l].size; i++) targets[l][i] += other[s.levels[l].offset + i];
}

}  // namespace triangles

void register_triangles_texture(nb::module_ &m) {
    using namespace nb::literals;
    using namespace triangles;
    m.def("triangles_texture", &texture, "levels"_a, "uv"_a, "level"_a.none(), "out"_a, "wrap"_a, "threads"_a,
          "Write samples (B, H, W, C) of levels [(h, w, C)]. -1: done; -2: not finite.");
    m.def("triangles_texture_backward", &texture_backward, "levels"_a, "uv"_a, "level"_a.none(), "upstream"_a,
          "to_levels"_a, "to_uv"_a, "to_level"_a.none(), "wrap"_a, "threads"_a, "Write every gradient that is given.");
}
