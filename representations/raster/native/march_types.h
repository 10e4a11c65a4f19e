// Arguments of the grid kernels, and the table that the build for each instruction set fills in.
// Formulas: representations/raster/march_twin.py. Volumes are (R, R, R, 4) floats, axes z, y, x, channels
// density, red, green, blue.
#pragma once

#include <cstdint>

namespace march {

struct Level {
    const float *value;  // (size, size, size, 4)
    float *gradient;     // same shape, or null in the forward pass
    float *rows;         // (size, R, R, 4) workspace: the level upsampled along x and y only
    int size;
};

struct Compose {
    const Level *levels;
    int level_count;
    int resolution;     // R
    const float *bias;  // (R, R, R)
    float density_gain, color_gain;
    float *volume;           // (R, R, R, 4), written by the forward pass
    const float *activated;  // the same volume, read by the backward pass
    const float *upstream;   // (R, R, R, 4), d loss / d volume
};

struct Rays {
    const float *volume;
    int resolution;
    const float *origins, *directions, *offsets;  // (N, 3), (N, 3), (N)
    double radius;                                // of the ball, half the edge of the cube
    int samples;
    float stop;
};

struct Variation {
    const float *volume;
    int resolution;
    const float *weights;  // (4)
    float *gradient;       // (R, R, R, 4), or null
    double *slice_value;   // (R)
};

// Every function works on a half-open range of independent units, so that the caller can share them among
// threads. Two units of one call never write the same element.
struct Kernels {
    void (*upsample)(const Compose &, int level, int z0, int z1);         // units: slices of the level
    void (*activate)(const Compose &, int y0, int y1);                    // units: rows y of every slice
    void (*activate_back)(const Compose &, int y0, int y1);               // units: rows y of every slice
    void (*upsample_back)(const Compose &, int level, int z0, int z1);    // units: slices of the level
    void (*forward)(const Rays &, int64_t r0, int64_t r1, float *out);    // units: rays; out (N, 5)
    void (*backward)(const Rays &, int64_t r0, int64_t r1, const float *upstream, float *gradient);
    void (*variation)(const Variation &, int z0, int z1);                 // units: slices
};

}  // namespace march
