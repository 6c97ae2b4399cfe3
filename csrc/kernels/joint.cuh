// Several tensors entry by entry, repeated along axes of size one; and constants with one.
//
//   ADD        y = s0 a + s1 b, signs s of 1 or -1
//   MULTIPLY   y = a b;      down: m (b + b0) / 2, m (a + a0) / 2
//   WHERE      y = a != 0 ? b : c;  down as a b + (1 - a) c
//   MAXIMUM    y = max(a, b), or min for s1 = -1; the first of equal values wins; down as a pool of
//              two (pool.cuh)
//   affine     y = x scale + shift
//
// A warp owns one row of one item; lanes are channels. What arrives at an input that was repeated
// is summed over rows, then over channels, in order.
#pragma once

#include "pool.cuh"
#include "view.cuh"

constexpr int ADD = 0;
constexpr int MULTIPLY = 1;
constexpr int WHERE = 2;
constexpr int MAXIMUM = 3;

// An input's row as the output's row and channels see it.
struct Repeated {
    const float* row;
    int step;

    DFIM_DEVICE WFloat get(WInt c, WBool live) const { return load(row, c * step, live); }
};

DFIM_DEVICE inline Repeated repeated(const View& v, int item, int row) {
    Repeated found;
    found.row = rows_of(v, item).at(v.rows == 1 ? 0 : row);
    found.step = v.channels == 1 ? 0 : 1;
    return found;
}

DFIM_KERNEL(joint_forward, 8,
            (View y, View a, View b, View c, int kind, float sign_a, float sign_b, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Repeated first = repeated(a, at.item, at.row);
    const Repeated second = repeated(b, at.item, at.row);
    const Repeated third = repeated(c, at.item, at.row);
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt channel = lane_id() + block;
        const WBool live = channel < y.channels;
        const WFloat u = first.get(channel, live);
        const WFloat v = second.get(channel, live);
        WFloat out = fused(u, WFloat(sign_a), v * WFloat(sign_b));
        if (kind == MULTIPLY) {
            out = u * v;
        } else if (kind == WHERE) {
            out = select(u != 0.0f, v, third.get(channel, live));
        } else if (kind == MAXIMUM) {
            out = select(sign_b * u >= sign_b * v, u, v);
        }
        store(at.out, channel, out, live);
    }
}

struct Three {
    WFloat a, b, c;
};

// What arrives at input ``which`` of one entry; x and r the inputs of a sequence and its reference.
DFIM_DEVICE inline WFloat share_of(int kind, int which, WFloat m, Three x, Three r, float sign_a,
                                   float sign_b, int plain, float epsilon) {
    const WFloat none(0.0f);
    if (kind == ADD) {
        return m * WFloat(which == 0 ? sign_a : sign_b);
    }
    const WFloat half(0.5f);
    const WFloat a = (x.a + r.a) * half;
    const WFloat b = (x.b + r.b) * half;
    if (kind == MULTIPLY) {
        return m * (which == 0 ? b : a);
    }
    if (kind == WHERE) {
        const WFloat c = (x.c + r.c) * half;
        return which == 0   ? select(x.a == r.a, none, m * (b - c))
               : which == 1 ? m * a
                            : m * (1.0f - a);
    }
    const WBool first = sign_b * x.a >= sign_b * x.b;
    const WBool before = sign_b * r.a >= sign_b * r.b;
    const WBool won = which == 0 ? first : !first;
    const WBool lost = which == 0 ? before : !before;
    const WFloat gradient = select(won, m, none);
    if (plain) {
        return gradient;
    }
    const WFloat y = select(first, x.a, x.b);
    const WFloat y0 = select(before, r.a, r.b);
    const WFloat top = select(sign_b * y >= sign_b * y0, y, y0);
    const WFloat arriving = select(won, m * (top - y0), none) + select(lost, m * (y - top), none);
    return which == 0 ? multiplier(x.a, r.a, arriving, gradient, epsilon)
                      : multiplier(x.b, r.b, arriving, gradient, epsilon);
}

DFIM_KERNEL(joint_backward, 8,
            (View dx, View g, View a, View b, View c, View ra, View rb, View rc, int kind,
             float sign_a, float sign_b, int which, int plain, float epsilon, int add,
             int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const Rows down = rows_of(g, at.item);
    const int low = dx.rows == 1 ? 0 : at.row;
    const int high = dx.rows == 1 ? g.rows : at.row + 1;
    const int times = dx.channels == 1 ? g.channels : 1;
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt channel = lane_id() + block;
        const WBool live = channel < dx.channels;
        WFloat sum(0.0f);
        for (int p = low; p < high; ++p) {
            const float* arriving = down.at(p);
            const Repeated in[3] = {repeated(a, at.item, p), repeated(b, at.item, p),
                                    repeated(c, at.item, p)};
            const Repeated ref[3] = {repeated(ra, at.item, p), repeated(rb, at.item, p),
                                     repeated(rc, at.item, p)};
            for (int k = 0; k < times; ++k) {
                const WInt e = channel + k;
                const Three x{in[0].get(e, live), in[1].get(e, live), in[2].get(e, live)};
                const Three r{ref[0].get(e, live), ref[1].get(e, live), ref[2].get(e, live)};
                sum = sum + share_of(kind, which, load(arriving, e, live), x, r, sign_a, sign_b,
                                     plain, epsilon);
            }
        }
        put(at.out, channel, sum, live, add);
    }
}

// A row of constants (rows or 1, channels or 1).
DFIM_DEVICE inline Repeated constants(const float* values, int rows, int channels, int row) {
    Repeated found;
    found.row = values + (rows == 1 ? 0 : static_cast<size_t>(row) * channels);
    found.step = channels == 1 ? 0 : 1;
    return found;
}

DFIM_KERNEL(affine_forward, 8,
            (View y, View x, const float* scale, int scale_rows, int scale_channels,
             const float* shift, int shift_rows, int shift_channels, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Repeated in = repeated(x, at.item, at.row);
    const Repeated factor = constants(scale, scale_rows, scale_channels, at.row);
    const Repeated added = constants(shift, shift_rows, shift_channels, at.row);
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < y.channels;
        store(at.out, c, fused(in.get(c, live), factor.get(c, live), added.get(c, live)), live);
    }
}

DFIM_KERNEL(affine_backward, 8,
            (View dx, View g, const float* scale, int scale_rows, int scale_channels, int add,
             int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const Rows down = rows_of(g, at.item);
    const int low = dx.rows == 1 ? 0 : at.row;
    const int high = dx.rows == 1 ? g.rows : at.row + 1;
    const int times = dx.channels == 1 ? g.channels : 1;
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        WFloat sum(0.0f);
        for (int p = low; p < high; ++p) {
            const Repeated factor = constants(scale, scale_rows, scale_channels, p);
            const float* arriving = down.at(p);
            for (int k = 0; k < times; ++k) {
                sum = fused(load(arriving, c + k, live), factor.get(c + k, live), sum);
            }
        }
        put(at.out, c, sum, live, add);
    }
}
