// The fused walk: all mutants of one position up through the trunk, and down again for every
// reference.
//
//   up     z'[l] = z[l] + sum_j sum_c dy[l-1] w[l],   a = f(z),  y = a or pool(a),  dy = y' - y
//   down   dv[l] = sum_j sum_o dz[l+1] w[l+1], passed through the pool if there is one
//          dz[l] = m' dv + (m' - m) u
//          m = f'(z), or for rescale (f(z) - f(r)) / (z - r)
//   out    C'[p] = sum_b (g[p, b] + dg[p, b]) k[b],   k as contribute has it
//
// for stages of a convolution, f = ReLU or LeakyReLU, and a max or average pool where there is one.
// Under a linear head u and g, what arrives at a node, are the original's. Under a hidden head they
// are the mutant's own for the original's activations: u + sum_f (v'[f] - v[f]) B[f] (far.cuh).
//
// A warp owns a position and its three alternates, so that a weight that is loaded serves three. It
// goes stage by stage over the rows that can differ, which ``spans`` names; rows pass from stage to
// stage through two buffers of the position's own, which the nearest caches hold. In a row only
// entries that are not zero are visited, in ascending order of channels; lanes are channels of the
// row that is computed, and one lane owns each sum. A lane reads of memory only what it stored.
//
// Layouts: z, y (sequences, rows, channels); r (sequences, references, rows, channels), u and v
// likewise; B (units, sequences, references of a batch, rows, channels); weight (kernel, C_in, C_out), back
// (kernel, C_out, C_in); rows of mutants (rows, 3, channels in whole warps).
#pragma once

#include "importance.cuh"
#include "pool.cuh"

constexpr int ALTERNATES = 3;

// What follows a gate.
constexpr int NO_POOL = 0;
constexpr int MAX_POOL = 1;
constexpr int AVERAGE_POOL = 2;

// One stage, as dfim_fast/backends/cuda/fused.py writes it.
struct WalkStage {
    int kernel;
    int stride;
    int dilation;
    int pad;
    int inputs;
    int outputs;
    int rows;
    int pool;
    int pool_kernel;
    int pool_stride;
    int pool_pad;
    int pool_rows;
    int kept;    // where z' begins in a position's memory
    int pooled;  // where pooled values and winners begin
};

// What a stage reads of the original and its references.
struct WalkTensors {
    const float* z;
    const float* r;
    const float* u;        // arriving at a
    const float* u_units;  // B there
    const float* weight;
    const float* back;
    const float* y;  // pooled
    const float* y_r;
    const float* won;
    const float* lost;
    const float* v;  // arriving at y
    const float* v_units;
    const float* factor;  // of an average pool
};

struct WalkSpan {
    int first;
    int last;

    DFIM_DEVICE bool has(int row) const { return row >= first && row <= last; }
};

// Rows that one position changes, on the way up, and on the way down.
struct WalkSpans {
    WalkSpan z;
    WalkSpan y;
    WalkSpan dz;
    WalkSpan dv;  // of what arrives at y
};

DFIM_DEVICE inline WFloat rectified(WFloat z, float slope) {
    return select(z > 0.0f, z, z * WFloat(slope));
}

DFIM_DEVICE inline int whole_warps(int channels) { return (channels + LANES - 1) / LANES * LANES; }

// Rows of the three alternates.
struct Triples {
    float* from;
    int first;
    int stride;

    DFIM_DEVICE float* at(int row, int a) const {
        return from + (static_cast<size_t>(row - first) * ALTERNATES + a) * stride;
    }
    DFIM_DEVICE void put(int row, WInt c, const WFloat* values) const {
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            store(at(row, a), c, values[a], c < stride);
        }
    }
};

// sums += a row of ``from`` channels times one tap's weights (from, to), for channels o of the result.
DFIM_DEVICE inline void add_row(WFloat* sums, const Triples& rows, int row, int from, int to,
                                const float* weight, WInt o) {
    for (int block = 0; block < from; block += LANES) {
        const WInt c = lane_id() + block;
        WFloat v[ALTERNATES];
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            v[a] = load(rows.at(row, a), c, c < from);
        }
        unsigned left = lane_bits(v[0] != 0.0f || v[1] != 0.0f || v[2] != 0.0f);
        while (left != 0) {
            const int one = lowest(left);
            left &= left - 1;
            const WFloat w = load(weight + static_cast<size_t>(block + one) * to, o, o < to);
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                sums[a] = fused(broadcast(v[a], one), w, sums[a]);
            }
        }
    }
}

// One position's walk.
struct Walk {
    const WalkStage* stages;
    const WalkTensors* tensors;
    const WalkSpans* spans;
    const float* slopes;
    int count;
    int sequence;
    float* memory;
    int moving;  // where the two buffers begin, and the floats of each
    int room;

    DFIM_DEVICE Triples kept(int l) const {
        return {memory + stages[l].kept, spans[l].z.first, whole_warps(stages[l].outputs)};
    }
    // Pooled values, and behind them the winners.
    DFIM_DEVICE Triples pooled(int l) const {
        return {memory + stages[l].pooled, spans[l].y.first, 2 * whole_warps(stages[l].outputs)};
    }
    DFIM_DEVICE Triples buffer(int which, int first, int channels) const {
        return {memory + moving + which * room, first, whole_warps(channels)};
    }
    DFIM_DEVICE const float* z(int l, int row) const {
        const size_t at = static_cast<size_t>(sequence) * stages[l].rows + row;
        return tensors[l].z + at * stages[l].outputs;
    }
    DFIM_DEVICE size_t pool_row(int l, int w) const {
        return (static_cast<size_t>(sequence) * stages[l].pool_rows + w) * stages[l].outputs;
    }
    // Row p of a, of mutant a: the gate's output.
    DFIM_DEVICE WFloat value(int l, int p, int a, WInt c, WBool live) const {
        const float* from = spans[l].z.has(p) ? kept(l).at(p, a) : z(l, p);
        return rectified(load(from, c, live), slopes[l]);
    }
};
