// The walk on its way down (walk.cuh): one launch for all stages and a batch of references.
#pragma once

#include "walk.cuh"

constexpr int POSITIONS = LANES / BASES;  // whose gradients a warp holds at once

// What the head adds under a mutant, in terms of units (far.cuh).
struct WalkHead {
    const float* coefficients;  // of the position's three mutants (3, references, units); may be null
    const float* units;         // B at the input (units, sequences, batch, L, 4)
    int count;
    int references;  // 1 for gradients
    int first;       // reference of the batch
    int batch;
    int sequence;  // of the walk, counted from the first whose units there are
    int sequences;

    DFIM_DEVICE const float* of(int a, int k) const {
        return coefficients + (static_cast<size_t>(a) * references + k) * count;
    }
    DFIM_DEVICE size_t unit(int f, int k) const {
        return (static_cast<size_t>(f) * sequences + sequence) * batch + (k - first);
    }
};

struct WalkDown {
    Walk walk;
    WalkHead head;
    int against;  // whether there are references
    int shares;   // whether max pools follow the rescale rule
    float epsilon;

    // Rows (references, rows, channels) of the sequence, at one of them.
    DFIM_DEVICE size_t place(int k, int rows, int row, int channels) const {
        const size_t whole = static_cast<size_t>(walk.sequence) * head.references + k;
        return (whole * rows + row) * channels;
    }

    // What arrives at a row of each mutant with the original's activations.
    DFIM_DEVICE void arriving(WFloat* u, const float* own, const float* units, int k, int rows,
                              int row, int channels, WInt c) const {
        const WBool live = c < channels;
        const WFloat before = load(own + place(k, rows, row, channels), c, live);
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            u[a] = before;
        }
        for (int f = 0; f < head.count; ++f) {
            const size_t at = (head.unit(f, k) * rows + row) * channels;
            const WFloat b = load(units + at, c, live);
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                u[a] = fused(WFloat(head.of(a, k)[f]), b, u[a]);
            }
        }
    }

    // dv at row i of what stage l reads, from dz of that stage.
    DFIM_DEVICE void back(WFloat* dv, int l, int i, const Triples& dz, WInt c) const {
        const WalkStage& stage = walk.stages[l];
        const WalkSpan& differs = walk.spans[l].dz;
        for (int j = 0; j < stage.kernel; ++j) {
            const int from = i + stage.pad - j * stage.dilation;
            const int row = from / stage.stride;
            if (from >= 0 && row * stage.stride == from && differs.has(row)) {
                const size_t tap = static_cast<size_t>(j) * stage.outputs * stage.inputs;
                add_row(dv, dz, row, stage.outputs, stage.inputs, walk.tensors[l].back + tap, c);
            }
        }
    }

    // -- pools ----------------------------------------------------------------------------------

    DFIM_DEVICE Above windows(const WalkStage& stage, int p) const {
        return windows_of(p, stage.pool_kernel, stage.pool_stride, 1, stage.pool_pad,
                          stage.pool_rows);
    }

    DFIM_DEVICE void average(WFloat* dv, int l, int p, const Triples& above, WInt c) const {
        const WalkStage& stage = walk.stages[l];
        const Above here = windows(stage, p);
        for (int w = here.low; w <= here.high; ++w) {
            if (walk.spans[l].dv.has(w)) {
                const WFloat factor(walk.tensors[l].factor[w]);
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    dv[a] = fused(load(above.at(w, a), c, c < stage.outputs), factor, dv[a]);
                }
            }
        }
    }

    // Whether anything differs at row p that decides what a max pool sends there.
    DFIM_DEVICE bool moved(int l, int p, const Above& here, const Triples& above, WInt c) const {
        const WBool live = c < walk.stages[l].outputs;
        const WalkSpans& spans = walk.spans[l];
        const Triples pooled = walk.pooled(l);
        const WFloat z = load(walk.z(l, p), c, live);
        WBool any = z != z;
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            if (shares && spans.z.has(p)) {
                any = any || load(walk.kept(l).at(p, a), c, live) != z;
            }
            for (int w = here.low; w <= here.high; ++w) {
                if (spans.dv.has(w)) {
                    any = any || load(above.at(w, a), c, live) != 0.0f;
                }
                if (spans.y.has(w)) {
                    const size_t at = walk.pool_row(l, w);
                    const float* own = pooled.at(w, a);
                    any = any || load(own + pooled.stride / 2, c, live) !=
                                     load(walk.tensors[l].won + at, c, live);
                    if (shares) {
                        any = any || load(own, c, live) != load(walk.tensors[l].y + at, c, live);
                    }
                }
            }
        }
        return any_lane(any);
    }

    // Sums at one row over the windows that hold it, as max_backward and max_rescale have them.
    struct Sent {
        WFloat plain;
        WFloat to_x;
        WFloat to_r;

        DFIM_DEVICE void add(WFloat share, WFloat y, WFloat prior, WBool won, WBool lost) {
            const WFloat higher = max(y, prior);
            plain = select(won, plain + share, plain);
            to_x = select(won, fused(share, higher - prior, to_x), to_x);
            to_r = select(lost, fused(share, y - higher, to_r), to_r);
        }
    };

    // dv below a max pool: what it sends to row p for the mutants, less what it sends there for the
    // original's activations.
    DFIM_DEVICE void maximum(WFloat* dv, int l, int p, int k, const Triples& above, WInt c) const {
        const WalkStage& stage = walk.stages[l];
        const WalkTensors& t = walk.tensors[l];
        const Above here = windows(stage, p);
        if (!moved(l, p, here, above, c)) {
            return;
        }
        const WBool live = c < stage.outputs;
        const WFloat own(static_cast<float>(p));
        const Triples pooled = walk.pooled(l);
        const WFloat zero(0.0f);
        Sent before[ALTERNATES] = {{zero, zero, zero}, {zero, zero, zero}, {zero, zero, zero}};
        Sent after[ALTERNATES] = {{zero, zero, zero}, {zero, zero, zero}, {zero, zero, zero}};
        for (int w = here.low; w <= here.high; ++w) {
            const size_t at = walk.pool_row(l, w);
            const WFloat y = load(t.y + at, c, live);
            const WBool won = load(t.won + at, c, live) == own;
            const size_t there = place(k, stage.pool_rows, w, stage.outputs);
            const WFloat prior = shares ? load(t.y_r + there, c, live) : y;
            const WBool lost = shares ? load(t.lost + there, c, live) == own : own < 0.0f;
            WFloat v[ALTERNATES];
            arriving(v, t.v, t.v_units, k, stage.pool_rows, w, stage.outputs, c);
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                before[a].add(v[a], y, prior, won, lost);
                if (walk.spans[l].dv.has(w)) {
                    v[a] = v[a] + load(above.at(w, a), c, live);
                }
                if (walk.spans[l].y.has(w)) {
                    const float* mine = pooled.at(w, a);
                    const WBool wins = load(mine + pooled.stride / 2, c, live) == own;
                    after[a].add(v[a], load(mine, c, live), prior, wins, lost);
                } else {
                    after[a].add(v[a], y, prior, won, lost);
                }
            }
        }
        if (!shares) {
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                dv[a] = after[a].plain - before[a].plain;
            }
            return;
        }
        const size_t at = place(k, stage.rows, p, stage.outputs);
        const WFloat x = rectified(load(walk.z(l, p), c, live), walk.slopes[l]);
        const WFloat r = rectified(load(t.r + at, c, live), walk.slopes[l]);
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            const Sent& is = after[a];
            const Sent& was = before[a];
            dv[a] = multiplier(walk.value(l, p, a, c, live), r, is.to_x + is.to_r, is.plain,
                               epsilon) -
                    multiplier(x, r, was.to_x + was.to_r, was.plain, epsilon);
        }
    }

    // -- gates ----------------------------------------------------------------------------------

    // A gate's share: f'(z), or against a reference the quotient where z and r differ in sign.
    DFIM_DEVICE WFloat gate(WFloat z, WFloat r, float slope) const {
        const WFloat own = select(z > 0.0f, WFloat(1.0f), WFloat(slope));
        if (!against) {
            return own;
        }
        const WFloat d = z - r;
        const WBool plain = ((z > 0.0f) == (r > 0.0f)) || abs(d) < epsilon;
        const WFloat quotient = (rectified(z, slope) - rectified(r, slope)) /
                                select(plain, WFloat(1.0f), d);
        return select(plain, own, quotient);
    }

    // dz from dv, at row p of stage l.
    DFIM_DEVICE void through_gate(WFloat* d, int l, int p, int k, WInt c) const {
        const WalkStage& stage = walk.stages[l];
        const WalkTensors& t = walk.tensors[l];
        const WBool live = c < stage.outputs;
        const WFloat z = load(walk.z(l, p), c, live);
        const WFloat r =
            against ? load(t.r + place(k, stage.rows, p, stage.outputs), c, live) : z;
        const WFloat passed = gate(z, r, walk.slopes[l]);
        if (!walk.spans[l].z.has(p)) {
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                d[a] = passed * d[a];
            }
            return;
        }
        WFloat passes[ALTERNATES];
        WBool turned = z != z;
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            passes[a] = gate(load(walk.kept(l).at(p, a), c, live), r, walk.slopes[l]);
            turned = turned || passes[a] != passed;
            d[a] = passes[a] * d[a];
        }
        if (any_lane(turned)) {
            WFloat u[ALTERNATES];
            arriving(u, t.u, t.u_units, k, stage.rows, p, stage.outputs, c);
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                d[a] = fused(passes[a] - passed, u[a], d[a]);
            }
        }
    }

    // Down all stages against reference k: dz of the first.
    DFIM_DEVICE Triples down(int k) const {
        int at = 0;  // the buffer that holds dz of the stage above
        Triples dz = walk.buffer(at, 0, 0);
        for (int l = walk.count - 1; l >= 0; --l) {
            const WalkStage& stage = walk.stages[l];
            const WalkSpans& spans = walk.spans[l];
            const Triples dv = walk.buffer(1 - at, spans.dv.first, stage.outputs);
            if (stage.pool == NO_POOL) {
                at = 1 - at;
            } else {
                for (int w = spans.dv.first; w <= spans.dv.last; ++w) {
                    for (int block = 0; block < stage.outputs; block += LANES) {
                        WFloat d[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
                        back(d, l + 1, w, dz, lane_id() + block);
                        dv.put(w, lane_id() + block, d);
                    }
                }
            }
            const Triples own = walk.buffer(at, spans.dz.first, stage.outputs);
            for (int p = spans.dz.first; p <= spans.dz.last; ++p) {
                for (int block = 0; block < stage.outputs; block += LANES) {
                    const WInt c = lane_id() + block;
                    WFloat d[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
                    if (stage.pool == MAX_POOL) {
                        maximum(d, l, p, k, dv, c);
                    } else if (stage.pool == AVERAGE_POOL) {
                        average(d, l, p, dv, c);
                    } else if (l < walk.count - 1) {
                        back(d, l + 1, p, dz, c);
                    }
                    through_gate(d, l, p, k, c);
                    own.put(p, c, d);
                }
            }
            dz = own;
        }
        return dz;
    }

    // dg[p, b] times the bases' factors, of mutant a.
    DFIM_DEVICE float differing(int p, int a, const Triples& dz, const float* factor) const {
        const WalkStage& stage = walk.stages[0];
        WFloat sum(0.0f);
        for (int j = 0; j < stage.kernel; ++j) {
            const int from = p + stage.pad - j * stage.dilation;
            const int row = from / stage.stride;
            if (from < 0 || row * stage.stride != from || !walk.spans[0].dz.has(row)) {
                continue;
            }
            for (int block = 0; block < stage.outputs; block += LANES) {
                const WInt o = lane_id() + block;
                const WFloat v = load(dz.at(row, a), o, o < stage.outputs);
                if (!any_lane(v != 0.0f)) {
                    continue;
                }
                DFIM_UNROLL
                for (int b = 0; b < BASES; ++b) {
                    if (factor[b] != 0.0f) {
                        const size_t line = static_cast<size_t>(j) * BASES + b;
                        const WFloat w = load(walk.tensors[0].weight + line * stage.outputs, o,
                                              o < stage.outputs);
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

// Rows of out's windows that no walk reaches: the original's.
DFIM_DEVICE inline void leave_rows(const View& out, int item, const WalkSpan& reads, int position) {
    const WInt group = lane_id();
    const WBool live = group < out.channels;
    const int begin = first_row(out, item * ALTERNATES);
    for (int p = begin; p < begin + out.width; ++p) {
        if (reads.has(p) || p == position) {
            continue;
        }
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            const float* from = rows_of(out, item * ALTERNATES + a).base +
                                static_cast<size_t>(p) * out.channels;
            store(result_of(out, item * ALTERNATES + a, p - begin), group, load(from, group, live),
                  live);
        }
    }
}

// out: importance, 3 windows for each item, per group of references; rows that the walk does not
// reach are the original's, or with coefficients (a hidden head) not written. x (sequences, L, 4),
// r and g (sequences, references, L, 4): bases, and gradients of the original. reads: by source the
// rows of the input that differ. coefficients (3 items, references, units). By item as walk_up. An
// item's references are split among several warps, 1 or as many as there are groups.
DFIM_KERNEL(walk_down, 4,
            (View out, float* memory, int each, const unsigned long long* tensors,
             const int* stages, const int* spans, const int* reads, const float* slopes, int count,
             int moving, int room, const float* coefficients, const float* units, int unit_count,
             int first_sequence, int sequences, const float* x, const float* r, const float* g,
             const int* first, const int* gamma, const int* source, const int* owner, int method,
             int projected, int shares, int references, int begin, int batch, int splits,
             float epsilon, int items)) {
    const int number = warp_number(4);
    if (number >= items * splits) {
        return;
    }
    const int item = number / splits;
    const int split = number % splits;
    const int mutant = item * ALTERNATES;
    const int sequence = owner[mutant];
    const int length = out.rows;
    const int total = references == 0 ? 1 : references;
    const WalkDown walk{{reinterpret_cast<const WalkStage*>(stages),
                         reinterpret_cast<const WalkTensors*>(tensors),
                         reinterpret_cast<const WalkSpans*>(spans) +
                             static_cast<size_t>(source[mutant]) * count,
                         slopes, count, sequence, memory + static_cast<size_t>(item) * each,
                         moving + split * 2 * room, room},
                        {coefficients + static_cast<size_t>(mutant) * total * unit_count, units,
                         unit_count, total, begin, batch, sequence - first_sequence, sequences},
                        references != 0,
                        shares,
                        epsilon};
    const WalkSpan span = reinterpret_cast<const WalkSpan*>(reads)[source[mutant]];
    const int position = first[mutant];
    const int* bases = gamma + mutant;
    if (coefficients == nullptr && begin == 0 && split == 0) {
        leave_rows(out, item, span, position);
    }
    const int groups = out.channels;
    const int low = span.first < position ? span.first : position;
    const int high = span.last > position ? span.last : position;
    const float* own = x + static_cast<size_t>(sequence) * length * BASES;
    for (int k = begin; k < begin + batch; ++k) {
        if (k % splits != split) {
            continue;
        }
        const Triples dz = walk.down(k);
        WFloat arriving[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
        const float* there = r + (static_cast<size_t>(sequence) * total + k) * length * BASES;
        for (int p = low; p <= high; ++p) {
            const int column = (p - low) % POSITIONS * BASES;
            if (column == 0) {  // the input as one row, a lane for each base
                walk.arriving(arriving, g, units, k, 1, 0, length * BASES, lane_id() + p * BASES);
            }
            if (!span.has(p) && p != position) {
                continue;
            }
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                float gradient[BASES];
                float factor[BASES];
                float sum = 0.0f;
                float mean = 0.0f;
                DFIM_UNROLL
                for (int b = 0; b < BASES; ++b) {
                    const size_t at = static_cast<size_t>(p) * BASES + b;
                    const float base = p == position ? (bases[a] == b ? 1.0f : 0.0f) : own[at];
                    factor[b] = references == 0 ? base
                                : projected     ? base - there[at]
                                                : base * (1.0f - there[at]);
                    gradient[b] = from_lane(arriving[a], column + b);
                    sum = sum + factor[b];
                    mean = mean + gradient[b];
                }
                mean = method == CORRECTED ? mean * 0.25f : 0.0f;
                float value = 0.0f;
                DFIM_UNROLL
                for (int b = 0; b < BASES; ++b) {
                    value = value + (gradient[b] - mean) * factor[b];
                    factor[b] = method == CORRECTED ? factor[b] - sum * 0.25f : factor[b];
                }
                value = value + walk.differing(p, a, dz, factor);
                const int group = k % groups;
                const int size = (total - 1 - group) / groups + 1;
                float* to = result_of(out, mutant + a, p - first_row(out, mutant)) + group;
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
