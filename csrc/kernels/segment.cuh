// Operators in which each entry reads all entries of a segment: a row over its channels (axes 2), a
// channel over its positions (axes 1), or all entries at once (axes 3). n entries in a segment.
//
//   NORMALIZE    y = c / s, c = x - mean(x), s = sqrt(mean(c^2) + spread)
//   LOG_SUM_EXP  y = log sum exp(x)
//   LOG_SOFTMAX  y = x - log sum exp(x)
//   SOFTMAX      y = exp(x) / sum exp(x)
//   PROFILE      y = sum p (x - mean(x)), p = softmax(x)
//
// Multipliers as dfim_fast/ops has them (normalize.py, log_sum_exp.py, softmax.py, profile.py); at
// x = r they are the gradients. Sums are taken in double: by one lane over positions (axes 1), else
// by all lanes over every 32nd channel, and then lane by lane. One warp for each segment, or for 32
// channels (axes 1).
#pragma once

#include "joint.cuh"
#include "view.cuh"

constexpr int NORMALIZE = 0;
constexpr int LOG_SUM_EXP = 1;
constexpr int LOG_SOFTMAX = 2;
constexpr int SOFTMAX = 3;
constexpr int PROFILE = 4;

// Entries of one warp's segment.
struct Segment {
    int item;
    int low, high;    // rows
    int begin, end;   // channels
    bool across;      // whether lanes share one segment
    double entries;

    // Sum over the segment of f(row, channels, live).
    template <class F>
    DFIM_DEVICE WDouble sum(const F& f) const {
        WDouble total(0.0);
        for (int p = low; p < high; ++p) {
            for (int block = begin; block < end; block += LANES) {
                const WInt c = lane_id() + block;
                const WBool live = c < end;
                total = total + select(live, f(p, c, live), WDouble(0.0));
            }
        }
        return across ? WDouble(warp_sum(total)) : total;
    }

    template <class F>
    DFIM_DEVICE WDouble largest(const F& f) const {
        WDouble top(-1e300);
        for (int p = low; p < high; ++p) {
            for (int block = begin; block < end; block += LANES) {
                const WInt c = lane_id() + block;
                const WBool live = c < end;
                const WDouble value = select(live, f(p, c, live), top);
                top = select(value > top, value, top);
            }
        }
        return across ? WDouble(warp_max(top)) : top;
    }

    template <class F>
    DFIM_DEVICE WDouble log_sum_exp(const F& f) const {
        const WDouble top = largest(f);
        return top + log(sum([&](int p, WInt c, WBool live) { return exp(f(p, c, live) - top); }));
    }
};

// The segment of a warp, for a tensor of this shape whose windows have ``width`` rows.
DFIM_DEVICE inline Segment segment_of(const View& of, int axes, int number) {
    Segment found;
    found.across = axes != 1;
    found.low = 0;
    found.high = of.rows;
    found.begin = 0;
    found.end = of.channels;
    if (axes == 2) {
        const Place at = place_of(of, number);
        found.item = at.item;
        found.low = at.row;
        found.high = at.row + 1;
    } else if (axes == 3) {
        found.item = number;
    } else {
        const int blocks = (of.channels + LANES - 1) / LANES;
        found.item = number / blocks;
        found.begin = number % blocks * LANES;
        found.end = found.begin + LANES < of.channels ? found.begin + LANES : of.channels;
    }
    found.entries = (axes & 1 ? of.rows : 1) * static_cast<double>(axes & 2 ? of.channels : 1);
    return found;
}

DFIM_DEVICE inline int segments(const View& of, int axes, int items) {
    const int blocks = (of.channels + LANES - 1) / LANES;
    return axes == 2 ? items * of.computed : (axes == 3 ? items : items * blocks);
}

// (exp(d) - 1) / d, which is 1 at 0; finite where d is beyond what exp can say.
DFIM_DEVICE inline WDouble growth(WDouble d) {
    constexpr double LARGEST = 700.0;
    d = select(d > LARGEST, WDouble(LARGEST), select(d < -LARGEST, WDouble(-LARGEST), d));
    const WBool zero = d == 0.0;
    return select(zero, WDouble(1.0), expm1(d) / select(zero, WDouble(1.0), d));
}

DFIM_KERNEL(segment_forward, 4,
            (View y, View x, int kind, int axes, float spread, int items)) {
    const int number = warp_number(4);
    View shape = x;  // segments are those of x, in the windows of y
    shape.own = y.own;
    shape.start = y.start;
    shape.source = y.source;
    shape.width = y.width;
    shape.inner = y.inner;
    shape.computed = y.computed;
    if (number >= segments(shape, axes, items)) {
        return;
    }
    const bool reduced = kind == LOG_SUM_EXP || kind == PROFILE;
    const Segment s = segment_of(shape, axes, number);
    const Rows in = rows_of(x, s.item);
    const auto value = [&](int p, WInt c, WBool live) { return to_double(load(in.at(p), c, live)); };
    WDouble shift(0.0);
    WDouble scale(1.0);
    if (kind == NORMALIZE) {
        shift = s.sum(value) / s.entries;
        const WDouble variance = s.sum([&](int p, WInt c, WBool live) {
                                     const WDouble off = value(p, c, live) - shift;
                                     return off * off;
                                 }) /
                                 s.entries;
        scale = 1.0 / sqrt(variance + static_cast<double>(spread));
    } else {
        shift = s.log_sum_exp(value);
    }
    Rows out = rows_of(y, s.item);
    if (reduced) {
        WDouble result = shift;
        if (kind == PROFILE) {
            const WDouble mean = s.sum(value) / s.entries;
            result = s.sum([&](int p, WInt c, WBool live) {
                const WDouble at = value(p, c, live);
                return exp(at - shift) * (at - mean);
            });
        }
        const int row = axes == 2 ? s.low : 0;
        const WInt lane = lane_id();
        float* to = const_cast<float*>(out.at(row)) + s.begin;
        store(to, lane, to_float(result), lane < (s.across ? 1 : s.end - s.begin));
        return;
    }
    for (int p = s.low; p < s.high; ++p) {
        float* to = const_cast<float*>(out.at(p));
        for (int block = s.begin; block < s.end; block += LANES) {
            const WInt c = lane_id() + block;
            const WBool live = c < s.end;
            WDouble result = (value(p, c, live) - shift) * scale;
            if (kind == SOFTMAX) {
                result = exp(result);
            }
            store(to, c, to_float(result), live);
        }
    }
}

DFIM_KERNEL(segment_backward, 4,
            (View dx, View g, View x, View r, int kind, int axes, int against, float epsilon,
             float spread, int add, int items)) {
    const int number = warp_number(4);
    if (number >= segments(dx, axes, items)) {
        return;
    }
    const Segment s = segment_of(dx, axes, number);
    const Rows in = rows_of(x, s.item);
    const Rows ref = rows_of(r, s.item);
    const auto after = [&](int p, WInt c, WBool live) { return to_double(load(in.at(p), c, live)); };
    const auto before = [&](int p, WInt c, WBool live) {
        return to_double(load(ref.at(p), c, live));
    };
    const auto down = [&](int p, WInt c, WBool live) {
        return to_double(repeated(g, s.item, p).get(c, live));
    };
    Rows out = rows_of(dx, s.item);
    const auto finish = [&](const auto& value) {
        for (int p = s.low; p < s.high; ++p) {
            float* to = const_cast<float*>(out.at(p));
            for (int block = s.begin; block < s.end; block += LANES) {
                const WInt c = lane_id() + block;
                const WBool live = c < s.end;
                put(to, c, to_float(value(p, c, live)), live, add);
            }
        }
    };
    if (kind == NORMALIZE) {
        const auto centre = [&](const auto& f, WDouble mean) {
            return 1.0 / sqrt(s.sum([&](int p, WInt c, WBool live) {
                                  const WDouble off = f(p, c, live) - mean;
                                  return off * off;
                              }) / s.entries +
                              static_cast<double>(spread));
        };
        const WDouble mean = s.sum(after) / s.entries;
        const WDouble mean_r = s.sum(before) / s.entries;
        const WDouble i = centre(after, mean);
        const WDouble j = centre(before, mean_r);
        const auto middle = [&](int p, WInt c, WBool live) {
            return 0.5 * ((after(p, c, live) - mean) + (before(p, c, live) - mean_r));
        };
        const WDouble along = s.sum([&](int p, WInt c, WBool live) {
                                  return down(p, c, live) * middle(p, c, live);
                              }) /
                              s.entries;
        const WDouble half = 0.5 * (i + j);
        const WDouble curve = (i * j) * (i * j) / half * along;
        const auto part = [&](int p, WInt c, WBool live) {
            return down(p, c, live) * half - curve * middle(p, c, live);
        };
        const WDouble rest = s.sum(part) / s.entries;
        finish([&](int p, WInt c, WBool live) { return part(p, c, live) - rest; });
        return;
    }
    const WDouble total = s.log_sum_exp(after);
    if (kind == PROFILE) {
        finish([&](int p, WInt c, WBool live) {
            return down(p, c, live) * (exp(after(p, c, live) - total) - 1.0 / s.entries);
        });
        return;
    }
    const WDouble total_r = against ? s.log_sum_exp(before) : total;
    const WDouble change = growth(total - total_r);
    const auto is_near = [&](int p, WInt c, WBool live) {
        return !WBool(against != 0) ||
               fabs(after(p, c, live) - before(p, c, live)) < static_cast<double>(epsilon);
    };
    const WDouble apart = s.sum([&](int p, WInt c, WBool live) {
        return select(is_near(p, c, live), WDouble(0.0), WDouble(1.0));
    });
    // what log sum exp passes to one entry
    const auto share = [&](int p, WInt c, WBool live) {
        const WDouble u = after(p, c, live);
        const WDouble v = before(p, c, live);
        const WDouble term = select(is_near(p, c, live), exp(u - total_r),
                                    exp(v - total_r) * growth(u - v));
        return select(apart == 0.0, exp(u - total), term / change);
    };
    if (kind == LOG_SUM_EXP) {
        finish([&](int p, WInt c, WBool live) { return down(p, c, live) * share(p, c, live); });
        return;
    }
    const auto inner = [&](int p, WInt c, WBool live) {
        if (kind == LOG_SOFTMAX) {
            return down(p, c, live);
        }
        const WDouble u = after(p, c, live) - total;
        const WDouble v = before(p, c, live) - total_r;
        return down(p, c, live) * (exp(v) * growth(u - v));
    };
    const WDouble all = s.sum(inner);
    finish([&](int p, WInt c, WBool live) {
        return inner(p, c, live) - all * share(p, c, live);
    });
}
