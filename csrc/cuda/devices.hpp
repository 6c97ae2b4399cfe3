// What the native module knows about the machine's CUDA devices and about its own build.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace dfim {

struct Device {
    int index;
    std::string name;
    int major;  // compute capability
    int minor;
    std::size_t total_memory;  // bytes
    std::size_t free_memory;   // bytes, at the time of the call
};

// Versions as the CUDA runtime writes them: 1000 * major + 10 * minor; 0 where there is no driver.
struct Versions {
    int driver;
    int runtime;
};

struct Build {
    std::string nvcc;
    std::string architectures;
    std::string flags;
};

Versions versions();

// Every device that CUDA_VISIBLE_DEVICES leaves visible, in the runtime's order.
// Throws std::runtime_error, one line, where there is no driver, one too old, or no device.
std::vector<Device> devices();

Build build();

}  // namespace dfim
