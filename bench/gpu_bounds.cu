// What a GPU can do at most, measured: fused multiply-adds, shared memory, L2 and device memory.
//
//     nvcc -O3 -std=c++17 -arch=native -o gpu_bounds bench/gpu_bounds.cu && ./gpu_bounds
//
// Prints one JSON object; the best of several runs by CUDA events. A failure is one line, exit code 1.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int THREADS = 256;
constexpr int BLOCKS_EACH = 8;  // of a multiprocessor
constexpr int CHAINS = 8;       // independent multiply-adds of a thread
constexpr int ROUNDS = 4096;
constexpr int SHARED_FOURS = 1024;              // 16 KB of a block
constexpr std::size_t IN_L2 = 16u << 20;        // bytes: less than any L2 of compute capability 8.0
constexpr std::size_t IN_MEMORY = 512u << 20;   // and more
constexpr int REPEATS = 5;

void check(cudaError_t error, const char* what) {
    if (error != cudaSuccess) {
        std::fprintf(stderr, "gpu_bounds: %s: %s\n", what, cudaGetErrorString(error));
        std::exit(1);
    }
}

__global__ void multiply_adds(float* out, float a, float b) {
    float sums[CHAINS];
    for (int i = 0; i < CHAINS; ++i) {
        sums[i] = static_cast<float>(threadIdx.x + i);
    }
    for (int round = 0; round < ROUNDS; ++round) {
#pragma unroll
        for (int i = 0; i < CHAINS; ++i) {
            sums[i] = __fmaf_rn(sums[i], a, b);
        }
    }
    float total = 0.0f;
    for (int i = 0; i < CHAINS; ++i) {
        total += sums[i];
    }
    out[blockIdx.x * THREADS + threadIdx.x] = total;
}

__global__ void shared_reads(float* out) {
    __shared__ float4 held[SHARED_FOURS];
    for (int i = threadIdx.x; i < SHARED_FOURS; i += THREADS) {
        held[i] = make_float4(1.0f, 2.0f, 3.0f, 4.0f);
    }
    __syncthreads();
    float total = 0.0f;
    int at = threadIdx.x;
    for (int round = 0; round < ROUNDS; ++round) {
        const float4 found = held[at];
        total += found.x + found.y + found.z + found.w;
        at = (at + THREADS) % SHARED_FOURS;
    }
    out[blockIdx.x * THREADS + threadIdx.x] = total;
}

__global__ void reads(float* out, const float4* from, std::size_t fours, int rounds) {
    float total = 0.0f;
    const std::size_t step = static_cast<std::size_t>(gridDim.x) * THREADS;
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = blockIdx.x * THREADS + threadIdx.x; i < fours; i += step) {
            const float4 found = __ldcg(from + i);
            total += found.x + found.y + found.z + found.w;
        }
    }
    out[blockIdx.x * THREADS + threadIdx.x] = total;
}

template <class Launch>
double best_seconds(const Launch& launch) {
    cudaEvent_t begin;
    cudaEvent_t end;
    check(cudaEventCreate(&begin), "make an event");
    check(cudaEventCreate(&end), "make an event");
    launch();  // to warm up
    double best = 1e9;
    for (int i = 0; i < REPEATS; ++i) {
        check(cudaEventRecord(begin), "record an event");
        launch();
        check(cudaEventRecord(end), "record an event");
        check(cudaEventSynchronize(end), "finish a kernel");
        float milliseconds = 0.0f;
        check(cudaEventElapsedTime(&milliseconds, begin, end), "read the clock");
        best = std::min(best, milliseconds / 1e3);
    }
    return best;
}

}  // namespace

int main() {
    cudaDeviceProp device;
    check(cudaGetDeviceProperties(&device, 0), "find a device");
    const int blocks = device.multiProcessorCount * BLOCKS_EACH;
    const double threads = static_cast<double>(blocks) * THREADS;
    float* out = nullptr;
    float4* memory = nullptr;
    check(cudaMalloc(&out, sizeof(float) * static_cast<std::size_t>(threads)), "allocate memory");
    check(cudaMalloc(&memory, IN_MEMORY), "allocate memory");
    check(cudaMemset(memory, 0, IN_MEMORY), "clear memory");
    const double fma = best_seconds([&] { multiply_adds<<<blocks, THREADS>>>(out, 0.5f, 1.0f); });
    const double shared = best_seconds([&] { shared_reads<<<blocks, THREADS>>>(out); });
    constexpr int L2_ROUNDS = 64;
    const double l2 = best_seconds(
        [&] { reads<<<blocks, THREADS>>>(out, memory, IN_L2 / sizeof(float4), L2_ROUNDS); });
    const double dram = best_seconds(
        [&] { reads<<<blocks, THREADS>>>(out, memory, IN_MEMORY / sizeof(float4), 1); });
    check(cudaGetLastError(), "launch a kernel");
    std::printf(
        "{\"device\": \"%s\", \"multiprocessors\": %d, \"l2_bytes\": %d, "
        "\"fp32_flops\": %.4g, \"shared_bytes_a_second\": %.4g, \"l2_bytes_a_second\": %.4g, "
        "\"memory_bytes_a_second\": %.4g}\n",
        device.name, device.multiProcessorCount, device.l2CacheSize,
        2.0 * threads * CHAINS * ROUNDS / fma, threads * sizeof(float4) * ROUNDS / shared,
        static_cast<double>(IN_L2) * L2_ROUNDS / l2, static_cast<double>(IN_MEMORY) / dram);
    return 0;
}
