"""CUDA: one kernel source, run by CuPy, by the native module, or on the CPU by the emulator."""
