// The walk on its way up (walk.cuh): one launch for all stages.
#pragma once

#include "walk.cuh"

struct WalkUp {
    Walk walk;
    View top;       // the trunk's output for a hidden head; no rows where the head is linear
    int references;  // of which any gives what arrives under a linear head
    int item;

    // The first layer anew from its bases, tap by tap as conv_forward has it: where two windows
    // hold the same bases their sums stay equal to the bit, and ties in a pool stay ties.
    DFIM_DEVICE void first(WFloat* now, int row, const float* x, int length, int position,
                           const int* gamma, const float* bias, WInt o) const {
        const WalkStage& stage = walk.stages[0];
        const WBool live = o < stage.outputs;
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            now[a] = load(bias, o, live);
        }
        for (int j = 0; j < stage.kernel; ++j) {
            const int p = row * stage.stride - stage.pad + j * stage.dilation;
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
                const WFloat w = load(walk.tensors[0].weight + line * stage.outputs, o, live);
                DFIM_UNROLL
                for (int a = 0; a < ALTERNATES; ++a) {
                    const float base = p != position ? own : gamma[a] == b ? 1.0f : 0.0f;
                    now[a] = fused(WFloat(base), w, now[a]);
                }
            }
        }
    }

    // The original and what the stage below adds to it.
    DFIM_DEVICE void further(WFloat* now, int l, int row, WInt o) const {
        const WalkStage& stage = walk.stages[l];
        const WalkSpan below = walk.spans[l - 1].y;
        const Triples from = walk.buffer((l - 1) % 2, below.first, stage.inputs);
        WFloat sums[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
        for (int j = 0; j < stage.kernel; ++j) {
            const int i = row * stage.stride - stage.pad + j * stage.dilation;
            if (below.has(i)) {
                const size_t tap = static_cast<size_t>(j) * stage.inputs * stage.outputs;
                add_row(sums, from, i, stage.inputs, stage.outputs, walk.tensors[l].weight + tap,
                        o);
            }
        }
        const WFloat before = load(walk.z(l, row), o, o < stage.outputs);
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            now[a] = before + sums[a];
        }
    }

    // What leaves a stage: to the next one, or to the head.
    DFIM_DEVICE void leave(int l, int row, WInt c, const WFloat* before, const WFloat* now,
                           WFloat* gained) const {
        const WalkStage& stage = walk.stages[l];
        WFloat dy[ALTERNATES];
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            dy[a] = now[a] - before[a];
        }
        if (l < walk.count - 1) {
            walk.buffer(l % 2, walk.spans[l].y.first, stage.outputs).put(row, c, dy);
            return;
        }
        const WBool live = c < stage.outputs;
        if (top.width != 0) {
            const int at = row - first_row(top, item * ALTERNATES);
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                const size_t line = static_cast<size_t>(item * ALTERNATES + a) * top.width + at;
                store(top.own + line * stage.outputs, c, now[a], live);
            }
            return;
        }
        const bool pools = stage.pool != NO_POOL;
        const int rows = pools ? stage.pool_rows : stage.rows;
        const size_t line = static_cast<size_t>(walk.sequence) * references * rows + row;
        const WFloat u = load((pools ? walk.tensors[l].v : walk.tensors[l].u) + line * stage.outputs,
                              c, live);
        DFIM_UNROLL
        for (int a = 0; a < ALTERNATES; ++a) {
            gained[a] = fused(dy[a], u, gained[a]);
        }
    }

    // The maximum of window w for one mutant, and where it stands. The original's winner stands
    // unless it fell, or a changed row exceeds it, or equals it and stands earlier.
    DFIM_DEVICE void maximum(int l, int w, int a, WInt c, WBool live, WFloat& best,
                             WFloat& won) const {
        const WalkStage& stage = walk.stages[l];
        const int begin = w * stage.pool_stride - stage.pool_pad;
        const int low = begin < 0 ? 0 : begin;
        const int beyond = begin + stage.pool_kernel;
        const int high = (beyond < stage.rows ? beyond : stage.rows) - 1;
        const WalkSpan& changed = walk.spans[l].z;
        const WFloat before = load(walk.tensors[l].y + walk.pool_row(l, w), c, live);
        best = before;
        won = load(walk.tensors[l].won + walk.pool_row(l, w), c, live);
        const WInt winner = to_int(won);
        const WBool moves = live && winner >= changed.first && winner <= changed.last;
        const Triples kept = walk.kept(l);
        const WFloat after = rectified(
            load(kept.from, ((winner - changed.first) * ALTERNATES + a) * kept.stride + c, moves),
            walk.slopes[l]);
        best = select(moves, after, best);
        const bool fell = any_lane(moves && after < before);
        if (fell) {
            won = WFloat(-1.0f);
        }
        const int from = fell || changed.first < low ? low : changed.first;
        const int to = fell || changed.last > high ? high : changed.last;
        for (int p = from; p <= to; ++p) {
            const WFloat here(static_cast<float>(p));
            const WFloat found = walk.value(l, p, a, c, live);
            const WBool better = won < 0.0f || found > best || (found == best && here < won);
            best = select(better, found, best);
            won = select(better, here, won);
        }
    }

    DFIM_DEVICE void pool(int l, int w, WInt c, WFloat* gained) const {
        const WalkStage& stage = walk.stages[l];
        const WBool live = c < stage.outputs;
        const WFloat y = load(walk.tensors[l].y + walk.pool_row(l, w), c, live);
        const WFloat before[ALTERNATES] = {y, y, y};
        WFloat now[ALTERNATES];
        if (stage.pool == MAX_POOL) {
            const Triples out = walk.pooled(l);
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                WFloat won(0.0f);
                maximum(l, w, a, c, live, now[a], won);
                store(out.at(w, a), c, now[a], live);
                store(out.at(w, a) + out.stride / 2, c, won, live);
            }
        } else {
            WFloat sums[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
            for (int j = 0; j < stage.pool_kernel; ++j) {
                const int p = w * stage.pool_stride - stage.pool_pad + j;
                if (walk.spans[l].z.has(p)) {
                    const WFloat own = rectified(load(walk.z(l, p), c, live), walk.slopes[l]);
                    DFIM_UNROLL
                    for (int a = 0; a < ALTERNATES; ++a) {
                        sums[a] = sums[a] + (walk.value(l, p, a, c, live) - own);
                    }
                }
            }
            const WFloat factor(walk.tensors[l].factor[w]);
            DFIM_UNROLL
            for (int a = 0; a < ALTERNATES; ++a) {
                now[a] = y + sums[a] * factor;
            }
        }
        leave(l, w, c, before, now, gained);
    }

    // Rows of the top's window that the position does not change.
    DFIM_DEVICE void fill() const {
        const int begin = first_row(top, item * ALTERNATES);
        const WalkSpan& changed = walk.spans[walk.count - 1].y;
        for (int row = begin; row < begin + top.width; ++row) {
            if (changed.has(row)) {
                continue;
            }
            for (int a = 0; a < ALTERNATES; ++a) {
                const int mutant = item * ALTERNATES + a;
                const float* from = rows_of(top, mutant).base +
                                    static_cast<size_t>(row) * top.channels;
                float* to = top.own + (static_cast<size_t>(mutant) * top.width + (row - begin)) *
                                          top.channels;
                for (int block = 0; block < top.channels; block += LANES) {
                    const WInt c = lane_id() + block;
                    store(to, c, load(from, c, c < top.channels), c < top.channels);
                }
            }
        }
    }
};

// gained (3 items,): what the mutants' scores have over the original's, under a linear head. top:
// the trunk's output, 3 windows for each item, under a hidden one. x (sequences, L, 4). By item:
// source, whose spans they are; owner, its sequence; the first of three mutants' positions and bases.
DFIM_KERNEL(walk_up, 4,
            (View top, float* gained, float* memory, int each, const unsigned long long* tensors,
             const int* stages, const int* spans, const float* slopes, int count, int moving,
             int room, const float* bias, const float* x, int length, const int* first,
             const int* gamma, const int* source, const int* owner, int references, int items)) {
    const int item = warp_number(4);
    if (item >= items) {
        return;
    }
    const int mutant = item * ALTERNATES;
    const int sequence = owner[mutant];
    const WalkUp up{{reinterpret_cast<const WalkStage*>(stages),
                     reinterpret_cast<const WalkTensors*>(tensors),
                     reinterpret_cast<const WalkSpans*>(spans) +
                         static_cast<size_t>(source[mutant]) * count,
                     slopes, count, sequence, memory + static_cast<size_t>(item) * each, moving,
                     room},
                    top,
                    references == 0 ? 1 : references,
                    item};
    const Walk& walk = up.walk;
    const float* bases = x + static_cast<size_t>(sequence) * length * BASES;
    WFloat gains[ALTERNATES] = {WFloat(0.0f), WFloat(0.0f), WFloat(0.0f)};
    for (int l = 0; l < count; ++l) {
        const WalkStage& stage = walk.stages[l];
        const WalkSpans& changed = walk.spans[l];
        for (int row = changed.z.first; row <= changed.z.last; ++row) {
            for (int block = 0; block < stage.outputs; block += LANES) {
                const WInt o = lane_id() + block;
                WFloat now[ALTERNATES];
                if (l == 0) {
                    up.first(now, row, bases, length, first[mutant], gamma + mutant, bias, o);
                } else {
                    up.further(now, l, row, o);
                }
                walk.kept(l).put(row, o, now);
                if (stage.pool == NO_POOL) {
                    const WFloat z = load(walk.z(l, row), o, o < stage.outputs);
                    const WFloat own = rectified(z, slopes[l]);
                    const WFloat before[ALTERNATES] = {own, own, own};
                    DFIM_UNROLL
                    for (int a = 0; a < ALTERNATES; ++a) {
                        now[a] = rectified(now[a], slopes[l]);
                    }
                    up.leave(l, row, o, before, now, gains);
                }
            }
        }
        if (stage.pool != NO_POOL) {
            for (int w = changed.y.first; w <= changed.y.last; ++w) {
                for (int block = 0; block < stage.outputs; block += LANES) {
                    up.pool(l, w, lane_id() + block, gains);
                }
            }
        }
    }
    if (top.width != 0) {
        up.fill();
        return;
    }
    DFIM_UNROLL
    for (int a = 0; a < ALTERNATES; ++a) {
        const float sum = warp_sum(gains[a]);
        store(gained + mutant + a, lane_id(), WFloat(sum), lane_id() < 1);
    }
}
