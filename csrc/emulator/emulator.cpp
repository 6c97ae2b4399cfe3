// The kernels on the host, launched by name as a GPU's driver launches them.
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "../kernels/kernels.cuh"

namespace {

using Launch = void (*)(void** arguments);

template <auto Kernel>
struct Caller;

// Unpacks one pointer for each argument, by the kernel's own parameter types.
template <class... A, void (*Kernel)(A...)>
struct Caller<Kernel> {
    template <std::size_t... I>
    static void unpack(void** arguments, std::index_sequence<I...>) {
        Kernel(*static_cast<A*>(arguments[I])...);
    }
    static void call(void** arguments) { unpack(arguments, std::index_sequence_for<A...>{}); }
};

const std::map<std::string, Launch>& kernels() {
#define DFIM_ENTRY(NAME) {#NAME, &Caller<&NAME>::call},
    static const std::map<std::string, Launch> found{DFIM_KERNELS(DFIM_ENTRY)};
#undef DFIM_ENTRY
    return found;
}

}  // namespace

extern "C" int dfim_launch(const char* kernel, int blocks, int warps, int, void** arguments,
                           char* error, int size) {
    const auto found = kernels().find(kernel);
    if (found == kernels().end()) {
        std::strncpy(error, "no such kernel", size);
        return 1;
    }
    for (here.block = 0; here.block < blocks; ++here.block) {
        for (here.warp = 0; here.warp < warps; ++here.warp) {
            found->second(arguments);
        }
    }
    return 0;
}
