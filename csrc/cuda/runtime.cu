#include "runtime.hpp"

#include <cuda_runtime.h>

#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>

#include "../kernels/kernels.cuh"
#include "devices.hpp"
#include "errors.hpp"

namespace dfim {
namespace {

constexpr int OLDEST = 80;  // compute capability that the kernels are built for

// Streams and page-locked memory of the process, made on first use.
struct State {
    cudaStream_t compute = nullptr;
    cudaStream_t copies = nullptr;
    std::multimap<std::size_t, void*> pinned;  // free, by size
    std::mutex mutex;
};

State& state() {
    static State found;
    return found;
}

// What the signature table calls each type.
template <class T>
struct Name;
#define DFIM_NAME(TYPE)                            \
    template <>                                    \
    struct Name<TYPE> {                            \
        static constexpr const char* text = #TYPE; \
    };
DFIM_NAME(int)
DFIM_NAME(float)
DFIM_NAME(double)
DFIM_NAME(signed char)
DFIM_NAME(unsigned char)
DFIM_NAME(unsigned long long)
DFIM_NAME(View)
#undef DFIM_NAME

template <class T>
struct Text {
    static std::string of() { return Name<T>::text; }
};
template <class T>
struct Text<T*> {
    static std::string of() { return std::string(Name<T>::text) + "*"; }
};
template <class T>
struct Text<const T*> {
    static std::string of() { return std::string("const ") + Name<T>::text + "*"; }
};

template <class... A>
std::string signature_of(void (*)(A...)) {
    std::string all;
    ((all += (all.empty() ? "" : ",") + Text<A>::of()), ...);
    return all;
}

struct Kernel {
    const void* function;
    std::string signature;
};

const std::map<std::string, Kernel>& kernels() {
#define DFIM_ENTRY(NAME) {#NAME, {reinterpret_cast<const void*>(&NAME), signature_of(&NAME)}},
    static const std::map<std::string, Kernel> found{DFIM_KERNELS(DFIM_ENTRY)};
#undef DFIM_ENTRY
    return found;
}

}  // namespace

void open_device() {
    const std::vector<Device> found = devices();  // says in one line what is missing
    int current = 0;
    check(cudaGetDevice(&current), "tell the current device");
    const Device& device = found.at(current);
    if (10 * device.major + device.minor < OLDEST) {
        throw std::runtime_error("device " + std::to_string(current) + " (" + device.name +
                                 ") has compute capability " + std::to_string(device.major) + "." +
                                 std::to_string(device.minor) +
                                 "; 8.0 or newer is needed: use backend='numba'");
    }
    State& own = state();
    const std::lock_guard<std::mutex> lock(own.mutex);
    if (own.compute == nullptr) {
        check(cudaStreamCreateWithFlags(&own.compute, cudaStreamNonBlocking), "make a stream");
        check(cudaStreamCreateWithFlags(&own.copies, cudaStreamNonBlocking), "make a stream");
    }
}

std::uintptr_t allocate(std::size_t bytes) {
    void* found = nullptr;
    const cudaError_t error = cudaMalloc(&found, bytes);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return 0;
    }
    check(error, "allocate memory");
    return reinterpret_cast<std::uintptr_t>(found);
}

void release(std::uintptr_t address) { cudaFree(reinterpret_cast<void*>(address)); }

void write(std::uintptr_t address, const void* source, std::size_t bytes) {
    // From pageable memory the call returns once the source has been read.
    check(cudaMemcpyAsync(reinterpret_cast<void*>(address), source, bytes, cudaMemcpyDefault,
                          state().compute),
          "copy to the device");
}

void clear(std::uintptr_t address, std::size_t bytes) {
    check(cudaMemsetAsync(reinterpret_cast<void*>(address), 0, bytes, state().compute),
          "clear memory");
}

Fetch begin_fetch(std::uintptr_t address, std::size_t bytes) {
    State& own = state();
    Fetch fetch{nullptr, bytes, nullptr};
    {
        const std::lock_guard<std::mutex> lock(own.mutex);
        const auto found = own.pinned.lower_bound(bytes);
        if (found != own.pinned.end() && found->first <= 2 * bytes) {
            fetch.host = found->second;
            fetch.bytes = found->first;
            own.pinned.erase(found);
        }
    }
    if (fetch.host == nullptr) {
        check(cudaHostAlloc(&fetch.host, bytes, cudaHostAllocDefault), "lock memory of the host");
    }
    cudaEvent_t ready = nullptr;
    cudaEvent_t done = nullptr;
    check(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming), "make an event");
    check(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), "make an event");
    check(cudaEventRecord(ready, own.compute), "record an event");
    check(cudaStreamWaitEvent(own.copies, ready, 0), "wait for an event");
    check(cudaMemcpyAsync(fetch.host, reinterpret_cast<const void*>(address), bytes,
                          cudaMemcpyDeviceToHost, own.copies),
          "copy from the device");
    check(cudaEventRecord(done, own.copies), "record an event");
    check(cudaEventDestroy(ready), "end an event");
    fetch.done = done;
    return fetch;
}

void end_fetch(const Fetch& fetch, void* target, std::size_t bytes) {
    const auto done = static_cast<cudaEvent_t>(fetch.done);
    check(cudaEventSynchronize(done), "finish its work");
    check(cudaEventDestroy(done), "end an event");
    std::memcpy(target, fetch.host, bytes);
    State& own = state();
    const std::lock_guard<std::mutex> lock(own.mutex);
    own.pinned.emplace(fetch.bytes, fetch.host);
}

void synchronize() { check(cudaStreamSynchronize(state().compute), "finish its work"); }

std::size_t free_memory() {
    std::size_t free_bytes = 0;
    std::size_t total = 0;
    check(cudaMemGetInfo(&free_bytes, &total), "read its free memory");
    return free_bytes;
}

std::uintptr_t mark() {
    cudaEvent_t moment = nullptr;
    check(cudaEventCreate(&moment), "make an event");
    check(cudaEventRecord(moment, state().compute), "record an event");
    return reinterpret_cast<std::uintptr_t>(moment);
}

double seconds_since(std::uintptr_t moment) {
    const auto begin = reinterpret_cast<cudaEvent_t>(moment);
    const auto end = reinterpret_cast<cudaEvent_t>(mark());
    check(cudaEventSynchronize(end), "finish its work");
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, begin, end), "read its clock");
    check(cudaEventDestroy(begin), "end an event");
    check(cudaEventDestroy(end), "end an event");
    return milliseconds / 1e3;
}

void launch(const std::string& kernel, int blocks, int threads, int shared_bytes,
            void** arguments) {
    const auto found = kernels().find(kernel);
    if (found == kernels().end()) {
        throw std::runtime_error("this build has no kernel " + kernel + "; install dfim_fast anew");
    }
    check(cudaLaunchKernel(found->second.function, dim3(blocks), dim3(threads), arguments,
                           shared_bytes, state().compute),
          "launch " + kernel);
}

std::vector<std::pair<std::string, std::string>> signatures() {
    std::vector<std::pair<std::string, std::string>> all;
    for (const auto& [name, kernel] : kernels()) {
        all.emplace_back(name, kernel.signature);
    }
    return all;
}

}  // namespace dfim
