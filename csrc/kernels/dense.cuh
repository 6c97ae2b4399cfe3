// Fully connected layers.
//
//   forward   y[0, h] = bias[h] + sum_p sum_c x[p, c] w[p, c, h]
//   backward dx[p, c] = sum_h g[0, h] w[p, c, h]
//
// A warp owns one row of one item; lanes are units (forward) or input channels (backward). One lane
// owns each sum, in the order of positions and channels, or of units.
#pragma once

#include "view.cuh"

// weight (rows * C, H), bias (H,)
DFIM_KERNEL(dense_forward, 8,
            (View y, View x, const float* weight, const float* bias, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Rows in = rows_of(x, at.item);
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt h = lane_id() + block;
        const WBool live = h < y.channels;
        WFloat sum = load(bias, h, live);
        const float* w = weight;
        for (int p = 0; p < x.rows; ++p) {
            const float* row = in.at(p);
            for (int c = 0; c < x.channels; ++c, w += y.channels) {
                sum = fused(WFloat(row[c]), load(w, h, live), sum);
            }
        }
        store(at.out, h, sum, live);
    }
}

// weight (H, rows * C)
DFIM_KERNEL(dense_backward, 8, (View dx, View g, const float* weight, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const float* row = rows_of(g, at.item).at(0);
    const size_t features = static_cast<size_t>(dx.rows) * dx.channels;
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        const float* w = weight + static_cast<size_t>(at.row) * dx.channels;
        WFloat sum(0.0f);
        for (int h = 0; h < g.channels; ++h, w += features) {
            sum = fused(WFloat(row[h]), load(w, c, live), sum);
        }
        put(at.out, c, sum, live, add);
    }
}
