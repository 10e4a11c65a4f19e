// Neural fields: choice of the instruction set at run time, threads, and the Python functions.
#include "fields.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;

namespace sds3d {
namespace {

using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

// the level is dispatch.py's, which has asked the processor: 0 baseline, 1 AVX2, 2 AVX-512
const FieldKernels& kernels(int level) {
#ifdef SDS3D_X86
    if (level >= 2) return field_kernels_avx512();
    if (level == 1) return field_kernels_avx2();
#endif
    (void)level;
    return field_kernels_baseline();
}

void require(bool ok, const char* what) {
    if (!ok) throw std::invalid_argument(what);
}

template <class Array>
void require_shape(const Array& a, std::initializer_list<size_t> shape, const char* what) {
    require(a.ndim() == shape.size(), what);
    size_t axis = 0;
    for (size_t size : shape) require(a.shape(axis++) == size, what);
}

// f(part, first, last) over `parts` ranges of whole batches; the split depends on `parts` alone
template <class F>
void share(int parts, int64_t count, F f) {
    const int64_t batches = (count + kBatch - 1) / kBatch;
#pragma omp parallel for schedule(static, 1) num_threads(parts) if (parts > 1)
    for (int part = 0; part < parts; ++part) {
        const int64_t first = batches * part / parts * kBatch, last = batches * (part + 1) / parts * kBatch;
        if (first < last) f(part, first, std::min(last, count));
    }
}

struct Grid {
    std::vector<HashLevel> levels;
    HashGrid grid;
};

// shape: one (scale) a level; rows of (resolution, rows, offset, dense)
void fill(Grid& g, const In& points, const std::vector<float>& scales, const std::vector<std::vector<int64_t>>& shapes,
          int active, int features) {
    require(points.ndim() == 2 && points.shape(1) == 3, "points must be (N, 3)");
    require(scales.size() == shapes.size() && active >= 0 && active <= (int)scales.size(), "levels do not fit");
    require(features == 1 || features == 2 || features == 4 || features == 8, "1, 2, 4 or 8 features a level");
    for (size_t l = 0; l < scales.size(); ++l)
        g.levels.push_back({scales[l], (uint32_t)shapes[l][0], (uint32_t)shapes[l][1], shapes[l][2], shapes[l][3] != 0});
    g.grid = {points.data(), (int64_t)points.shape(0), g.levels.data(), (int)g.levels.size(), active, features};
}

size_t rows_of(const Grid& g) { return g.levels.empty() ? 0 : (size_t)(g.levels.back().offset + g.levels.back().rows); }

void hash_encode(In points, In table, std::vector<float> scales, std::vector<std::vector<int64_t>> shapes, int active,
                 Out out, std::optional<Out> slopes, int threads, int level) {
    Grid g;
    fill(g, points, scales, shapes, active, (int)table.shape(1));
    const size_t count = points.shape(0), width = g.grid.width();
    require_shape(table, {rows_of(g), (size_t)g.grid.features}, "table must be (rows, features)");
    require_shape(out, {count, width}, "out must be (N, levels * features)");
    if (slopes) require_shape(*slopes, {count, 3, width}, "slopes must be (N, 3, levels * features)");
    const FieldKernels& k = kernels(level);
    float *o = out.data(), *s = slopes ? slopes->data() : nullptr;
    const float* t = table.data();
    nb::gil_scoped_release release;
    share(threads, count, [&](int, int64_t a, int64_t b) { k.encode(g.grid, t, a, b, o, s); });
}

void hash_encode_backward(In points, std::vector<float> scales, std::vector<std::vector<int64_t>> shapes, int active,
                          std::optional<In> to_out, std::optional<In> to_slopes, Out gradient, int threads,
                          int level) {
    Grid g;
    fill(g, points, scales, shapes, active, (int)gradient.shape(1));
    const size_t count = points.shape(0), width = g.grid.width();
    require_shape(gradient, {rows_of(g), (size_t)g.grid.features}, "gradient must be (rows, features)");
    if (to_out) require_shape(*to_out, {count, width}, "to_out must be (N, levels * features)");
    if (to_slopes) require_shape(*to_slopes, {count, 3, width}, "to_slopes must be (N, 3, levels * features)");
    const FieldKernels& k = kernels(level);
    const float *o = to_out ? to_out->data() : nullptr, *s = to_slopes ? to_slopes->data() : nullptr;
    float* to = gradient.data();
    const size_t size = gradient.size();
    nb::gil_scoped_release release;
    std::memset(to, 0, size * sizeof(float));
    // one level one writer: its sums have one order, whatever the number of threads
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (int l = 0; l < active; ++l) k.encode_back(g.grid, l, o, s, to);
}

void hash_encode_points_backward(In points, In table, std::vector<float> scales,
                                 std::vector<std::vector<int64_t>> shapes, int active, In to_out, Out gradient,
                                 int threads, int level) {
    Grid g;
    fill(g, points, scales, shapes, active, (int)table.shape(1));
    const size_t count = points.shape(0);
    require_shape(table, {rows_of(g), (size_t)g.grid.features}, "table must be (rows, features)");
    require_shape(to_out, {count, (size_t)g.grid.width()}, "to_out must be (N, levels * features)");
    require_shape(gradient, {count, 3}, "gradient must be (N, 3)");
    const FieldKernels& k = kernels(level);
    const float *t = table.data(), *o = to_out.data();
    float* to = gradient.data();
    nb::gil_scoped_release release;
    share(threads, count, [&](int, int64_t a, int64_t b) { k.encode_points_back(g.grid, t, a, b, o, to); });
}

struct Free {
    void operator()(float* p) const { std::free(p); }
};
using Floats = std::unique_ptr<float[], Free>;

// aligned to 64 bytes, zeros
Floats floats(size_t count) {
    const size_t bytes = (count * sizeof(float) + 63) / 64 * 64 + 64;
    void* p = std::aligned_alloc(64, bytes);
    if (!p) throw std::bad_alloc();
    std::memset(p, 0, bytes);
    return Floats((float*)p);
}

int padded(size_t width) { return (int)((width + 15) / 16 * 16); }

// the layers in the kernels' layout
struct Layers {
    std::vector<Layer> layers;
    std::vector<Floats> memory;
    Perceptron p;

    Layers(const std::vector<In>& weights, const std::vector<In>& biases) {
        require(!weights.empty() && weights.size() <= 8 && weights.size() == biases.size(), "1 to 8 layers");
        for (size_t l = 0; l < weights.size(); ++l) {
            const In& w = weights[l];
            require(w.ndim() == 2 && (l == 0 || w.shape(1) == weights[l - 1].shape(0)), "layers do not fit together");
            require_shape(biases[l], {w.shape(0)}, "a bias must be (outputs)");
            add(w.data(), biases[l].data(), (int)w.shape(1), (int)w.shape(0));
        }
        p = {layers.data(), (int)layers.size()};
    }

    void add(const float* w, const float* bias, int inputs, int outputs) {
        const int a = padded(inputs), b = padded(outputs);
        Floats forward = floats((size_t)inputs * b), backward = floats((size_t)outputs * a), offset = floats(b);
        for (int o = 0; o < outputs; ++o) {
            offset[o] = bias[o];
            for (int i = 0; i < inputs; ++i)
                forward[(size_t)i * b + o] = backward[(size_t)o * a + i] = w[(size_t)o * inputs + i];
        }
        layers.push_back({inputs, outputs, a, b, forward.get(), backward.get(), offset.get()});
        memory.push_back(std::move(forward));
        memory.push_back(std::move(backward));
        memory.push_back(std::move(offset));
    }
};

void perceptron_forward(In x, std::vector<In> weights, std::vector<In> biases, Out y, int threads, int level) {
    const Layers layers(weights, biases);
    const int64_t count = (int64_t)x.shape(0);
    require_shape(x, {x.shape(0), (size_t)layers.layers.front().inputs}, "x must be (N, inputs)");
    require_shape(y, {x.shape(0), (size_t)layers.layers.back().outputs}, "y must be (N, outputs)");
    const FieldKernels& k = kernels(level);
    const float* from = x.data();
    float* to = y.data();
    nb::gil_scoped_release release;
    share(threads, count, [&](int, int64_t a, int64_t b) {
        const Floats scratch = floats(perceptron_scratch(layers.p));
        k.perceptron(layers.p, from, a, b, to, scratch.get());
    });
}

// one set of sums a thread, added in order: the same bits for the same number of threads
struct Sums {
    std::vector<Floats> memory;
    std::vector<LayerGradient> gradients;

    explicit Sums(const Layers& layers) {
        for (const Layer& l : layers.layers) {
            memory.push_back(floats((size_t)l.outputs_padded * l.inputs_padded));
            memory.push_back(floats(l.outputs_padded));
            gradients.push_back({memory[memory.size() - 2].get(), memory.back().get()});
        }
    }
};

void perceptron_backward(In x, std::vector<In> weights, std::vector<In> biases, In to_y, std::optional<Out> to_x,
                         std::vector<Out> to_weights, std::vector<Out> to_biases, int threads, int level) {
    const Layers layers(weights, biases);
    const int64_t count = (int64_t)x.shape(0);
    require_shape(x, {x.shape(0), (size_t)layers.layers.front().inputs}, "x must be (N, inputs)");
    require_shape(to_y, {x.shape(0), (size_t)layers.layers.back().outputs}, "to_y must be (N, outputs)");
    if (to_x) require_shape(*to_x, {x.shape(0), x.shape(1)}, "to_x must be (N, inputs)");
    require(to_weights.size() == weights.size() && to_biases.size() == weights.size(), "a gradient a layer");
    for (size_t l = 0; l < weights.size(); ++l) {
        require_shape(to_weights[l], {weights[l].shape(0), weights[l].shape(1)}, "a gradient has its weight's shape");
        require_shape(to_biases[l], {weights[l].shape(0)}, "a gradient has its bias's shape");
    }
    const FieldKernels& k = kernels(level);
    const float *from = x.data(), *g = to_y.data();
    float* to = to_x ? to_x->data() : nullptr;
    nb::gil_scoped_release release;
    std::vector<Sums> sums;
    for (int part = 0; part < threads; ++part) sums.emplace_back(layers);
    share(threads, count, [&](int part, int64_t a, int64_t b) {
        const Floats scratch = floats(perceptron_scratch(layers.p));
        k.perceptron_back(layers.p, from, g, a, b, to, sums[part].gradients.data(), scratch.get());
    });
    for (size_t l = 0; l < layers.layers.size(); ++l) {
        const Layer& layer = layers.layers[l];
        float *weight = to_weights[l].data(), *bias = to_biases[l].data();
        for (int o = 0; o < layer.outputs; ++o) {
            bias[o] = 0;
            for (const Sums& s : sums) bias[o] += s.gradients[l].bias[o];
            for (int i = 0; i < layer.inputs; ++i) {
                float sum = 0;
                for (const Sums& s : sums) sum += s.gradients[l].weight[(size_t)o * layer.inputs_padded + i];
                weight[(size_t)o * layer.inputs + i] = sum;
            }
        }
    }
}

}  // namespace
}  // namespace sds3d

void register_fields(nb::module_& m) {
    using namespace nb::literals;
    using namespace sds3d;
    m.def("hash_encode", &hash_encode, "points"_a, "table"_a, "scales"_a, "shapes"_a, "active"_a, "out"_a,
          "slopes"_a.none(), "threads"_a, "level"_a, "Write the features, and their slopes where an array is given.");
    m.def("hash_encode_backward", &hash_encode_backward, "points"_a, "scales"_a, "shapes"_a, "active"_a,
          "to_out"_a.none(), "to_slopes"_a.none(), "gradient"_a, "threads"_a, "level"_a,
          "Write d loss / d table into gradient.");
    m.def("hash_encode_points_backward", &hash_encode_points_backward, "points"_a, "table"_a, "scales"_a, "shapes"_a,
          "active"_a, "to_out"_a, "gradient"_a, "threads"_a, "level"_a, "Write d loss / d points into gradient.");
    m.def("perceptron_forward", &perceptron_forward, "x"_a, "weights"_a, "biases"_a, "y"_a, "threads"_a, "level"_a,
          "Write the last layer's outputs.");
    m.def("perceptron_backward", &perceptron_backward, "x"_a, "weights"_a, "biases"_a, "to_y"_a, "to_x"_a.none(),
          "to_weights"_a, "to_biases"_a, "threads"_a, "level"_a, "Write every to_ array.");
}
