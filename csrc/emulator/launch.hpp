// Launches of kernels by name, as a GPU's driver launches them: one pointer for each argument.
//
// A kernel without shared memory has no barriers, so that its warps may run one after the other;
// all others, and all when DFIM_EMULATOR_THREADS is set, get one host thread for each warp.
#pragma once

#include <xmmintrin.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../kernels/port.cuh"
#include "memory.hpp"

namespace emulator {

using Call = void (*)(void** arguments);
using Kernels = std::map<std::string, Call>;

template <auto Kernel>
struct Caller;

// Unpacks the arguments by the kernel's own parameter types.
template <class... A, void (*Kernel)(A...)>
struct Caller<Kernel> {
    template <std::size_t... I>
    static void unpack(void** arguments, std::index_sequence<I...>) {
        Kernel(*static_cast<A*>(arguments[I])...);
    }
    static void call(void** arguments) { unpack(arguments, std::index_sequence_for<A...>{}); }
};

// Subnormal floats are zero, as with -ftz=true, until the end of the scope.
class Flushed {
public:
    Flushed() : before_(_mm_getcsr()) { _mm_setcsr(before_ | FLUSH_RESULTS | FLUSH_INPUTS); }
    ~Flushed() { _mm_setcsr(before_); }
    Flushed(const Flushed&) = delete;
    Flushed& operator=(const Flushed&) = delete;

private:
    static constexpr unsigned FLUSH_RESULTS = 0x8000;
    static constexpr unsigned FLUSH_INPUTS = 0x0040;
    unsigned before_;
};

inline std::string run_in_threads(Call call, int blocks, int warps, int shared, void** arguments) {
    Block block(warps, shared / sizeof(float));
    std::vector<std::thread> threads;
    for (int warp = 0; warp < warps; ++warp) {
        threads.emplace_back([&, warp] {
            const Flushed subnormals_are_zero;
            try {
                for (int number = 0; number < blocks; ++number) {
                    here = {number, warp, &block};
                    call(arguments);
                    block.arrive(warp, true);
                }
            } catch (const Fault& fault) {
                block.fail(fault.what());
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    return block.fault();
}

inline std::string run_in_turn(Call call, int blocks, int warps, void** arguments) {
    const Flushed subnormals_are_zero;
    try {
        for (int number = 0; number < blocks; ++number) {
            for (int warp = 0; warp < warps; ++warp) {
                here = {number, warp, nullptr};
                call(arguments);
            }
        }
    } catch (const Fault& fault) {
        return fault.what();
    }
    return "";
}

// What went wrong, or nothing.
inline std::string launch(const Kernels& kernels, const std::string& name, int blocks, int warps,
                          int shared, void** arguments) {
    const auto found = kernels.find(name);
    if (found == kernels.end()) {
        return "there is no such kernel";
    }
    const bool threads = shared > 0 || std::getenv("DFIM_EMULATOR_THREADS") != nullptr;
    const std::string fault =
        threads ? run_in_threads(found->second, blocks, warps, shared, arguments)
                : run_in_turn(found->second, blocks, warps, arguments);
    return fault.empty() ? memory().broken() : fault;
}

}  // namespace emulator

// The library's doors; KERNELS is a list such as DFIM_KERNELS.
#define DFIM_EMULATOR_ENTRY(NAME) {#NAME, &emulator::Caller<&NAME>::call},
#define DFIM_EMULATOR_LIBRARY(KERNELS)                                                           \
    extern "C" int dfim_launch(const char* kernel, int blocks, int warps, int shared,            \
                               void** arguments, char* error, int size) {                        \
        static const emulator::Kernels kernels{KERNELS(DFIM_EMULATOR_ENTRY)};                    \
        const std::string fault =                                                                \
            emulator::launch(kernels, kernel, blocks, warps, shared, arguments);                 \
        std::snprintf(error, static_cast<std::size_t>(size), "%s", fault.c_str());               \
        return fault.empty() ? 0 : 1;                                                            \
    }                                                                                            \
    extern "C" std::uintptr_t dfim_allocate(std::size_t bytes) {                                 \
        return emulator::memory().allocate(bytes);                                               \
    }                                                                                            \
    extern "C" void dfim_release(std::uintptr_t address) { emulator::memory().release(address); }
