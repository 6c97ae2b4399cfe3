// Entries that go elsewhere: Concat, Pad, Take and their ways back, and reshapes.
//
//   gather     y[p, c] (+)= sum of x[q, d] over the rows q listed for p and the channels d for c
//   fill       y[p, c]    = values[p, c]
//   flatten    y[0, f] (+)= x[p, c], f = p C + c, or c L + p where positions are fastest
//   unflatten  y[p, c] (+)= x[0, f]
//
// A warp owns one row of one item; lanes are channels. Lists are kept as in a sparse matrix: those
// of entry e are list[begin[e]] to list[begin[e + 1] - 1]; without a list an entry stays in place.
#pragma once

#include "view.cuh"

DFIM_KERNEL(gather, 8,
            (View y, View x, const int* row_begin, const int* row_list, const int* channel_begin,
             const int* channel_list, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Rows in = rows_of(x, at.item);
    const int first = row_begin == nullptr ? at.row : row_begin[at.row];
    const int last = row_begin == nullptr ? at.row + 1 : row_begin[at.row + 1];
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < y.channels;
        WFloat sum(0.0f);
        for (int k = first; k < last; ++k) {
            const float* row = in.at(row_begin == nullptr ? k : row_list[k]);
            if (channel_begin == nullptr) {
                sum = sum + load(row, c, live);
                continue;
            }
            WInt entry = load(channel_begin, c, live);
            const WInt end = load(channel_begin + 1, c, live);
            while (any_lane(live && entry < end)) {
                const WBool more = live && entry < end;
                sum = sum + load(row, load(channel_list, entry, more), more);
                entry = entry + 1;
            }
        }
        put(at.out, c, sum, live, add);
    }
}

// values (rows, channels)
DFIM_KERNEL(fill, 8, (View y, const float* values, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const float* row = values + static_cast<size_t>(at.row) * y.channels;
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < y.channels;
        store(at.out, c, load(row, c, live), live);
    }
}

DFIM_KERNEL(flatten, 8, (View y, View x, int position_fastest, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Rows in = rows_of(x, at.item);
    for (int p = 0; p < x.rows; ++p) {
        const float* row = in.at(p);
        for (int block = 0; block < x.channels; block += LANES) {
            const WInt c = lane_id() + block;
            const WBool live = c < x.channels;
            const WInt f = position_fastest ? c * x.rows + p : c + p * x.channels;
            put(at.out, f, load(row, c, live), live, add);
        }
    }
}

DFIM_KERNEL(unflatten, 8, (View y, View x, int position_fastest, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const float* row = rows_of(x, at.item).at(0);
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < y.channels;
        const WInt f = position_fastest ? c * y.rows + at.row : c + at.row * y.channels;
        put(at.out, c, load(row, f, live), live, add);
    }
}
