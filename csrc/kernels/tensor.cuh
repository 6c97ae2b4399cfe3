// The products of tile.cuh on tensor cores, for those who ask for less precision: TF32 keeps 11
// significant bits of a float's 24.
//
//   products 1   sum[r, o] += sum_c x'[r, c] w'[c, o]               v' = v rounded to TF32
//   products 3   ... + x''[r, c] w'[c, o] + x'[r, c] w''[c, o]      v'' = (v - v') rounded to TF32
//
// A warp owns 8 rows and 64 columns as tile.cuh does, four times 16 columns (m) by 8 rows (n), 8
// numbers (k) at a time. Of lane 4 g + t, A has w[k = t, m = g], [t, g + 8], [t + 4, g] and
// [t + 4, g + 8]; B has x[n = g, k = t] and [g, t + 4]; the sums are [m = g, n = 2 t], [g, 2 t + 1],
// [g + 8, 2 t] and [g + 8, 2 t + 1]. Rows are staged with a stride at which no two lanes meet in a
// bank.
#pragma once

#include "tile.cuh"

constexpr int TENSOR_STRIDE = LANES + 4;
constexpr int TENSOR_SCRATCH = TILE_ROWS * TENSOR_STRIDE;  // floats of a warp
constexpr int TENSOR_COLUMNS = 16;
constexpr int TENSOR_BLOCKS = TILE_COLUMNS / TENSOR_COLUMNS;
constexpr int TENSOR_STEP = 8;

struct TensorTile {
    int products;
    WFloat sums[TENSOR_BLOCKS][4];

    DFIM_DEVICE explicit TensorTile(int count) : products(count) {}

    DFIM_DEVICE void clear(const float* bias, int columns, int first) {
        const WInt group = lane_id() / 4;
        DFIM_UNROLL
        for (int block = 0; block < TENSOR_BLOCKS; ++block) {
            const WInt o = group + (first + block * TENSOR_COLUMNS);
            const WFloat low = start(bias, o, columns);
            const WFloat high = start(bias, o + 8, columns);
            sums[block][0] = low;
            sums[block][1] = low;
            sums[block][2] = high;
            sums[block][3] = high;
        }
    }

    template <class Source>
    DFIM_DEVICE void add(const Scratch& scratch, const Source& rows, const float* w, int inner,
                         int columns, int first) {
        const WInt group = lane_id() / 4;
        const WInt thread = lane_id() - group * 4;
        for (int block = 0; block < inner; block += LANES) {
            stage(scratch, rows, block, inner, TENSOR_STRIDE);
            warp_barrier();
            const int steps = inner - block < LANES ? inner - block : LANES;
            for (int c = 0; c < steps; c += TENSOR_STEP) {
                const WInt at = group * TENSOR_STRIDE + thread + c;
                const WFloat x[2] = {scratch.load(at), scratch.load(at + 4)};
                const WInt k = thread + (block + c);
                DFIM_UNROLL
                for (int b = 0; b < TENSOR_BLOCKS; ++b) {
                    const WInt o = group + (first + b * TENSOR_COLUMNS);
                    const WFloat a[4] = {
                        load(w, k * columns + o, k < inner && o < columns),
                        load(w, k * columns + o + 8, k < inner && o + 8 < columns),
                        load(w, (k + 4) * columns + o, k + 4 < inner && o < columns),
                        load(w, (k + 4) * columns + o + 8, k + 4 < inner && o + 8 < columns)};
                    multiply(sums[b], a, x);
                }
            }
            warp_barrier();
        }
    }

    DFIM_DEVICE void put_rows(float* out, int count, int columns, int first, int add) const {
        const WInt group = lane_id() / 4;
        const WInt row = (lane_id() - group * 4) * 2;
        DFIM_UNROLL
        for (int b = 0; b < TENSOR_BLOCKS; ++b) {
            DFIM_UNROLL
            for (int part = 0; part < 4; ++part) {
                const WInt o = group + (first + b * TENSOR_COLUMNS + part / 2 * 8);
                const WInt r = row + part % 2;
                put(out, r * columns + o, sums[b][part], r < count && o < columns, add);
            }
        }
    }

private:
    DFIM_DEVICE void multiply(WFloat (&sum)[4], const WFloat (&a)[4], const WFloat (&x)[2]) const {
        WFloat first[4];
        WFloat second[2];
        for (int i = 0; i < 4; ++i) {
            first[i] = to_tf32(a[i]);
        }
        for (int i = 0; i < 2; ++i) {
            second[i] = to_tf32(x[i]);
        }
        if (products > 1) {  // the small ones first
            WFloat rest[4];
            WFloat other[2];
            for (int i = 0; i < 4; ++i) {
                rest[i] = to_tf32(a[i] - first[i]);
            }
            for (int i = 0; i < 2; ++i) {
                other[i] = to_tf32(x[i] - second[i]);
            }
            multiply_add(sum, rest, second);
            multiply_add(sum, first, other);
        }
        multiply_add(sum, first, second);
    }
};
