// From multipliers to importance, and from importance to rows of a map.
//
//   contribute  C[p, group] = mean over the group's references of
//                 gradient  sum_b m[b] x[b]  (corrected: m less its mean over the bases)
//                 projected sum_b m[b] (x[b] - r[b]);  observed  sum_b x[b] m[b] (1 - r[b])
//   lost        original minus mutant importance at the targets; 0 inside the replaced span, where
//               there is no target, and where the architecture cannot reach
//
// Reference k belongs to group k % groups. An importance View has groups as its channels, the
// original's importance as its base, and mutants' windows as its own rows.
#pragma once

#include "view.cuh"

constexpr int CORRECTED = 1;  // of the methods: gradient, gradient_corrected, deeplift
constexpr int BASES = 4;
constexpr unsigned char UNREACHED = 0;

// x's items are those of out; m and r have an item for each of them and each reference.
// One warp for each own row; lanes are groups.
DFIM_KERNEL(contribute, 8,
            (View out, View m, View x, View r, int method, int projected, int references,
             int items)) {
    const int number = warp_number(8);
    if (number >= items * out.computed) {
        return;
    }
    const Place at = place_of(out, number);
    const int groups = out.channels;
    const int count = references == 0 ? 1 : references;
    const float* here = rows_of(x, at.item).at(at.row);
    WFloat sum(0.0f);
    for (int k = 0; k < count; ++k) {
        const int pair = at.item * count + k;
        const float* multiplier = rows_of(m, pair).at(at.row);
        const float* there = references == 0 ? here : rows_of(r, pair).at(at.row);
        float mean = 0.0f;
        if (method == CORRECTED) {
            for (int b = 0; b < BASES; ++b) {
                mean = mean + multiplier[b];
            }
            mean = mean * 0.25f;
        }
        float total = 0.0f;
        for (int b = 0; b < BASES; ++b) {
            const float value = multiplier[b] - mean;
            const float weight = references == 0 ? here[b]
                                 : projected     ? here[b] - there[b]
                                                 : here[b] * (1.0f - there[b]);
            total = total + value * weight;
        }
        sum = select(lane_id() == k % groups, sum + total, sum);
    }
    const WInt group = lane_id();
    const WInt size = (group * 0 + (count - 1) - group) / groups + 1;
    store(at.out, group, sum / to_float(size), group < groups);
}

// One warp for each mutant: its row (span) of columns over the original's.
DFIM_KERNEL(edit, 8,
            (View x, View original, const float* columns, const int* first, const int* span,
             int room, int items)) {
    const int number = warp_number(8);
    if (number >= items * x.computed) {
        return;
    }
    const Place at = place_of(x, number);
    const int offset = at.row - first[at.item];
    const bool replaced = offset >= 0 && offset < span[at.item];
    const float* row =
        replaced ? columns + (static_cast<size_t>(at.item) * room + offset) * BASES
                 : rows_of(original, at.item).at(at.row);
    const WInt c = lane_id();
    store(at.out, c, load(row, c, c < BASES), c < BASES);
}

struct Targets {
    const int* columns;
    int shared;
    const unsigned char* reach;
    int width;
};

// Importance of one mutant at some positions, and the original's.
struct Lost {
    Rows rows;
    int groups;

    // Original minus mutant at positions t in one group; exactly 0 outside the window.
    DFIM_DEVICE WFloat at(WInt t, int group, WBool live) const {
        const WBool inside = live && t >= rows.first && t < rows.first + rows.width;
        const WFloat before = load(rows.base + group, t * groups, inside);
        const WFloat after = load(rows.own + group, (t - rows.first) * groups, inside);
        return select(inside, before - after, WFloat(0.0f));
    }
};

DFIM_DEVICE inline Lost lost_of(const View& importance, int item) {
    Lost found{rows_of(importance, item), importance.channels};
    return found;
}

// Positions of targets at columns w of a source, -1 where nothing is asked for.
DFIM_DEVICE inline WInt target_at(const Targets& targets, int source, int first, int span, WInt w,
                                  WBool live) {
    const size_t row = static_cast<size_t>(source) * targets.width;
    const WInt t = load(targets.columns + (targets.shared ? 0 : row), w, live);
    WBool dead = !live || t < 0 || (t >= first && t < first + span);
    if (targets.reach != nullptr) {
        dead = dead || load(targets.reach + row, w, live) == UNREACHED;
    }
    return select(dead, WInt(-1), t);
}

// fis, error (places, width): mean over the groups, and its standard error (error may be null).
// One warp for each mutant.
DFIM_KERNEL(lost_rows, 8,
            (float* fis, float* error, View importance, const int* place, const int* source,
             const int* first, const int* span, const int* columns, int shared,
             const unsigned char* reach, int width, const float* weight, int items)) {
    const int item = warp_number(8);
    if (item >= items) {
        return;
    }
    const Targets targets{columns, shared, reach, width};
    const Lost lost = lost_of(importance, item);
    const size_t row = static_cast<size_t>(place[item]) * width;
    for (int block = 0; block < width; block += LANES) {
        const WInt w = lane_id() + block;
        const WBool live = w < width;
        const WInt t = target_at(targets, source[item], first[item], span[item], w, live);
        const WBool asked = t >= 0;
        WFloat mean(0.0f);
        for (int g = 0; g < lost.groups; ++g) {
            mean = mean + lost.at(t, g, asked) * WFloat(weight[g]);
        }
        store(fis + row, w, mean, live);
        if (error != nullptr) {
            WFloat variance(0.0f);
            for (int g = 0; g < lost.groups; ++g) {
                const WFloat off = lost.at(t, g, asked) - mean;
                variance = variance + off * off * WFloat(weight[g]);
            }
            const float others = static_cast<float>(lost.groups - 1);
            store(error + row, w, sqrt(variance / WFloat(others)), live);
        }
    }
}

// out (groups, many, width): groups kept apart. One warp for each mutant.
DFIM_KERNEL(lost_groups, 8,
            (float* out, View importance, const int* place, const int* source, const int* first,
             const int* span, const int* columns, int shared, const unsigned char* reach, int width,
             int many, int items)) {
    const int item = warp_number(8);
    if (item >= items) {
        return;
    }
    const Targets targets{columns, shared, reach, width};
    const Lost lost = lost_of(importance, item);
    for (int block = 0; block < width; block += LANES) {
        const WInt w = lane_id() + block;
        const WBool live = w < width;
        const WInt t = target_at(targets, source[item], first[item], span[item], w, live);
        for (int g = 0; g < lost.groups; ++g) {
            const size_t row = (static_cast<size_t>(g) * many + place[item]) * width;
            store(out + row, w, lost.at(t, g, t >= 0), live);
        }
    }
}

// out (items, groups): importance lost inside the replaced span. One warp for each mutant.
DFIM_KERNEL(own_change, 8,
            (float* out, View importance, const int* first, const int* span, int items)) {
    const int item = warp_number(8);
    if (item >= items) {
        return;
    }
    const Rows rows = rows_of(importance, item);
    const int groups = importance.channels;
    const WInt g = lane_id();
    WFloat sum(0.0f);
    for (int p = first[item]; p < first[item] + span[item]; ++p) {
        if (rows.has(p)) {
            const float* before = rows.base + static_cast<size_t>(p) * groups;
            sum = sum + (load(before, g, g < groups) - load(rows.at(p), g, g < groups));
        }
    }
    store(out + static_cast<size_t>(item) * groups, g, sum, g < groups);
}

// out (items, 2): sum of importance over all positions, and of its absolute value. One warp for
// each mutant; a lane sums every 32nd position, then lanes are summed in order.
DFIM_KERNEL(importance_sums, 8,
            (float* out, View importance, const float* weight, int items)) {
    const int item = warp_number(8);
    if (item >= items) {
        return;
    }
    const Rows rows = rows_of(importance, item);
    const int groups = importance.channels;
    WFloat total(0.0f);
    WFloat absolute(0.0f);
    for (int block = 0; block < importance.rows; block += LANES) {
        const WInt p = lane_id() + block;
        const WBool live = p < importance.rows;
        const WBool inside = live && p >= rows.first && p < rows.first + rows.width;
        WFloat mean(0.0f);
        for (int g = 0; g < groups; ++g) {
            const WFloat after = load(rows.own + g, (p - rows.first) * groups, inside);
            const WFloat before = load(rows.base + g, p * groups, live);
            mean = mean + select(inside, after, before) * WFloat(weight[g]);
        }
        total = total + mean;
        absolute = absolute + abs(mean);
    }
    const float sum = warp_sum(total);
    const float size = warp_sum(absolute);
    const WInt lane = lane_id();
    store(out + static_cast<size_t>(item) * 2, lane, select(lane == 0, WFloat(sum), WFloat(size)),
          lane < 2);
}

// out (items,): one entry of a node. One warp for each item.
DFIM_KERNEL(pick, 8, (float* out, View y, int position, int channel, int items)) {
    const int item = warp_number(8);
    if (item >= items) {
        return;
    }
    const float value = rows_of(y, item).at(position)[channel];
    store(out + item, lane_id(), WFloat(value), lane_id() < 1);
}
