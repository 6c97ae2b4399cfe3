// Dinucleotide shuffles: word for word dfim_fast/sequence/random.py (Philox4x32-10) and shuffle.py
// (a uniform last-exit arborescence, then a uniform order of the other exits), so that the bits are
// those of every other backend.
//
// shuffle: a lane owns one shuffle of one sequence, from its first position to its last.
// one_hot: a warp owns one shuffle; lanes are positions.
#pragma once

#include "port.cuh"

constexpr int ALPHABET = 4;
constexpr signed char UNKNOWN = 4;

// Numbers of one shuffle: a pure function of the key, the shuffle's number and how many were drawn.
struct Stream {
    unsigned key[2];
    unsigned counter[4];
    unsigned words[4];
    int used;

    DFIM_DEVICE void start(unsigned long long seed, unsigned long long k) {
        key[0] = static_cast<unsigned>(seed);
        key[1] = static_cast<unsigned>(seed >> 32);
        counter[0] = 0;
        counter[1] = 0;
        counter[2] = static_cast<unsigned>(k);
        counter[3] = static_cast<unsigned>(k >> 32);
        used = 4;
    }

    DFIM_DEVICE void fill() {
        unsigned c[4] = {counter[0], counter[1], counter[2], counter[3]};
        unsigned k0 = key[0];
        unsigned k1 = key[1];
        for (int round = 0; round < 10; ++round) {
            const unsigned long long p0 = 0xD2511F53ull * c[0];
            const unsigned long long p1 = 0xCD9E8D57ull * c[2];
            c[0] = static_cast<unsigned>(p1 >> 32) ^ c[1] ^ k0;
            c[1] = static_cast<unsigned>(p1);
            c[2] = static_cast<unsigned>(p0 >> 32) ^ c[3] ^ k1;
            c[3] = static_cast<unsigned>(p0);
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int i = 0; i < 4; ++i) {
            words[i] = c[i];
        }
        counter[0] += 1;
        counter[1] += counter[0] == 0;
        used = 0;
    }

    DFIM_DEVICE unsigned next() {
        if (used == 4) {
            fill();
        }
        return words[used++];
    }

    // An unbiased integer in 0..n-1 (Lemire 2019).
    DFIM_DEVICE int below(int n) {
        const unsigned long long bound = static_cast<unsigned long long>(n);
        unsigned long long product = next() * bound;
        if (static_cast<unsigned>(product) < bound) {
            const unsigned long long threshold = ((1ull << 32) - bound) % bound;
            while (static_cast<unsigned>(product) < threshold) {
                product = next() * bound;
            }
        }
        return static_cast<int>(product >> 32);
    }
};

struct Shuffle {
    signed char* shuffled;
    signed char* edges;
    const signed char* codes;
    const unsigned long long* keys;
    int length;
    int shuffles;

    DFIM_DEVICE void operator()(int item) const {
        const size_t row = static_cast<size_t>(item) * length;
        const signed char* from = codes + static_cast<size_t>(item / shuffles) * length;
        signed char* to = shuffled + row;
        Stream stream;
        stream.start(keys[item / shuffles], static_cast<unsigned long long>(item % shuffles));
        int first = 0;
        while (first < length) {
            if (from[first] == UNKNOWN) {
                to[first] = UNKNOWN;
                ++first;
                continue;
            }
            int end = first + 1;
            while (end < length && from[end] != UNKNOWN) {
                ++end;
            }
            run(from + first, to + first, edges + row, end - first, stream);
            first = end;
        }
    }

    // One run (n,) of bases without N.
    DFIM_DEVICE void run(const signed char* from, signed char* to, signed char* exits, int n,
                         Stream& stream) const {
        int counts[ALPHABET][ALPHABET] = {};
        for (int p = 0; p < n - 1; ++p) {
            counts[from[p]][from[p + 1]] += 1;
        }
        int last[ALPHABET];
        arborescence(counts, from[n - 1], last, stream);
        int begin[ALPHABET + 1] = {};
        for (int v = 0; v < ALPHABET; ++v) {
            int stop = begin[v];
            if (last[v] >= 0) {
                counts[v][last[v]] -= 1;
            }
            for (int u = 0; u < ALPHABET; ++u) {
                for (int k = 0; k < counts[v][u]; ++k) {
                    exits[stop++] = static_cast<signed char>(u);
                }
            }
            for (int p = stop - 1; p > begin[v]; --p) {
                const int q = begin[v] + stream.below(p - begin[v] + 1);
                const signed char kept = exits[p];
                exits[p] = exits[q];
                exits[q] = kept;
            }
            if (last[v] >= 0) {
                exits[stop++] = static_cast<signed char>(last[v]);
            }
            begin[v + 1] = stop;
        }
        int base = from[0];
        to[0] = static_cast<signed char>(base);
        for (int p = 1; p < n; ++p) {
            base = exits[begin[base]++];
            to[p] = static_cast<signed char>(base);
        }
    }

    // The last exit of each base, towards the root; -1 for the root and for bases without exits.
    DFIM_DEVICE static void arborescence(const int (&counts)[ALPHABET][ALPHABET], int root,
                                         int (&successor)[ALPHABET], Stream& stream) {
        bool in_tree[ALPHABET] = {};
        int exits[ALPHABET];
        for (int v = 0; v < ALPHABET; ++v) {
            successor[v] = -1;
            exits[v] = -counts[v][v];  // a loop is always erased, so it is never taken
            for (int u = 0; u < ALPHABET; ++u) {
                exits[v] += counts[v][u];
            }
        }
        in_tree[root] = true;
        for (int start = 0; start < ALPHABET; ++start) {
            if (exits[start] == 0) {
                continue;
            }
            int v = start;
            while (!in_tree[v]) {
                int rest = stream.below(exits[v]);
                int u = 0;
                while (u == v || rest >= counts[v][u]) {
                    rest -= u == v ? 0 : counts[v][u];
                    ++u;
                }
                successor[v] = u;
                v = u;
            }
            v = start;
            while (!in_tree[v]) {
                in_tree[v] = true;
                v = successor[v];
            }
        }
    }
};

// shuffled, edges (items, length), codes (sequences, length), keys (sequences,); item i is shuffle
// i % shuffles of sequence i / shuffles. 32 items a warp.
DFIM_KERNEL(shuffle, 1,
            (signed char* shuffled, signed char* edges, const signed char* codes,
             const unsigned long long* keys, int length, int shuffles, int items)) {
    const WInt item = lane_id() + warp_number(1) * LANES;
    lanewise(Shuffle{shuffled, edges, codes, keys, length, shuffles}, item < items, item);
}

// x (items, length, 4) of codes (items, length); zero at N.
DFIM_KERNEL(one_hot, 8, (float* x, const signed char* codes, int length, int items)) {
    const int item = warp_number(8);
    if (item >= items) {
        return;
    }
    const size_t first = static_cast<size_t>(item) * length;
    for (int block = 0; block < length; block += LANES) {
        const WInt p = lane_id() + block;
        const WBool live = p < length;
        const WInt code = to_int(load(codes + first, p, live));
        for (int b = 0; b < ALPHABET; ++b) {
            const WFloat value = select(code == b, WFloat(1.0f), WFloat(0.0f));
            store(x + first * ALPHABET, p * ALPHABET + b, value, live);
        }
    }
}
