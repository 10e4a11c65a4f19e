// Sum of upsampled levels, activation, and both in reverse. Upsampling is separable: x and y at the level's own
// slices (small), z together with the activation, in rows of 4 R contiguous floats (large). Included once per
// instruction set.

struct Source {
    int first;    // lower of the two grid points
    float share;  // weight of the upper one
};

// corners on corners: output point i of R lies at i (size - 1) / (R - 1) of the level
MARCH_INLINE Source source(int i, int size, int resolution) {
    double at = double(i) * (size - 1) / (resolution - 1);
    int first = int(at);
    if (first > size - 2) first = size - 2;
    return {first, float(at - first)};
}

static void upsample(const Compose &c, int which, int z0, int z1) {
    const Level &level = c.levels[which];
    const int R = c.resolution, L = level.size;
    std::vector<float> wide(size_t(L) * R * 4);  // one slice, upsampled along x
    for (int z = z0; z < z1; z++) {
        for (int x = 0; x < R; x++) {
            Source s = source(x, L, R);
            for (int y = 0; y < L; y++) {
                const float *p = level.value + ((size_t(z) * L + y) * L + s.first) * 4;
                v4 a = load4(p), b = load4(p + 4);
                store4(&wide[(size_t(y) * R + x) * 4], a + s.share * (b - a));
            }
        }
        for (int y = 0; y < R; y++) {
            Source s = source(y, L, R);
            const float *a = &wide[size_t(s.first) * R * 4], *b = a + size_t(R) * 4;
            float *out = level.rows + (size_t(z) * R + y) * R * 4;
            for (int k = 0; k < R * 4; k++) out[k] = a[k] + s.share * (b[k] - a[k]);
        }
    }
}

// one row of raw values -> density and colour; both need e = exp(-|u|)
MARCH_INLINE void activate_row(const Compose &c, float *raw, const float *bias) {
    const int R = c.resolution;
    const float s = c.color_gain;
    const v8 slope = {1, s, s, s, 1, s, s, s};
    const i8 is_density = {-1, 0, 0, 0, -1, 0, 0, 0};
    for (int x = 0; x < R; x += 2) {
        v8 shift = {bias[x], 0, 0, 0, x + 1 < R ? bias[x + 1] : 0.0f, 0, 0, 0};
        v8 u = load(raw + 4 * x) * slope + shift;
        v8 size = u < 0.0f ? -u : u;
        v8 e = exp_of(exponential(-size));
        e = size > 80.0f ? splat(0.0f) : e;  // a bias of -inf must give exactly zero
        v8 softplus = max(u, splat(0.0f)) + log_one_plus(e);
        v8 sigmoid = (u < 0.0f ? e : splat(1.0f)) / (1.0f + e);
        store(raw + 4 * x, is_density ? c.density_gain * softplus : sigmoid);
    }
}

static void activate(const Compose &c, int y0, int y1) {
    const int R = c.resolution;
    std::vector<float> raw(size_t(R) * 4 + 8);
    for (int z = 0; z < R; z++) {
        for (int y = y0; y < y1; y++) {
            float *row = raw.data();
            std::memset(row, 0, raw.size() * sizeof(float));
            for (int n = 0; n < c.level_count; n++) {
                const Level &level = c.levels[n];
                const size_t slice = size_t(R) * R * 4;
                if (level.size == R) {
                    const float *a = level.value + z * slice + size_t(y) * R * 4;
                    for (int k = 0; k < R * 4; k++) row[k] += a[k];
                    continue;
                }
                Source s = source(z, level.size, R);
                const float *a = level.rows + s.first * slice + size_t(y) * R * 4, *b = a + slice;
                for (int k = 0; k < R * 4; k++) row[k] += a[k] + s.share * (b[k] - a[k]);
            }
            activate_row(c, row, c.bias + (size_t(z) * R + y) * R);
            std::memcpy(c.volume + (size_t(z) * R + y) * R * 4, row, size_t(R) * 4 * sizeof(float));
        }
    }
}

// d loss / d raw of one row; sigmoid(u) of the density is 1 - exp(-softplus(u))
MARCH_INLINE void activation_gradient(const Compose &c, const float *value, const float *upstream, float *out) {
    const i8 is_density = {-1, 0, 0, 0, -1, 0, 0, 0};
    const float per_gain = 1.0f / c.density_gain;
    for (int k = 0; k < c.resolution * 4; k += 8) {
        v8 a = load(value + k);
        v8 density = c.density_gain * one_minus_exp(-a * per_gain);
        v8 color = c.color_gain * a * (1.0f - a);
        store(out + k, load(upstream + k) * (is_density ? density : color));
    }
}

static void activate_back(const Compose &c, int y0, int y1) {
    const int R = c.resolution;
    const size_t row_floats = size_t(R) * 4, slice = row_floats * R;
    std::vector<float> value(row_floats + 8), upstream(row_floats + 8), raw(row_floats + 8);
    for (int n = 0; n < c.level_count; n++) {
        const Level &level = c.levels[n];
        if (level.size == R) continue;
        for (int z = 0; z < level.size; z++)
            std::memset(level.rows + z * slice + y0 * row_floats, 0, (y1 - y0) * row_floats * sizeof(float));
    }
    for (int z = 0; z < R; z++) {
        for (int y = y0; y < y1; y++) {
            const size_t at = z * slice + y * row_floats;
            std::memcpy(value.data(), c.activated + at, row_floats * sizeof(float));
            std::memcpy(upstream.data(), c.upstream + at, row_floats * sizeof(float));
            activation_gradient(c, value.data(), upstream.data(), raw.data());
            for (int n = 0; n < c.level_count; n++) {
                const Level &level = c.levels[n];
                if (level.size == R) {
                    std::memcpy(level.gradient + at, raw.data(), row_floats * sizeof(float));
                    continue;
                }
                Source s = source(z, level.size, R);
                float *a = level.rows + s.first * slice + y * row_floats, *b = a + slice;
                const float *d = raw.data();
                for (size_t k = 0; k < row_floats; k++) {
                    float upper = s.share * d[k];
                    a[k] += d[k] - upper;
                    b[k] += upper;
                }
            }
        }
    }
}

static void upsample_back(const Compose &c, int which, int z0, int z1) {
    const Level &level = c.levels[which];
    const int R = c.resolution, L = level.size;
    const size_t row_floats = size_t(R) * 4;
    std::vector<float> wide(size_t(L) * row_floats);
    for (int z = z0; z < z1; z++) {
        std::memset(wide.data(), 0, wide.size() * sizeof(float));
        for (int y = 0; y < R; y++) {
            Source s = source(y, L, R);
            const float *d = level.rows + (size_t(z) * R + y) * row_floats;
            float *a = &wide[s.first * row_floats], *b = a + row_floats;
            for (size_t k = 0; k < row_floats; k++) {
                float upper = s.share * d[k];
                a[k] += d[k] - upper;
                b[k] += upper;
            }
        }
        float *out = level.gradient + size_t(z) * L * L * 4;
        std::memset(out, 0, size_t(L) * L * 4 * sizeof(float));
        for (int x = 0; x < R; x++) {
            Source s = source(x, L, R);
            for (int y = 0; y < L; y++) {
                v4 d = load4(&wide[y * row_floats + size_t(x) * 4]);
                float *p = out + (size_t(y) * L + s.first) * 4;
                store4(p, load4(p) + (d - s.share * d));
                store4(p + 4, load4(p + 4) + s.share * d);
            }
        }
    }
}

// squared differences towards +x, +y, +z of one slice, and their gradient at the slice's own voxels
static void variation(const Variation &t, int z0, int z1) {
    const int R = t.resolution, row_floats = R * 4;
    const size_t slice = size_t(R) * row_floats;
    std::vector<float> weight(row_floats), sum(row_floats), zero(row_floats);
    for (int k = 0; k < row_floats; k++) weight[k] = t.weights[k % 4];
    for (int z = z0; z < z1; z++) {
        double total = 0;
        for (int y = 0; y < R; y++) {
            const float *v = t.volume + z * slice + size_t(y) * row_floats, *w = weight.data();
            // outside the grid the neighbour is the voxel itself: no difference
            const float *up = y + 1 < R ? v + row_floats : v, *down = y > 0 ? v - row_floats : v;
            const float *far = z + 1 < R ? v + slice : v, *near = z > 0 ? v - slice : v;
            float *s = sum.data();
            for (int k = 0; k < row_floats; k++) {
                float a = up[k] - v[k], b = far[k] - v[k];
                s[k] = w[k] * (a * a + b * b);
            }
            for (int k = 0; k < row_floats - 4; k++) {
                float a = v[k + 4] - v[k];
                s[k] += w[k] * a * a;
            }
            v4 lanes = {0, 0, 0, 0};
            for (int k = 0; k < row_floats; k += 4) lanes += load4(s + k);
            total += double(lanes[0]) + lanes[1] + lanes[2] + lanes[3];
            if (!t.gradient) continue;
            float *g = t.gradient + z * slice + size_t(y) * row_floats;
            for (int k = 0; k < row_floats; k++)
                g[k] = 2.0f * w[k] * (4.0f * v[k] - up[k] - down[k] - far[k] - near[k]);
            for (int k = 0; k < row_floats - 4; k++) g[k] += 2.0f * w[k] * (v[k] - v[k + 4]);
            for (int k = 4; k < row_floats; k++) g[k] += 2.0f * w[k] * (v[k] - v[k - 4]);
        }
        t.slice_value[z] = total;
    }
}
