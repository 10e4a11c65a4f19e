// The perceptron: a batch of points goes through all layers while its activations stay in the cache. Forward, back to
// the inputs and back to the weights are the same product C += A B, with B and C in rows of whole vectors and A
// broadcast number by number. Included once per instruction set.
#pragma once

namespace SDS3D_ISA {

// R x V vectors of C stay in registers.
template <int R, int V>
SDS3D_INLINE void tile(const float* a, int a_row, int a_column, const float* b, int b_row, float* c, int c_row,
                       int depth) {
    F sum[R][V];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) sum[r][v] = load(c + r * c_row + 16 * v);
    for (int k = 0; k < depth; ++k) {
        F right[V];
        for (int v = 0; v < V; ++v) right[v] = load(b + (size_t)k * b_row + 16 * v);
        for (int r = 0; r < R; ++r) {
            const F left = splat(a[(size_t)r * a_row + (size_t)k * a_column]);
            for (int v = 0; v < V; ++v) sum[r][v] = fma(left, right[v], sum[r][v]);
        }
    }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) store(c + r * c_row + 16 * v, sum[r][v]);
}

template <int R, int V>
SDS3D_INLINE void column(const float* a, int a_row, int a_column, const float* b, int b_row, float* c, int c_row,
                         int rows, int depth) {
    int r = 0;
    for (; r + R <= rows; r += R) tile<R, V>(a + (size_t)r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, depth);
    for (; r < rows; ++r) tile<1, V>(a + (size_t)r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, depth);
}

// C (rows x columns) += A (rows x depth) B (depth x columns); columns are whole vectors. As many sums as hide the
// latency of a multiply-add and fit the registers.
static void product(const float* a, int a_row, int a_column, const float* b, int b_row, float* c, int c_row, int rows,
                    int columns, int depth) {
    constexpr int kSums = kChains >= 12 ? 16 : kChains >= 6 ? 4 : 2;
    int at = 0;
    if (kSums >= 16)
        for (; at + 64 <= columns; at += 64) column<kSums / 4, 4>(a, a_row, a_column, b + at, b_row, c + at, c_row, rows, depth);
    if (kSums >= 4)
        for (; at + 32 <= columns; at += 32) column<kSums / 2, 2>(a, a_row, a_column, b + at, b_row, c + at, c_row, rows, depth);
    for (; at < columns; at += 16) column<kSums, 1>(a, a_row, a_column, b + at, b_row, c + at, c_row, rows, depth);
}

// rows of `from` numbers -> kBatch rows of `to` numbers, the rest zeros
SDS3D_INLINE void widen(const float* x, int count, int from, int to, float* out) {
    for (int n = 0; n < kBatch; ++n) {
        const int have = n < count ? from : 0;
        for (int i = 0; i < have; ++i) out[n * to + i] = x[(size_t)n * from + i];
        for (int i = have; i < to; ++i) out[n * to + i] = 0.0f;
    }
}

// x -> activations: acts[l] is what layer l reads, acts[count] what comes out
static void batch_forward(const Perceptron& p, float* const* acts) {
    const F zero = splat(0.0f);
    for (int l = 0; l < p.count; ++l) {
        const Layer& layer = p.layers[l];
        const int width = layer.outputs_padded;
        for (int n = 0; n < kBatch; ++n)
            for (int i = 0; i < width; i += 16) store(acts[l + 1] + n * width + i, load(layer.bias + i));
        product(acts[l], layer.inputs_padded, 1, layer.forward, width, acts[l + 1], width, kBatch, width, layer.inputs);
        if (l + 1 < p.count)
            for (int i = 0; i < kBatch * width; i += 16) store(acts[l + 1] + i, max(load(acts[l + 1] + i), zero));
    }
}

constexpr int kMaxLayers = 8;

// places in the scratch; returns what is left
SDS3D_INLINE float* lay_out(const Perceptron& p, float* scratch, float** acts) {
    for (int l = 0; l < p.count; ++l) {
        acts[l] = scratch;
        scratch += kBatch * p.layers[l].inputs_padded;
    }
    acts[p.count] = scratch;
    return scratch + kBatch * p.layers[p.count - 1].outputs_padded;
}

static void perceptron(const Perceptron& p, const float* x, int64_t begin, int64_t end, float* y, float* scratch) {
    float* acts[kMaxLayers + 1];
    lay_out(p, scratch, acts);
    const int inputs = p.layers[0].inputs, outputs = p.layers[p.count - 1].outputs;
    const int width = p.layers[p.count - 1].outputs_padded;
    for (int64_t start = begin; start < end; start += kBatch) {
        const int count = (int)(end - start < kBatch ? end - start : kBatch);
        widen(x + start * inputs, count, inputs, p.layers[0].inputs_padded, acts[0]);
        batch_forward(p, acts);
        for (int n = 0; n < count; ++n)
            for (int i = 0; i < outputs; ++i) y[(start + n) * outputs + i] = acts[p.count][n * width + i];
    }
}

static void perceptron_back(const Perceptron& p, const float* x, const float* to_y, int64_t begin, int64_t end,
                            float* to_x, const LayerGradient* gradients, float* scratch) {
    float* acts[kMaxLayers + 1];
    float* here = lay_out(p, scratch, acts);
    int widest = 0;
    for (int l = 0; l < p.count; ++l) {
        if (p.layers[l].inputs_padded > widest) widest = p.layers[l].inputs_padded;
        if (p.layers[l].outputs_padded > widest) widest = p.layers[l].outputs_padded;
    }
    float* next = here + kBatch * widest;
    const F zero = splat(0.0f);
    const int inputs = p.layers[0].inputs, outputs = p.layers[p.count - 1].outputs;
    for (int64_t start = begin; start < end; start += kBatch) {
        const int count = (int)(end - start < kBatch ? end - start : kBatch);
        widen(x + start * inputs, count, inputs, p.layers[0].inputs_padded, acts[0]);
        batch_forward(p, acts);
        widen(to_y + start * outputs, count, outputs, p.layers[p.count - 1].outputs_padded, here);
        for (int l = p.count - 1; l >= 0; --l) {
            const Layer& layer = p.layers[l];
            const int a = layer.inputs_padded, b = layer.outputs_padded;
            product(here, 1, b, acts[l], a, gradients[l].weight, a, layer.outputs, a, kBatch);
            for (int i = 0; i < b; i += 16) {
                F sum = load(gradients[l].bias + i);
                for (int n = 0; n < kBatch; ++n) sum = sum + load(here + n * b + i);
                store(gradients[l].bias + i, sum);
            }
            if (l == 0 && !to_x) break;
            for (int i = 0; i < kBatch * a; i += 16) store(next + i, zero);
            product(here, b, 1, layer.backward, a, next, a, kBatch, a, layer.outputs);
            if (l > 0)
                for (int i = 0; i < kBatch * a; i += 16) store(next + i, keep(load(acts[l] + i) > zero, load(next + i)));
            float* swap = here;
            here = next, next = swap;
        }
        if (!to_x) continue;
        const int width = p.layers[0].inputs_padded;
        for (int n = 0; n < count; ++n)
            for (int i = 0; i < inputs; ++i) to_x[(start + n) * inputs + i] = here[n * width + i];
    }
}

}  // namespace SDS3D_ISA
