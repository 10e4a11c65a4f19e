// Gaussian splatting: what the driver (gaussians.cpp) and the kernels of each instruction set share.
//
// An image is cut into tiles of 32x32 pixels, a tile into 8x8 blocks of 4x4 pixels: one vector of 16 lanes. A
// set of a tile's blocks is one 64-bit mask, bit 8 row + column.
//
// Names of the mathematics, for one Gaussian in one camera (lower case k = log2(e) / 2):
//   d = pixel - mean;  Q = inverse image covariance;  s = dᵀQd/2;  alpha = opacity exp(-s)
//   s log2(e) = p² + q² with p = a dx + b dy, q = c dy  (Cholesky of k Q; never negative, unlike dᵀQd rounded)
//   alpha = 2^(L - p² - q²), L = log2(opacity)
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace sds3d {

constexpr int kLanes = 16, kBlock = 4, kTileBlocks = 8, kTile = kBlock * kTileBlocks, kBlocks = 64;
constexpr int kTilePixels = kTile * kTile;
constexpr float kBlur = 0.3f, kMaxAlpha = 0.999f, kMinAlpha = 1.f / 255.f, kMinTransmittance = 1e-4f;
constexpr float kMaxExtent = 3.33f, kFieldMargin = 1.3f;

// A projected Gaussian: one cache line. Mean in pixels; half_height = largest |dy| with alpha >= 1/255 and
// level = p² + q² there (both a little enlarged); right_dy = dy of that ellipse's rightmost point.
enum Field {
    kMeanX,
    kMeanY,
    kA,
    kB,
    kC,
    kLogOpacity,
    kRed,
    kGreen,
    kBlue,
    kDepth,
    kHalfHeight,
    kRightDy,
    kLevel,
    kInverseA,
    kFields = 16
};

// Sums over pixels for one Gaussian of h = -d loss / d s, h p, h q, h p² ...: the order of sums12's output. The last
// three are d loss / d colour and depth.
enum Moment {
    kH = 0,
    kHp = 4,
    kHq = 8,
    kHpp = 12,
    kHpq = 1,
    kHqq = 5,
    kGradRed = 9,
    kGradGreen = 13,
    kGradBlue = 2,
    kGradDepth = 6,
    kMoments = 16
};

struct Scene {                                                 // borrowed arrays, row-major
    const float *means, *scales, *rotations, *opacities, *sh;  // (N,3) (N,3) (N,4) (N) (N,K,3)
    const float *view, *centre, *focal, *background, *probe;   // (B,3,4) (B,3) (B) (B,3) (B,N,2) or null
    int64_t count;
    int sh_count, views, height, width;
    float near;
};

struct TileRange {  // tiles [x0, x1) x [y0, y1)
    uint16_t x0, y0, x1, y1;
};

struct TileList {              // the Gaussians of one tile, nearest first
    const uint32_t* gaussian;  // index among the N
    const uint32_t* row;       // its row of moments
    uint64_t* used;            // blocks where it contributes, found by the forward pass
    int64_t count;
};

struct Gradients {                                               // outputs, all rows are written
    float *means, *scales, *rotations, *opacities, *sh, *probe;  // probe may be null
};

struct Pixels {                  // one view's image arrays; null gradients are zero
    float *rgb, *alpha, *depth;  // (3,H,W) (H,W) (H,W)
    const float *grad_rgb, *grad_alpha, *grad_depth;
};

constexpr int kCameraSums = 16;  // d loss / d: view rotation (9), translation (3), camera centre (3), focal (1)

struct Kernels {
    // Gaussians [begin, begin + 16) in camera `view`: fields (N,16), radii (N), ranges (N) of that view.
    void (*project)(const Scene&, int view, int64_t begin, float* fields, int32_t* radii, TileRange* ranges);
    // One tile: ends (64,16) transmittance left, stops (64,16) position in the list where the pixel closed.
    void (*composite)(const Scene&, int view, int tile_x, int tile_y, const float* fields, TileList, float* ends,
                      float* stops, const Pixels&);
    // Moments of every row of the list; background_sums (3): sum over pixels of ends * grad_rgb.
    void (*composite_backward)(const Scene&, int view, int tile_x, int tile_y, const float* fields, TileList,
                               const float* ends, const float* stops, const Pixels&, float* moments,
                               float* background_sums);
    // Gaussians [begin, end) over all views. fields (B,N,16), moments[b] (rows,16), first_row[b] (N+1);
    // camera_sums (B,16,16), of which the last axis is still to be summed, is overwritten.
    void (*project_backward)(const Scene&, int64_t begin, int64_t end, const float* fields, const float* const* moments,
                             const uint32_t* const* first_row, const Gradients&, float* camera_sums);
    // `repeats` rounds of independent multiply-adds for the benchmark; adds the number of operations to `flops`.
    float (*multiply_adds)(int64_t repeats, double* flops);
};

const Kernels& kernels_baseline();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();

}  // namespace sds3d
