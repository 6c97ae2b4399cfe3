// Fully connected layers.
//
//   forward   y[0, h] = bias[h] + sum_p sum_c x[p, c] w[p, c, h]
//   backward dx[p, c] = sum_h g[0, h] w[p, c, h]
//
// dense_forward*, features_backward*: a warp owns a tile of 8 items (tile.cuh, tensor.cuh).
// dense_backward: a warp owns one row of one item; lanes are input channels. One lane owns each sum,
// in the order of positions and channels, or of units (on tensor cores, 8 of them at a time).
#pragma once

#include "tensor.cuh"
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

template <class Sums>
DFIM_DEVICE inline void connect(Sums& sums, const Scratch& own, const Several& part, const View& y,
                                const View& x, const float* weight, const float* bias) {
    sums.clear(bias, y.channels, part.column);
    for (int p = 0; p < x.rows; ++p) {
        const auto row = [&](int r) -> const float* {
            return r < part.count ? rows_of(x, part.item + r).at(p) : nullptr;
        };
        const float* w = weight + static_cast<size_t>(p) * x.channels * y.channels;
        sums.add(own, row, w, x.channels, y.channels, part.column);
    }
    float* out = y.own + static_cast<size_t>(part.item) * y.channels;
    sums.put_rows(out, part.count, y.channels, part.column, 0);
}

template <class Sums>
DFIM_DEVICE inline void connect_back(Sums& sums, const Scratch& own, const Several& part,
                                     const View& dx, const View& g, const float* weight, int add) {
    sums.clear(nullptr, dx.channels, part.column);
    const auto row = [&](int r) -> const float* {
        return r < part.count ? rows_of(g, part.item + r).at(0) : nullptr;
    };
    sums.add(own, row, weight, g.channels, dx.channels, part.column);
    float* out = dx.own + static_cast<size_t>(part.item) * dx.channels;
    sums.put_rows(out, part.count, dx.channels, part.column, add);
}

// weight (rows * C, H), bias (H,)
DFIM_KERNEL(dense_forward, 8,
            (View y, View x, const float* weight, const float* bias, int items)) {
    const int number = warp_number(8);
    if (number >= tiles(items, y.channels)) {
        return;
    }
    Tile sums;
    connect(sums, scratch(TILE_SCRATCH), several_of(items, y.channels, number), y, x, weight, bias);
}

// dx of a single row, all of which is computed. weight (H, C)
DFIM_KERNEL(features_backward, 8, (View dx, View g, const float* weight, int add, int items)) {
    const int number = warp_number(8);
    if (number >= tiles(items, dx.channels)) {
        return;
    }
    Tile sums;
    connect_back(sums, scratch(TILE_SCRATCH), several_of(items, dx.channels, number), dx, g, weight,
                 add);
}

// The same with products on tensor cores.
DFIM_KERNEL(dense_forward_tf32, 8,
            (View y, View x, const float* weight, const float* bias, int products, int items)) {
    const int number = warp_number(8);
    if (number >= tiles(items, y.channels)) {
        return;
    }
    TensorTile sums(products);
    connect(sums, scratch(TENSOR_SCRATCH), several_of(items, y.channels, number), y, x, weight,
            bias);
}

DFIM_KERNEL(features_backward_tf32, 8,
            (View dx, View g, const float* weight, int products, int add, int items)) {
    const int number = warp_number(8);
    if (number >= tiles(items, dx.channels)) {
        return;
    }
    TensorTile sums(products);
    connect_back(sums, scratch(TENSOR_SCRATCH), several_of(items, dx.channels, number), dx, g,
                 weight, add);
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
