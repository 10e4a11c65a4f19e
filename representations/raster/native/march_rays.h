// Rays through the volume, forward and backward. Eight samples of a ray at a time, everything in vectors; a
// value comes from four loads of two neighbouring voxels each. Included once per instruction set.

struct Interval {
    float near, step;
    int count;
};

// in double, so that every implementation counts the same number of samples
MARCH_INLINE Interval interval(const Rays &r, int64_t n) {
    const float *o = r.origins + 3 * n, *d = r.directions + 3 * n;
    double middle = 0, distance2 = 0;
    for (int a = 0; a < 3; a++) {
        middle -= double(o[a]) * d[a];
        distance2 += double(o[a]) * o[a];
    }
    double inside = r.radius * r.radius - distance2 + middle * middle;
    if (!(inside > 0)) return {0, 0, 0};
    double half_chord = std::sqrt(inside);
    double near = middle - half_chord > 0 ? middle - half_chord : 0;
    double chord = middle + half_chord - near;
    // the small number keeps a diameter, whose quotient may round up, at `samples`
    double count = std::ceil(chord * (r.samples / (2.0 * r.radius)) - 1e-6);
    if (!(count >= 1)) return {0, 0, 0};
    return {float(near), float(chord / count), int(count)};
}

// one ray's samples in blocks of eight: where they lie
struct Path {
    v8 start[3], slope[3];  // grid coordinates = start + slope * distance
    Interval span;
    float offset;
};

MARCH_INLINE Path path(const Rays &r, int64_t n) {
    Path p;
    p.span = interval(r, n);
    p.offset = r.offsets[n];
    const float scale = float((r.resolution - 1) / (2.0 * r.radius)), half = float(r.radius);
    for (int a = 0; a < 3; a++) {
        p.start[a] = splat((r.origins[3 * n + a] + half) * scale);
        p.slope[a] = splat(r.directions[3 * n + a] * scale);
    }
    return p;
}

struct Cells {
    alignas(32) int32_t base[8];    // index of the voxel at the low corner
    alignas(32) float share[3][8];  // weight of the upper corner along x, y, z
};

struct Values {
    v8 density, red, green, blue;
};

// eight samples on their way: T_i, w_i of march_twin and what is behind them
struct Weights {
    v8 weight, after;  // w_i; T_{i+1}, or 0 where the ray has ended before
    float depth;       // optical depth up to the end of the block
};

MARCH_INLINE v8 lanes() { return v8{0, 1, 2, 3, 4, 5, 6, 7}; }

MARCH_INLINE v8 distances(const Path &p, int first) {
    return p.span.near + (lanes() + (float(first) + p.offset)) * p.span.step;
}

MARCH_INLINE void locate(const Path &p, v8 t, int resolution, Cells &cells) {
    const v8 last = splat(float(resolution - 1));
    i8 index = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int a = 2; a >= 0; a--) {
        v8 g = min(max(p.start[a] + p.slope[a] * t, splat(0.0f)), last);
        i8 i = __builtin_convertvector(g, i8);
        i = i > resolution - 2 ? (i8{} + (resolution - 2)) : i;
        *reinterpret_cast<v8 *>(cells.share[a]) = g - __builtin_convertvector(i, v8);
        index = index * resolution + i;
    }
    *reinterpret_cast<i8 *>(cells.base) = index;
}

// trilinear value of lane k: (density, red, green, blue)
MARCH_INLINE v4 value(const float *volume, int resolution, const Cells &cells, int k) {
    const size_t row = size_t(resolution) * 4, slice = row * resolution;
    const float *p = volume + size_t(cells.base[k]) * 4;
    const float u = cells.share[0][k], v = cells.share[1][k], w = cells.share[2][k];
    v8 a = load(p), b = load(p + row), c = load(p + slice), d = load(p + slice + row);
    v8 ab = a + v * (b - a), cd = c + v * (d - c);
    v8 both = ab + w * (cd - ab);
    return low(both) + u * (high(both) - low(both));
}

MARCH_INLINE v8 join(v4 a, v4 b) { return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7); }

MARCH_INLINE Values values(const Rays &r, const Cells &cells) {
    v8 pair[4];  // lanes k and k + 4
    for (int k = 0; k < 4; k++)
        pair[k] = join(value(r.volume, r.resolution, cells, k), value(r.volume, r.resolution, cells, k + 4));
    const v8 a = __builtin_shufflevector(pair[0], pair[1], 0, 8, 1, 9, 4, 12, 5, 13);
    const v8 b = __builtin_shufflevector(pair[2], pair[3], 0, 8, 1, 9, 4, 12, 5, 13);
    const v8 c = __builtin_shufflevector(pair[0], pair[1], 2, 10, 3, 11, 6, 14, 7, 15);
    const v8 d = __builtin_shufflevector(pair[2], pair[3], 2, 10, 3, 11, 6, 14, 7, 15);
    return {__builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13),
            __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15),
            __builtin_shufflevector(c, d, 0, 1, 8, 9, 4, 5, 12, 13),
            __builtin_shufflevector(c, d, 2, 3, 10, 11, 6, 7, 14, 15)};
}

// inclusive sums from the first lane, and from the last
MARCH_INLINE v8 running_sum(v8 a) {
    const v8 zero = splat(0.0f);
    a += __builtin_shufflevector(zero, a, 0, 8, 9, 10, 11, 12, 13, 14);
    a += __builtin_shufflevector(zero, a, 0, 1, 8, 9, 10, 11, 12, 13);
    return a + __builtin_shufflevector(zero, a, 0, 1, 2, 3, 8, 9, 10, 11);
}

MARCH_INLINE v8 reverse_sum(v8 a) {
    const v8 zero = splat(0.0f);
    a += __builtin_shufflevector(a, zero, 1, 2, 3, 4, 5, 6, 7, 8);
    a += __builtin_shufflevector(a, zero, 2, 3, 4, 5, 6, 7, 8, 9);
    return a + __builtin_shufflevector(a, zero, 4, 5, 6, 7, 8, 9, 10, 11);
}

MARCH_INLINE float total(v8 a) {
    v4 b = low(a) + high(a);
    return (b[0] + b[2]) + (b[1] + b[3]);
}

// `depth` is the optical depth in front of the block, which holds samples first ... first + 7
MARCH_INLINE Weights weights(const Rays &r, const Path &p, v8 density, int first, float depth) {
    const v8 thickness = lanes() < float(p.span.count - first) ? density * p.span.step : splat(0.0f);
    const v8 sum = running_sum(thickness);
    const v8 passed = exp_of(exponential(thickness - sum - depth));
    const v8 weight = passed * one_minus_exp(-thickness);
    const i8 reached = passed >= r.stop;
    return {reached ? weight : splat(0.0f), reached ? passed - weight : splat(0.0f), depth + sum[7]};
}

// whether a ray whose optical depth is `depth` goes on: T >= stop
MARCH_INLINE float depth_limit(const Rays &r) { return r.stop > 0 ? -std::log(r.stop) : INFINITY; }

static void forward(const Rays &r, int64_t r0, int64_t r1, float *out) {
    const float limit = depth_limit(r);
    Cells cells;
    for (int64_t n = r0; n < r1; n++) {
        const Path p = path(r, n);
        v8 red = splat(0.0f), green = red, blue = red, alpha = red, moment = red;
        float depth = 0;
        for (int first = 0; first < p.span.count && depth <= limit; first += 8) {
            const v8 t = distances(p, first);
            locate(p, t, r.resolution, cells);
            const Values c = values(r, cells);
            const Weights w = weights(r, p, c.density, first, depth);
            red += w.weight * c.red, green += w.weight * c.green, blue += w.weight * c.blue;
            alpha += w.weight, moment += w.weight * t;
            depth = w.depth;
        }
        float *o = out + 5 * n;
        o[0] = total(red), o[1] = total(green), o[2] = total(blue), o[3] = total(alpha), o[4] = total(moment);
    }
}

struct Block {
    Cells cells;
    v8 weight, after, here;  // here = d loss / d w_i
};

// d loss / d density_i = d (T_{i+1} here_i - sum_{j>i} w_j here_j); the sum grows from the last sample to the
// first, so that nothing cancels
static void backward(const Rays &r, int64_t r0, int64_t r1, const float *upstream, float *gradient) {
    const float limit = depth_limit(r);
    const size_t row = size_t(r.resolution) * 4, slice = row * r.resolution;
    std::vector<Block> blocks(r.samples / 8 + 2);
    for (int64_t n = r0; n < r1; n++) {
        const float *g = upstream + 5 * n;
        if (g[0] == 0 && g[1] == 0 && g[2] == 0 && g[3] == 0 && g[4] == 0) continue;
        const Path p = path(r, n);
        float depth = 0;
        int used = 0;
        for (; 8 * used < p.span.count && depth <= limit; used++) {
            Block &b = blocks[used];
            const v8 t = distances(p, 8 * used);
            locate(p, t, r.resolution, b.cells);
            const Values c = values(r, b.cells);
            const Weights w = weights(r, p, c.density, 8 * used, depth);
            b.weight = w.weight, b.after = w.after;
            b.here = g[0] * c.red + g[1] * c.green + g[2] * c.blue + g[3] + g[4] * t;
            depth = w.depth;
        }
        const v8 color = {0, g[0], g[1], g[2], 0, g[0], g[1], g[2]};
        float behind = 0;
        while (used-- > 0) {
            const Block &b = blocks[used];
            const v8 seen = b.weight * b.here, from_here = reverse_sum(seen) + behind;
            alignas(32) float weight[8], density[8];
            store(weight, b.weight);
            store(density, p.span.step * (b.after * b.here - (from_here - seen)));
            behind = from_here[0];
            const int rest = p.span.count - 8 * used;
            for (int k = 0; k < 8 && k < rest; k++) {
                const v8 both = weight[k] * color;
                const v8 d = __builtin_shufflevector(both, splat(density[k]), 8, 1, 2, 3, 12, 5, 6, 7);
                const float u = b.cells.share[0][k], v = b.cells.share[1][k], w = b.cells.share[2][k];
                const v8 pair = d * v8{1 - u, 1 - u, 1 - u, 1 - u, u, u, u, u};
                const v8 back = w * pair, front = pair - back, back_up = v * back, front_up = v * front;
                float *q = gradient + size_t(b.cells.base[k]) * 4;
                store(q, load(q) + (front - front_up));
                store(q + row, load(q + row) + front_up);
                store(q + slice, load(q + slice) + (back - back_up));
                store(q + slice + row, load(q + slice + row) + back_up);
            }
        }
    }
}
