// From the sums over pixels to the gradients of the world parameters and cameras. Included by gaussians_kernel.h.
#pragma once

namespace SDS3D_ISA {

// Sums of a chunk's moment rows (one a tile), as columns.
SDS3D_INLINE void gather_moments(const float* moments, const uint32_t* first_row, int lanes, F* out) {
    for (int i = 0; i < kLanes; ++i) out[i] = splat(0.f);
    for (int i = 0; i < lanes; ++i)
        for (uint32_t row = first_row[i]; row < first_row[i + 1]; ++row)
            out[i] = out[i] + load(moments + (size_t)row * kMoments);
    transpose(out);
}

struct WorldGradients {
    F mean[3], scale[3], rotation[9], opacity;
};

SDS3D_INLINE void store_columns(const F* columns, int lanes, int width, float* rows) {
    alignas(64) float out[4][kLanes];
    for (int k = 0; k < width; ++k) store(out[k], columns[k]);
    for (int i = 0; i < lanes; ++i)
        for (int k = 0; k < width; ++k) rows[i * width + k] = out[k][i];
}

// d loss / d colour -> coefficients (added to sh_grad, (K*3, 16)) and, through the view direction, to the mean;
// the same with the opposite sign goes to the camera centre.
SDS3D_INLINE void colour_backward(const Scene& scene, const Chunk& g, const CameraData& camera, const float* sh,
                                  const F* grad_colour, float* sh_grad, F* grad_mean, F* camera_sums) {
    F d[3], basis[16], value[16];
    const F inverse = direction(g, camera, d);
    sh_basis(d, scene.sh_count, basis);
    for (int k = 0; k < scene.sh_count; ++k) {
        value[k] = splat(0.f);
        for (int c = 0; c < 3; ++c) {
            float* out = sh_grad + (3 * k + c) * kLanes;
            store(out, fma(basis[k], grad_colour[c], load(out)));
            value[k] = fma(load(sh + (3 * k + c) * kLanes), grad_colour[c], value[k]);
        }
    }
    F grad[3] = {splat(0.f), splat(0.f), splat(0.f)};
    sh_basis_backward(d, scene.sh_count, value, grad);
    const F radial = dot3(grad, d);
    for (int k = 0; k < 3; ++k) {
        const F along = fnma(radial, d[k], grad[k]) * inverse;
        grad_mean[k] = grad_mean[k] + along;
        camera_sums[12 + k] = camera_sums[12 + k] - along;
    }
}

// `m` moments -> world gradients (added), camera sums (added) and the centre's gradient in pixels.
SDS3D_INLINE void geometry_backward(const Chunk& g, const CameraData& camera, const Projection& p, const F* m,
                                    WorldGradients& out, F* camera_sums, F* grad_centre) {
    // the inverse image covariance is Q = L Lᵀ / k, L = [a 0; b c], and (p, q) = Lᵀ d, so with moments h
    // d loss / d mean = Q sum h d = L (Hp, Hq) / k,  d loss / d covariance = Q (sum h d dᵀ) Q / 2 = L H Lᵀ / 2 k²
    const F zero = splat(0.f), half_log2e = splat(0.7213475204444817f), inverse_k = splat(1.3862943611198906f);
    const F inverse_yy = recip(p.yy), la = sqrt(half_log2e * p.yy * recip(p.det)), lb = zero - p.xy * inverse_yy * la;
    const F lc = sqrt(half_log2e * inverse_yy);
    const F gu = inverse_k * la * m[kHp], gv = inverse_k * fma(lb, m[kHp], lc * m[kHq]);
    grad_centre[0] = gu;
    grad_centre[1] = gv;
    const F u = inverse_k * la, v = inverse_k * lb, w_ = inverse_k * lc;
    const F vp = fma(v, m[kHpp], w_ * m[kHpq]), vq = fma(v, m[kHpq], w_ * m[kHqq]);
    const F cxx = u * u * m[kHpp], cxy = u * vp, cyy = fma(v, vp, w_ * vq);
    // covariance = K Kᵀ, so d loss / d K = 2 (d loss / d covariance) K;  K = A R S, A = J W
    F grad_a[6] = {zero, zero, zero, zero, zero, zero};
    for (int j = 0; j < 3; ++j) {
        const F k0 = fma(cxx, p.k[j], cxy * p.k[3 + j]), k1 = fma(cxy, p.k[j], cyy * p.k[3 + j]);
        const F* r = g.rotation + j;
        const F b0 = fma(p.a[0], r[0], fma(p.a[1], r[3], p.a[2] * r[6])),
                b1 = fma(p.a[3], r[0], fma(p.a[4], r[3], p.a[5] * r[6]));
        out.scale[j] = out.scale[j] + fma(k0, b0, k1 * b1);
        const F s0 = k0 * g.scale[j], s1 = k1 * g.scale[j];
        for (int i = 0; i < 3; ++i) {
            out.rotation[3 * i + j] = out.rotation[3 * i + j] + fma(p.a[i], s0, p.a[3 + i] * s1);
            grad_a[i] = fma(s0, r[3 * i], grad_a[i]);
            grad_a[3 + i] = fma(s1, r[3 * i], grad_a[3 + i]);
        }
    }
    // A rows: f (W0 - slope_x W2), f (W1 - slope_y W2), f = focal / z
    const F *w = camera.w, f = camera.focal * p.inverse_z;
    const F a0w0 = dot3(grad_a, w), a1w1 = dot3(grad_a + 3, w + 3), a0w2 = dot3(grad_a, w + 6),
            a1w2 = dot3(grad_a + 3, w + 6);
    const F grad_f = fnma(p.slope_x, a0w2, a0w0) + fnma(p.slope_y, a1w2, a1w1);
    const F slope_x = zero - f * a0w2, slope_y = zero - f * a1w2;  // d loss / d slope
    const F ray_x = p.x * p.inverse_z, ray_y = p.y * p.inverse_z;
    const F to_x = fma(camera.focal, gu, keep(p.free_x, slope_x)),
            to_y = fma(camera.focal, gv, keep(p.free_y, slope_y));
    F t[3];
    t[0] = to_x * p.inverse_z;
    t[1] = to_y * p.inverse_z;
    t[2] = m[kGradDepth] - fma(to_x, ray_x, fma(to_y, ray_y, grad_f * f)) * p.inverse_z;
    for (int j = 0; j < 3; ++j) {
        camera_sums[j] = fma(f, grad_a[j], fma(t[0], g.mean[j], camera_sums[j]));
        camera_sums[3 + j] = fma(f, grad_a[3 + j], fma(t[1], g.mean[j], camera_sums[3 + j]));
        const F w2 = zero - f * fma(p.slope_x, grad_a[j], p.slope_y * grad_a[3 + j]);
        camera_sums[6 + j] = camera_sums[6 + j] + fma(t[2], g.mean[j], w2);
        camera_sums[9 + j] = camera_sums[9 + j] + t[j];
        out.mean[j] = out.mean[j] + fma(w[j], t[0], fma(w[3 + j], t[1], w[6 + j] * t[2]));
    }
    // where a slope is held at the margin, the margin itself moves with the focal length
    F grad_focal = fma(gu, ray_x, fma(gv, ray_y, grad_f * p.inverse_z));
    const F inverse_focal = recip(camera.focal), held_x = slope_x - keep(p.free_x, slope_x),
            held_y = slope_y - keep(p.free_y, slope_y);
    grad_focal = fnma(fma(held_x, p.slope_x, held_y * p.slope_y), inverse_focal, grad_focal);
    camera_sums[15] = camera_sums[15] + grad_focal;
}

// Rotation matrix -> unit quaternion -> quaternion as given.
SDS3D_INLINE void rotation_backward(const Chunk& g, const F* r, F* out) {
    const F w = g.q[0], x = g.q[1], y = g.q[2], z = g.q[3], two = splat(2.f);
    const F skew_x = r[7] - r[5], skew_y = r[2] - r[6], skew_z = r[3] - r[1];
    const F sum_xy = r[1] + r[3], sum_xz = r[2] + r[6], sum_yz = r[5] + r[7];
    F q[4];
    q[0] = two * fma(x, skew_x, fma(y, skew_y, z * skew_z));
    q[1] = two * (fma(w, skew_x, fma(y, sum_xy, z * sum_xz)) - two * x * (r[4] + r[8]));
    q[2] = two * (fma(w, skew_y, fma(x, sum_xy, z * sum_yz)) - two * y * (r[0] + r[8]));
    q[3] = two * (fma(w, skew_z, fma(x, sum_xz, y * sum_yz)) - two * z * (r[0] + r[4]));
    const F along = fma(q[0], w, fma(q[1], x, fma(q[2], y, q[3] * z)));
    for (int k = 0; k < 4; ++k) out[k] = fnma(along, g.q[k], q[k]) * g.inverse_length;
}

SDS3D_INLINE void store_sh(const Scene& scene, int64_t begin, int lanes, const float* columns, float* out) {
    const int64_t width = 3 * scene.sh_count;
    alignas(64) float row[kLanes];
    for (int64_t base = 0; base < width; base += kLanes) {
        const int64_t part = width - base < kLanes ? width - base : kLanes;
        F v[kLanes];
        for (int64_t k = 0; k < kLanes; ++k) v[k] = k < part ? load(columns + (base + k) * kLanes) : splat(0.f);
        transpose(v);
        for (int i = 0; i < lanes; ++i) {
            store(row, v[i]);
            __builtin_memcpy(out + (begin + i) * width + base, row, (size_t)part * sizeof(float));
        }
    }
}

static void project_backward_chunk(const Scene& scene, int64_t begin, const float* fields, const float* const* moments,
                                   const uint32_t* const* first_row, const Gradients& grads,
                                   F (*camera_sums)[kCameraSums]) {
    Chunk g;
    load_chunk(scene, begin, g);
    alignas(64) float sh[48 * kLanes], sh_grad[48 * kLanes];
    bool have_sh = false;
    for (int k = 0; k < 3 * scene.sh_count; ++k) store(sh_grad + k * kLanes, splat(0.f));
    const F zero = splat(0.f);
    WorldGradients world;
    __builtin_memset(&world, 0, sizeof world);
    for (int view = 0; view < scene.views; ++view) {
        const size_t at = (size_t)view * scene.count + begin;
        const uint32_t* rows = first_row[view] + begin;
        F centre[2] = {zero, zero};
        if (rows[g.lanes] > rows[0]) {
            CameraData camera;
            load_camera(scene, view, camera);
            F m[kMoments];
            gather_moments(moments[view], rows, g.lanes, m);
            const Projection p = project_lanes(scene, view, g, camera);
            geometry_backward(g, camera, p, m, world, camera_sums[view], centre);
            world.opacity = world.opacity + m[kH];
            // colours that were cut at 0 pass nothing on
            alignas(64) float positive[3][kLanes] = {{0.f}};
            for (int i = 0; i < g.lanes; ++i)
                for (int c = 0; c < 3 && rows[i + 1] > rows[i]; ++c)
                    positive[c][i] = fields[(at + i) * kFields + kRed + c];
            const F colour[3] = {keep(load(positive[0]) > zero, m[kGradRed]),
                                 keep(load(positive[1]) > zero, m[kGradGreen]),
                                 keep(load(positive[2]) > zero, m[kGradBlue])};
            if (!have_sh) load_sh(scene, begin, g.lanes, sh);
            have_sh = true;
            colour_backward(scene, g, camera, sh, colour, sh_grad, world.mean, camera_sums[view]);
        }
        if (grads.probe) store_columns(centre, g.lanes, 2, grads.probe + 2 * at);
    }
    F quaternion[4];
    rotation_backward(g, world.rotation, quaternion);
    const F opacity = world.opacity * recip(max(g.opacity, splat(kMinAlpha)));
    store_columns(world.mean, g.lanes, 3, grads.means + 3 * begin);
    store_columns(world.scale, g.lanes, 3, grads.scales + 3 * begin);
    store_columns(quaternion, g.lanes, 4, grads.rotations + 4 * begin);
    store_columns(&opacity, g.lanes, 1, grads.opacities + begin);
    store_sh(scene, begin, g.lanes, sh_grad, grads.sh);
}

static void project_backward(const Scene& scene, int64_t begin, int64_t end, const float* fields,
                             const float* const* moments, const uint32_t* const* first_row, const Gradients& grads,
                             float* camera_sums) {
    F* sums = (F*)__builtin_assume_aligned(camera_sums, 64);
    for (int k = 0; k < scene.views * kCameraSums; ++k) sums[k] = splat(0.f);
    for (int64_t n = begin; n < end; n += kLanes)
        project_backward_chunk(scene, n, fields, moments, first_row, grads, (F(*)[kCameraSums])sums);
}

}  // namespace SDS3D_ISA
