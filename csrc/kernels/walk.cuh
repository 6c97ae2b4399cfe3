// The fused walk: forward, and down again for every reference, for all mutants of one position.
//
//   up     z'[l] = z[l] + sum_j sum_c dy[l-1] w[l],   dy[l] = f(z'[l]) - f(z[l])
//   down   dz[l] = m' dv + (m' - m) u,                dv = sum_j sum_o dz[l+1] w[l+1]
//          m = f'(z), or for rescale (f(z) - f(r)) / (z - r)
//   out    C'[p] = sum_b (g[p, b] + dg[p, b]) k[b],   k as contribute has it
//
// for a chain of convolutions (stride 1), each with f = ReLU or LeakyReLU, then at most one max pool,
// then a head that is linear: u, what arrives at a layer's output, is the original's. A warp owns a
// position and its three alternates, so that a weight that is loaded serves three. Rows stream
// through the layers: row q of a layer, counted from the first that the position can change, is
// final once row q of the layer below is, and on the way down likewise; a layer keeps as many rows
// as the next one's kernel spans, in the warp's own scratch. In a row only entries that are not zero
// are visited, in ascending order of channels; lanes are channels of the layer that is computed, and
// one lane owns each sum. The way up leaves rows of z' in ``after``.
//
// Layouts: z, u, r (references, rows, channels); weight (kernel, C_in, C_out), back (kernel, C_out,
// C_in); a ring (rows, 3, channels in whole warps). out is a View of mutants, 3 for each item.
#pragma once

#include "importance.cuh"
#include "pool.cuh"

constexpr int ALTERNATES = 3;
constexpr int WALK_SCRATCH = 6144;  // floats of a warp

// One layer of the chain, as dfim_fast/backends/cuda/fused.py writes it.
struct WalkLayer {
    int kernel;
    int dilation;
    int inputs;
    int outputs;
    int rows;
    int lead;   // the first row that position s can change is s - lead
    int width;  // rows that it can change
    int late;   // rows before the first one on which gradients can differ
    int above;  // where the ring of dy begins, and its rows
    int above_rows;
    int below;  // where the ring of dz begins, and its rows
    int below_rows;
    int after;  // where z' begins
};

// What a layer reads, as addresses.
struct WalkTensors {
    const float* z;
    const float* r;
    const float* u;
    const float* weight;
    const float* back;
};

// The pool above the chain; kernel 0 for none.
struct WalkPool {
    int kernel;
    int stride;
    int pad;
    int rows;
    int after;  // where mutants' pooled values and winners begin
    const float* y;
    const float* r;
    const float* won;
    const float* lost;
    const float* g;
};

DFIM_DEVICE inline const float* address(const unsigned long long* table, int at) {
    return reinterpret_cast<const float*>(table[at]);
}

DFIM_DEVICE inline WFloat rectified(WFloat z, float slope) {
    return select(z > 0.0f, z, z * WFloat(slope));
}

DFIM_DEVICE inline int whole_warps(int channels) { return (channels + LANES - 1) / LANES * LANES; }

// One position's walk.
struct Walk {
    const WalkLayer* layers;
    const unsigned long long* tensors;
    const float* slopes;
    int count;
    WalkPool pool;
    int position;
    float* after;
    Scratch ring;
    int shares;  // whether the pool follows the rescale rule
    int references;
    float epsilon;
    int length;  // of the sequence

    DFIM_DEVICE WalkTensors of(int l) const {
        const unsigned long long* at = tensors + 5 * l;
        return {address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4)};
    }
    DFIM_DEVICE int row(int l, int q) const { return position - layers[l].lead + q; }
    DFIM_DEVICE bool changed(int l, int q) const {
        return q >= 0 && q < layers[l].width && row(l, q) >= 0 && row(l, q) < layers[l].rows;
    }
    // Rows beyond those that a pool's windows reach are zeros on the way down.
    DFIM_DEVICE int margin() const { return pool.kernel == 0 ? 0 : pool.kernel - 1; }
    DFIM_DEVICE int end() const { return layers[count - 1].width + margin(); }
    DFIM_DEVICE bool differs(int l, int q) const {
        return q >= -layers[l].late && q < end() && row(l, q) >= 0 && row(l, q) < layers[l].rows;
    }
    DFIM_DEVICE float* kept(int l, int q, int a) const {
        return after + layers[l].after + (q * ALTERNATES + a) * whole_warps(layers[l].outputs);
    }
    // A mutant's pooled values, and behind them the winners.
    DFIM_DEVICE float* pooled(int window, int a) const {
        const int stride = whole_warps(layers[count - 1].outputs);
        return after + pool.after + (window * ALTERNATES + a) * 2 * stride;
    }

    // sums += a row of the ring times one tap's weights (from, to), for channels o of the result.
    DFIM_DEVICE void add(WFloat* sums, int begin, int slot, int from, int to, const float* weight,
                         WInt o) const {
        const int stride = whole_warps(from);
        for (int block = 0; block < from; block += LANES) {
            WFloat v[ALTERNATES];
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                v[a] = ring.load(lane_id() + (begin + (slot * ALTERNATES + a) * stride + block));
            }
            unsigned left = lane_bits(v[0] != 0.0f || v[1] != 0.0f || v[2] != 0.0f);
            while (left != 0) {
                const int c = lowest(left);
                left &= left - 1;
                const WFloat w = load(weight + static_cast<size_t>(block + c) * to, o, o < to);
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    sums[a] = fused(broadcast(v[a], c), w, sums[a]);
                }
            }
        }
    }

    DFIM_DEVICE void keep(int begin, int slot, int stride, int block, const WFloat* values) const {
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            ring.store(lane_id() + (begin + (slot * ALTERNATES + a) * stride + block), values[a]);
        }
    }

    // Row q of layer l on the way up; adds what the score gains to ``gained``.
    DFIM_DEVICE void up(int l, int q, const float* x, const int* gamma, const float* bias,
                        WFloat* gained) const {
        const WalkLayer& layer = layers[l];
        const WalkTensors t = of(l);
        const int stride = whole_warps(layer.outputs);
        const size_t at = static_cast<size_t>(row(l, q)) * layer.outputs;
        for (int block = 0; block < layer.outputs; block += LANES) {
            const WInt o = lane_id() + block;
            const WBool live = o < layer.outputs;
            const WFloat before = load(t.z + at, o, live);
            WFloat now[ALTERNATES];
            if (l == 0) {
                first(now, q, x, gamma, t.weight, bias, o);
            } else {
                WFloat sums[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
                const WalkLayer& under = layers[l - 1];
                for (int j = 0; j < layer.kernel; ++j) {
                    const int i = q - (layer.kernel - 1 - j) * layer.dilation;
                    if (changed(l - 1, i)) {
                        const size_t tap = static_cast<size_t>(j) * layer.inputs * layer.outputs;
                        add(sums, under.above, i % under.above_rows, layer.inputs, layer.outputs,
                            t.weight + tap, o);
                    }
                }
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    now[a] = before + sums[a];
                }
            }
            WFloat dy[ALTERNATES];
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                store(kept(l, q, a), o, now[a], live);
                dy[a] = rectified(now[a], slopes[l]) - rectified(before, slopes[l]);
            }
            if (l < count - 1) {
                keep(layer.above, q % layer.above_rows, stride, block, dy);
            } else if (pool.kernel == 0) {
                const WFloat u = load(t.u + at, o, live);
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    gained[a] = fused(dy[a], u, gained[a]);
                }
            }
        }
    }

    // The first layer anew from its bases, tap by tap as conv_forward has it: where two windows
    // hold the same bases their sums stay equal to the bit, and ties in a pool stay ties.
    DFIM_DEVICE void first(WFloat* now, int q, const float* x, const int* gamma,
                           const float* weight, const float* bias, WInt o) const {
        const WalkLayer& layer = layers[0];
        const WBool live = o < layer.outputs;
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            now[a] = load(bias, o, live);
        }
        for (int j = 0; j < layer.kernel; ++j) {
            const int p = position + q - (layer.kernel - 1 - j) * layer.dilation;
            if (p < 0 || p >= length) {
                continue;
            }
            DFIM_UNROLL
            for (int b = 0; b < BASES; ++b) {
                const float own = x[static_cast<size_t>(p) * BASES + b];
                if (own == 0.0f && p != position) {
                    continue;
                }
                const size_t line = static_cast<size_t>(j) * BASES + b;
                const WFloat w = load(weight + line * layer.outputs, o, live);
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    const float base = p != position ? own : gamma[a] == b ? 1.0f : 0.0f;
                    now[a] = fused(WFloat(base), w, now[a]);
                }
            }
        }
    }

    // -- the pool -------------------------------------------------------------------------------

    // Row p of the chain's output, of mutant a.
    DFIM_DEVICE WFloat top(int p, int a, WInt c, WBool live) const {
        const int l = count - 1;
        const int q = p - row(l, 0);
        const float* from = changed(l, q) ? kept(l, q, a)
                                          : of(l).z + static_cast<size_t>(p) * layers[l].outputs;
        return rectified(load(from, c, live), slopes[l]);
    }

    // The first and the last window that a changed row lies in; none where last < first.
    DFIM_DEVICE Above windows() const {
        const WalkLayer& layer = layers[count - 1];
        const int low = row(count - 1, 0) < 0 ? 0 : row(count - 1, 0);
        const int beyond = row(count - 1, layer.width);
        const int high = (beyond < layer.rows ? beyond : layer.rows) - 1;
        if (high < low) {
            return {0, -1};
        }
        const Above first = windows_of(low, pool.kernel, pool.stride, 1, pool.pad, pool.rows);
        const Above last = windows_of(high, pool.kernel, pool.stride, 1, pool.pad, pool.rows);
        return {first.low, last.high};
    }

    // Pooled values and winners of the mutants, and what the score gains.
    DFIM_DEVICE void pool_up(WFloat* gained) const {
        const WalkLayer& layer = layers[count - 1];
        const Above all = windows();
        for (int w = all.low; w <= all.high; ++w) {
            for (int block = 0; block < layer.outputs; block += LANES) {
                const WInt c = lane_id() + block;
                const WBool live = c < layer.outputs;
                const size_t at = static_cast<size_t>(w) * layer.outputs;
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    WFloat best(0.0f);
                    WFloat won(-1.0f);
                    for (int j = 0; j < pool.kernel; ++j) {
                        const int p = w * pool.stride - pool.pad + j;
                        if (p < 0 || p >= layer.rows) {
                            continue;
                        }
                        const WFloat value = top(p, a, c, live);
                        const WBool better = value > best || won < 0.0f;
                        best = select(better, value, best);
                        won = select(better, WFloat(static_cast<float>(p)), won);
                    }
                    float* out = pooled(w - all.low, a);
                    store(out, c, best, live);
                    store(out + whole_warps(layer.outputs), c, won, live);
                    gained[a] = fused(best - load(pool.y + at, c, live),
                                      load(pool.g + at, c, live), gained[a]);
                }
            }
        }
    }

    // What arrives at row p of mutant a, reference k, from all windows that hold it; as max_backward
    // and max_rescale have it, so that what did not change has the original's bits.
    DFIM_DEVICE WFloat pool_down(int p, int a, int k, const Above& all, WInt c, WBool live) const {
        const WalkLayer& layer = layers[count - 1];
        const Above here = windows_of(p, pool.kernel, pool.stride, 1, pool.pad, pool.rows);
        const WFloat own(static_cast<float>(p));
        const size_t each = static_cast<size_t>(k) * pool.rows;
        WFloat plain(0.0f);
        WFloat to_x(0.0f);
        WFloat to_r(0.0f);
        for (int w = here.low; w <= here.high; ++w) {
            const size_t at = static_cast<size_t>(w) * layer.outputs;
            const size_t against = (each + w) * layer.outputs;
            const bool moved = w >= all.low && w <= all.high;
            const float* mine = moved ? pooled(w - all.low, a) : nullptr;
            const float* winners = moved ? mine + whole_warps(layer.outputs) : pool.won + at;
            const WFloat share = load(pool.g + against, c, live);
            const WBool won_here = load(winners, c, live) == own;
            plain = select(won_here, plain + share, plain);
            if (shares) {
                const WFloat y = load(moved ? mine : pool.y + at, c, live);
                const WFloat prior = load(pool.r + against, c, live);
                const WFloat higher = max(y, prior);
                const WBool lost_here = load(pool.lost + against, c, live) == own;
                to_x = select(won_here, fused(share, higher - prior, to_x), to_x);
                to_r = select(lost_here, fused(share, y - higher, to_r), to_r);
            }
        }
        if (!shares) {
            return plain;
        }
        const size_t at = (static_cast<size_t>(k) * layer.rows + p) * layer.outputs;
        const WFloat r = rectified(load(of(count - 1).r + at, c, live), slopes[count - 1]);
        return multiplier(top(p, a, c, live), r, to_x + to_r, plain, epsilon);
    }

    // -- down -----------------------------------------------------------------------------------

    // A gate's share: f'(z), or against a reference the quotient where z and r differ in sign.
    DFIM_DEVICE WFloat gate(WFloat z, WFloat r, float slope) const {
        const WFloat own = select(z > 0.0f, WFloat(1.0f), WFloat(slope));
        if (references == 0) {
            return own;
        }
        const WFloat d = z - r;
        const WBool plain = ((z > 0.0f) == (r > 0.0f)) || abs(d) < epsilon;
        const WFloat quotient = (rectified(z, slope) - rectified(r, slope)) /
                                select(plain, WFloat(1.0f), d);
        return select(plain, own, quotient);
    }

    // Row q of dz of layer l against reference k.
    DFIM_DEVICE void down(int l, int q, int k, const Above& all) const {
        const WalkLayer& layer = layers[l];
        const WalkTensors t = of(l);
        const int stride = whole_warps(layer.outputs);
        const int p = row(l, q);
        const size_t at = static_cast<size_t>(p) * layer.outputs;
        const size_t against = (static_cast<size_t>(k) * layer.rows + p) * layer.outputs;
        const bool own = changed(l, q);
        bool moved = false;
        if (l == count - 1 && pool.kernel != 0) {
            const Above here = windows_of(p, pool.kernel, pool.stride, 1, pool.pad, pool.rows);
            moved = here.low <= all.high && here.high >= all.low;
        }
        for (int block = 0; block < layer.outputs; block += LANES) {
            const WInt c = lane_id() + block;
            const WBool live = c < layer.outputs;
            const WFloat before = load(t.z + at, c, live);
            const WFloat r = references == 0 ? before : load(t.r + against, c, live);
            const WFloat u = load(t.u + against, c, live);
            WFloat dv[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
            if (l < count - 1) {
                const WalkLayer& over = layers[l + 1];
                for (int j = 0; j < over.kernel; ++j) {
                    const int i = q + (over.kernel - 1 - j) * over.dilation;
                    if (differs(l + 1, i)) {
                        const size_t tap = static_cast<size_t>(j) * over.outputs * over.inputs;
                        add(dv, over.below, (i + over.late) % over.below_rows, over.outputs,
                            over.inputs, of(l + 1).back + tap, c);
                    }
                }
            } else if (moved) {
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    dv[a] = pool_down(p, a, k, all, c, live) - u;
                }
            }
            const WFloat passes = gate(before, r, slopes[l]);
            WFloat dz[ALTERNATES];
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                dz[a] = passes * dv[a];
                if (own) {
                    const WFloat now = gate(load(kept(l, q, a), c, live), r, slopes[l]);
                    dz[a] = fused(now - passes, u, now * dv[a]);
                }
            }
            keep(layer.below, (q + layer.late) % layer.below_rows, stride, block, dz);
        }
    }

    // dg[p, b] k[b] summed over the bases, of one mutant: p stands q rows from the position.
    DFIM_DEVICE float arriving(int q, int a, const float* factor) const {
        const WalkLayer& layer = layers[0];
        const int stride = whole_warps(layer.outputs);
        WFloat sum(0.0f);
        for (int j = 0; j < layer.kernel; ++j) {
            const int i = q + (layer.kernel - 1 - j) * layer.dilation;
            if (!differs(0, i)) {
                continue;
            }
            const int slot = (i + layer.late) % layer.below_rows;
            for (int block = 0; block < layer.outputs; block += LANES) {
                const WInt o = lane_id() + block;
                const WFloat v = ring.load(
                    lane_id() + (layer.below + (slot * ALTERNATES + a) * stride + block));
                if (lane_bits(v != 0.0f) == 0) {
                    continue;
                }
                DFIM_UNROLL
                for (int b = 0; b < BASES; ++b) {
                    if (factor[b] != 0.0f) {
                        const size_t line = static_cast<size_t>(j) * BASES + b;
                        const WFloat w = load(of(0).weight + line * layer.outputs, o,
                                              o < layer.outputs);
                        sum = fused(v, w * WFloat(factor[b]), sum);
                    }
                }
            }
        }
        return warp_sum(sum);
    }
};

DFIM_DEVICE inline float* result_of(const View& out, int mutant, int row) {
    return out.own + (static_cast<size_t>(mutant) * out.width + row) * out.channels;
}

// gained (3 items,): what the mutants' scores have over the original's. x (L, 4), r and g
// (references, L, 4): bases, and gradients of the original there. first: position of each mutant;
// gamma: its base; pool: kernel, stride, pad, rows and where its part of ``after`` begins; tensors: 5
// addresses for each layer, and for the pool.
DFIM_KERNEL(walk, 2,
            (View out, float* gained, float* after, int each, const unsigned long long* tensors,
             const int* layers, const float* slopes, int count, const int* pool, const float* bias,
             const float* x, const float* r, const float* g, const int* first, const int* gamma,
             int method, int projected, int shares, int references, float epsilon, int items)) {
    const int item = warp_number(2);
    if (item >= items) {
        return;
    }
    const unsigned long long* above = tensors + 5 * count;
    const Walk walk{reinterpret_cast<const WalkLayer*>(layers),
                    tensors,
                    slopes,
                    count,
                    {pool[0], pool[1], pool[2], pool[3], pool[4], address(above, 0),
                     address(above, 1), address(above, 2), address(above, 3), address(above, 4)},
                    first[item * ALTERNATES],
                    after + static_cast<size_t>(item) * each,
                    scratch(WALK_SCRATCH),
                    shares,
                    references,
                    epsilon,
                    out.rows};
    const int* bases = gamma + item * ALTERNATES;

    WFloat gains[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
    for (int q = 0; q < walk.layers[count - 1].width; ++q) {
        for (int l = 0; l < count; ++l) {
            if (walk.changed(l, q)) {
                walk.up(l, q, x, bases, bias, gains);
            }
        }
    }
    Above all{0, -1};
    if (walk.pool.kernel != 0) {
        all = walk.windows();
        walk.pool_up(gains);
    }
    DFIM_UNROLL
    for (int a = 0; a < ALTERNATES; ++a) {
        const float sum = warp_sum(gains[a]);
        store(gained + item * ALTERNATES + a, lane_id(), WFloat(sum), lane_id() < 1);
    }

    const int groups = out.channels;
    const int begin = first_row(out, item * ALTERNATES);
    const int late = walk.layers[0].late + (walk.layers[0].kernel - 1) * walk.layers[0].dilation;
    const WInt group = lane_id();
    for (int p = begin; p < begin + out.width; ++p) {
        const int q = p - walk.position;
        if (q >= -late && q < walk.end()) {
            continue;
        }
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            const Rows rows = rows_of(out, item * ALTERNATES + a);
            const WFloat same = load(rows.base + static_cast<size_t>(p) * groups, group,
                                     group < groups);
            store(result_of(out, item * ALTERNATES + a, p - begin), group, same, group < groups);
        }
    }
    const int total = references == 0 ? 1 : references;
    for (int k = 0; k < total; ++k) {
        for (int step = 0; step < walk.end() + late; ++step) {
            for (int l = count - 1; l >= 0; --l) {
                const int q = step - walk.layers[l].late;
                if (walk.differs(l, q)) {
                    walk.down(l, q, k, all);
                }
            }
            const int q = step - late;
            const int p = walk.position + q;
            if (p < 0 || p >= walk.length) {
                continue;
            }
            const size_t at = static_cast<size_t>(p) * BASES;
            const size_t against = (static_cast<size_t>(k) * walk.length + p) * BASES;
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                float factor[BASES];
                float sum = 0.0f;
                float mean = 0.0f;
                DFIM_UNROLL
                for (int b = 0; b < BASES; ++b) {
                    const float own = q == 0 ? (bases[a] == b ? 1.0f : 0.0f) : x[at + b];
                    factor[b] = own;
                    if (references != 0) {
                        const float there = r[against + b];
                        factor[b] = projected ? own - there : own * (1.0f - there);
                    }
                    sum = sum + factor[b];
                    mean = mean + g[against + b];
                }
                mean = method == CORRECTED ? mean * 0.25f : 0.0f;
                float value = 0.0f;
                DFIM_UNROLL
                for (int b = 0; b < BASES; ++b) {
                    value = value + (g[against + b] - mean) * factor[b];
                }
                if (method == CORRECTED) {
                    DFIM_UNROLL
                    for (int b = 0; b < BASES; ++b) {
                        factor[b] = factor[b] - sum * 0.25f;
                    }
                }
                value = value + walk.arriving(q, a, factor);
                const int own = k % groups;
                const int size = (total - 1 - own) / groups + 1;
                float* to = result_of(out, item * ALTERNATES + a, p - begin) + own;
                const WInt lane = lane_id();
                WFloat mine(value);
                if (k >= groups) {
                    mine = load(to, lane, lane < 1) + mine;
                }
                if (k + groups >= total) {
                    mine = mine / WFloat(static_cast<float>(size));
                }
                store(to, lane, mine, lane < 1);
            }
        }
    }
}
