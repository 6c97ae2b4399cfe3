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

// flags (items, units): 1 where v of some pair from first[item] to last[item] differs from its
// base's. v (pairs, 1, units), base (references, 1, units). One warp for each item, pairs of one
// sequence; lanes are units.
DFIM_KERNEL(differs, 8,
            (int* flags, View v, View base, const int* first, const int* last, int items)) {
    const int number = warp_number(8);
    if (number >= items) {
        return;
    }
    for (int block = 0; block < v.channels; block += LANES) {
        const WInt unit = lane_id() + block;
        const WBool live = unit < v.channels;
        WInt found(0);
        for (int pair = first[number]; pair < last[number]; ++pair) {
            const WFloat own = load(rows_of(v, pair).at(0), unit, live);
            const WFloat before = load(rows_of(base, pair).at(0), unit, live);
            found = select(own != before, WInt(1), found);
        }
        store(flags + static_cast<size_t>(number) * v.channels, unit, found, live);
    }
}

// out (pairs, total): v' - v at the units (sequences, count) of the pair's sequence, -1 for none,
// from column `first` on. base's member is a pair's reference. One warp for each pair.
DFIM_KERNEL(differences, 8,
            (float* out, View v, View base, const int* units, int count, int first, int total,
             int references, int items)) {
    const int pair = warp_number(8);
    if (pair >= items) {
        return;
    }
    const float* own = rows_of(v, pair).at(0);
    const float* before = rows_of(base, pair).at(0);
    const int* listed = units + static_cast<size_t>(base.member[pair] / references) * count;
    float* to = out + static_cast<size_t>(pair) * total + first;
    for (int block = 0; block < count; block += LANES) {
        const WInt k = lane_id() + block;
        const WBool live = k < count;
        const WInt unit = load(listed, k, live);
        const WBool is = live && unit >= 0;
        store(to, k, load(own, unit, is) - load(before, unit, is), live);
    }
}

// g (features, sequences, references, 1, units): 1 at the feature's unit of that sequence, 0
// elsewhere. Feature f stands in column f + shift of units (sequences, count), if there is such a
// column. One warp for each item; lanes are units.
DFIM_KERNEL(single_units, 8,
            (View g, const int* units, int count, int shift, int sequences, int references,
             int items)) {
    const int item = warp_number(8);
    if (item >= items) {
        return;
    }
    const int each = sequences * references;
    const int column = item / each + shift;
    const bool listed = column >= 0 && column < count;
    const int unit = listed ? units[item % each / references * count + column] : -1;
    float* to = g.own + static_cast<size_t>(item) * g.channels;
    for (int block = 0; block < g.channels; block += LANES) {
        const WInt c = lane_id() + block;
        store(to, c, select(c == unit, WFloat(1.0f), WFloat(0.0f)), c < g.channels);
    }
}

// window, reference, source (items,) of each mutant against each reference, the reference fastest,
// from owner and place (mutants,). 32 pairs for each warp.
DFIM_KERNEL(pair_up, 8,
            (int* window, int* reference, int* source, const int* owner, const int* place,
             int references, int items)) {
    const WInt pair = lane_id() + warp_number(8) * LANES;
    const WBool live = pair < items;
    const WInt mutant = pair / references;
    store(window, pair, mutant, live);
    store(reference, pair, load(owner, mutant, live) * references + (pair - mutant * references),
          live);
    store(source, pair, load(place, mutant, live), live);
}

// Every row of out's windows: base, or what is there already, plus the sum over some features.
// coefficients (pairs, total), basis (count, references, rows, C); base's member is a pair's
// reference. One warp for each row; lanes are channels; features in ascending order.
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
        basis + base.member[at.item] * whole + static_cast<size_t>(at.row) * out.channels;
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
