// Warp values on the host: 32 numbers, and the operations of port.cuh on them.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "block.hpp"

#define DFIM_DEVICE
#define DFIM_UNROLL
#define DFIM_KERNEL(NAME, WARPS, PARAMETERS) inline void NAME PARAMETERS

template <class T>
struct Lanes {
    T v[LANES];

    Lanes() = default;
    explicit Lanes(T value) {
        for (int i = 0; i < LANES; ++i) v[i] = value;
    }
};

using WFloat = Lanes<float>;
using WDouble = Lanes<double>;
using WInt = Lanes<int>;
using WBool = Lanes<bool>;

// Which warp of which block the host thread is at work on; no block for kernels without barriers.
struct Where {
    int number;
    int warp;
    emulator::Block* block;
};
inline thread_local Where here{0, 0, nullptr};

inline WInt lane_id() {
    WInt lanes;
    for (int i = 0; i < LANES; ++i) lanes.v[i] = i;
    return lanes;
}
inline int warp_number(int warps) { return here.number * warps + here.warp; }
inline int block_number() { return here.number; }
inline int warp_in_block() { return here.warp; }

inline emulator::Block& own_block() {
    if (here.block == nullptr) {
        throw emulator::Fault("a barrier or shared memory in a kernel that declares no shared bytes");
    }
    return *here.block;
}
inline void block_barrier() { own_block().arrive(here.warp, false); }

#define DFIM_BINARY(OP, RESULT)                                                      \
    template <class T>                                                               \
    inline Lanes<RESULT> operator OP(const Lanes<T>& a, const Lanes<T>& b) {         \
        Lanes<RESULT> out;                                                           \
        for (int i = 0; i < LANES; ++i) out.v[i] = a.v[i] OP b.v[i];                 \
        return out;                                                                  \
    }                                                                                \
    template <class T>                                                               \
    inline Lanes<RESULT> operator OP(const Lanes<T>& a, T b) {                       \
        return a OP Lanes<T>(b);                                                     \
    }                                                                                \
    template <class T>                                                               \
    inline Lanes<RESULT> operator OP(T a, const Lanes<T>& b) {                       \
        return Lanes<T>(a) OP b;                                                     \
    }
DFIM_BINARY(+, T)
DFIM_BINARY(-, T)
DFIM_BINARY(*, T)
DFIM_BINARY(/, T)
DFIM_BINARY(<, bool)
DFIM_BINARY(<=, bool)
DFIM_BINARY(>, bool)
DFIM_BINARY(>=, bool)
DFIM_BINARY(==, bool)
DFIM_BINARY(!=, bool)
DFIM_BINARY(&&, bool)
DFIM_BINARY(||, bool)
#undef DFIM_BINARY

inline WBool operator!(const WBool& a) {
    WBool out;
    for (int i = 0; i < LANES; ++i) out.v[i] = !a.v[i];
    return out;
}

template <class T>
inline Lanes<T> load(const T* from, const WInt& at, const WBool& live) {
    Lanes<T> out;
    for (int i = 0; i < LANES; ++i) out.v[i] = live.v[i] ? from[at.v[i]] : T(0);
    return out;
}
template <class T>
inline void store(T* to, const WInt& at, const Lanes<T>& value, const WBool& live) {
    for (int i = 0; i < LANES; ++i) {
        if (live.v[i]) to[at.v[i]] = value.v[i];
    }
}
// Shared memory of the block, from its first float.
struct Shared {
    float at(int index) const { return own_block().read(here.warp, index); }
};
inline Shared shared_memory() { return {}; }
inline WFloat load(const Shared&, const WInt& at, const WBool& live) {
    WFloat out(0.0f);
    for (int i = 0; i < LANES; ++i) {
        if (live.v[i]) out.v[i] = own_block().read(here.warp, at.v[i]);
    }
    return out;
}
inline void store(const Shared&, const WInt& at, const WFloat& value, const WBool& live) {
    for (int i = 0; i < LANES; ++i) {
        if (live.v[i]) own_block().write(here.warp, at.v[i], value.v[i]);
    }
}

inline void warp_barrier() {}

struct Four {
    float at[4];
};

// Scratch of the warp's own; what nobody stored reads as NaN.
class Scratch {
public:
    explicit Scratch(int floats) : size_(floats) {
        if (own().size() < static_cast<std::size_t>(floats)) own().resize(floats);
        std::fill(own().begin(), own().begin() + floats, emulator::NOTHING);
    }
    void store(const WInt& at, const WFloat& value) const {
        for (int i = 0; i < LANES; ++i) own()[checked(at.v[i])] = value.v[i];
    }
    WFloat load(const WInt& at) const {
        WFloat out;
        for (int i = 0; i < LANES; ++i) out.v[i] = own()[checked(at.v[i])];
        return out;
    }
    Four four(int at) const {
        Four out;
        if (at % 4 != 0) throw emulator::Fault("four numbers that are not aligned");
        for (int i = 0; i < 4; ++i) out.at[i] = own()[checked(at + i)];
        return out;
    }

private:
    static std::vector<float>& own() {
        static thread_local std::vector<float> found;
        return found;
    }
    int checked(int at) const {
        if (at < 0 || at >= size_) {
            throw emulator::Fault("entry " + std::to_string(at) + " of a scratch of " +
                                  std::to_string(size_));
        }
        return at;
    }
    int size_;
};
inline Scratch scratch(int floats) { return Scratch(floats); }

template <class T>
inline Lanes<T> select(const WBool& which, const Lanes<T>& yes, const Lanes<T>& no) {
    Lanes<T> out;
    for (int i = 0; i < LANES; ++i) out.v[i] = which.v[i] ? yes.v[i] : no.v[i];
    return out;
}
inline WFloat fused(const WFloat& a, const WFloat& b, const WFloat& c) {
    WFloat out;
    for (int i = 0; i < LANES; ++i) out.v[i] = std::fma(a.v[i], b.v[i], c.v[i]);
    return out;
}
inline WFloat max(const WFloat& a, const WFloat& b) { return select(a > b, a, b); }

#define DFIM_UNARY(NAME, TYPE, CALL)                               \
    inline TYPE NAME(const TYPE& a) {                              \
        TYPE out;                                                  \
        for (int i = 0; i < LANES; ++i) out.v[i] = CALL(a.v[i]);   \
        return out;                                                \
    }
DFIM_UNARY(abs, WFloat, std::fabs)
DFIM_UNARY(sqrt, WFloat, std::sqrt)
DFIM_UNARY(fabs, WDouble, std::fabs)
DFIM_UNARY(sqrt, WDouble, std::sqrt)
DFIM_UNARY(exp, WDouble, std::exp)
DFIM_UNARY(expm1, WDouble, std::expm1)
DFIM_UNARY(log, WDouble, std::log)
#undef DFIM_UNARY

template <class T>
inline WFloat to_float(const Lanes<T>& a) {
    WFloat out;
    for (int i = 0; i < LANES; ++i) out.v[i] = static_cast<float>(a.v[i]);
    return out;
}
template <class T>
inline WInt to_int(const Lanes<T>& a) {
    WInt out;
    for (int i = 0; i < LANES; ++i) out.v[i] = static_cast<int>(a.v[i]);
    return out;
}
inline WDouble to_double(const WFloat& a) {
    WDouble out;
    for (int i = 0; i < LANES; ++i) out.v[i] = a.v[i];
    return out;
}
inline unsigned lane_bits(const WBool& a) {
    unsigned bits = 0;
    for (int i = 0; i < LANES; ++i) bits |= static_cast<unsigned>(a.v[i]) << i;
    return bits;
}
inline int lowest(unsigned bits) { return __builtin_ctz(bits); }
inline float from_lane(const WFloat& a, int lane) { return a.v[lane]; }
inline WFloat broadcast(const WFloat& a, int lane) { return WFloat(a.v[lane]); }
inline bool any_lane(const WBool& a) {
    bool found = false;
    for (int i = 0; i < LANES; ++i) found |= a.v[i];
    return found;
}

// Rounded to 11 significant bits, ties away from zero; infinities and NaN stay.
inline WFloat to_tf32(const WFloat& a) {
    constexpr std::uint32_t HALF = 0x1000, LOST = 0x1FFF, INFINITE = 0x7F800000;
    WFloat out = a;
    for (int i = 0; i < LANES; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, &a.v[i], sizeof bits);
        if ((bits & INFINITE) != INFINITE) {
            bits = (bits + HALF) & ~LOST;
            std::memcpy(&out.v[i], &bits, sizeof bits);
        }
    }
    return out;
}
// As a tensor core multiplies, but for the order in which it sums, which nobody states.
inline void multiply_add(WFloat (&sum)[4], const WFloat (&a)[4], const WFloat (&b)[2]) {
    for (int lane = 0; lane < LANES; ++lane) {
        for (int part = 0; part < 4; ++part) {
            const int row = lane / 4 + part / 2 * 8, column = lane % 4 * 2 + part % 2;
            float total = sum[part].v[lane];
            for (int k = 0; k < 8; ++k) {
                const float left = a[k / 4 * 2 + row / 8].v[row % 8 * 4 + k % 4];
                const float right = b[k / 4].v[column * 4 + k % 4];
                total = std::fma(left, right, total);
            }
            sum[part].v[lane] = total;
        }
    }
}

template <class F>
inline WFloat each(const F& f, const WBool& live, const WFloat& a, const WInt& c) {
    WFloat out(0.0f);
    for (int i = 0; i < LANES; ++i) {
        if (live.v[i]) out.v[i] = f(a.v[i], c.v[i]);
    }
    return out;
}
template <class F>
inline WFloat each(const F& f, const WBool& live, const WFloat& a, const WFloat& b,
                   const WInt& c) {
    WFloat out(0.0f);
    for (int i = 0; i < LANES; ++i) {
        if (live.v[i]) out.v[i] = f(a.v[i], b.v[i], c.v[i]);
    }
    return out;
}
template <class F>
inline void lanewise(const F& f, const WBool& live, const WInt& a) {
    for (int i = 0; i < LANES; ++i) {
        if (live.v[i]) f(a.v[i]);
    }
}
template <class T>
inline T warp_sum(const Lanes<T>& a) {
    T sum = 0;
    for (int i = 0; i < LANES; ++i) sum = sum + a.v[i];
    return sum;
}
template <class T>
inline T warp_max(const Lanes<T>& a) {
    T top = a.v[0];
    for (int i = 1; i < LANES; ++i) top = a.v[i] > top ? a.v[i] : top;
    return top;
}

using std::erf;
using std::exp;
using std::expm1;
using std::fabs;
using std::log;
using std::log1p;
using std::pow;
using std::sqrt;
using std::tanh;
