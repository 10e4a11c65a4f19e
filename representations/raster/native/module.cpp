// The extension module sds3d.representations.raster._native: each kernel file registers its own functions.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

void register_fields(nb::module_ &m);
void register_gaussians(nb::module_ &m);
void register_march(nb::module_ &m);
void register_sampled_rays(nb::module_ &m);
void register_surfels(nb::module_ &m);
void register_triangles(nb::module_ &m);

NB_MODULE(_native, m) {
    m.doc() = "sds3d native CPU kernels (no torch headers: arrays come in by DLPack and are written in place)";
    register_fields(m);
    register_gaussians(m);
    register_march(m);
    register_sampled_rays(m);
    register_surfels(m);
    register_triangles(m);
}
