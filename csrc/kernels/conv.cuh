// Convolution, layer by layer.
//
//   forward    y[i, o] = bias[o] + sum_j sum_c x[i stride - pad + j dilation, c] w[j, c, o]
//   backward  dx[p, c] = sum_j sum_o g[(p + pad - j dilation) / stride, o] w[j, c, o]
//
// conv_*: a warp owns a tile of 8 rows of one item (tile.cuh, tensor.cuh). grouped_*: a warp owns one
// row of one item; lanes are output channels (forward) or input channels (backward). Sums go tap by
// tap, then channel by channel, by one lane each (on tensor cores, 8 channels at a time).
#pragma once

#include "tensor.cuh"
#include "view.cuh"

// The rows of one item that a tile computes.
struct Band {
    int item;
    int row;    // the first
    int count;  // at most TILE_ROWS
    int column;
    float* out;
};

DFIM_DEVICE inline Band band_of(const View& y, int number) {
    const int across = (y.channels + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const int each = tiles(y.computed, y.channels);
    const int first = number % each / across * TILE_ROWS;
    const Place at = place_of(y, number / each * y.computed + first);
    Band found;
    found.item = at.item;
    found.row = at.row;
    found.count = y.computed - first < TILE_ROWS ? y.computed - first : TILE_ROWS;
    found.column = number % across * TILE_COLUMNS;
    found.out = at.out;
    return found;
}

template <class Sums>
DFIM_DEVICE inline void convolve(Sums& sums, const Scratch& own, const Band& band, const View& y,
                                 const View& x, const float* weight, const float* bias, int kernel,
                                 int stride, int dilation, int pad) {
    const Rows in = rows_of(x, band.item);
    sums.clear(bias, y.channels, band.column);
    for (int j = 0; j < kernel; ++j) {
        const auto row = [&](int r) -> const float* {
            const int p = (band.row + r) * stride - pad + j * dilation;
            return r < band.count && p >= 0 && p < x.rows ? in.at(p) : nullptr;
        };
        const float* w = weight + static_cast<size_t>(j) * x.channels * y.channels;
        sums.add(own, row, w, x.channels, y.channels, band.column);
    }
    sums.put_rows(band.out, band.count, y.channels, band.column, 0);
}

template <class Sums>
DFIM_DEVICE inline void convolve_back(Sums& sums, const Scratch& own, const Band& band,
                                      const View& dx, const View& g, const float* weight,
                                      int kernel, int stride, int dilation, int pad, int add) {
    const Rows down = rows_of(g, band.item);
    sums.clear(nullptr, dx.channels, band.column);
    for (int j = 0; j < kernel; ++j) {
        const auto row = [&](int r) -> const float* {
            const int q = band.row + r + pad - j * dilation;
            const bool inside = r < band.count && q >= 0 && q % stride == 0 && q / stride < g.rows;
            return inside ? down.at(q / stride) : nullptr;
        };
        const float* w = weight + static_cast<size_t>(j) * g.channels * dx.channels;
        sums.add(own, row, w, g.channels, dx.channels, band.column);
    }
    sums.put_rows(band.out, band.count, dx.channels, band.column, add);
}

// weight (kernel, C_in, C_out), bias (C_out,)
DFIM_KERNEL(conv_forward, 8,
            (View y, View x, const float* weight, const float* bias, int kernel, int stride,
             int dilation, int pad, int items)) {
    const int number = warp_number(8);
    if (number >= items * tiles(y.computed, y.channels)) {
        return;
    }
    Tile sums;
    convolve(sums, scratch(TILE_SCRATCH), band_of(y, number), y, x, weight, bias, kernel, stride,
             dilation, pad);
}

// weight (kernel, C_out, C_in)
DFIM_KERNEL(conv_backward, 8,
            (View dx, View g, const float* weight, int kernel, int stride, int dilation, int pad,
             int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * tiles(dx.computed, dx.channels)) {
        return;
    }
    Tile sums;
    convolve_back(sums, scratch(TILE_SCRATCH), band_of(dx, number), dx, g, weight, kernel, stride,
                  dilation, pad, add);
}

// The same with products on tensor cores.
DFIM_KERNEL(conv_forward_tf32, 8,
            (View y, View x, const float* weight, const float* bias, int kernel, int stride,
             int dilation, int pad, int products, int items)) {
    const int number = warp_number(8);
    if (number >= items * tiles(y.computed, y.channels)) {
        return;
    }
    TensorTile sums(products);
    convolve(sums, scratch(TENSOR_SCRATCH), band_of(y, number), y, x, weight, bias, kernel, stride,
             dilation, pad);
}

DFIM_KERNEL(conv_backward_tf32, 8,
            (View dx, View g, const float* weight, int kernel, int stride, int dilation, int pad,
             int products, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * tiles(dx.computed, dx.channels)) {
        return;
    }
    TensorTile sums(products);
    convolve_back(sums, scratch(TENSOR_SCRATCH), band_of(dx, number), dx, g, weight, kernel, stride,
                  dilation, pad, add);
}

// weight (kernel, C_in / groups, C_out), bias (C_out,)
DFIM_KERNEL(grouped_forward, 8,
            (View y, View x, const float* weight, const float* bias, int kernel, int stride,
             int dilation, int pad, int groups, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Rows in = rows_of(x, at.item);
    const int c_in = x.channels / groups;
    const int c_out = y.channels;
    for (int block = 0; block < c_out; block += LANES) {
        const WInt o = lane_id() + block;
        const WBool live = o < c_out;
        const WInt group = o / (c_out / groups) * c_in;
        WFloat sum = load(bias, o, live);
        for (int j = 0; j < kernel; ++j) {
            const int p = at.row * stride - pad + j * dilation;
            if (p < 0 || p >= x.rows) {
                continue;
            }
            const float* row = in.at(p);
            const float* w = weight + static_cast<size_t>(j) * c_in * c_out;
            if (groups == 1) {
                for (int c = 0; c < c_in; ++c, w += c_out) {
                    sum = fused(WFloat(row[c]), load(w, o, live), sum);
                }
            } else {
                for (int c = 0; c < c_in; ++c, w += c_out) {
                    sum = fused(load(row + c, group, live), load(w, o, live), sum);
                }
            }
        }
        store(at.out, o, sum, live);
    }
}

// weight (kernel, C_out, C_in / groups)
DFIM_KERNEL(grouped_backward, 8,
            (View dx, View g, const float* weight, int kernel, int stride, int dilation, int pad,
             int groups, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const Rows down = rows_of(g, at.item);
    const int c_in = dx.channels / groups;
    const int c_out = g.channels / groups;
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        const WInt group = c / c_in;
        const WInt first = group * c_out;
        const WInt column = c - group * c_in;
        WFloat sum(0.0f);
        for (int j = 0; j < kernel; ++j) {
            const int q = at.row + pad - j * dilation;
            if (q < 0 || q % stride != 0 || q / stride >= g.rows) {
                continue;
            }
            const float* row = down.at(q / stride);
            const float* w = weight + static_cast<size_t>(j) * g.channels * c_in;
            if (groups == 1) {
                for (int o = 0; o < c_out; ++o, w += c_in) {
                    sum = fused(WFloat(row[o]), load(w, c, live), sum);
                }
            } else {
                for (int o = 0; o < c_out; ++o, w += c_in) {
                    sum = fused(load(row + o, first, live), load(w, first * c_in + column, live), sum);
                }
            }
        }
        put(at.out, c, sum, live, add);
    }
}
