// CUDA's error codes as exceptions of one line.
#pragma once

#include <cuda_runtime.h>

#include <string>

namespace dfim {

// Throws std::runtime_error that says what failed and what to do.
void check(cudaError_t error, const std::string& doing);

}  // namespace dfim
