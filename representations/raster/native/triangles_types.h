// Arguments of the triangle kernels, and the table that the build for each instruction set fills in.
// Formulas: representations/raster/triangles_twin.py. Positions are in camera axes right, down, forward; a pixel
// centre lies at u = column + 1/2 - width / 2, v = row + 1/2 - height / 2, its ray points along (u, v, focal).
#pragma once

#include <cstdint>

namespace triangles {

constexpr int kLanes = 8;

struct Point {
    double x, y;  // where a vertex is seen, in columns and rows from the image's corner; only for depth > near
};

struct View {
    const float *positions;  // (V, 3)
    const int32_t *faces;    // (F, 3), all in range
    int64_t face_count;
    const Point *points;  // (V)
    double focal, near;   // pixels, world units; both positive
    int height, width;
};

// Rows [first, last) of one view. The planes begin at row `first` and have `stride` floats a row, enough for the
// last vector of a row to end inside it.
struct Band {
    int first, last, stride;
    const double *u;  // (stride)
    float *depth;     // set to infinity by the caller
    int32_t *face;    // set to -1 by the caller
    float *weights[3];
};

struct Kernels {
    // The nearest face of every pixel of a band; two bands share no pixel.
    void (*scan)(const View &, const Band &);
};

}  // namespace triangles
