// One row's attention with the keys and values of its stream, a group of heads at a time.

#pragma once

#include <utility>

#include "vectors.h"

// Memory layout: [layer][keys, values][slot][key/value head][position][size]; T is float or half.
template <class T>
struct Memory {
    T *keys, *values;  // of one layer, slot and key/value head
};

struct Heads {
    int64_t size, group;  // group: heads that share keys and values
    float epsilon;
};

INLINE int64_t here(int64_t left) { return left < LANES ? left : LANES; }

// Divide a head by its root mean square, multiply it by `norm` and turn its pairs; turn: (cos, sin) of each.
template <class T>
INLINE void turn_head(const Heads& h, const float* from, const float* norm, const float* turn, T* to) {
    Floats squares = every(0.0f);
    for (int64_t i = 0; i < h.size; i += LANES) {
        const Floats v = load_some(from + i, here(h.size - i));
        squares = fused(v, v, squares);
    }
    const Floats scale = every(1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(h.size) + h.epsilon));
    for (int64_t i = 0; i < h.size; i += LANES) {
        const int64_t n = here(h.size - i);
        const Floats v = load_some(from + i, n) * scale * load_some(norm + i, n);
        const Floats t = load_some(turn + i, n);
        store_some(to + i, alternating(v, even_twice(t), pairs_swapped(v) * odd_twice(t)), n);
    }
}

// The scores of LANES keys: products with one query [size rounded up to LANES], zero after the head's end.
template <class T, int... J>
INLINE Floats scores(const float* query, const T* const (&keys)[LANES], int64_t size, std::integer_sequence<int, J...>) {
    Floats products[LANES] = {every(0.0f * J)...};
    int64_t i = 0;
    for (; i + LANES <= size; i += LANES) {
        const Floats q = load(query + i);
        ((products[J] = fused(q, load(keys[J] + i), products[J])), ...);
    }
    if (i < size) {
        const Floats q = load(query + i);
        ((products[J] = fused(q, load_some(keys[J] + i, size - i), products[J])), ...);
    }
    return sums(products);
}

// LANES channels (n, at a head's end) of the values' weighted sum.
template <class T>
INLINE Floats mixed(const float* weights, const T* values, int64_t count, int64_t size, int64_t n) {
    Floats a = every(0.0f), b = every(0.0f), c = every(0.0f), d = every(0.0f);
    int64_t j = 0;
    for (; n == LANES && j + 4 <= count; j += 4) {
        a = fused(every(weights[j]), load(values + j * size), a);
        b = fused(every(weights[j + 1]), load(values + (j + 1) * size), b);
        c = fused(every(weights[j + 2]), load(values + (j + 2) * size), c);
        d = fused(every(weights[j + 3]), load(values + (j + 3) * size), d);
    }
    for (; j < count; ++j) a = fused(every(weights[j]), load_some(values + j * size, n), a);
    return (a + b) + (c + d);
}

// Turns scores [count rounded up to LANES] into weights; returns their sum.
INLINE float exponentials(float* scores, int64_t count) {
    // Padding repeats the last score, which does not change the maximum.
    Floats peaks = load(scores);
    for (int64_t j = LANES; j < count; j += LANES) peaks = greater(peaks, load(scores + j));
    const Floats peak = every(greatest(peaks));
    Floats total = every(0.0f);
    for (int64_t j = 0; j < count; j += LANES) {
        store(scores + j, exponential(load(scores + j) - peak));
        total = total + load_some(scores + j, here(count - j));
    }
    return sum(total);
}

// queries [group][size rounded up to LANES], zero after a head's end; weights: room for [group][count rounded
// up to LANES]; out [group][size]. count: how many keys there are.
template <class T>
static void attend(const Heads& h, const float* queries, Memory<T> memory, int64_t count, float* weights,
                   float* out) {
    const int64_t size = h.size, wide = (size + LANES - 1) / LANES * LANES;
    const int64_t room = (count + LANES - 1) / LANES * LANES;
    for (int64_t begin = 0; begin < count; begin += LANES) {
        // Prefetch their values.
        for (int64_t i = 0; i < LANES * size; i += 64 / static_cast<int64_t>(sizeof(T))) {
            _mm_prefetch(memory.values + begin * size + i, _MM_HINT_T1);
        }
        // Padding repeats the last key; its score is ignored.
        const T* keys[LANES];
        for (int64_t j = 0; j < LANES; ++j) {
            keys[j] = memory.keys + (begin + j < count ? begin + j : count - 1) * size;
        }
        for (int64_t g = 0; g < h.group; ++g) {
            store(weights + g * room + begin,
                  scores(queries + g * wide, keys, size, std::make_integer_sequence<int, LANES>()));
        }
    }
    for (int64_t g = 0; g < h.group; ++g) {
        float* weight = weights + g * room;
        const Floats scale = every(1.0f / exponentials(weight, count));
        for (int64_t i = 0; i < size; i += LANES) {
            const int64_t n = here(size - i);
            store_some(out + g * size + i, mixed(weight, memory.values + i, count, size, n) * scale, n);
        }
    }
}
