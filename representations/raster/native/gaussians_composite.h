// Compositing of one tile, forward and backward (gaussians.h has the notation). Included by gaussians_kernel.h.
//
// Both passes walk the tile's Gaussians and, for each, the blocks that its ellipse meets; per-pixel state stays
// in the first-level cache. So a Gaussian's constants are loaded once, and in the backward pass its sums over
// pixels stay in registers until the tile is done with it: no scattered adds, one fixed order.
#pragma once

namespace SDS3D_ISA {

struct Lanes {
    F x, y;    // pixel centres of a block relative to its corner
    F corner;  // left edges of block columns (lanes 0-7), top edges of block rows (lanes 8-15), tile-relative
    F edge_y;  // top pixel row of block row (lane mod 8), tile-relative; lanes 0-7 find the first block of
    F sign;    // a row (sign -1), lanes 8-15 the last (sign +1)
    F offset, low, high, none;
};

SDS3D_INLINE Lanes make_lanes() {
    alignas(64) float x[16], y[16], corner[16], edge[16], sign[16], offset[16], low[16], high[16], none[16];
    for (int i = 0; i < 16; ++i) {
        x[i] = (float)(i & 3) + 0.5f;
        y[i] = (float)(i >> 2) + 0.5f;
        const bool last = i >= 8;
        corner[i] = (float)(kBlock * (i & 7));
        edge[i] = (float)(kBlock * (i & 7)) + 0.5f;
        sign[i] = last ? 1.f : -1.f;
        offset[i] = last ? -0.125f + 1e-3f : -0.875f - 1e-3f;
        low[i] = last ? -1.f : 0.f;
        high[i] = last ? 7.f : 8.f;
        none[i] = last ? -1.f : 8.f;
    }
    return {load(x), load(y), load(corner), load(edge), load(sign), load(offset), load(low), load(high), load(none)};
}

// Blocks of the tile where a pixel centre may lie in the ellipse p² + q² <= level: per row of blocks, the
// ellipse's exact extent over the row's strip. (mx, my) is the mean relative to the tile.
SDS3D_INLINE uint64_t covered(const float* g, float mx, float my, const Lanes& lanes) {
    const F half = splat(g[kHalfHeight]), zero = splat(0.f);
    const F top = lanes.edge_y - splat(my), bottom = top + splat(3.f);
    const F dy = max(min(max(lanes.sign * splat(g[kRightDy]), top), min(bottom, half)), zero - half);
    const F q = splat(g[kC]) * dy;
    const F root = sqrt(max(fnma(q, q, splat(g[kLevel])), zero));
    const F dx = fnma(splat(g[kB]), dy, lanes.sign * root) * splat(g[kInverseA]);
    const F place = fma(dx + splat(mx), splat(0.25f), lanes.offset);
    F edge = lanes.sign * floor(lanes.sign * max(min(place, splat(9.f)), splat(-9.f)));
    edge = min(max(edge, lanes.low), lanes.high);
    const M empty_below = top > half, empty_above = bottom < zero - half;
    edge = select(empty_below, lanes.none, select(empty_above, lanes.none, edge));
    return cover(edge);
}

constexpr int kBatch = 64;

// Writes the covered blocks of up to kBatch Gaussians of the list to list.used. Ahead of their use, because the
// long chain of operations in `covered` would otherwise delay every branch on its result.
SDS3D_INLINE void find_blocks(const float* fields, const TileList& list, int64_t begin, float x0, float y0,
                              const Lanes& lanes) {
    const int64_t end = begin + kBatch < list.count ? begin + kBatch : list.count;
    for (int64_t n = begin; n < end; ++n) {
        if (n + 8 < list.count) __builtin_prefetch(fields + (size_t)list.gaussian[n + 8] * kFields);
        const float* g = fields + (size_t)list.gaussian[n] * kFields;
        list.used[n] = covered(g, g[kMeanX] - x0, g[kMeanY] - y0, lanes);
    }
}

// One Gaussian in one tile. p and q are affine in the pixel: a part for the lane and a part for the block, in
// which the mean is taken off first so that nothing large cancels.
struct Splat {
    F lane_p, lane_q, log_opacity;
    alignas(64) float block[32];  // p by column (0-7) and by row (8-15); q by row (24-31)
};

SDS3D_INLINE void make_splat(Splat& s, const float* g, float mx, float my, const Lanes& lanes) {
    const F a = splat(g[kA]), b = splat(g[kB]), c = splat(g[kC]);
    s.lane_p = fma(a, lanes.x, b * lanes.y);
    s.lane_q = c * lanes.y;
    s.log_opacity = splat(g[kLogOpacity]);
    const F from_mean = lanes.corner - halves(mx, my);
    store(s.block, halves(g[kA], g[kB]) * from_mean);
    store(s.block + 16, c * from_mean);
}

struct Sample {
    F p, q, alpha;  // alpha not yet limited to 0.999
};

SDS3D_INLINE Sample sample(const Splat& s, int block) {
    const float* row = s.block + 8 + (block >> 3);
    const F p = s.lane_p + splat(s.block[block & 7]) + splat(*row), q = s.lane_q + splat(row[16]);
    return {p, q, exp2neg(fnma(q, q, fnma(p, p, s.log_opacity)))};
}

enum { kThrough, kSumRed, kSumGreen, kSumBlue, kSumDepth, kForwardState };

// A block's rows between 16 lanes and an image plane whose pixel (x, y) is the block's corner.
SDS3D_INLINE void write_block(const float* lanes, const Scene& scene, int x, int y, float* plane) {
    float* out = plane + (size_t)y * scene.width + x;
    if (x + kBlock <= scene.width && y + kBlock <= scene.height) {
        for (int v = 0; v < kBlock; ++v)
            __builtin_memcpy(out + (size_t)v * scene.width, lanes + kBlock * v, kBlock * sizeof(float));
        return;
    }
    for (int i = 0; i < kLanes; ++i)
        if (x + (i & 3) < scene.width && y + (i >> 2) < scene.height)
            out[(size_t)(i >> 2) * scene.width + (i & 3)] = lanes[i];
}

SDS3D_INLINE void read_block(const float* plane, const Scene& scene, int x, int y, float* lanes) {
    if (plane && x + kBlock <= scene.width && y + kBlock <= scene.height) {
        const float* in = plane + (size_t)y * scene.width + x;
        for (int v = 0; v < kBlock; ++v)
            __builtin_memcpy(lanes + kBlock * v, in + (size_t)v * scene.width, kBlock * sizeof(float));
        return;
    }
    for (int i = 0; i < kLanes; ++i) {
        const bool inside = plane && x + (i & 3) < scene.width && y + (i >> 2) < scene.height;
        lanes[i] = inside ? plane[(size_t)(y + (i >> 2)) * scene.width + x + (i & 3)] : 0.f;
    }
}

// Blocks inside the image; lanes outside it start closed (negative transmittance).
SDS3D_INLINE uint64_t open_tile(const Scene& scene, int x0, int y0, float* state, float* stops) {
    uint64_t live = 0;
    for (int block = 0; block < kBlocks; ++block) {
        const int x = x0 + kBlock * (block & 7), y = y0 + kBlock * (block >> 3);
        float *s = state + block * kForwardState * kLanes, *stop = stops + block * kLanes;
        for (int k = 1; k < kForwardState; ++k) store(s + k * kLanes, splat(0.f));
        store(s, splat(1.f));
        store(stop, splat(3e38f));
        if (x < scene.width && y < scene.height) live |= (uint64_t)1 << block;
        if (x + kBlock <= scene.width && y + kBlock <= scene.height) continue;
        for (int i = 0; i < kLanes; ++i) {
            if (x + (i & 3) < scene.width && y + (i >> 2) < scene.height) continue;
            s[i] = -1.f;
            stop[i] = -1.f;
        }
    }
    return live;
}

// A pixel's transmittance is negated when it closes: the Gaussian that would bring it to 1e-4 is left out, with
// all behind it.
static void composite(const Scene& scene, int view, int tile_x, int tile_y, const float* fields, TileList list,
                      float* ends, float* stops, const Pixels& pixels) {
    alignas(64) float state[kBlocks * kForwardState * kLanes];
    const int x0 = tile_x * kTile, y0 = tile_y * kTile;
    const Lanes lanes = make_lanes();
    uint64_t live = open_tile(scene, x0, y0, state, stops);
    const F min_alpha = splat(kMinAlpha), max_alpha = splat(kMaxAlpha), min_through = splat(kMinTransmittance);
    for (int64_t n = 0; n < list.count; ++n) {
        if (n % kBatch == 0) find_blocks(fields, list, n, (float)x0, (float)y0, lanes);
        const float* g = fields + (size_t)list.gaussian[n] * kFields;
        const float mx = g[kMeanX] - (float)x0, my = g[kMeanY] - (float)y0;
        uint64_t blocks = list.used[n] & live, used = 0;
        Splat splats;
        make_splat(splats, g, mx, my, lanes);
        const F red = splat(g[kRed]), green = splat(g[kGreen]), blue = splat(g[kBlue]), depth = splat(g[kDepth]);
        for (; blocks; blocks &= blocks - 1) {
            const int block = __builtin_ctzll(blocks);
            float* s = state + block * kForwardState * kLanes;
            const F alpha = min(sample(splats, block).alpha, max_alpha), through = load(s);
            const F weight = through * alpha, next = through - weight;
            const M counted = alpha >= min_alpha, open = counted & (next > min_through);
            const F added = keep(open, weight);
            store(s + kSumRed * kLanes, fma(added, red, load(s + kSumRed * kLanes)));
            store(s + kSumGreen * kLanes, fma(added, green, load(s + kSumGreen * kLanes)));
            store(s + kSumBlue * kLanes, fma(added, blue, load(s + kSumBlue * kLanes)));
            store(s + kSumDepth * kLanes, fma(added, depth, load(s + kSumDepth * kLanes)));
            store(s, select(open, next, through));
            used |= (uint64_t)any(open) << block;
            const M closing = andnot(counted & (through > splat(0.f)), open);
            if (__builtin_expect(any(closing), 0)) {
                const F left = select(closing, splat(0.f) - through, load(s));
                store(s, left);
                float* stop = stops + block * kLanes;
                store(stop, select(closing, splat((float)n), load(stop)));
                if (!any(left > splat(0.f))) live &= ~((uint64_t)1 << block);
            }
        }
        list.used[n] = used;
        if (!live) {
            for (int64_t m = n + 1; m < list.count; ++m) list.used[m] = 0;
            break;
        }
    }

    const float* background = scene.background + 3 * view;
    const size_t plane = (size_t)scene.height * scene.width;
    for (int block = 0; block < kBlocks; ++block) {
        const float* s = state + block * kForwardState * kLanes;
        const F through = max(load(s), splat(0.f) - load(s)), alpha = splat(1.f) - through;
        alignas(64) float out[5][kLanes];
        for (int k = 0; k < 3; ++k) store(out[k], fma(through, splat(background[k]), load(s + (kSumRed + k) * kLanes)));
        store(out[3], alpha);
        store(out[4], load(s + kSumDepth * kLanes) * recip(max(alpha, splat(1e-10f))));
        store(ends + block * kLanes, through);
        const int x = x0 + kBlock * (block & 7), y = y0 + kBlock * (block >> 3);
        for (int k = 0; k < 3; ++k) write_block(out[k], scene, x, y, pixels.rgb + k * plane);
        write_block(out[3], scene, x, y, pixels.alpha);
        write_block(out[4], scene, x, y, pixels.depth);
    }
}

// Backward state of a block: transmittance behind the present Gaussian; `behind`, what is seen there: the weighted
// values of the Gaussians behind it and the background, each times its pixel gradient, for transmittance 1; and the
// pixel gradients (red, green, blue; accumulated depth lies apart, as few losses use it). With value = values ·
// gradients of the present one,
//   d loss / d alpha = transmittance before it * (value - behind),   behind += alpha (value - behind).
enum { kBackThrough, kBehind, kPixelRed, kPixelGreen, kPixelBlue, kBackState };
constexpr int kDepthState = kBlocks * kBackState * kLanes;  // where the depth gradients (64, 16) begin

SDS3D_INLINE void open_tile_backward(const Scene& scene, int view, int x0, int y0, const float* ends,
                                     const Pixels& pixels, float* state, float* background_sums) {
    const float* background = scene.background + 3 * view;
    const size_t plane = (size_t)scene.height * scene.width;
    F sums[3] = {splat(0.f), splat(0.f), splat(0.f)};
    for (int block = 0; block < kBlocks; ++block) {
        const int x = x0 + kBlock * (block & 7), y = y0 + kBlock * (block >> 3);
        float* s = state + block * kBackState * kLanes;
        alignas(64) float grad_alpha[kLanes], grad_depth[kLanes], depth[kLanes];
        for (int k = 0; k < 3; ++k)
            read_block(pixels.grad_rgb ? pixels.grad_rgb + k * plane : nullptr, scene, x, y,
                       s + (kPixelRed + k) * kLanes);
        read_block(pixels.grad_alpha, scene, x, y, grad_alpha);
        read_block(pixels.grad_depth, scene, x, y, grad_depth);
        read_block(pixels.grad_depth ? pixels.depth : nullptr, scene, x, y, depth);
        const F through = load(ends + block * kLanes), alpha = splat(1.f) - through;
        // depth = sum of weight * depth / alpha
        const F per_alpha = keep(alpha > splat(0.f), load(grad_depth) * recip(max(alpha, splat(1e-10f))));
        F behind = fma(per_alpha, load(depth), splat(0.f) - load(grad_alpha));
        for (int k = 0; k < 3; ++k) {
            const F grad = load(s + (kPixelRed + k) * kLanes);
            behind = fma(grad, splat(background[k]), behind);
            sums[k] = fma(through, grad, sums[k]);
        }
        store(s, through);
        store(s + kBehind * kLanes, behind);
        store(state + kDepthState + block * kLanes, per_alpha);
    }
    F all[12] = {sums[0], sums[1], sums[2]};
    for (int k = 3; k < 12; ++k) all[k] = splat(0.f);
    alignas(64) float out[16];
    sums12(all, out);
    for (int k = 0; k < 3; ++k) background_sums[k] = out[4 * k];
}

template <bool kWithDepth>
SDS3D_INLINE void gaussian_backward(const float* g, float mx, float my, uint64_t blocks, float position,
                                    const Lanes& lanes, const float* stops, float* state, float* moments) {
    Splat splats;
    make_splat(splats, g, mx, my, lanes);
    const F red = splat(g[kRed]), green = splat(g[kGreen]), blue = splat(g[kBlue]), depth = splat(g[kDepth]);
    const F min_alpha = splat(kMinAlpha), max_alpha = splat(kMaxAlpha), one = splat(1.f), here = splat(position);
    F sum[12];
    for (int k = 0; k < 12; ++k) sum[k] = splat(0.f);
    for (; blocks; blocks &= blocks - 1) {
        const int block = __builtin_ctzll(blocks);
        float* s = state + block * kBackState * kLanes;
        const Sample at = sample(splats, block);
        const M counted = (at.alpha >= min_alpha) & (load(stops + block * kLanes) > here);
        const F full = keep(counted, at.alpha), alpha = min(full, max_alpha);
        const F through = load(s) * recip(one - alpha), weight = alpha * through, behind = load(s + kBehind * kLanes);
        const F pixel_red = load(s + kPixelRed * kLanes), pixel_green = load(s + kPixelGreen * kLanes);
        const F pixel_blue = load(s + kPixelBlue * kLanes);
        F value = fma(red, pixel_red, fma(green, pixel_green, blue * pixel_blue));
        if (kWithDepth) {
            const F pixel_depth = load(state + kDepthState + block * kLanes);
            value = fma(depth, pixel_depth, value);
            sum[9] = fma(weight, pixel_depth, sum[9]);
        }
        const F difference = value - behind;
        store(s, through);
        store(s + kBehind * kLanes, fma(alpha, difference, behind));
        // h = alpha * d loss / d alpha; a limited alpha passes no gradient on
        const F h = keep(max_alpha >= full, weight * difference), hp = h * at.p, hq = h * at.q;
        sum[0] = sum[0] + h;
        sum[1] = sum[1] + hp;
        sum[2] = sum[2] + hq;
        sum[3] = fma(hp, at.p, sum[3]);
        sum[4] = fma(hp, at.q, sum[4]);
        sum[5] = fma(hq, at.q, sum[5]);
        sum[6] = fma(weight, pixel_red, sum[6]);
        sum[7] = fma(weight, pixel_green, sum[7]);
        sum[8] = fma(weight, pixel_blue, sum[8]);
    }
    sums12(sum, moments);
}

static void composite_backward(const Scene& scene, int view, int tile_x, int tile_y, const float* fields, TileList list,
                               const float* ends, const float* stops, const Pixels& pixels, float* moments,
                               float* background_sums) {
    alignas(64) float state[kDepthState + kBlocks * kLanes];
    const int x0 = tile_x * kTile, y0 = tile_y * kTile;
    const Lanes lanes = make_lanes();
    open_tile_backward(scene, view, x0, y0, ends, pixels, state, background_sums);
    for (int64_t n = list.count - 1; n >= 0; --n) {
        if (n >= 8) __builtin_prefetch(fields + (size_t)list.gaussian[n - 8] * kFields);
        const float* g = fields + (size_t)list.gaussian[n] * kFields;
        float* out = moments + (size_t)list.row[n] * kMoments;
        const float mx = g[kMeanX] - (float)x0, my = g[kMeanY] - (float)y0;
        if (!list.used[n])
            store(out, splat(0.f));
        else if (pixels.grad_depth)
            gaussian_backward<true>(g, mx, my, list.used[n], (float)n, lanes, stops, state, out);
        else
            gaussian_backward<false>(g, mx, my, list.used[n], (float)n, lanes, stops, state, out);
    }
}

}  // namespace SDS3D_ISA
