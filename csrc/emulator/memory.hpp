// Device memory on the host, between guards that every launch is checked against. Under the address
// sanitizer buffers have no guards: it watches their exact ends itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace emulator {

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t GUARD = 0;
#else
constexpr std::size_t GUARD = 256;  // bytes on either side
#endif
constexpr unsigned char PATTERN = 0xA5;
constexpr unsigned char FRESH = 0xFF;  // floats that read as NaN: nobody may count on what is there

class Memory {
public:
    std::uintptr_t allocate(std::size_t bytes) {
        auto* whole = static_cast<unsigned char*>(std::malloc(bytes + 2 * GUARD));
        if (whole == nullptr) {
            return 0;
        }
        std::memset(whole, PATTERN, GUARD);
        std::memset(whole + GUARD, FRESH, bytes);
        std::memset(whole + GUARD + bytes, PATTERN, GUARD);
        const auto address = reinterpret_cast<std::uintptr_t>(whole + GUARD);
        const std::lock_guard<std::mutex> lock(mutex_);
        buffers_[address] = bytes;
        return address;
    }

    void release(std::uintptr_t address) {
        const std::lock_guard<std::mutex> lock(mutex_);
        buffers_.erase(address);
        std::free(reinterpret_cast<unsigned char*>(address) - GUARD);
    }

    // What was written outside a buffer, in words; empty for nothing.
    std::string broken() {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (const auto& [address, bytes] : buffers_) {
            const auto* first = reinterpret_cast<const unsigned char*>(address);
            for (std::size_t i = 0; i < GUARD; ++i) {
                if (first[bytes + i] != PATTERN) {
                    return "a store " + std::to_string(i) + " bytes beyond a buffer of " +
                           std::to_string(bytes);
                }
                if (*(first - 1 - i) != PATTERN) {
                    return "a store " + std::to_string(i + 1) + " bytes before a buffer of " +
                           std::to_string(bytes);
                }
            }
        }
        return "";
    }

private:
    std::map<std::uintptr_t, std::size_t> buffers_;
    std::mutex mutex_;
};

inline Memory& memory() {
    static Memory found;
    return found;
}

}  // namespace emulator
