// The only file that knows the compiler: nvcc, NVRTC, or a host compiler (the emulator).
//
// Kernels are written on warp values: one float, int or bool for each of a warp's 32 lanes. On a GPU
// they are plain scalars; on the host they are arrays. A bool per lane does not convert to bool
// there, so a branch can only be steered by what is the same for all lanes, and divergence is a
// compile error. Multiply-adds are fused where fused() says so and nowhere else.
#pragma once

constexpr int LANES = 32;

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

#define DFIM_DEVICE __device__
#define DFIM_UNROLL _Pragma("unroll")
// One block a multiprocessor is enough to ask for: for more, ptxas would rather spill.
#define DFIM_KERNEL(NAME, WARPS, PARAMETERS) \
    extern "C" __global__ void __launch_bounds__(LANES * WARPS, 1) NAME PARAMETERS

using WFloat = float;
using WDouble = double;
using WInt = int;
using WBool = bool;

DFIM_DEVICE inline WInt lane_id() { return static_cast<int>(threadIdx.x) % LANES; }

// The warp's number in the grid, for blocks of that many warps.
DFIM_DEVICE inline int warp_number(int warps) {
    return static_cast<int>(blockIdx.x) * warps + static_cast<int>(threadIdx.x) / LANES;
}

DFIM_DEVICE inline int block_number() { return static_cast<int>(blockIdx.x); }
DFIM_DEVICE inline int warp_in_block() { return static_cast<int>(threadIdx.x) / LANES; }

// All warps of the block wait for each other; what they stored in shared memory is then seen by all.
// No warp may return before it.
DFIM_DEVICE inline void block_barrier() { __syncthreads(); }

// Shared memory of the block, from its first float.
struct Shared {
    float* first;

    DFIM_DEVICE float at(int index) const { return first[index]; }
};
DFIM_DEVICE inline Shared shared_memory() {
    extern __shared__ __align__(16) float dfim_shared[];
    return {dfim_shared};
}
DFIM_DEVICE inline WFloat load(const Shared& from, WInt at, WBool live) {
    return live ? from.first[at] : 0.0f;
}
DFIM_DEVICE inline void store(const Shared& to, WInt at, WFloat value, WBool live) {
    if (live) {
        to.first[at] = value;
    }
}

// What lanes of one warp stored in its scratch is seen by its other lanes.
DFIM_DEVICE inline void warp_barrier() { __syncwarp(); }

struct alignas(16) Four {
    float at[4];
};

// Shared memory of one warp's own, from its first float.
struct Scratch {
    float* first;

    DFIM_DEVICE void store(WInt at, WFloat value) const { first[at] = value; }
    DFIM_DEVICE WFloat load(WInt at) const { return first[at]; }
    // Four numbers from a multiple of four on, the same for all lanes.
    DFIM_DEVICE Four four(int at) const { return *reinterpret_cast<const Four*>(first + at); }
};
DFIM_DEVICE inline Scratch scratch(int floats) {
    return {shared_memory().first + warp_in_block() * floats};
}

template <class T>
DFIM_DEVICE inline T load(const T* from, WInt at, WBool live) {
    return live ? from[at] : T(0);
}
template <class T>
DFIM_DEVICE inline void store(T* to, WInt at, T value, WBool live) {
    if (live) {
        to[at] = value;
    }
}
template <class T>
DFIM_DEVICE inline T select(WBool which, T yes, T no) {
    return which ? yes : no;
}
DFIM_DEVICE inline WFloat fused(WFloat a, WFloat b, WFloat c) { return __fmaf_rn(a, b, c); }
DFIM_DEVICE inline WFloat to_float(WInt value) { return static_cast<float>(value); }
DFIM_DEVICE inline WFloat to_float(WDouble value) { return static_cast<float>(value); }
template <class T>
DFIM_DEVICE inline WInt to_int(T value) {
    return static_cast<int>(value);
}
DFIM_DEVICE inline WDouble to_double(WFloat value) { return static_cast<double>(value); }
// A bit for each lane, lane 0 lowest; the lowest bit that is set; and one lane's value, for all.
DFIM_DEVICE inline unsigned lane_bits(WBool value) { return __ballot_sync(0xffffffffu, value); }
DFIM_DEVICE inline int lowest(unsigned bits) { return __ffs(static_cast<int>(bits)) - 1; }
DFIM_DEVICE inline float from_lane(WFloat value, int lane) {
    return __shfl_sync(0xffffffffu, value, lane);
}
DFIM_DEVICE inline WFloat broadcast(WFloat value, int lane) { return from_lane(value, lane); }
DFIM_DEVICE inline bool any_lane(WBool value) { return __any_sync(0xffffffffu, value) != 0; }

// Rounded to TF32: 11 significant bits, ties away from zero.
DFIM_DEVICE inline WFloat to_tf32(WFloat value) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return __uint_as_float(bits);
}
// sum += a b of 16 x 8 and 8 x 8 numbers in TF32, laid out over the lanes as tensor.cuh says.
DFIM_DEVICE inline void multiply_add(WFloat (&sum)[4], const WFloat (&a)[4], const WFloat (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

// f(a...) lane by lane, where live.
template <class F, class... A>
DFIM_DEVICE inline WFloat each(const F& f, WBool live, A... values) {
    return live ? f(values...) : 0.0f;
}

// f(a) for its effects, lane by lane, where live.
template <class F>
DFIM_DEVICE inline void lanewise(const F& f, WBool live, WInt a) {
    if (live) {
        f(a);
    }
}

// The lanes' sum, lane 0 first, and their maximum.
template <class T>
DFIM_DEVICE inline T warp_sum(T value) {
    T sum = 0;
    for (int lane = 0; lane < LANES; ++lane) {
        sum = sum + __shfl_sync(0xffffffffu, value, lane);
    }
    return sum;
}
template <class T>
DFIM_DEVICE inline T warp_max(T value) {
    T top = __shfl_sync(0xffffffffu, value, 0);
    for (int lane = 1; lane < LANES; ++lane) {
        const T other = __shfl_sync(0xffffffffu, value, lane);
        top = other > top ? other : top;
    }
    return top;
}

#else

#include "../emulator/lanes.hpp"

#endif
