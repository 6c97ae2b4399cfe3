// Kernels with one fault each, which the emulator has to find, and one without.
#include "../../../csrc/kernels/port.cuh"
#include "../../../csrc/emulator/launch.hpp"

constexpr int WARPS = 4;

// y[i] = sum of x over the warps' parts, by way of shared memory: each warp leaves its lanes there.
DFIM_KERNEL(sound, 4, (float* y, const float* x, int n)) {
    const Shared shared = shared_memory();
    const WInt at = lane_id() + warp_in_block() * LANES;
    store(shared, at, load(x, at, at < n), at < WARPS * LANES);
    block_barrier();
    WFloat sum(0.0f);
    for (int warp = 0; warp < WARPS; ++warp) {
        sum = sum + load(shared, lane_id() + warp * LANES, lane_id() < LANES);
    }
    store(y, at, sum, at < n);
}

// The same without the barrier.
DFIM_KERNEL(race, 4, (float* y, const float* x, int n)) {
    const Shared shared = shared_memory();
    const WInt at = lane_id() + warp_in_block() * LANES;
    store(shared, at, load(x, at, at < n), at < WARPS * LANES);
    WFloat sum(0.0f);
    for (int warp = 0; warp < WARPS; ++warp) {
        sum = sum + load(shared, lane_id() + warp * LANES, lane_id() < LANES);
    }
    store(y, at, sum, at < n);
}

// A store of one warp that the others see only after a barrier: without one they read what was
// there before, here nothing.
DFIM_KERNEL(stale, 4, (float* y, const float*, int n)) {
    const Shared shared = shared_memory();
    const WInt lane = lane_id();
    if (warp_in_block() == 0) {
        store(shared, lane, WFloat(1.0f), lane < LANES);
    }
    const WInt at = lane + warp_in_block() * LANES;
    store(y, at, load(shared, lane, lane < LANES), at < n);
}

DFIM_KERNEL(missing_barrier, 4, (float* y, const float* x, int n)) {
    if (warp_in_block() == 2) {
        return;
    }
    block_barrier();
    const WInt at = lane_id() + warp_in_block() * LANES;
    store(y, at, load(x, at, at < n), at < n);
}

DFIM_KERNEL(beyond_shared, 4, (float*, const float*, int)) {
    const Shared shared = shared_memory();
    const WInt at = lane_id() + warp_in_block() * LANES + 1;
    store(shared, at, WFloat(1.0f), at > 0);
}

DFIM_KERNEL(beyond_buffer, 4, (float* y, const float* x, int n)) {
    const WInt at = lane_id() + warp_in_block() * LANES;
    store(y, at + 1, load(x, at, at < n), at < n);
}

// All warps store to the same entries of a buffer: no guard sees it, the thread sanitizer does.
DFIM_KERNEL(shared_entries, 4, (float* y, const float* x, int n)) {
    const WInt at = lane_id();
    store(y, at, load(x, at + warp_in_block() * LANES, at < n), at < n);
}

DFIM_KERNEL(undeclared, 4, (float*, const float*, int)) { block_barrier(); }

#define PLANTED(X)                                                                        \
    X(sound) X(race) X(stale) X(missing_barrier) X(beyond_shared) X(beyond_buffer)        \
    X(shared_entries) X(undeclared)
DFIM_EMULATOR_LIBRARY(PLANTED)
