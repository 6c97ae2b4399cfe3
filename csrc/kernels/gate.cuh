// Functions of one entry: y = f(x), and on the way down
//
//   gradient  dx = g f'(x)
//   rescale   dx = m (f(x) - f(r)) / (x - r), or m f'(x) where |x - r| < epsilon, and for functions
//             with one kink at zero wherever x and r lie on one side of it
//
// A warp owns one row of one item; lanes are channels.
#pragma once

#include "functions.cuh"
#include "view.cuh"

struct Value {
    Program program;
    int row;

    DFIM_DEVICE float operator()(float x, int channel) const {
        return static_cast<float>(program.run(x, row, channel).value);
    }
};

struct Slope {
    Program program;
    int row;

    DFIM_DEVICE float operator()(float x, int channel) const {
        return static_cast<float>(program.run(x, row, channel).slope);
    }
};

struct Quotient {
    Program program;
    int row;
    int kink;
    float epsilon;

    DFIM_DEVICE float operator()(float x, float r, int channel) const {
        const Dual after = program.run(x, row, channel);
        const double d = static_cast<double>(x) - static_cast<double>(r);
        if (fabs(d) < epsilon || (kink && (x > 0) == (r > 0))) {
            return static_cast<float>(after.slope);
        }
        return static_cast<float>((after.value - program.run(r, row, channel).value) / d);
    }
};

DFIM_KERNEL(gate_forward, 8,
            (View y, View x, const int* code, const double* table, int steps, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const float* row = rows_of(x, at.item).at(at.row);
    const Value f{{code, table, steps}, at.row};
    const bool relu = steps == 1 && code[0] == RELU;
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < y.channels;
        const WFloat in = load(row, c, live);
        store(at.out, c, relu ? max(in, WFloat(0.0f)) : each(f, live, in, c), live);
    }
}

DFIM_KERNEL(gate_backward, 8,
            (View dx, View g, View x, View r, const int* code, const double* table, int steps,
             int kink, int against, float epsilon, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const float* arriving = rows_of(g, at.item).at(at.row);
    const float* x_row = rows_of(x, at.item).at(at.row);
    const float* r_row = rows_of(r, at.item).at(at.row);
    const Program program{code, table, steps};
    const Slope slope{program, at.row};
    const Quotient quotient{program, at.row, kink, epsilon};
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        const WFloat in = load(x_row, c, live);
        const WFloat m = against ? each(quotient, live, in, load(r_row, c, live), c)
                                 : each(slope, live, in, c);
        put(at.out, c, load(arriving, c, live) * m, live, add);
    }
}
