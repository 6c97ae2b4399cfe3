// Products of 8 rows with a matrix, the inner loop of convolutions and dense layers:
//
//   sum[r, o] += sum_c x[r, c] w[c, o]      r < 8, o < 64
//
// A warp owns the tile; a lane owns two columns of it, 32 apart. Rows are staged in the warp's own
// scratch, 32 numbers at a time, and read back four at a time, so that 8 x 8 multiply-adds cost 8
// loads of weights and 8 of rows. Sums go in the order of c, as in any other kernel.
#pragma once

#include "view.cuh"

constexpr int TILE_ROWS = 8;
constexpr int TILE_COLUMNS = 2 * LANES;
constexpr int TILE_SCRATCH = TILE_ROWS * LANES;  // floats of a warp

// Rows of x from column ``block`` on, into the warp's scratch.
template <class Source>
DFIM_DEVICE inline void stage(const Scratch& scratch, const Source& rows, int block, int inner,
                              int stride) {
    const WBool inside = lane_id() < inner - block;
    for (int r = 0; r < TILE_ROWS; ++r) {
        const float* row = rows(r);
        WFloat staged(0.0f);
        if (row != nullptr) {
            staged = load(row + block, lane_id(), inside);
        }
        scratch.store(lane_id() + r * stride, staged);
    }
}

// What sums of columns o begin with: the bias, or nothing.
DFIM_DEVICE inline WFloat start(const float* bias, WInt o, int columns) {
    return bias == nullptr ? WFloat(0.0f) : load(bias, o, o < columns);
}

struct Tile {
    WFloat low[TILE_ROWS];
    WFloat high[TILE_ROWS];

    // bias (columns,) or null, this tile's from ``first`` on.
    DFIM_DEVICE void clear(const float* bias, int columns, int first) {
        const WFloat a = start(bias, lane_id() + first, columns);
        const WFloat b = start(bias, lane_id() + (first + LANES), columns);
        DFIM_UNROLL
        for (int r = 0; r < TILE_ROWS; ++r) {
            low[r] = a;
            high[r] = b;
        }
    }

    // rows(r) is row r of x (inner,), or null for zeros; w (inner, columns), this tile's from
    // ``first`` on.
    template <class Source>
    DFIM_DEVICE void add(const Scratch& scratch, const Source& rows, const float* w, int inner,
                         int columns, int first) {
        const WInt o = lane_id() + first;
        const WInt p = o + LANES;
        const WBool here = o < columns;
        const WBool there = p < columns;
        for (int block = 0; block < inner; block += LANES) {
            stage(scratch, rows, block, inner, LANES);
            warp_barrier();
            const int steps = inner - block < LANES ? inner - block : LANES;
            for (int c = 0; c < steps; c += 4) {
                Four x[TILE_ROWS];
                DFIM_UNROLL
                for (int r = 0; r < TILE_ROWS; ++r) {
                    x[r] = scratch.four(r * LANES + c);
                }
                DFIM_UNROLL
                for (int q = 0; q < 4; ++q) {
                    if (c + q < steps) {
                        const float* from = w + static_cast<size_t>(block + c + q) * columns;
                        const WFloat a = load(from, o, here);
                        const WFloat b = load(from, p, there);
                        DFIM_UNROLL
                        for (int r = 0; r < TILE_ROWS; ++r) {
                            low[r] = fused(WFloat(x[r].at[q]), a, low[r]);
                            high[r] = fused(WFloat(x[r].at[q]), b, high[r]);
                        }
                    }
                }
            }
            warp_barrier();
        }
    }

    // Into ``count`` rows of out (count, columns), or added to what is there.
    DFIM_DEVICE void put_rows(float* out, int count, int columns, int first, int add) const {
        const WInt o = lane_id() + first;
        DFIM_UNROLL
        for (int r = 0; r < TILE_ROWS; ++r) {
            if (r < count) {
                float* to = out + static_cast<size_t>(r) * columns;
                put(to, o, low[r], o < columns, add);
                put(to, o + LANES, high[r], o + LANES < columns, add);
            }
        }
    }
};

// Tiles of this many rows and columns.
DFIM_DEVICE inline int tiles(int rows, int columns) {
    return (rows + TILE_ROWS - 1) / TILE_ROWS * ((columns + TILE_COLUMNS - 1) / TILE_COLUMNS);
}
