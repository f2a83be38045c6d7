// Products of rows quantised to int8, one by one and a stretch at a time, with int8 weights.
//
// Weights lie in panels of VECTORS x LANES outputs, and in a panel four inputs of each output side by side,
// as the instruction wants them: [panel][inputs / 4][vector][lane][4], 128 added. A sum of products is an exact
// integer, so that neither the number of rows nor how they are cut into blocks changes a row's result.

#pragma once

#include <utility>

#include "vectors.h"

// groups: 1, or the number of equal parts of the outputs; a panel holds a vector of each part, so that what is
// computed together lies together: gate and up, or the three parts of a convolution's input.
struct Matrix {
    const uint8_t* levels;
    const float* scales;  // [panel][vector][lane]
    int64_t inputs, outputs, groups, vectors, panels;
};

INLINE int64_t steps(const Matrix& w) { return (w.inputs + 3) / 4; }
INLINE int64_t part(const Matrix& w) { return w.outputs / w.groups; }

INLINE const uint8_t* start(const Matrix& w, int64_t panel) {
    return w.levels + panel * steps(w) * w.vectors * 4 * LANES;
}

// The output in the first lane of a panel's vector, and the number of outputs from there on, LANES at most.
INLINE int64_t output(const Matrix& w, int64_t panel, int64_t vector) {
    return w.groups == 1 ? (panel * w.vectors + vector) * LANES : vector * part(w) + panel * LANES;
}
INLINE int64_t lanes(const Matrix& w, int64_t panel, int64_t vector) {
    const int64_t left = part(w) - (w.groups == 1 ? panel * w.vectors + vector : panel) * LANES;
    return left < 0 ? 0 : left < LANES ? left : LANES;
}
INLINE int64_t row_bytes(int64_t inputs) { return (inputs + 63) / 64 * 64; }

// Inputs of a row that share a scale: one loud input costs its own stretch precision, not the whole row.
constexpr int64_t STRETCH = 256;
INLINE int64_t stretches(int64_t inputs) { return (inputs + STRETCH - 1) / STRETCH; }

struct Rows {
    int8_t* levels;  // [row][stride], zero after the inputs
    int64_t stride;
    int32_t* offsets;  // [row][stretch]: what the weights' 128 adds to each of the sums
    float* scales;     // [row][stretch]
};

// One row: its levels are round(x * 127 / peak of the stretch); normed divides the row by its root mean square.
static void quantise(const Rows& to, int64_t row, const float* x, int64_t inputs, bool normed, float epsilon) {
    const int64_t full = inputs / LANES * LANES, count = stretches(inputs);
    const auto at = [&](int64_t i) { return i < full ? load(x + i) : load_some(x + i, inputs - i); };
    float* scales = to.scales + row * count;
    Floats squares[2] = {every(0.0f), every(0.0f)};
    for (int64_t stretch = 0; stretch < count; ++stretch) {
        const int64_t first = stretch * STRETCH, rest = inputs - first, size = rest < STRETCH ? rest : STRETCH;
        const int64_t end = first + size, even = first + size / (2 * LANES) * (2 * LANES);
        Floats peaks[2] = {every(0.0f), every(0.0f)};
        int64_t i = first;
        for (; i < even; i += 2 * LANES) {
            for (int j = 0; j < 2; ++j) {
                const Floats v = load(x + i + j * LANES);
                peaks[j] = greater(peaks[j], size_of(v));
                squares[j] = fused(v, v, squares[j]);
            }
        }
        for (; i < end; i += LANES) {
            const Floats v = at(i);
            peaks[0] = greater(peaks[0], size_of(v));
            squares[0] = fused(v, v, squares[0]);
        }
        float peak = greatest(greater(peaks[0], peaks[1]));
        peak = peak > 1e-12f ? peak : 1e-12f;
        const Floats levels_a_unit = every(127.0f / peak);
        int8_t* levels = to.levels + row * to.stride;
        Ints total = every(0);
        for (i = first; i < end; i += LANES) {
            const Ints v = to_ints(at(i) * levels_a_unit);
            total = plus(total, v);
            store_bytes(levels + i, v);
        }
        to.offsets[row * count + stretch] = -128 * sum(total);
        scales[stretch] = peak / 127.0f;
    }
    if (!normed) return;
    const float mean = sum(squares[0] + squares[1]) / static_cast<float>(inputs);
    const float size = 1.0f / __builtin_sqrtf(mean + epsilon);
    for (int64_t stretch = 0; stretch < count; ++stretch) scales[stretch] *= size;
}

// M rows with one panel: their results [row][vector][lane]. While it runs, `ahead` is fetched into the cache,
// `pace` bytes a step. The loops over sums are packs: loops that are unrolled late leave the sums in memory.
template <int V, int M, int... S>
static __attribute__((noinline)) void block(const Matrix& w, int64_t panel, const Rows& x, int64_t row, const uint8_t* ahead, int64_t pace,
                  float* results, std::integer_sequence<int, S...>) {
    const int8_t* from = x.levels + row * x.stride;
    const int64_t stride = x.stride, count = stretches(w.inputs);
    const uint8_t* levels = start(w, panel);
    const int32_t* offsets = x.offsets + row * count;
    const float* scales = x.scales + row * count;
    (store(results + S * LANES, every(0.0f)), ...);
    for (int64_t left = steps(w); left > 0; left -= STRETCH / 4, ++offsets, ++scales) {
        Ints sums[M * V] = {every(offsets[S / V * count])...};
        for (int64_t step = left < STRETCH / 4 ? left : STRETCH / 4; step > 0; --step) {
            Ints weights[V];
            for (int v = 0; v < V; ++v) weights[v] = load(static_cast<const void*>(levels + v * 4 * LANES));
            for (int v = 0; v < V; ++v) _mm_prefetch(ahead + v * 4 * LANES, _MM_HINT_T1);
            ((sums[S] = plus_products(sums[S], weights[S % V], four(from + S / V * stride))), ...);
            levels += V * 4 * LANES;
            ahead += pace;
            from += 4;
        }
        (store(results + S * LANES,
               load(results + S * LANES) + to_floats(sums[S]) * every(scales[S / V * count])),
         ...);
    }
    (store(results + S * LANES, load(results + S * LANES) * load(w.scales + (panel * V + S % V) * LANES)), ...);
}

template <int V>
constexpr int most_rows = LANES == 16 ? (V == 2 ? 10 : 8) : 12 / V;  // sums that fit into the registers

template <int V, int M = most_rows<V>>
INLINE void some_rows(int64_t count, const Matrix& w, int64_t panel, const Rows& x, int64_t row,
                      const uint8_t* ahead, int64_t pace, float* results) {
    if constexpr (M > 1) {
        if (count < M) return some_rows<V, M - 1>(count, w, panel, x, row, ahead, pace, results);
    }
    block<V, M>(w, panel, x, row, ahead, pace, results, std::make_integer_sequence<int, M * V>());
}

// Panels [from, to) of the product of `count` rows: each(row, panel, its V vectors of results), and
// done(panel) after a panel's last row. After its own panels a thread fetches what it reads `next`.
template <int V, class Each, class Done>
INLINE void multiply(const Matrix& w, int64_t from, int64_t to, const Rows& x, int64_t count, const uint8_t* next,
                     Each&& each, Done&& done) {
    float results[most_rows<V> * V * LANES];
    const int64_t size = start(w, 1) - start(w, 0);
    const int64_t blocks = (count + most_rows<V> - 1) / most_rows<V>;
    for (int64_t panel = from; panel < to; ++panel) {
        const uint8_t* ahead = panel + 1 < to ? start(w, panel + 1) : next;
        for (int64_t b = 0; b < blocks; ++b) {
            const int64_t row = count * b / blocks, end = count * (b + 1) / blocks;
            some_rows<V>(end - row, w, panel, x, row, ahead + size * b / blocks, V * 4 * LANES / blocks, results);
            for (int64_t m = 0; row + m < end; ++m) each(row + m, panel, results + m * V * LANES);
        }
        done(panel);
    }
}
