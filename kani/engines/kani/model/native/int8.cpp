// The language model on a processor with VNNI: single products, and all layers in one call.
// The functions at the end are what Python calls; the structures are those of library.py.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>

#include "attention.h"
#include "product.h"

namespace {

// The functions of the OpenMP library that torch runs on: there is one pool of threads.
struct Threads {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
    int (*number)();
    int (*count)();
    int64_t wanted;
};

// Threads meet here some eighty times a step, mostly waiting a few microseconds. A thread that waits longer
// sleeps: its core is then free for the preempted thread, which gets its turn by neither yielding nor spinning
// (measured beside other busy processes: tails of hundreds of milliseconds).
class Barrier {
  public:
    void wait(int64_t threads) {
        const uint32_t round = rounds.load(std::memory_order_relaxed);
        if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
            arrived.store(0, std::memory_order_relaxed);
            rounds.store(round + 1, std::memory_order_release);
            syscall(SYS_futex, &rounds, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
            return;
        }
        for (int spins = 0; rounds.load(std::memory_order_acquire) == round; ++spins) {
            if (spins < SPINS) {
                _mm_pause();
            } else {
                syscall(SYS_futex, &rounds, FUTEX_WAIT_PRIVATE, round, nullptr, nullptr, 0);
            }
        }
    }

  private:
    static constexpr int SPINS = 2000;  // some 30 microseconds
    alignas(64) std::atomic<int64_t> arrived{0};
    alignas(64) std::atomic<uint32_t> rounds{0};
};

struct Layer {
    Matrix first, out, gate_and_up, down;  // first: queries, keys, values; or before, after, value
    const float* small;                    // head norms [heads + key/value heads][size]; or taps [kernel][hidden]
    int64_t attention, index;
};

struct Model {
    const Layer* layers;
    int64_t count, hidden, feed_forward, heads, key_value_heads, head_size, kernel;
    float epsilon;
};

// The memories of streams; see state.py.
struct State {
    void* cache;
    float* context;
    int64_t half, slots, capacity;
};

// Rows [begin[i], begin[i + 1]) are a stream's next tokens, in slot slots[i], from position starts[i] on.
struct Streams {
    const int64_t *slots, *starts, *begin;
    const int64_t* averted;  // [slot]: from which position on a token does not look at itself; see state.py
    const float* turns;      // RoPE's: [layer][row][head size]: cos, sin
    int64_t layer_turns;     // floats from a layer's turns to the next one's; 0: they all have the same
    int64_t count;
};

struct Buffers {
    float *joined, *mixed, *gated;  // [rows][...]
    float* own;                     // [thread][own_floats]
    int8_t* levels;                 // [thread, or 1][rows][bytes]
    int32_t* offsets;
    float* scales;
    int64_t own_floats, shared;  // shared: rows are quantised once for all threads
};

struct Step {
    const Model* model;
    const State* state;
    const Streams* streams;
    const Buffers* buffers;
    const Threads* threads;
    float* hidden;  // [rows][hidden]
    Barrier* barrier;
};

struct Share {
    int64_t from, to;
};
INLINE Share share(int64_t size, int64_t thread, int64_t threads) {
    return {size * thread / threads, size * (thread + 1) / threads};
}

// out = the product of rows: stores a panel's results in the matrix' rows of outputs.
template <int V>
INLINE void put(const Matrix& w, float* out, int64_t row, int64_t panel, const float* results, bool added) {
    for (int v = 0; v < V; ++v) {
        const int64_t n = lanes(w, panel, v);
        if (!n) continue;
        float* to = out + row * w.outputs + output(w, panel, v);
        const Floats values = load(results + v * LANES);
        store_some(to, added ? load_some(to, n) + values : values, n);
    }
}

class Worker {
  public:
    explicit Worker(const Step& step)
        : step(step), model(*step.model), state(*step.state), streams(*step.streams), buffers(*step.buffers),
          thread(step.threads->number()), threads(step.threads->count()), count(streams.begin[streams.count]),
          own(buffers.own + thread * buffers.own_floats) {}

    void run() {
        for (int64_t i = 0; i < model.count; ++i) {
            const Layer& layer = model.layers[i];
            if (layer.attention) {
                joined_heads(layer);
                wait();
                attention(layer);
            } else {
                convolution(layer);
            }
            wait();
            add(layer.out, buffers.mixed, layer.gate_and_up);
            wait();
            feed_forward(layer);
            wait();
            add(layer.down, buffers.gated, model.layers[i + 1 < model.count ? i + 1 : i].first);
            wait();
        }
    }

  private:
    const Step& step;
    const Model& model;
    const State& state;
    const Streams& streams;
    const Buffers& buffers;
    const int64_t thread, threads, count;
    float* const own;

    void wait() const { step.barrier->wait(threads); }

    Rows quantised(const float* rows, int64_t inputs, bool normed) const {
        const int64_t bytes = row_bytes(inputs);
        const int64_t mine = buffers.shared ? 0 : thread * count;
        const int64_t most = mine * stretches(widest());
        Rows to{buffers.levels + mine * row_bytes(widest()), bytes, buffers.offsets + most, buffers.scales + most};
        const Share rows_of_mine = buffers.shared ? share(count, thread, threads) : Share{0, count};
        for (int64_t row = rows_of_mine.from; row < rows_of_mine.to; ++row) {
            quantise(to, row, rows + row * inputs, inputs, normed, model.epsilon);
        }
        if (buffers.shared) wait();
        return to;
    }

    int64_t widest() const {
        const int64_t mixed = model.heads * model.head_size, wide = mixed > model.hidden ? mixed : model.hidden;
        return model.feed_forward > wide ? model.feed_forward : wide;
    }

    template <int V, class Each, class Done>
    void my_panels(const Matrix& w, const Rows& rows, const Matrix& next, Each&& each, Done&& done) const {
        const Share mine = share(w.panels, thread, threads);
        multiply<V>(w, mine.from, mine.to, rows, count,
                    start(next, share(next.panels, thread, threads).from), each, done);
    }

    // hidden += the product of rows
    void add(const Matrix& w, const float* from, const Matrix& next) const {
        const Rows rows = quantised(from, w.inputs, false);
        my_panels<2>(
            w, rows, next,
            [&](int64_t row, int64_t panel, const float* results) {
                put<2>(w, step.hidden, row, panel, results, true);
            },
            [](int64_t) {});
    }

    void feed_forward(const Layer& layer) const {
        const Matrix& w = layer.gate_and_up;
        const Rows rows = quantised(step.hidden, w.inputs, true);
        my_panels<2>(
            w, rows, layer.down,
            [&](int64_t row, int64_t panel, const float* results) {
                const Floats gate = load(results), up = load(results + LANES);
                const Floats silu = gate / (every(1.0f) + exponential(every(0.0f) - gate));
                store_some(buffers.gated + row * model.feed_forward + panel * LANES, silu * up, lanes(w, panel, 0));
            },
            [](int64_t) {});
    }

    void joined_heads(const Layer& layer) const {
        const Matrix& w = layer.first;
        const Rows rows = quantised(step.hidden, w.inputs, true);
        my_panels<2>(
            w, rows, layer.out,
            [&](int64_t row, int64_t panel, const float* results) {
                put<2>(w, buffers.joined, row, panel, results, false);
            },
            [](int64_t) {});
    }

    void attention(const Layer& layer) const {
        const Share mine = share(streams.count * model.key_value_heads, thread, threads);
        for (int64_t task = mine.from; task < mine.to; ++task) {
            const int64_t stream = task / model.key_value_heads, head = task % model.key_value_heads;
            if (state.half) {
                attention_of<uint16_t>(layer, stream, head);
            } else {
                attention_of<float>(layer, stream, head);
            }
        }
    }

    // All rows of a stream, in their order: each sees those before it.
    template <class T>
    void attention_of(const Layer& layer, int64_t stream, int64_t head) const {
        const int64_t size = model.head_size, wide = (size + LANES - 1) / LANES * LANES;
        const Heads heads{size, model.heads / model.key_value_heads, model.epsilon};
        const int64_t all = state.slots * model.key_value_heads * state.capacity * size;
        const int64_t place = (streams.slots[stream] * model.key_value_heads + head) * state.capacity * size;
        T* keys = static_cast<T*>(state.cache) + layer.index * 2 * all + place;
        const Memory<T> memory{keys, keys + all};
        const int64_t joined = (model.heads + 2 * model.key_value_heads) * size;
        const float* head_norms = layer.small;
        const float* key_norm = layer.small + (model.heads + head) * size;
        float* queries = own;
        for (int64_t row = streams.begin[stream]; row < streams.begin[stream + 1]; ++row) {
            const int64_t position = streams.starts[stream] + row - streams.begin[stream];
            const float* turn = streams.turns + layer.index * streams.layer_turns + row * size;
            const float* from = buffers.joined + row * joined;
            const float* value = from + (model.heads + model.key_value_heads + head) * size;
            turn_head(heads, from + (model.heads + head) * size, key_norm, turn, memory.keys + position * size);
            for (int64_t i = 0; i < size; i += LANES) {
                const int64_t n = here(size - i);
                store_some(memory.values + position * size + i, load_some(value + i, n), n);
            }
            for (int64_t g = 0; g < heads.group; ++g) {
                const int64_t query = head * heads.group + g;
                if (wide > size) store(queries + (g + 1) * wide - LANES, every(0.0f));
                turn_head(heads, from + query * size, head_norms + query * size, turn, queries + g * wide);
            }
            const int64_t seen = position < streams.averted[streams.slots[stream]] ? position + 1 : position;
            attend(heads, queries, memory, seen, queries + heads.group * wide,
                   buffers.mixed + row * model.heads * size + head * heads.group * size);
        }
    }

    void convolution(const Layer& layer) const {
        const Matrix& w = layer.first;
        const Rows rows = quantised(step.hidden, w.inputs, true);
        my_panels<3>(
            w, rows, layer.out,
            [&](int64_t row, int64_t, const float* results) {
                store(own + row * 2 * LANES, load(results) * load(results + 2 * LANES));
                store(own + row * 2 * LANES + LANES, load(results + LANES));
            },
            [&](int64_t panel) {
                for (int64_t stream = 0; stream < streams.count; ++stream) {
                    mix(layer, stream, panel * LANES, lanes(w, panel, 0));
                }
            });
    }

    // A few channels' convolution over the rows of a stream and what it remembers of those before.
    void mix(const Layer& layer, int64_t stream, int64_t channel, int64_t n) const {
        const int64_t past = model.kernel - 1, hidden = model.hidden;
        const int64_t begin = streams.begin[stream], size = streams.begin[stream + 1] - begin;
        float* context =
            state.context + (layer.index * state.slots + streams.slots[stream]) * past * hidden + channel;
        const float* gated = own + begin * 2 * LANES;
        const auto at = [&](int64_t i) {  // the input i rows after the oldest that is remembered
            return i < past ? load_some(context + i * hidden, n) : load(gated + (i - past) * 2 * LANES);
        };
        for (int64_t i = 0; i < size; ++i) {
            Floats sum = every(0.0f);
            for (int64_t k = 0; k <= past; ++k) {
                sum = fused(at(i + k), load_some(layer.small + k * hidden + channel, n), sum);
            }
            const Floats after = load(gated + i * 2 * LANES + LANES);
            store_some(buffers.mixed + (begin + i) * hidden + channel, sum * after, n);
        }
        for (int64_t i = 0; i < past; ++i) store_some(context + i * hidden, at(size + i), n);
    }
};

struct Product {
    const Matrix* matrix;
    const float* rows;
    float* out;
    Rows quantised;
    int64_t count, normed;
    float epsilon;
    const Threads* threads;
    Barrier* barrier;
};

template <int V>
INLINE void multiply_share(const Product& p, int64_t thread, int64_t threads) {
    const Matrix& w = *p.matrix;
    const Share mine = share(w.panels, thread, threads);
    multiply<V>(
        w, mine.from, mine.to, p.quantised, p.count, w.levels,
        [&](int64_t row, int64_t panel, const float* results) { put<V>(w, p.out, row, panel, results, false); },
        [](int64_t) {});
}

void product_work(void* argument) {
    const Product& p = *static_cast<const Product*>(argument);
    const int64_t thread = p.threads->number(), threads = p.threads->count();
    const Share mine = share(p.count, thread, threads);
    for (int64_t row = mine.from; row < mine.to; ++row) {
        quantise(p.quantised, row, p.rows + row * p.matrix->inputs, p.matrix->inputs, p.normed, p.epsilon);
    }
    p.barrier->wait(threads);
    p.matrix->vectors == 3 ? multiply_share<3>(p, thread, threads) : multiply_share<2>(p, thread, threads);
}

void step_work(void* argument) { Worker(*static_cast<const Step*>(argument)).run(); }

}  // namespace

extern "C" {

int64_t lanes_of_a_vector() { return LANES; }

// out [count][outputs] = rows [count][inputs] times the matrix; levels: room for count * row_bytes(inputs),
// offsets and scales for count * stretches(inputs) each.
void product(const Matrix* matrix, const float* rows, int64_t count, int64_t normed, float epsilon, float* out,
             int8_t* levels, int32_t* offsets, float* scales, const Threads* threads) {
    Barrier barrier;
    const Rows quantised{levels, row_bytes(matrix->inputs), offsets, scales};
    Product p{matrix, rows, out, quantised, count, normed, epsilon, threads, &barrier};
    threads->parallel(product_work, &p, static_cast<unsigned>(threads->wanted), 0);
}

void step(const Model* model, const State* state, const Streams* streams, const Buffers* buffers, float* hidden,
          const Threads* threads) {
    Barrier barrier;
    Step s{model, state, streams, buffers, threads, hidden, &barrier};
    threads->parallel(step_work, &s, static_cast<unsigned>(threads->wanted), 0);
}
}
