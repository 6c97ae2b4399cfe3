// Pools over positions and over channels.
//
//   average   y[i, c] = factor[i] * sum_j x[i stride - pad + j dilation, c]
//   max       y[i, c] = max_j x[i stride - pad + j dilation, c]; of equal values the first wins
//
// DeepLIFT through a max pool (maxpool="shap"), with M = max(y, y0): m (M - y0) goes to the winner
// of x, m (y - M) to that of r; what arrives is divided by x - r, or where that is below epsilon
// replaced by the gradient at x.
//
// A warp owns one row of one item; lanes are channels. Winners are kept as row (or channel)
// numbers in float, exact up to 2^24. Entries inside a window are visited from the first.
#pragma once

#include "view.cuh"

// Windows that hold input row p: outputs low to high, of which those with a tap on p count.
struct Above {
    int low;
    int high;
};

DFIM_DEVICE inline Above windows_of(int p, int kernel, int stride, int dilation, int pad,
                                    int rows) {
    const int reach = p + pad - (kernel - 1) * dilation;
    Above found;
    found.low = reach <= 0 ? 0 : (reach + stride - 1) / stride;
    found.high = (p + pad) / stride < rows - 1 ? (p + pad) / stride : rows - 1;
    return found;
}

// factor (L',)
DFIM_KERNEL(average_forward, 8,
            (View y, View x, const float* factor, int kernel, int stride, int dilation, int pad,
             int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Rows in = rows_of(x, at.item);
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < y.channels;
        WFloat sum(0.0f);
        for (int j = 0; j < kernel; ++j) {
            const int p = at.row * stride - pad + j * dilation;
            if (p >= 0 && p < x.rows) {
                sum = sum + load(in.at(p), c, live);
            }
        }
        store(at.out, c, sum * WFloat(factor[at.row]), live);
    }
}

DFIM_KERNEL(average_backward, 8,
            (View dx, View g, const float* factor, int kernel, int stride, int dilation, int pad,
             int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const Rows down = rows_of(g, at.item);
    const Above above = windows_of(at.row, kernel, stride, dilation, pad, g.rows);
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        WFloat sum(0.0f);
        for (int i = above.low; i <= above.high; ++i) {
            if ((at.row + pad - i * stride) % dilation == 0) {
                sum = fused(load(down.at(i), c, live), WFloat(factor[i]), sum);
            }
        }
        put(at.out, c, sum, live, add);
    }
}

DFIM_KERNEL(max_forward, 8,
            (View y, View won, View x, int kernel, int stride, int dilation, int pad, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const Place winners = place_of(won, number);
    const Rows in = rows_of(x, at.item);
    for (int block = 0; block < y.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < y.channels;
        WFloat best(0.0f);
        WFloat row(-1.0f);
        for (int j = 0; j < kernel; ++j) {
            const int p = at.row * stride - pad + j * dilation;
            if (p < 0 || p >= x.rows) {
                continue;
            }
            const WFloat value = load(in.at(p), c, live);
            const WBool better = value > best || row < 0.0f;
            best = select(better, value, best);
            row = select(better, WFloat(static_cast<float>(p)), row);
        }
        store(at.out, c, best, live);
        store(winners.out, c, row, live);
    }
}

DFIM_KERNEL(max_backward, 8,
            (View dx, View g, View won, int kernel, int stride, int dilation, int pad, int add,
             int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const Rows down = rows_of(g, at.item);
    const Rows winners = rows_of(won, at.item);
    const Above above = windows_of(at.row, kernel, stride, dilation, pad, g.rows);
    const WFloat own(static_cast<float>(at.row));
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        WFloat sum(0.0f);
        for (int i = above.low; i <= above.high; ++i) {
            const WBool mine = load(winners.at(i), c, live) == own;
            sum = select(mine, sum + load(down.at(i), c, live), sum);
        }
        put(at.out, c, sum, live, add);
    }
}

// What arrives at x by shares, as a multiplier: shared by pools over positions and over channels.
DFIM_DEVICE inline WFloat multiplier(WFloat x, WFloat r, WFloat arriving, WFloat plain,
                                     float epsilon) {
    const WFloat d = x - r;
    const WBool near = abs(d) < epsilon;
    return select(near, plain, arriving / select(near, WFloat(1.0f), d));
}

DFIM_KERNEL(max_rescale, 8,
            (View dx, View m, View x, View r, View y, View yr, View won, View lost, int kernel,
             int stride, int dilation, int pad, float epsilon, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const Rows down = rows_of(m, at.item);
    const Rows tops = rows_of(y, at.item);
    const Rows before = rows_of(yr, at.item);
    const Rows winners = rows_of(won, at.item);
    const Rows losers = rows_of(lost, at.item);
    const float* x_row = rows_of(x, at.item).at(at.row);
    const float* r_row = rows_of(r, at.item).at(at.row);
    const Above above = windows_of(at.row, kernel, stride, dilation, pad, m.rows);
    const WFloat own(static_cast<float>(at.row));
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        WFloat plain(0.0f);
        WFloat to_x(0.0f);
        WFloat to_r(0.0f);
        for (int i = above.low; i <= above.high; ++i) {
            const WFloat share = load(down.at(i), c, live);
            const WFloat after = load(tops.at(i), c, live);
            const WFloat prior = load(before.at(i), c, live);
            const WFloat top = max(after, prior);
            const WBool won_here = load(winners.at(i), c, live) == own;
            const WBool lost_here = load(losers.at(i), c, live) == own;
            plain = select(won_here, plain + share, plain);
            to_x = select(won_here, fused(share, top - prior, to_x), to_x);
            to_r = select(lost_here, fused(share, after - top, to_r), to_r);
        }
        const WFloat at_x = load(x_row, c, live);
        const WFloat at_r = load(r_row, c, live);
        put(at.out, c, multiplier(at_x, at_r, to_x + to_r, plain, epsilon), live, add);
    }
}

// y (., ., 1): over all channels of a row
DFIM_KERNEL(channel_max_forward, 8, (View y, View won, View x, int items)) {
    const int number = warp_number(8);
    if (number >= items * y.computed) {
        return;
    }
    const Place at = place_of(y, number);
    const float* row = rows_of(x, at.item).at(at.row);
    int winner = 0;
    for (int c = 1; c < x.channels; ++c) {
        winner = row[c] > row[winner] ? c : winner;
    }
    const WInt c = lane_id();
    store(at.out, c, WFloat(row[winner]), c < 1);
    store(place_of(won, number).out, c, WFloat(static_cast<float>(winner)), c < 1);
}

DFIM_KERNEL(channel_max_backward, 8, (View dx, View g, View won, int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const WFloat share(rows_of(g, at.item).at(at.row)[0]);
    const int winner = static_cast<int>(rows_of(won, at.item).at(at.row)[0]);
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        put(at.out, c, select(c == winner, share, WFloat(0.0f)), c < dx.channels, add);
    }
}

DFIM_KERNEL(channel_max_rescale, 8,
            (View dx, View m, View x, View r, View y, View yr, View won, View lost, float epsilon,
             int add, int items)) {
    const int number = warp_number(8);
    if (number >= items * dx.computed) {
        return;
    }
    const Place at = place_of(dx, number);
    const float share = rows_of(m, at.item).at(at.row)[0];
    const float after = rows_of(y, at.item).at(at.row)[0];
    const float prior = rows_of(yr, at.item).at(at.row)[0];
    const float top = after > prior ? after : prior;
    const int winner = static_cast<int>(rows_of(won, at.item).at(at.row)[0]);
    const int loser = static_cast<int>(rows_of(lost, at.item).at(at.row)[0]);
    const float* x_row = rows_of(x, at.item).at(at.row);
    const float* r_row = rows_of(r, at.item).at(at.row);
    const WFloat none(0.0f);
    for (int block = 0; block < dx.channels; block += LANES) {
        const WInt c = lane_id() + block;
        const WBool live = c < dx.channels;
        const WFloat to_x = select(c == winner, WFloat(share * (top - prior)), none);
        const WFloat to_r = select(c == loser, WFloat(share * (after - top)), none);
        const WFloat plain = select(c == winner, WFloat(share), none);
        const WFloat at_x = load(x_row, c, live);
        const WFloat at_r = load(r_row, c, live);
        put(at.out, c, multiplier(at_x, at_r, to_x + to_r, plain, epsilon), live, add);
    }
}
