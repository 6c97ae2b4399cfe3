// Fully connected layers.
//
//   forward   y[0, h] = bias[h] + sum_p sum_c x[p, c] w[p, c, h]
//   backward dx[p, c] = sum_h g[0, h] w[p, c, h]
//
// dense_forward, features_backward: a warp owns a tile of 8 items (tile.cuh). dense_backward: a warp
// owns one row of one item; lanes are input channels. One lane owns each sum, in the order of
// positions and channels, or of units.
#pragma once

#include "tile.cuh"
#include "view.cuh"

// Items and columns of one tile over items.
struct Several {
    int item;
    int count;
    int column;
};

DFIM_DEVICE inline Several several_of(int items, int columns, int number) {
    const int across = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
    Several found;
    found.item = number / across * TILE_ROWS;
    found.count = items - found.item < TILE_ROWS ? items - found.item : TILE_ROWS;
    found.column = number % across * TILE_COLUMNS;
    return found;
}

DFIM_DEVICE inline void put_several(const Several& part, const Tile& sums, const View& y, int add) {
    const WInt o = lane_id() + part.column;
    DFIM_UNROLL
    for (int r = 0; r < TILE_ROWS; ++r) {
        if (r < part.count) {
            float* out = y.own + static_cast<size_t>(part.item + r) * y.channels;
            put(out, o, sums.low[r], o < y.channels, add);
            put(out, o + LANES, sums.high[r], o + LANES < y.channels, add);
        }
    }
}

// weight (rows * C, H), bias (H,)
DFIM_KERNEL(dense_forward, 8,
            (View y, View x, const float* weight, const float* bias, int items)) {
    const int number = warp_number(8);
    if (number >= tiles(items, y.channels)) {
        return;
    }
    const Several part = several_of(items, y.channels, number);
    const Scratch own = scratch(TILE_SCRATCH);
    const WInt o = lane_id() + part.column;
    Tile sums;
    sums.clear(load(bias, o, o < y.channels), load(bias, o + LANES, o + LANES < y.channels));
    for (int p = 0; p < x.rows; ++p) {
        const auto row = [&](int r) -> const float* {
            return r < part.count ? rows_of(x, part.item + r).at(p) : nullptr;
        };
        const float* w = weight + static_cast<size_t>(p) * x.channels * y.channels;
        sums.add(own, row, w, x.channels, y.channels, part.column);
    }
    put_several(part, sums, y, 0);
}

// dx of a single row, all of which is computed. weight (H, C)
DFIM_KERNEL(features_backward, 8, (View dx, View g, const float* weight, int add, int items)) {
    const int number = warp_number(8);
    if (number >= tiles(items, dx.channels)) {
        return;
    }
    const Several part = several_of(items, dx.channels, number);
    const Scratch own = scratch(TILE_SCRATCH);
    Tile sums;
    sums.clear(WFloat(0.0f), WFloat(0.0f));
    const auto row = [&](int r) -> const float* {
        return r < part.count ? rows_of(g, part.item + r).at(0) : nullptr;
    };
    sums.add(own, row, weight, g.channels, dx.channels, part.column);
    put_several(part, sums, dx, add);
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
