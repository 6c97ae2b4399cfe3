// The far part (ALGORITHM section 2): with a hidden head every mutant has a gradient of its own at
// the top of the trunk, but it lies in a small space. Where v' of a mutant differs from v of the
// original at the head's first units, outside the cone its gradient is
//
//   g'[p, c] = g[p, c] + sum_f (v'[f] - v[f]) B[f, p, c]
//
// with B[f] the gradient of unit f alone, passed down through the original's trunk. Pairs are a
// mutant against a reference each, the reference fastest.
#pragma once

#include "view.cuh"

constexpr int PAIRS = 256;  // that one warp looks through for units that differ

// flags (blocks of PAIRS, units): 1 where some pair's v differs from its base's. v (pairs, 1,
// units), base (references, 1, units). One warp for each block of pairs; lanes are units.
DFIM_KERNEL(differs, 8, (int* flags, View v, View base, int items)) {
    const int number = warp_number(8);
    const int first = number * PAIRS;
    if (first >= items) {
        return;
    }
    const int last = first + PAIRS < items ? first + PAIRS : items;
    for (int block = 0; block < v.channels; block += LANES) {
        const WInt unit = lane_id() + block;
        const WBool live = unit < v.channels;
        WInt found(0);
        for (int pair = first; pair < last; ++pair) {
            const WFloat own = load(rows_of(v, pair).at(0), unit, live);
            const WFloat before = load(rows_of(base, pair).at(0), unit, live);
            found = select(own != before, WInt(1), found);
        }
        store(flags + static_cast<size_t>(number) * v.channels, unit, found, live);
    }
}

// out (pairs, total): v' - v at listed units, from column `first` on. One warp for each pair.
DFIM_KERNEL(differences, 8,
            (float* out, View v, View base, const int* units, int count, int first, int total,
             int items)) {
    const int pair = warp_number(8);
    if (pair >= items) {
        return;
    }
    const float* own = rows_of(v, pair).at(0);
    const float* before = rows_of(base, pair).at(0);
    float* to = out + static_cast<size_t>(pair) * total + first;
    for (int block = 0; block < count; block += LANES) {
        const WInt k = lane_id() + block;
        const WBool live = k < count;
        const WInt unit = load(units, k, live);
        store(to, k, load(own, unit, live) - load(before, unit, live), live);
    }
}

// Every row of out's windows: base, or what is there already, plus the sum over some features.
// coefficients (pairs, total), basis (count, references, rows, C). One warp for each row; lanes are
// channels; features in ascending order.
DFIM_KERNEL(combine, 8,
            (View out, View base, const float* basis, const float* coefficients, int total,
             int first, int count, int references, int begins, int items)) {
    const int number = warp_number(8);
    if (number >= items * out.computed) {
        return;
    }
    const Place at = place_of(out, number);
    const float* from = begins ? rows_of(base, at.item).at(at.row) : at.out;
    const float* share = coefficients + static_cast<size_t>(at.item) * total + first;
    const size_t whole = static_cast<size_t>(out.rows) * out.channels;
    const float* own =
        basis + (at.item % references) * whole + static_cast<size_t>(at.row) * out.channels;
    for (int block = 0; block < out.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < out.channels;
        WFloat sum = load(from, c, live);
        for (int f = 0; f < count; ++f) {
            const WFloat column = load(own + f * (references * whole), c, live);
            sum = fused(WFloat(share[f]), column, sum);
        }
        store(at.out, c, sum, live);
    }
}
