// The kernels on the host, as a library for dfim_fast/backends/cuda/emulator.py.
#include "../kernels/kernels.cuh"
#include "launch.hpp"

DFIM_EMULATOR_LIBRARY(DFIM_KERNELS)
