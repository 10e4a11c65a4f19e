// Projection of 16 Gaussians at a time, forward and backward (gaussians.h has the notation). Included by
// gaussians_kernel.h. One lane is one Gaussian.
#pragma once

namespace SDS3D_ISA {

struct Chunk {                                        // camera-independent: world parameters of 16 Gaussians
    F mean[3], scale[3], q[4], rotation[9], opacity;  // q of unit length
    F inverse_length;                                 // of the quaternion as given; 0 marks one of length 0
    int lanes;
};

struct CameraData {
    F w[9], t[3], centre[3], focal;
};

struct Projection {  // one Gaussian set in one camera
    F x, y, z, inverse_z, slope_x, slope_y;
    M free_x, free_y;  // slopes inside the field margin
    F a[6], k[6];      // J W (2x3) and J W R S (2x3)
    F xx, xy, yy, det, mean_x, mean_y;
};

SDS3D_INLINE void load_columns(const float* rows, int lanes, int width, float pad, F* out) {
    alignas(64) float columns[4][kLanes];
    for (int k = 0; k < width; ++k) {
        for (int i = 0; i < lanes; ++i) columns[k][i] = rows[i * width + k];
        for (int i = lanes; i < kLanes; ++i) columns[k][i] = pad;
        out[k] = load(columns[k]);
    }
}

SDS3D_INLINE void load_chunk(const Scene& scene, int64_t begin, Chunk& c) {
    c.lanes = scene.count - begin < kLanes ? (int)(scene.count - begin) : kLanes;
    load_columns(scene.means + 3 * begin, c.lanes, 3, 0.f, c.mean);
    load_columns(scene.scales + 3 * begin, c.lanes, 3, 1.f, c.scale);
    load_columns(scene.rotations + 4 * begin, c.lanes, 4, 1.f, c.q);
    load_columns(scene.opacities + begin, c.lanes, 1, 0.f, &c.opacity);
    const F length = sqrt(fma(c.q[0], c.q[0], fma(c.q[1], c.q[1], fma(c.q[2], c.q[2], c.q[3] * c.q[3]))));
    const F tiny = splat(1e-12f);
    c.inverse_length = keep(length > tiny, recip(max(length, tiny)));
    for (int k = 0; k < 4; ++k) c.q[k] = c.q[k] * c.inverse_length;
    const F w = c.q[0], x = c.q[1], y = c.q[2], z = c.q[3], one = splat(1.f), two = splat(2.f);
    F* r = c.rotation;
    r[0] = fnma(two, fma(y, y, z * z), one);
    r[1] = two * (x * y - w * z);
    r[2] = two * fma(x, z, w * y);
    r[3] = two * fma(x, y, w * z);
    r[4] = fnma(two, fma(x, x, z * z), one);
    r[5] = two * (y * z - w * x);
    r[6] = two * (x * z - w * y);
    r[7] = two * fma(y, z, w * x);
    r[8] = fnma(two, fma(x, x, y * y), one);
}

SDS3D_INLINE void load_camera(const Scene& scene, int view, CameraData& c) {
    const float* m = scene.view + 12 * view;
    for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j) c.w[3 * i + j] = splat(m[4 * i + j]);
        c.t[i] = splat(m[4 * i + 3]);
        c.centre[i] = splat(scene.centre[3 * view + i]);
    }
    c.focal = splat(scene.focal[view]);
}

SDS3D_INLINE F dot3(const F* a, const F* b) { return fma(a[0], b[0], fma(a[1], b[1], a[2] * b[2])); }

SDS3D_INLINE Projection project_lanes(const Scene& scene, int view, const Chunk& g, const CameraData& camera) {
    Projection p;
    const F zero = splat(0.f);
    p.x = dot3(camera.w, g.mean) + camera.t[0];
    p.y = dot3(camera.w + 3, g.mean) + camera.t[1];
    p.z = dot3(camera.w + 6, g.mean) + camera.t[2];
    // lanes that will not be drawn get a harmless depth
    const F z = select(p.z > splat(scene.near), p.z, splat(1.f));
    p.inverse_z = recip(z);
    const float focal = scene.focal[view];
    const F limit_x = splat(kFieldMargin * 0.5f * (float)scene.width / focal),
            limit_y = splat(kFieldMargin * 0.5f * (float)scene.height / focal);
    const F ray_x = p.x * p.inverse_z, ray_y = p.y * p.inverse_z;
    p.slope_x = max(min(ray_x, limit_x), zero - limit_x);
    p.slope_y = max(min(ray_y, limit_y), zero - limit_y);
    p.free_x = (limit_x >= ray_x) & (ray_x >= zero - limit_x);
    p.free_y = (limit_y >= ray_y) & (ray_y >= zero - limit_y);
    const F f = camera.focal * p.inverse_z;
    for (int j = 0; j < 3; ++j) {
        p.a[j] = f * fnma(p.slope_x, camera.w[6 + j], camera.w[j]);
        p.a[3 + j] = f * fnma(p.slope_y, camera.w[6 + j], camera.w[3 + j]);
    }
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 3; ++j) {
            const F *a = p.a + 3 * i, *r = g.rotation + j;
            p.k[3 * i + j] = fma(a[0], r[0], fma(a[1], r[3], a[2] * r[6])) * g.scale[j];
        }
    const F *u = p.k, *v = p.k + 3, blur = splat(kBlur);
    const F raw_xx = dot3(u, u), raw_yy = dot3(v, v);
    p.xx = raw_xx + blur;
    p.xy = dot3(u, v);
    p.yy = raw_yy + blur;
    // det(K Kᵀ + 0.3 I) by Cauchy-Binet: a sum of squares, so no cancellation for needles
    const F m0 = fnma(u[2], v[1], u[1] * v[2]), m1 = fnma(u[0], v[2], u[2] * v[0]), m2 = fnma(u[1], v[0], u[0] * v[1]);
    p.det = fma(m0, m0, fma(m1, m1, m2 * m2)) + fma(blur, raw_xx + raw_yy, splat(kBlur * kBlur));
    p.mean_x = fma(camera.focal, ray_x, splat(0.5f * (float)scene.width));
    p.mean_y = fma(camera.focal, ray_y, splat(0.5f * (float)scene.height));
    return p;
}

// Spherical harmonics of degree 0 to 3 at unit vectors, and their derivatives by x, y, z.
constexpr float kC0 = 0.28209479177387814f, kC1 = 0.4886025119029199f, kC2 = 1.0925484305920792f,
                kC20 = 0.31539156525252005f;
constexpr float kC33 = 0.5900435899266435f, kC32 = 2.890611442640554f, kC31 = 0.4570457994644658f,
                kC30 = 0.3731763325901154f;

SDS3D_INLINE void sh_basis(const F* d, int count, F* out) {
    const F x = d[0], y = d[1], z = d[2], one = splat(1.f), three = splat(3.f), five = splat(5.f);
    out[0] = splat(kC0);
    if (count == 1) return;
    out[1] = splat(-kC1) * y;
    out[2] = splat(kC1) * z;
    out[3] = splat(-kC1) * x;
    if (count == 4) return;
    const F xx = x * x, yy = y * y, zz = z * z, difference = xx - yy;
    out[4] = splat(kC2) * x * y;
    out[5] = splat(-kC2) * y * z;
    out[6] = splat(kC20) * (three * zz - one);
    out[7] = splat(-kC2) * x * z;
    out[8] = splat(0.5f * kC2) * difference;
    if (count == 9) return;
    const F ring = five * zz - one;
    out[9] = splat(-kC33) * y * (three * xx - yy);
    out[10] = splat(kC32) * x * y * z;
    out[11] = splat(-kC31) * y * ring;
    out[12] = splat(kC30) * z * (five * zz - three);
    out[13] = splat(-kC31) * x * ring;
    out[14] = splat(0.5f * kC32) * z * difference;
    out[15] = splat(-kC33) * x * (xx - three * yy);
}

// Adds sum_k value[k] * dY_k/d(x, y, z).
SDS3D_INLINE void sh_basis_backward(const F* d, int count, const F* value, F* grad) {
    if (count == 1) return;
    const F x = d[0], y = d[1], z = d[2];
    F gx = splat(-kC1) * value[3], gy = splat(-kC1) * value[1], gz = splat(kC1) * value[2];
    if (count >= 9) {
        const F v4 = splat(kC2) * value[4], v5 = splat(-kC2) * value[5], v6 = splat(6.f * kC20) * value[6];
        const F v7 = splat(-kC2) * value[7], v8 = splat(kC2) * value[8];
        gx = gx + fma(v4, y, fma(v7, z, v8 * x));
        gy = gy + fma(v4, x, fnma(v8, y, v5 * z));
        gz = gz + fma(v5, y, fma(v7, x, v6 * z));
    }
    if (count == 16) {
        const F xx = x * x, yy = y * y, zz = z * z, difference = xx - yy, three = splat(3.f), six = splat(6.f),
                ten = splat(10.f);
        const F ring = splat(5.f) * zz - splat(1.f);
        const F v9 = splat(-kC33) * value[9], v10 = splat(kC32) * value[10], v11 = splat(-kC31) * value[11];
        const F v12 = splat(kC30) * value[12], v13 = splat(-kC31) * value[13], v14 = splat(0.5f * kC32) * value[14];
        const F v15 = splat(-kC33) * value[15];
        gx = gx + fma(v9, six * x * y, v10 * y * z) + fma(v13, ring, splat(2.f) * v14 * x * z) +
             v15 * three * difference;
        gy = gy + fma(v9, three * difference, v10 * x * z) + fnma(splat(2.f) * v14, y * z, v11 * ring) -
             v15 * six * x * y;
        gz = gz + fma(v10, x * y, v11 * ten * y * z) + fma(v12, splat(15.f) * zz - three, v13 * ten * x * z) +
             v14 * difference;
    }
    grad[0] = grad[0] + gx;
    grad[1] = grad[1] + gy;
    grad[2] = grad[2] + gz;
}

// Unit vector from the camera to the Gaussians; returns 1 / distance.
SDS3D_INLINE F direction(const Chunk& g, const CameraData& camera, F* d) {
    for (int k = 0; k < 3; ++k) d[k] = g.mean[k] - camera.centre[k];
    const F inverse = recip(max(sqrt(dot3(d, d)), splat(1e-12f)));
    for (int k = 0; k < 3; ++k) d[k] = d[k] * inverse;
    return inverse;
}

// (K*3, 16) coefficients of a chunk from (N, K, 3); lanes past the end are 0.
SDS3D_INLINE void load_sh(const Scene& scene, int64_t begin, int lanes, float* out) {
    const int64_t width = 3 * scene.sh_count, total = scene.count * width;
    for (int64_t base = 0; base < width; base += kLanes) {
        const int64_t part = width - base < kLanes ? width - base : kLanes;
        F v[kLanes];
        for (int i = 0; i < kLanes; ++i) {
            const int64_t at = (begin + i) * width + base;
            if (at + kLanes <= total) {  // may read on into the next row: those columns are not used
                v[i] = loadu(scene.sh + at);
                continue;
            }
            alignas(64) float row[kLanes] = {0.f};
            for (int64_t k = 0; k < part && i < lanes; ++k) row[k] = scene.sh[at + k];
            v[i] = load(row);
        }
        transpose(v);
        for (int64_t k = 0; k < part; ++k) store(out + (base + k) * kLanes, v[k]);
    }
}

// Whole numbers of tiles [first, last) along one axis that pixels within `reach` of the mean may lie in.
SDS3D_INLINE void tile_span(F mean, F reach, int extent, float* first, float* last) {
    const F zero = splat(0.f), half = splat(0.5f), end = splat((float)extent), per_tile = splat(1.f / kTile);
    const F low = max(zero - floor(max(half + reach - mean, zero - end)), zero);  // ceil(mean - reach - 0.5)
    const F high = min(floor(max(min(mean + reach + half, end), zero - end)), end);
    const M some = high > low;
    store(first, keep(some, floor(low * per_tile)));
    store(last, keep(some, zero - floor(zero - high * per_tile)));
}

struct Bounds {
    F log_opacity;
    uint32_t drawn;  // bit i: lane i is drawn
};

// Which lanes are drawn, their radii and tiles. alpha reaches 1/255 where s log2(e) = log2(255 opacity).
SDS3D_INLINE Bounds find_bounds(const Scene& scene, int64_t begin, const Chunk& g, const Projection& p, int32_t* radii,
                                TileRange* ranges) {
    alignas(64) float opacity[kLanes], logs[kLanes], radius[kLanes], span[4][kLanes];
    store(opacity, g.opacity);
    for (int i = 0; i < kLanes; ++i) logs[i] = opacity[i] > kMinAlpha ? __builtin_log2f(opacity[i]) : 0.f;
    const F zero = splat(0.f), huge = splat(1e30f);
    const F reach = sqrt(splat(1.38629436f) * (load(logs) + splat(7.99435344f)));  // standard deviations
    const F extent = min(reach, splat(kMaxExtent)), deviation_x = sqrt(p.xx), deviation_y = sqrt(p.yy);
    const F limit = splat(1e9f);
    const F rx = zero - floor(max(zero - extent * deviation_x, zero - limit)),
            ry = zero - floor(max(zero - extent * deviation_y, zero - limit));
    const M finite = (huge > p.det) & (huge > max(p.mean_x, zero - p.mean_x)) & (huge > max(p.mean_y, zero - p.mean_y));
    const M meets = (p.mean_x + rx > zero) & (splat((float)scene.width) > p.mean_x - rx) & (p.mean_y + ry > zero) &
                    (splat((float)scene.height) > p.mean_y - ry);
    const M drawn = (p.z > splat(scene.near)) & (g.opacity > splat(kMinAlpha)) & finite & meets;
    store(radius, keep(drawn, max(rx, ry)));
    // a little wider than exact, against rounding
    const F slack = splat(1e-3f), wider = reach * splat(1.001f);
    tile_span(keep(drawn, p.mean_x), keep(drawn, fma(wider, deviation_x, slack)), scene.width, span[0], span[1]);
    tile_span(keep(drawn, p.mean_y), keep(drawn, fma(wider, deviation_y, slack)), scene.height, span[2], span[3]);
    const uint32_t lanes = bits(drawn);
    for (int i = 0; i < g.lanes; ++i) {
        radii[begin + i] = (int32_t)radius[i];
        const bool some = (lanes >> i & 1) && span[1][i] > span[0][i] && span[3][i] > span[2][i];
        const TileRange range = {(uint16_t)span[0][i], (uint16_t)span[2][i], (uint16_t)span[1][i],
                                 (uint16_t)span[3][i]};
        ranges[begin + i] = some ? range : TileRange{0, 0, 0, 0};
    }
    return {load(logs), lanes};
}

static void project(const Scene& scene, int view, int64_t begin, float* fields, int32_t* radii, TileRange* ranges) {
    Chunk g;
    CameraData camera;
    load_chunk(scene, begin, g);
    load_camera(scene, view, camera);
    Projection p = project_lanes(scene, view, g, camera);
    if (scene.probe) {
        F shift[2];
        load_columns(scene.probe + ((size_t)view * scene.count + begin) * 2, g.lanes, 2, 0.f, shift);
        p.mean_x = p.mean_x + shift[0];
        p.mean_y = p.mean_y + shift[1];
    }
    const Bounds bounds = find_bounds(scene, begin, g, p, radii, ranges);
    if (!bounds.drawn) return;

    alignas(64) float sh[48 * kLanes];
    load_sh(scene, begin, g.lanes, sh);
    F d[3], basis[16], colour[3] = {splat(0.5f), splat(0.5f), splat(0.5f)};
    direction(g, camera, d);
    sh_basis(d, scene.sh_count, basis);
    for (int k = 0; k < scene.sh_count; ++k)
        for (int c = 0; c < 3; ++c) colour[c] = fma(basis[k], load(sh + (3 * k + c) * kLanes), colour[c]);

    const F half_log2e = splat(0.7213475204444817f), level = bounds.log_opacity + splat(7.99435344f + 2e-3f),
            zero = splat(0.f);
    F out[kFields];
    out[kMeanX] = p.mean_x;
    out[kMeanY] = p.mean_y;
    out[kA] = sqrt(half_log2e * p.yy * recip(p.det));
    const F inverse_yy = recip(p.yy);
    out[kB] = zero - p.xy * inverse_yy * out[kA];
    out[kC] = sqrt(half_log2e * inverse_yy);
    out[kLogOpacity] = bounds.log_opacity;
    for (int c = 0; c < 3; ++c) out[kRed + c] = max(colour[c], zero);
    out[kDepth] = p.z;
    const F root = sqrt(max(level, zero));
    out[kHalfHeight] = root * recip(out[kC]);
    out[kRightDy] = zero - out[kB] * root * recip(out[kC] * sqrt(fma(out[kB], out[kB], out[kC] * out[kC])));
    out[kLevel] = level;
    out[kInverseA] = recip(out[kA]);
    out[14] = out[15] = zero;
    transpose(out);
    for (int i = 0; i < g.lanes; ++i) store(fields + (size_t)(begin + i) * kFields, out[i]);
}

}  // namespace SDS3D_ISA
