// Memory, transfers and launches on the current device: what dfim_fast/backends/cuda/device.py asks
// of a machine. Everything is carried out in order on one stream; results leave on another, so that
// one map is copied out while the next is computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace dfim {

// A copy to the host under way. `host` is page-locked memory that the runtime keeps and lends.
struct Fetch {
    void* host;
    std::size_t bytes;
    void* done;  // cudaEvent_t
};

// Throws std::runtime_error, one line, where there is no usable device or it is too old.
void open_device();

// 0 where there is not so much memory.
std::uintptr_t allocate(std::size_t bytes);
void release(std::uintptr_t address);

// `source` may lie on the host or on the device.
void write(std::uintptr_t address, const void* source, std::size_t bytes);
void clear(std::uintptr_t address, std::size_t bytes);
Fetch begin_fetch(std::uintptr_t address, std::size_t bytes);
void end_fetch(const Fetch& fetch, void* target, std::size_t bytes);
void synchronize();
std::size_t free_memory();
// A moment in the order of work (cudaEvent_t), and the device's seconds since, once all work asked
// for is done; that ends the moment.
std::uintptr_t mark();
double seconds_since(std::uintptr_t moment);

// One pointer for each argument, as the kernel declares them. Throws std::runtime_error for a name
// that is none, and where the launch fails.
void launch(const std::string& kernel, int blocks, int threads, int shared_bytes, void** arguments);

// "float*,View,int" of every kernel, in the order of their names.
std::vector<std::pair<std::string, std::string>> signatures();

}  // namespace dfim
