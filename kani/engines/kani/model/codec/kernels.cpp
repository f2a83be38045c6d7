// The steps between NanoCodec's convolutions, in one pass over memory each. Signals are
// [streams, time, channels]; a row is a slot's state. T is float, or uint16_t for bfloat16.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

constexpr int64_t WORTH_A_THREAD = 8192;  // values

inline float load(float v) { return v; }
inline float load(uint16_t v) { return std::bit_cast<float>(static_cast<uint32_t>(v) << 16); }
inline void store(float* to, float v) { *to = v; }
inline void store(uint16_t* to, float v) {  // to the nearest, ties to even
    const uint32_t bits = std::bit_cast<uint32_t>(v);
    *to = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// sin² has the period π, so that the sign of the sine that is left does not matter.
inline float squared_sine(float z) {
    const float turns = std::rint(z * 0.318309886f);
    float r = std::fma(turns, -3.140625f, z);
    r = std::fma(turns, -9.67502593994140625e-4f, r);
    r = std::fma(turns, -1.509957990978376e-7f, r);
    const float q = r * r;
    float p = -2.50521084e-8f;
    p = std::fma(p, q, 2.75573192e-6f);
    p = std::fma(p, q, -1.98412698e-4f);
    p = std::fma(p, q, 8.33333333e-3f);
    p = std::fma(p, q, -1.66666667e-1f);
    p = std::fma(p * q, r, r);
    return p * p;
}

// The parameters are repeated for `tile` values, a whole number of steps, so that the inner loop is
// long and even however few the channels are. Leaky channels have inverse 0, snakes have slope 1.
struct HalfSnake {
    const float *alpha, *inverse, *slope;
    int64_t tile;
};

template <typename T, bool HAS_X, bool HAS_Y>
void activate_some(const HalfSnake& act, const float* x, const T* y, float* sum, T* out, int64_t size) {
    for (int64_t begin = 0; begin < size; begin += act.tile) {
        const int64_t n = std::min(act.tile, size - begin);
        for (int64_t i = 0; i < n; ++i) {
            const int64_t at = begin + i;
            float v = HAS_X ? x[at] : 0.0f;
            if constexpr (HAS_Y) v += load(y[at]);
            if constexpr (HAS_X && HAS_Y) sum[at] = v;
            const float leaky = std::max(v, 0.0f) + act.slope[i] * std::min(v, 0.0f);
            store(out + at, std::fma(act.inverse[i], squared_sine(act.alpha[i] * v), leaky));
        }
    }
}

template <typename T>
void activate(const HalfSnake& act, const float* x, const T* y, float* sum, T* joined, T* rows,
              const int64_t* slots, int64_t row, int64_t offset, int64_t streams, int64_t time,
              int64_t channels, int64_t steps) {
    const int64_t past = steps * channels, size = time * channels;
    const int64_t tiles = (size + act.tile - 1) / act.tile;
    const int64_t parts = std::clamp(size / WORTH_A_THREAD, int64_t{1}, tiles);
#pragma omp parallel for collapse(2) schedule(static) if (streams * parts > 1)
    for (int64_t b = 0; b < streams; ++b) {
        for (int64_t part = 0; part < parts; ++part) {
            const int64_t begin = part * tiles / parts * act.tile;
            const int64_t n = std::min((part + 1) * tiles / parts * act.tile, size) - begin;
            T* out = joined + b * (past + size) + past + begin;
            const int64_t at = b * size + begin;
            if (x && y) {
                activate_some<T, true, true>(act, x + at, y + at, sum + at, out, n);
            } else if (x) {
                activate_some<T, true, false>(act, x + at, nullptr, nullptr, out, n);
            } else {
                activate_some<T, false, true>(act, nullptr, y + at, nullptr, out, n);
            }
        }
    }
    for (int64_t b = 0; b < streams; ++b) {
        T* own = rows + slots[b] * row + offset;
        T* out = joined + b * (past + size);
        std::memcpy(out, own, past * sizeof(T));
        std::memcpy(own, out + size, past * sizeof(T));
    }
}

template <typename T>
void add(const float* x, const T* y, float* total, int64_t size, int first, float scale) {
#pragma omp parallel for schedule(static) if (size > 2 * WORTH_A_THREAD)
    for (int64_t i = 0; i < size; ++i) {
        total[i] = ((first ? 0.0f : total[i]) + (x[i] + load(y[i]))) * scale;
    }
}

// taps: [now or the step before, channel of the pair, position between two steps, out channel].
template <typename T>
void up_sample(const T* joined, const float* taps, const float* bias, float* out, int64_t streams,
               int64_t time, int64_t rate, int64_t channels) {
    const int64_t group = rate * channels;
#pragma omp parallel for collapse(2) schedule(static) if (streams * time * group > 2 * WORTH_A_THREAD)
    for (int64_t b = 0; b < streams; ++b) {
        for (int64_t t = 0; t < time; ++t) {
            const T* before = joined + (b * (time + 1) + t) * 2 * channels;
            const T* now = before + 2 * channels;
            float* to = out + (b * time + t) * group;
            for (int64_t r = 0; r < rate; ++r) {
                const float* tap = taps + r * channels;
                for (int64_t c = 0; c < channels; ++c) {
                    float v = bias[c];
                    v = std::fma(load(now[2 * c]), tap[c], v);
                    v = std::fma(load(now[2 * c + 1]), tap[group + c], v);
                    v = std::fma(load(before[2 * c]), tap[2 * group + c], v);
                    to[r * channels + c] = std::fma(load(before[2 * c + 1]), tap[3 * group + c], v);
                }
            }
        }
    }
}

}  // namespace

// The threads of the calling thread's parallel loops from now on, torch's too; returns what was.
extern "C" int use_threads([[maybe_unused]] int threads) {
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
#else
    return 1;
#endif
}

#define FOR_TYPE(T, NAME)                                                                             \
    extern "C" void activate_##NAME(const HalfSnake* act, const float* x, const T* y, float* sum,      \
                                    T* joined, T* rows, const int64_t* slots, int64_t row,             \
                                    int64_t offset, int64_t streams, int64_t time, int64_t channels,   \
                                    int64_t steps) {                                                   \
        activate(*act, x, y, sum, joined, rows, slots, row, offset, streams, time, channels, steps);   \
    }                                                                                                  \
    extern "C" void add_##NAME(const float* x, const T* y, float* total, int64_t size, int first,      \
                               float scale) {                                                          \
        add(x, y, total, size, first, scale);                                                          \
    }                                                                                                  \
    extern "C" void up_sample_##NAME(const T* joined, const float* taps, const float* bias,            \
                                     float* out, int64_t streams, int64_t time, int64_t rate,          \
                                     int64_t channels) {                                               \
        up_sample(joined, taps, bias, out, streams, time, rate, channels);                             \
    }

FOR_TYPE(float, float32)
FOR_TYPE(uint16_t, bfloat16)
