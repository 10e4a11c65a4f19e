// The hash grid: sixteen points are located together, then each point reads its eight rows.
// Included once per instruction set.
#pragma once

namespace SDS3D_ISA {

constexpr size_t kNear = 1 << 19;  // bytes of a level that stay in the second cache
constexpr int kChunk = 512;  // points whose results of one level are written before the next level's rows are read

// of kPoints points on one level
struct Cells {
    uint32_t row[4][2][kPoints];  // [2 dy + dz][dx]: rows of the corners within the level
    float share[3][kPoints];      // weight of the upper corners along x, y, z
};

SDS3D_INLINE void locate(const HashLevel& level, const float (*place)[kChunk], int first, Cells& cells) {
    uint32_t low[3][kPoints];
    for (int a = 0; a < 3; ++a)
        for (int i = 0; i < kPoints; ++i) {
            const float u = place[a][first + i] * level.scale + 0.5f;
            const int32_t whole = (int32_t)u;
            low[a][i] = (uint32_t)whole;
            cells.share[a][i] = u - (float)whole;
        }
    const uint32_t size = level.resolution, rows = level.rows;
    for (uint32_t q = 0; q < 4; ++q) {
        const uint32_t dy = q >> 1, dz = q & 1;
        if (level.dense) {
            for (int i = 0; i < kPoints; ++i) {
                // at a face of the cube the upper corners lie outside: they wrap around, and once is enough
                const uint32_t row = low[0][i] + (low[1][i] + dy) * size + (low[2][i] + dz) * size * size;
                cells.row[q][0][i] = row >= rows ? row - rows : row;
                cells.row[q][1][i] = row + 1 >= rows ? row + 1 - rows : row + 1;
            }
        } else {
            for (int i = 0; i < kPoints; ++i) {
                const uint32_t mixed = ((low[1][i] + dy) * 2654435761u) ^ ((low[2][i] + dz) * 805459861u);
                cells.row[q][0][i] = (low[0][i] ^ mixed) & (rows - 1);
                cells.row[q][1][i] = ((low[0][i] + 1) ^ mixed) & (rows - 1);
            }
        }
    }
}

// x, y, z of points [begin, end) as three arrays, filled up to whole groups with copies of the last
SDS3D_INLINE void take_apart(const HashGrid& g, int64_t begin, int64_t end, float (*place)[kChunk]) {
    const int count = (int)(end - begin), whole = (count + kPoints - 1) / kPoints * kPoints;
    for (int i = 0; i < whole; ++i) {
        const float* p = g.points + 3 * (begin + (i < count ? i : count - 1));
        for (int a = 0; a < 3; ++a) place[a][i] = p[a];
    }
}

// rows of large levels come from far: all of a group are asked for before the first is needed
template <int N>
SDS3D_INLINE void fetch(const HashLevel& level, const float* rows, const Cells& cells) {
    if ((size_t)level.rows * N * 4 < kNear) return;
    for (int q = 0; q < 4; ++q)
        for (int x = 0; x < 2; ++x)
            for (int i = 0; i < kPoints; ++i) __builtin_prefetch(rows + (size_t)cells.row[q][x][i] * N);
}

// Groups of a chunk one after another; the next one's rows are asked for while the present one is worked on.
template <int N>
struct Groups {
    const HashLevel& level;
    const float* rows;
    const float (*place)[kChunk];
    int count;
    Cells pair[2];

    Groups(const HashLevel& l, const float* r, const float (*p)[kChunk], int n)
        : level(l), rows(r), place(p), count(n) {
        prepare(0);
    }
    void prepare(int first) {
        Cells& next = pair[first / kPoints % 2];
        locate(level, place, first, next);
        fetch<N>(level, rows, next);
    }
    const Cells& at(int first) {
        if (first + kPoints < count) prepare(first + kPoints);
        return pair[first / kPoints % 2];
    }
};

// the four weights in the y-z plane, and their derivatives
struct Plane {
    float weight[4], by_y[4], by_z[4];
};

SDS3D_INLINE Plane plane(float v, float w) {
    const float a = 1 - v, b = 1 - w;
    return {{a * b, a * w, v * b, v * w}, {-b, -w, b, w}, {-a, a, -v, v}};
}

// One row. Rows that are neighbours are not read as one vector: only a third of a hashed level's are.
template <int N>
struct RowOf {
    typedef float type __attribute__((vector_size(4 * N), aligned(4), may_alias));
};

// A point's rows in the middle of its cell's sides: sums over the y-z plane at lower and upper x, and their slopes.
template <int N, bool Slopes>
struct Sums {
    typename RowOf<N>::type value[2], by_y[Slopes ? 2 : 1], by_z[Slopes ? 2 : 1];
};

template <int N, bool Slopes>
SDS3D_INLINE Sums<N, Slopes> sum_plane(const float* rows, const Cells& cells, int i) {
    typedef typename RowOf<N>::type Row;
    const Plane p = plane(cells.share[1][i], cells.share[2][i]);
    Sums<N, Slopes> s = {};
    for (int q = 0; q < 4; ++q)
        for (int x = 0; x < 2; ++x) {
            const Row row = *(const Row*)(rows + (size_t)cells.row[q][x][i] * N);
            s.value[x] += p.weight[q] * row;
            if constexpr (Slopes) s.by_y[x] += p.by_y[q] * row, s.by_z[x] += p.by_z[q] * row;
        }
    return s;
}

template <int N, bool Slopes>
static void encode_level(const HashGrid& g, const float* table, int number, const float (*place)[kChunk],
                         int64_t begin, int count, float* out, float* slopes) {
    typedef typename RowOf<N>::type Row;
    const HashLevel& level = g.levels[number];
    const float* rows = table + level.offset * N;
    const int width = g.width();
    Groups<N> groups(level, rows, place, count);
    for (int first = 0; first < count; first += kPoints) {
        const Cells& cells = groups.at(first);
        for (int i = 0; i < kPoints && first + i < count; ++i) {
            const Sums<N, Slopes> s = sum_plane<N, Slopes>(rows, cells, i);
            const float u = cells.share[0][i];
            const int64_t n = begin + first + i;
            *(Row*)(out + n * width + number * N) = s.value[0] + u * (s.value[1] - s.value[0]);
            if constexpr (Slopes) {
                float* slope = slopes + 3 * n * width + number * N;
                *(Row*)slope = level.scale * (s.value[1] - s.value[0]);
                *(Row*)(slope + width) = level.scale * (s.by_y[0] + u * (s.by_y[1] - s.by_y[0]));
                *(Row*)(slope + 2 * width) = level.scale * (s.by_z[0] + u * (s.by_z[1] - s.by_z[0]));
            }
        }
    }
}

template <int N>
static void encode_range(const HashGrid& g, const float* table, int64_t begin, int64_t end, float* out,
                         float* slopes) {
    alignas(64) float place[3][kChunk];
    const int width = g.width(), rest = (g.level_count - g.active) * N;
    for (int64_t start = begin; start < end; start += kChunk) {
        const int64_t stop = start + kChunk < end ? start + kChunk : end;
        take_apart(g, start, stop, place);
        for (int level = 0; level < g.active; ++level) {
            if (slopes) {
                encode_level<N, true>(g, table, level, place, start, (int)(stop - start), out, slopes);
            } else {
                encode_level<N, false>(g, table, level, place, start, (int)(stop - start), out, nullptr);
            }
        }
        for (int64_t n = start; rest && n < stop; ++n) {
            __builtin_memset(out + n * width + g.active * N, 0, 4 * rest);
            for (int a = 0; slopes && a < 3; ++a)
                __builtin_memset(slopes + (3 * n + a) * width + g.active * N, 0, 4 * rest);
        }
    }
}

// What a point adds to its eight rows: (plane weights) x (even) + (their derivatives) x (by_y, by_z), each for lower and
// upper x
template <int N, bool Slopes>
struct Addition {
    float even[2][N], by_y[Slopes ? 2 : 1][N], by_z[Slopes ? 2 : 1][N];
};

template <int N, bool Slopes>
SDS3D_INLINE Addition<N, Slopes> addition(float u, float scale, int width, const float* to_out, const float* to_slopes) {
    Addition<N, Slopes> s;
    for (int f = 0; f < N; ++f) {
        const float d = to_out ? to_out[f] : 0.0f;
        s.even[0][f] = (1 - u) * d, s.even[1][f] = u * d;
        if constexpr (Slopes) {
            const float dx = scale * to_slopes[f], dy = scale * to_slopes[width + f], dz = scale * to_slopes[2 * width + f];
            s.even[0][f] -= dx, s.even[1][f] += dx;
            s.by_y[0][f] = (1 - u) * dy, s.by_y[1][f] = u * dy;
            s.by_z[0][f] = (1 - u) * dz, s.by_z[1][f] = u * dz;
        }
    }
    return s;
}

// Points in order, one writer: the same sums for every number of threads.
template <int N, bool Slopes>
static void level_back(const HashGrid& g, int number, const float* to_out, const float* to_slopes, float* gradient) {
    const HashLevel& level = g.levels[number];
    float* rows = gradient + level.offset * N;
    const int width = g.width();
    alignas(64) float place[3][kChunk];
    for (int64_t start = 0; start < g.count; start += kChunk) {
        const int64_t stop = start + kChunk < g.count ? start + kChunk : g.count;
        take_apart(g, start, stop, place);
        Groups<N> groups(level, rows, place, (int)(stop - start));
        for (int64_t first = start; first < stop; first += kPoints) {
            const Cells& cells = groups.at((int)(first - start));
            for (int i = 0; i < kPoints && first + i < stop; ++i) {
                const int64_t at = (first + i) * width + number * N, slope_at = 3 * (first + i) * width + number * N;
                const Plane p = plane(cells.share[1][i], cells.share[2][i]);
                const auto s = addition<N, Slopes>(cells.share[0][i], level.scale, width, to_out ? to_out + at : nullptr,
                                                   Slopes ? to_slopes + slope_at : nullptr);
                for (int q = 0; q < 4; ++q)
                    for (int x = 0; x < 2; ++x) {
                        float* row = rows + (size_t)cells.row[q][x][i] * N;
                        for (int f = 0; f < N; ++f) {
                            float value = p.weight[q] * s.even[x][f];
                            if constexpr (Slopes) value += p.by_y[q] * s.by_y[x][f] + p.by_z[q] * s.by_z[x][f];
                            row[f] += value;
                        }
                    }
            }
        }
    }
}

template <int N>
static void points_back(const HashGrid& g, const float* table, int64_t begin, int64_t end, const float* to_out,
                        float* gradient) {
    alignas(64) float place[3][kChunk];
    const int width = g.width();
    for (int64_t start = begin; start < end; start += kChunk) {
        const int64_t stop = start + kChunk < end ? start + kChunk : end;
        take_apart(g, start, stop, place);
        __builtin_memset(gradient + 3 * start, 0, 12 * (size_t)(stop - start));
        for (int number = 0; number < g.active; ++number) {
            const HashLevel& level = g.levels[number];
            const float* rows = table + level.offset * N;
            Groups<N> groups(level, rows, place, (int)(stop - start));
            for (int64_t first = start; first < stop; first += kPoints) {
                const Cells& cells = groups.at((int)(first - start));
                for (int i = 0; i < kPoints && first + i < stop; ++i) {
                    const Sums<N, true> s = sum_plane<N, true>(rows, cells, i);
                    const float u = cells.share[0][i], *d = to_out + (first + i) * width + number * N;
                    float* to = gradient + 3 * (first + i);
                    for (int f = 0; f < N; ++f) {
                        const float g_f = level.scale * d[f];
                        to[0] += g_f * (s.value[1][f] - s.value[0][f]);
                        to[1] += g_f * (s.by_y[0][f] + u * (s.by_y[1][f] - s.by_y[0][f]));
                        to[2] += g_f * (s.by_z[0][f] + u * (s.by_z[1][f] - s.by_z[0][f]));
                    }
                }
            }
        }
    }
}

#define SDS3D_BY_FEATURES(call)       \
    switch (g.features) {             \
        case 1: return call(1);       \
        case 2: return call(2);       \
        case 4: return call(4);       \
        default: return call(8);      \
    }

static void encode(const HashGrid& g, const float* table, int64_t begin, int64_t end, float* out, float* slopes) {
#define SDS3D_CALL(n) encode_range<n>(g, table, begin, end, out, slopes)
    SDS3D_BY_FEATURES(SDS3D_CALL)
#undef SDS3D_CALL
}

static void encode_back(const HashGrid& g, int level, const float* to_out, const float* to_slopes, float* gradient) {
#define SDS3D_CALL(n) level_back<n, true>(g, level, to_out, to_slopes, gradient)
    if (to_slopes) SDS3D_BY_FEATURES(SDS3D_CALL)
#undef SDS3D_CALL
#define SDS3D_CALL(n) level_back<n, false>(g, level, to_out, nullptr, gradient)
    SDS3D_BY_FEATURES(SDS3D_CALL)
#undef SDS3D_CALL
}

static void encode_points_back(const HashGrid& g, const float* table, int64_t begin, int64_t end, const float* to_out,
                               float* gradient) {
#define SDS3D_CALL(n) points_back<n>(g, table, begin, end, to_out, gradient)
    SDS3D_BY_FEATURES(SDS3D_CALL)
#undef SDS3D_CALL
}

}  // namespace SDS3D_ISA
