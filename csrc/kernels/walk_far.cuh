// The far part of a walk under a hidden head: rows of importance that no position's own rows reach.
//
//   C'[p, group] = C[p, group] + mean over the group's references k of
//                  sum_f (v'[k, f] - v[k, f]) D[k, f, p],   D[k, f, p] = sum_b B[f, k, p, b] q[b]
//
// with B[f] the gradient of unit f alone at the input (far.cuh), and q the bases' factors, as
// contribute has them. Products in tiles of 8 mutants and 64 positions (tile.cuh).
#pragma once

#include "dense.cuh"
#include "importance.cuh"
#include "walk.cuh"

// out (sequences, references, units, L), of which a batch of references is written; units (units,
// sequences, batch, L, 4), x (sequences, L, 4), r (sequences, references, L, 4). One warp for 32
// positions of a unit, sequence and reference.
DFIM_KERNEL(walk_units, 8,
            (float* out, const float* units, const float* x, const float* r, int length, int count,
             int sequences, int method, int projected, int references, int begin, int batch,
             int items)) {
    const int number = warp_number(8);
    const int across = (length + LANES - 1) / LANES;
    if (number >= items * across) {
        return;
    }
    const int total = references == 0 ? 1 : references;
    const WInt p = lane_id() + number % across * LANES;
    const WBool live = p < length;
    const int item = number / across;
    const int k = item % batch + begin;
    const int sequence = item / batch % sequences;
    const int f = item / batch / sequences;
    const size_t against = static_cast<size_t>(sequence) * total + k;
    const float* unit = units + static_cast<size_t>(item) * length * BASES;
    const float* here = x + static_cast<size_t>(sequence) * length * BASES;
    const float* there = r + against * length * BASES;
    WFloat mean(0.0f);
    if (method == CORRECTED) {
        for (int b = 0; b < BASES; ++b) {
            mean = mean + load(unit, p * BASES + b, live);
        }
        mean = mean * WFloat(0.25f);
    }
    WFloat sum(0.0f);
    for (int b = 0; b < BASES; ++b) {
        WFloat factor = load(here, p * BASES + b, live);
        if (references != 0) {
            const WFloat base = load(there, p * BASES + b, live);
            factor = projected ? factor - base : factor * (1.0f - base);
        }
        sum = fused(load(unit, p * BASES + b, live) - mean, factor, sum);
    }
    store(out + (against * count + f) * length, p, sum, live);
}

// out: importance with all rows, base the original's; items mutants of one sequence, from ``begin``
// on; units of that sequence, as walk_units writes them; coefficients (mutants, references, units).
// Rows that walk_down writes are left alone: reads by source, first by mutant. One warp for a tile.
DFIM_KERNEL(walk_far, 8,
            (View out, const float* coefficients, const float* units, const int* reads,
             const int* first, int count, int references, int begin, int items)) {
    const int number = warp_number(8);
    if (number >= tiles(items, out.rows)) {
        return;
    }
    Several part = several_of(items, out.rows, number);
    part.item += begin;
    const Scratch own = scratch(TILE_SCRATCH);
    const int groups = out.channels;
    const WalkSpan* spans = reinterpret_cast<const WalkSpan*>(reads);
    for (int group = 0; group < groups; ++group) {
        Tile sums;
        sums.clear(nullptr, out.rows, part.column);
        int size = 0;
        for (int k = group; k < references; k += groups, ++size) {
            const auto row = [&](int i) -> const float* {
                const size_t line = static_cast<size_t>(part.item + i) * references + k;
                return i < part.count ? coefficients + line * count : nullptr;
            };
            const float* unit = units + static_cast<size_t>(k) * count * out.rows;
            sums.add(own, row, unit, count, out.rows, part.column);
        }
        const float share = static_cast<float>(size);
        DFIM_UNROLL
        for (int i = 0; i < TILE_ROWS; ++i) {
            if (i >= part.count) {
                continue;
            }
            const int item = part.item + i;
            const WalkSpan span = spans[out.source[item]];
            const Rows rows = rows_of(out, item);
            float* to = out.own + static_cast<size_t>(item) * out.rows * groups + group;
            DFIM_UNROLL
            for (int half = 0; half < 2; ++half) {
                const WInt p = lane_id() + (part.column + half * LANES);
                const WBool walked = (p >= span.first && p <= span.last) || p == first[item];
                const WBool live = p < out.rows && !walked;
                const WFloat sum = half == 0 ? sums.low[i] : sums.high[i];
                const WFloat before = load(rows.base + group, p * groups, live);
                store(to, p * groups, before + sum / WFloat(share), live);
            }
        }
    }
}
