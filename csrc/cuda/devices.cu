#include "devices.hpp"

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "errors.hpp"

namespace dfim {

void check(cudaError_t error, const std::string& doing) {
    if (error == cudaSuccess) {
        return;
    }
    cudaGetLastError();  // the error has been reported: the next call must not meet it again
    throw std::runtime_error("CUDA failed to " + doing + ": " + cudaGetErrorString(error) + " (" +
                             cudaGetErrorName(error) +
                             "); check nvidia-smi, or leave the device out of "
                             "CUDA_VISIBLE_DEVICES");
}

namespace {

std::string text(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

int device_count() {
    const Versions found = versions();
    if (found.driver == 0) {
        throw std::runtime_error(
            "no CUDA driver: libcuda is not installed or does not load; install the NVIDIA "
            "driver for CUDA " +
            text(found.runtime) + " or newer, or use the numba backend");
    }
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaErrorInsufficientDriver) {
        cudaGetLastError();
        throw std::runtime_error("the CUDA driver is too old: it supports CUDA " +
                                 text(found.driver) + " and this build needs " +
                                 text(found.runtime) +
                                 "; update the driver, or use the numba backend");
    }
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
        cudaGetLastError();
        throw std::runtime_error(
            "no CUDA device: the driver (CUDA " + text(found.driver) +
            ") lists none; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use the numba backend");
    }
    check(error, "count its devices");
    return count;
}

// Free memory is known only to a device's own context, so each device is made current in turn;
// the caller gets back the one it had.
class CurrentDevice {
public:
    CurrentDevice() { check(cudaGetDevice(&before_), "tell the current device"); }
    ~CurrentDevice() { cudaSetDevice(before_); }
    CurrentDevice(const CurrentDevice&) = delete;
    CurrentDevice& operator=(const CurrentDevice&) = delete;

private:
    int before_ = 0;
};

}  // namespace

Versions versions() {
    Versions found{0, 0};
    check(cudaRuntimeGetVersion(&found.runtime), "tell its runtime version");
    // With no driver at all the runtime answers 0 or an error, and either means the same here.
    if (cudaDriverGetVersion(&found.driver) != cudaSuccess) {
        cudaGetLastError();
        found.driver = 0;
    }
    return found;
}

std::vector<Device> devices() {
    const int count = device_count();
    const CurrentDevice restored_at_the_end;
    std::vector<Device> found;
    for (int index = 0; index < count; ++index) {
        const std::string which = "device " + std::to_string(index);
        cudaDeviceProp properties{};
        check(cudaGetDeviceProperties(&properties, index), "describe " + which);
        check(cudaSetDevice(index), "open " + which);
        std::size_t free_memory = 0;
        std::size_t total_memory = 0;
        check(cudaMemGetInfo(&free_memory, &total_memory), "read the free memory of " + which);
        found.push_back({index, properties.name, properties.major, properties.minor, total_memory,
                         free_memory});
    }
    return found;
}

Build build() {
    return {std::to_string(__CUDACC_VER_MAJOR__) + "." + std::to_string(__CUDACC_VER_MINOR__) +
                "." + std::to_string(__CUDACC_VER_BUILD__),
            DFIM_CUDA_ARCHITECTURES, DFIM_DEVICE_FLAGS};
}

}  // namespace dfim
