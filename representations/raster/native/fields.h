// Neural fields: what the driver (fields.cpp) and the kernels of each instruction set share.
// Formulas: representations/raster/hash_grid_twin.py and mlp_twin.py.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace sds3d {

constexpr int kPoints = 16;   // points that the hash grid locates together
constexpr int kBatch = 64;    // points that go through the perceptron together

struct HashLevel {
    float scale;
    uint32_t resolution, rows;
    int64_t offset;  // first row of the table
    bool dense;
};

struct HashGrid {
    const float* points;  // (N, 3) in [0, 1]
    int64_t count;
    const HashLevel* levels;
    int level_count, active, features;  // the levels from `active` on give zeros
    int width() const { return level_count * features; }
};

// Numbers a row are padded to whole vectors; padding holds zeros, all pointers are aligned to 64 bytes.
struct Layer {
    int inputs, outputs, inputs_padded, outputs_padded;
    const float* forward;   // (inputs, outputs_padded): the transposed weights
    const float* backward;  // (outputs, inputs_padded): the weights
    const float* bias;      // (outputs_padded)
};

struct LayerGradient {
    float *weight, *bias;  // (outputs_padded, inputs_padded), (outputs_padded): added to
};

struct Perceptron {
    const Layer* layers;
    int count;
};

struct FieldKernels {
    // Points [begin, end): features (N, W), and slopes (N, 3, W) where given.
    void (*encode)(const HashGrid&, const float* table, int64_t begin, int64_t end, float* out, float* slopes);
    // All points, one level: adds to that level's rows of `gradient`. to_slopes may be null.
    void (*encode_back)(const HashGrid&, int level, const float* to_out, const float* to_slopes, float* gradient);
    // Points [begin, end): writes d loss / d point (N, 3).
    void (*encode_points_back)(const HashGrid&, const float* table, int64_t begin, int64_t end, const float* to_out,
                               float* gradient);
    // Points [begin, end) of x (N, inputs) -> y (N, outputs). scratch: perceptron_scratch() floats.
    void (*perceptron)(const Perceptron&, const float* x, int64_t begin, int64_t end, float* y, float* scratch);
    // The same range backward; to_x (N, inputs) may be null.
    void (*perceptron_back)(const Perceptron&, const float* x, const float* to_y, int64_t begin, int64_t end,
                            float* to_x, const LayerGradient* gradients, float* scratch);
};

// Activations of a batch in front of every layer and behind the last, and two gradients of the widest.
inline size_t perceptron_scratch(const Perceptron& p) {
    size_t widest = 0, sum = 0;
    for (int l = 0; l < p.count; ++l) {
        const Layer& layer = p.layers[l];
        if ((size_t)layer.inputs_padded > widest) widest = layer.inputs_padded;
        if ((size_t)layer.outputs_padded > widest) widest = layer.outputs_padded;
        sum += layer.inputs_padded;
    }
    return kBatch * (sum + 3 * widest);
}

const FieldKernels& field_kernels_baseline();
const FieldKernels& field_kernels_avx2();
const FieldKernels& field_kernels_avx512();

}  // namespace sds3d
