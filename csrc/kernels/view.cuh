// Rows of a tensor for many items: a window of each item's own over a base that items share
// (dfim_fast/backends/cuda/views.py). Layouts: own (windows, width, channels), base (bases, rows,
// channels), channel fastest.
#pragma once

#include "port.cuh"

struct View {
    float* own;
    const float* base;
    const int* start;   // first row of the window, by source; null: 0
    const int* source;  // by window
    const int* owner;   // base, by window
    const int* member;  // window, by item; null: the item's number
    const int* inner;   // first row that is computed, by source; null: all of the window
    int width;
    int rows;
    int channels;
    int computed;  // rows of a window that are computed
};

// One item's tensor, read row by row.
struct Rows {
    const float* own;
    const float* base;
    int first;
    int width;
    int channels;

    DFIM_DEVICE bool has(int row) const { return row >= first && row < first + width; }
    DFIM_DEVICE const float* at(int row) const {
        return has(row) ? own + static_cast<size_t>(row - first) * channels
                        : base + static_cast<size_t>(row) * channels;
    }
};

DFIM_DEVICE inline int first_row(const View& v, int window) {
    return v.start == nullptr ? 0 : v.start[v.source[window]];
}

DFIM_DEVICE inline Rows rows_of(const View& v, int item) {
    const int window = v.member == nullptr ? item : v.member[item];
    const size_t whole = static_cast<size_t>(v.rows) * v.channels;
    Rows found;
    found.own = v.own + static_cast<size_t>(window) * v.width * v.channels;
    found.base = v.owner == nullptr ? v.base : v.base + v.owner[window] * whole;
    found.first = first_row(v, window);
    found.width = v.width;
    found.channels = v.channels;
    return found;
}

// The own row that a warp computes: rows are counted through all windows.
struct Place {
    int item;
    int row;
    float* out;
};

DFIM_DEVICE inline Place place_of(const View& y, int number) {
    Place found;
    found.item = number / y.computed;
    const int first = first_row(y, found.item);
    const int begin = y.inner == nullptr ? first : y.inner[y.source[found.item]];
    found.row = begin + number % y.computed;
    const size_t window = static_cast<size_t>(found.item) * y.width;
    found.out = y.own + (window + (found.row - first)) * y.channels;
    return found;
}

// Put a value at channel c of an own row, or add it to what is there.
DFIM_DEVICE inline void put(float* out, WInt c, WFloat value, WBool live, int add) {
    if (add) {
        value = load(out, c, live) + value;
    }
    store(out, c, value, live);
}
