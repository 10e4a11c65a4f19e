// Gaussian splatting on the CPU: allocation, sorting, threads and the Python functions. The arithmetic is in the
// kernels of each instruction set.
//
// Work is split by what is written (Gaussians, views, tiles), each sum over parts runs in a fixed order, so the
// result depends neither on the number of threads nor on their timing.
#include "gaussians.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#include <optional>
#include <vector>

namespace nb = nanobind;
using namespace sds3d;

namespace {

using Array = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using ConstArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using IntArray = nb::ndarray<int32_t, nb::c_contig, nb::device::cpu>;

// Uninitialised memory, aligned to a cache line.
template <class T>
class Buffer {
   public:
    Buffer() = default;
    explicit Buffer(size_t count) {
        const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
        data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes ? bytes : 64)));
        if (!data_) throw std::bad_alloc();
    }
    T* get() const { return data_.get(); }
    T& operator[](size_t i) const { return data_.get()[i]; }

   private:
    struct Free {
        void operator()(T* p) const { std::free(p); }
    };
    std::unique_ptr<T, Free> data_;
};

// One view's tile lists: tile t holds entries [start[t], start[t + 1]).
struct ViewLists {
    Buffer<uint32_t> start, gaussian, row, first_row;
    Buffer<uint64_t> used;
    uint32_t entries = 0;
};

// What the forward pass leaves for the backward pass.
struct State {
    int64_t count = 0;
    int views = 0, height = 0, width = 0, tiles_x = 0, tiles_y = 0, sh_count = 0, level = 0;
    float near = 0;
    Buffer<float> fields, ends, stops;
    // processor seconds of the last calls: project, lists, composite; composite backward, project backward
    double seconds[5] = {0};
    std::vector<ViewLists> lists;

    int tiles() const { return tiles_x * tiles_y; }
    const float* view_fields(int view) const { return fields.get() + (size_t)view * count * kFields; }
    TileList tile_list(int view, int tile) const {
        const ViewLists& v = lists[view];
        const uint32_t begin = v.start[tile];
        return {v.gaussian.get() + begin, v.row.get() + begin, v.used.get() + begin,
                (int64_t)v.start[tile + 1] - begin};
    }
};

int best_level() {
#if defined(SDS3D_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 1;
#endif
    return 0;
}

const Kernels& kernels(int level) {
#if defined(SDS3D_X86)
    if (level == 2) return kernels_avx512();
    if (level == 1) return kernels_avx2();
#endif
    (void)level;
    return kernels_baseline();
}

// Indices of the Gaussians that meet a tile, by depth; equal depths keep their order. Radix sort: positive
// floats order like their bits.
std::vector<uint32_t> depth_order(const float* fields, const TileRange* ranges, int64_t count) {
    struct Item {
        uint32_t key, index;
    };
    std::vector<Item> items, other;
    items.reserve(count);
    uint32_t low = ~0u, high = 0;
    for (int64_t n = 0; n < count; ++n) {
        if (ranges[n].x0 >= ranges[n].x1) continue;
        uint32_t key;
        std::memcpy(&key, fields + n * kFields + kDepth, sizeof key);
        low = std::min(low, key);
        high = std::max(high, key);
        items.push_back({key, (uint32_t)n});
    }
    constexpr int kDigit = 12, kBuckets = 1 << kDigit;
    other.resize(items.size());
    std::vector<uint32_t> start(kBuckets);
    for (int shift = 0; shift < 32 && !items.empty() && ((high - low) >> shift) != 0; shift += kDigit) {
        std::fill(start.begin(), start.end(), 0u);
        for (const Item& item : items) ++start[((item.key - low) >> shift) & (kBuckets - 1)];
        uint32_t sum = 0;
        for (uint32_t& s : start) {
            const uint32_t here = s;
            s = sum;
            sum += here;
        }
        for (const Item& item : items) other[start[((item.key - low) >> shift) & (kBuckets - 1)]++] = item;
        items.swap(other);
    }
    std::vector<uint32_t> order(items.size());
    for (size_t i = 0; i < items.size(); ++i) order[i] = items[i].index;
    return order;
}

ViewLists make_lists(const float* fields, const TileRange* ranges, int64_t count, int tiles_x, int tiles) {
    ViewLists v;
    v.start = Buffer<uint32_t>(tiles + 1);
    v.first_row = Buffer<uint32_t>(count + 1);
    std::fill(v.start.get(), v.start.get() + tiles + 1, 0u);
    for (int64_t n = 0; n < count; ++n) {
        const TileRange r = ranges[n];
        v.first_row[n] = v.entries;
        for (int y = r.y0; y < r.y1; ++y)
            for (int x = r.x0; x < r.x1; ++x) ++v.start[y * tiles_x + x + 1];
        v.entries += (uint32_t)(r.x1 - r.x0) * (uint32_t)(r.y1 - r.y0);
    }
    v.first_row[count] = v.entries;
    for (int t = 0; t < tiles; ++t) v.start[t + 1] += v.start[t];
    v.gaussian = Buffer<uint32_t>(v.entries);
    v.row = Buffer<uint32_t>(v.entries);
    v.used = Buffer<uint64_t>(v.entries);
    std::vector<uint32_t> cursor(v.start.get(), v.start.get() + tiles);
    for (const uint32_t n : depth_order(fields, ranges, count)) {
        const TileRange r = ranges[n];
        uint32_t row = v.first_row[n];
        for (int y = r.y0; y < r.y1; ++y)
            for (int x = r.x0; x < r.x1; ++x) {
                const uint32_t at = cursor[y * tiles_x + x]++;
                v.gaussian[at] = n;
                v.row[at] = row++;
            }
    }
    return v;
}

// Adds the processor time between its construction or last call and now.
class Clock {
   public:
    void add(double& to) {
        const std::clock_t now = std::clock();
        to += (double)(now - last_) / CLOCKS_PER_SEC;
        last_ = now;
    }

   private:
    std::clock_t last_ = std::clock();
};

constexpr int64_t kPart = 512;  // Gaussians of one unit of parallel work

void run_forward(const Scene& scene, State& s, float* rgb, float* alpha, float* depth, int32_t* radii) {
    const Kernels& k = kernels(s.level);
    Clock clock;
    const int64_t parts = (s.count + kPart - 1) / kPart, plane = (int64_t)s.height * s.width;
    Buffer<TileRange> ranges((size_t)s.views * s.count);
    s.fields = Buffer<float>((size_t)s.views * s.count * kFields);
    s.ends = Buffer<float>((size_t)s.views * s.tiles() * kTilePixels);
    s.stops = Buffer<float>((size_t)s.views * s.tiles() * kTilePixels);
    s.lists.resize(s.views);
#pragma omp parallel for schedule(dynamic) if (s.views * parts > 1)
    for (int64_t job = 0; job < s.views * parts; ++job) {
        const int view = (int)(job / parts);
        const int64_t begin = job % parts * kPart, end = std::min(begin + kPart, s.count);
        const size_t base = (size_t)view * s.count;
        for (int64_t n = begin; n < end; n += kLanes)
            k.project(scene, view, n, s.fields.get() + base * kFields, radii + base, ranges.get() + base);
    }
    clock.add(s.seconds[0]);
#pragma omp parallel for schedule(dynamic) if (s.views > 1)
    for (int view = 0; view < s.views; ++view)
        s.lists[view] =
            make_lists(s.view_fields(view), ranges.get() + (size_t)view * s.count, s.count, s.tiles_x, s.tiles());
    clock.add(s.seconds[1]);
#pragma omp parallel for schedule(dynamic) if (s.views * s.tiles() > 1)
    for (int job = 0; job < s.views * s.tiles(); ++job) {
        const int view = job / s.tiles(), tile = job % s.tiles();
        const Pixels pixels = {
            rgb + 3 * plane * view, alpha + plane * view, depth + plane * view, nullptr, nullptr, nullptr};
        k.composite(scene, view, tile % s.tiles_x, tile / s.tiles_x, s.view_fields(view), s.tile_list(view, tile),
                    s.ends.get() + (size_t)job * kTilePixels, s.stops.get() + (size_t)job * kTilePixels, pixels);
    }
    clock.add(s.seconds[2]);
}

struct CameraGradients {
    float *view, *centre, *focal, *background;
};

// camera_sums (parts, views, 16, 16) -> d loss / d view, centre, focal.
void finish_cameras(const Scene& scene, const float* camera_sums, int64_t parts, const CameraGradients& out) {
    for (int view = 0; view < scene.views; ++view) {
        double sum[kCameraSums] = {0};
        for (int64_t part = 0; part < parts; ++part)
            for (int k = 0; k < kCameraSums; ++k) {
                const float* lanes = camera_sums + ((part * scene.views + view) * kCameraSums + k) * kLanes;
                float total = 0;
                for (int i = 0; i < kLanes; ++i) total += lanes[i];
                sum[k] += total;
            }
        for (int j = 0; j < 3; ++j) {
            for (int i = 0; i < 3; ++i) out.view[12 * view + 4 * j + i] = (float)sum[3 * j + i];
            out.view[12 * view + 4 * j + 3] = (float)sum[9 + j];
            out.centre[3 * view + j] = (float)sum[12 + j];
        }
        out.focal[view] = (float)sum[15];
    }
}

void run_backward(const Scene& scene, State& s, Pixels pixels, const Gradients& grads, const CameraGradients& cameras) {
    const Kernels& k = kernels(s.level);
    Clock clock;
    const int64_t plane = (int64_t)s.height * s.width, parts = (s.count + kPart - 1) / kPart;
    std::vector<Buffer<float>> moments;
    std::vector<const float*> moment_rows;
    std::vector<const uint32_t*> first_rows;
    for (const ViewLists& v : s.lists) {
        moments.emplace_back((size_t)v.entries * kMoments);
        moment_rows.push_back(moments.back().get());
        first_rows.push_back(v.first_row.get());
    }
    const int jobs = s.views * s.tiles();
    Buffer<float> background(3 * (size_t)jobs);
    const auto shift = [](const float* p, int64_t by) { return p ? p + by : nullptr; };
#pragma omp parallel for schedule(dynamic) if (jobs > 1)
    for (int job = 0; job < jobs; ++job) {
        const int view = job / s.tiles(), tile = job % s.tiles();
        const Pixels here = {nullptr,
                             nullptr,
                             pixels.depth + plane * view,
                             shift(pixels.grad_rgb, 3 * plane * view),
                             shift(pixels.grad_alpha, plane * view),
                             shift(pixels.grad_depth, plane * view)};
        k.composite_backward(scene, view, tile % s.tiles_x, tile / s.tiles_x, s.view_fields(view),
                             s.tile_list(view, tile), s.ends.get() + (size_t)job * kTilePixels,
                             s.stops.get() + (size_t)job * kTilePixels, here, moments[view].get(),
                             &background[3 * (size_t)job]);
    }
    for (int view = 0; view < s.views; ++view)
        for (int c = 0; c < 3; ++c) {
            double sum = 0;
            for (int tile = 0; tile < s.tiles(); ++tile) sum += background[3 * ((size_t)view * s.tiles() + tile) + c];
            cameras.background[3 * view + c] = (float)sum;
        }
    clock.add(s.seconds[3]);
    const size_t part_sums = (size_t)s.views * kCameraSums * kLanes;
    Buffer<float> camera_sums(parts * part_sums);
#pragma omp parallel for schedule(dynamic) if (parts > 1)
    for (int64_t part = 0; part < parts; ++part)
        k.project_backward(scene, part * kPart, std::min((part + 1) * kPart, s.count), s.fields.get(),
                           moment_rows.data(), first_rows.data(), grads, camera_sums.get() + part * part_sums);
    finish_cameras(scene, camera_sums.get(), parts, cameras);
    clock.add(s.seconds[4]);
}

// Whether no value is NaN or infinite: not all bits of the exponent set.
bool all_finite(const float* values, size_t count) {
    constexpr uint32_t kExponent = 0x7f800000u;
    uint32_t found = 0;
    for (size_t i = 0; i < count; ++i) {
        uint32_t word;
        std::memcpy(&word, values + i, sizeof word);
        found |= (uint32_t)((word & kExponent) == kExponent);
    }
    return !found;
}

template <class A>
auto* pointer(std::optional<A>& array) {
    return array ? array->data() : nullptr;
}

std::unique_ptr<State> forward(ConstArray means, ConstArray scales, ConstArray rotations, ConstArray opacities,
                               ConstArray sh, ConstArray view, ConstArray centre, ConstArray focal,
                               ConstArray background, std::optional<ConstArray> probe, Array rgb, Array alpha,
                               Array depth, IntArray radii, float near, int level) {
    auto s = std::make_unique<State>();
    s->count = (int64_t)means.shape(0);
    s->sh_count = (int)sh.shape(1);
    s->views = (int)view.shape(0);
    s->height = (int)rgb.shape(2);
    s->width = (int)rgb.shape(3);
    s->tiles_x = (s->width + kTile - 1) / kTile;
    s->tiles_y = (s->height + kTile - 1) / kTile;
    s->near = near;
    s->level = std::min(level, best_level());
    const Scene scene = {means.data(),      scales.data(),  rotations.data(), opacities.data(),
                         sh.data(),         view.data(),    centre.data(),    focal.data(),
                         background.data(), pointer(probe), s->count,         s->sh_count,
                         s->views,          s->height,      s->width,         near};
    bool finite = all_finite(scene.probe, probe ? probe->size() : 0);
    for (const ConstArray* a : {&means, &scales, &rotations, &opacities, &sh, &view, &centre, &focal, &background})
        finite = finite && all_finite(a->data(), a->size());
    if (!finite) return nullptr;
    float* const images[] = {rgb.data(), alpha.data(), depth.data()};
    int32_t* const radius = radii.data();
    nb::gil_scoped_release release;
    run_forward(scene, *s, images[0], images[1], images[2], radius);
    return s;
}

void backward(State& s, ConstArray means, ConstArray scales, ConstArray rotations, ConstArray opacities, ConstArray sh,
              ConstArray view, ConstArray centre, ConstArray focal, ConstArray background, ConstArray depth,
              std::optional<ConstArray> grad_rgb, std::optional<ConstArray> grad_alpha,
              std::optional<ConstArray> grad_depth, Array to_means, Array to_scales, Array to_rotations,
              Array to_opacities, Array to_sh, Array to_view, Array to_centre, Array to_focal, Array to_background,
              std::optional<Array> to_probe) {
    const Scene scene = {means.data(),      scales.data(), rotations.data(), opacities.data(),
                         sh.data(),         view.data(),   centre.data(),    focal.data(),
                         background.data(), nullptr,       s.count,          s.sh_count,
                         s.views,           s.height,      s.width,          s.near};
    // the kernels only read depth here
    const Pixels pixels = {nullptr,
                           nullptr,
                           const_cast<float*>(depth.data()),
                           pointer(grad_rgb),
                           pointer(grad_alpha),
                           pointer(grad_depth)};
    const Gradients grads = {to_means.data(),     to_scales.data(), to_rotations.data(),
                             to_opacities.data(), to_sh.data(),     pointer(to_probe)};
    const CameraGradients cameras = {to_view.data(), to_centre.data(), to_focal.data(), to_background.data()};
    nb::gil_scoped_release release;
    run_backward(scene, s, pixels, grads, cameras);
}

}  // namespace

void register_gaussians(nb::module_& m) {
    // autograd graphs that live until the interpreter ends are no leak
    nb::set_leak_warnings(false);
    nb::class_<State>(m, "GaussianState", "What a forward pass leaves for its backward pass.")
        .def_prop_ro(
            "seconds", [](const State& s) { return std::vector<double>(s.seconds, s.seconds + 5); },
            "Processor seconds spent: project, lists, composite, composite backward, project backward.");
    m.def(
        "multiply_adds",
        [](int64_t repeats, int level) {
            double flops = 0;
            const float value = kernels(std::min(level, best_level())).multiply_adds(repeats, &flops);
            return std::make_pair(flops, value);
        },
        nb::arg("repeats"), nb::arg("level"), "(operations, a number that depends on all of them)");
    m.def("best_instruction_set", &best_level,
          "0 baseline, 1 AVX2, 2 AVX-512: the best that this processor and build have.");
    m.def("gaussians_forward", &forward, nb::arg("means"), nb::arg("scales"), nb::arg("rotations"),
          nb::arg("opacities"), nb::arg("sh"), nb::arg("view"), nb::arg("centre"), nb::arg("focal"),
          nb::arg("background"), nb::arg("probe").none(), nb::arg("rgb"), nb::arg("alpha"), nb::arg("depth"),
          nb::arg("radii"), nb::arg("near"), nb::arg("level"),
          "Draws into rgb, alpha, depth and radii; None, and nothing drawn, when an input is not finite.");
    m.def("gaussians_backward", &backward, nb::arg("state"), nb::arg("means"), nb::arg("scales"), nb::arg("rotations"),
          nb::arg("opacities"), nb::arg("sh"), nb::arg("view"), nb::arg("centre"), nb::arg("focal"),
          nb::arg("background"), nb::arg("depth"), nb::arg("grad_rgb").none(), nb::arg("grad_alpha").none(),
          nb::arg("grad_depth").none(), nb::arg("to_means"), nb::arg("to_scales"), nb::arg("to_rotations"),
          nb::arg("to_opacities"), nb::arg("to_sh"), nb::arg("to_view"), nb::arg("to_centre"), nb::arg("to_focal"),
          nb::arg("to_background"), nb::arg("to_probe").none(), "Writes every to_ array.");
}
