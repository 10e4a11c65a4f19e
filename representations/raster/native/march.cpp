#include <nanobind/nanobind.h>

namespace nb = nanobind;

void register_march(nb::module_ &) {}
