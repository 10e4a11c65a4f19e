// Rays through the volume, forward and backward. Eight samples of a ray at a time: positions, cells and
// exponentials in vectors; values from four loads of two neighbouring voxels each. Included once per
// instruction set.

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
    if (!(chord > 0)) return {0, 0, 0};
    double count = std::ceil(chord * (r.samples / (2.0 * r.radius)));
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
    alignas(32) int32_t base[8];  // index of the voxel at the low corner
    alignas(32) float share[3][8];  // weight of the upper corner along x, y, z
};

MARCH_INLINE v8 distances(const Path &p, int first) {
    const v8 lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return p.span.near + (lane + (float(first) + p.offset)) * p.span.step;
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

static void forward(const Rays &r, int64_t r0, int64_t r1, float *out) {
    Cells cells;
    alignas(32) float values[8][4] = {}, opacity[8], at[8];
    for (int64_t n = r0; n < r1; n++) {
        const Path p = path(r, n);
        v4 color = {0, 0, 0, 0};
        float alpha = 0, moment = 0, passed = 1;
        for (int first = 0; first < p.span.count && passed >= r.stop; first += 8) {
            const int lanes = p.span.count - first < 8 ? p.span.count - first : 8;
            const v8 t = distances(p, first);
            locate(p, t, r.resolution, cells);
            for (int k = 0; k < lanes; k++) store4(values[k], value(r.volume, r.resolution, cells, k));
            v8 density;
            for (int k = 0; k < 8; k++) density[k] = values[k][0];
            store(opacity, one_minus_exp(density * -p.span.step));
            store(at, t);
            for (int k = 0; k < lanes; k++) {
                if (passed < r.stop) break;
                const float weight = passed * opacity[k];
                color += weight * load4(values[k]);
                alpha += weight;
                moment += weight * at[k];
                passed -= weight;
            }
        }
        float *o = out + 5 * n;
        o[0] = color[1], o[1] = color[2], o[2] = color[3], o[3] = alpha, o[4] = moment;
    }
}

// d loss / d density_i = d (T_{i+1} g_i - sum_{j>i} w_j g_j) with g_i = d loss / d w_i; the sum grows from the
// last sample to the first, so that nothing cancels
static void backward(const Rays &r, int64_t r0, int64_t r1, const float *upstream, float *gradient) {
    struct Block {
        Cells cells;
        alignas(32) float value[8][4] = {};
        alignas(32) float at[8], weight[8], after[8];
    };
    std::vector<Block> blocks(r.samples / 8 + 2);
    const size_t row = size_t(r.resolution) * 4, slice = row * r.resolution;
    for (int64_t n = r0; n < r1; n++) {
        const float *g = upstream + 5 * n;
        if (g[0] == 0 && g[1] == 0 && g[2] == 0 && g[3] == 0 && g[4] == 0) continue;
        const Path p = path(r, n);
        float passed = 1;
        int used = 0;
        for (int first = 0; first < p.span.count && passed >= r.stop; first += 8) {
            Block &b = blocks[first / 8];
            const int lanes = p.span.count - first < 8 ? p.span.count - first : 8;
            const v8 t = distances(p, first);
            locate(p, t, r.resolution, b.cells);
            for (int k = 0; k < lanes; k++) store4(b.value[k], value(r.volume, r.resolution, b.cells, k));
            v8 density;
            for (int k = 0; k < 8; k++) density[k] = b.value[k][0];
            const v8 opacity = one_minus_exp(density * -p.span.step);
            store(b.at, t);
            for (int k = 0; k < lanes; k++) {
                if (passed < r.stop) break;
                b.weight[k] = passed * opacity[k];
                passed -= b.weight[k];
                b.after[k] = passed;
                used++;
            }
        }
        float behind = 0;
        for (int i = used - 1; i >= 0; i--) {
            const Block &b = blocks[i / 8];
            const int k = i % 8;
            const float *c = b.value[k], weight = b.weight[k];
            const float here = g[0] * c[1] + g[1] * c[2] + g[2] * c[3] + g[3] + g[4] * b.at[k];
            const v4 d = {p.span.step * (b.after[k] * here - behind), weight * g[0], weight * g[1], weight * g[2]};
            behind += weight * here;
            const float u = b.cells.share[0][k], v = b.cells.share[1][k], w = b.cells.share[2][k];
            const v4 right = u * d, left = d - right;
            float *q = gradient + size_t(b.cells.base[k]) * 4;
            const float part[4] = {(1 - v) * (1 - w), v * (1 - w), (1 - v) * w, v * w};
            float *corner[4] = {q, q + row, q + slice, q + slice + row};
            for (int m = 0; m < 4; m++) {
                store4(corner[m], load4(corner[m]) + part[m] * left);
                store4(corner[m] + 4, load4(corner[m] + 4) + part[m] * right);
            }
        }
    }
}
