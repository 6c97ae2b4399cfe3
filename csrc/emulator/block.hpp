// A block of warps on the host: one thread for each warp, barriers that count, and shared memory
// whose stores other warps see only after a barrier.
//
// Within a phase (from one barrier to the next) every warp works on a copy of its own. At the
// barrier the copies are brought together, and an entry that one warp wrote while another read or
// wrote it is a race: found every time, whatever the threads' timing.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace emulator {

struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr float NOTHING = std::numeric_limits<float>::quiet_NaN();  // what nobody wrote yet
constexpr unsigned char READ = 1;
constexpr unsigned char WROTE = 2;

// What one warp did to shared memory since the last barrier.
struct Copy {
    std::vector<float> values;
    std::vector<unsigned char> touched;
    std::vector<std::size_t> list;  // entries that were touched
};

class Block {
public:
    Block(int warps, std::size_t floats) : warps_(warps), copies_(warps), master_(floats) {
        for (Copy& copy : copies_) {
            copy.values.assign(floats, NOTHING);
            copy.touched.assign(floats, 0);
        }
    }

    float read(int warp, long index) {
        Copy& copy = copies_[warp];
        touch(copy, index, READ);
        return copy.values[index];
    }

    void write(int warp, long index, float value) {
        Copy& copy = copies_[warp];
        touch(copy, index, WROTE);
        copy.values[index] = value;
    }

    // Wait for all warps of the block; `ends` for a warp that has returned from the kernel.
    void arrive(int warp, bool ends) {
        std::unique_lock<std::mutex> lock(mutex_);
        if (!fault_.empty()) {
            throw Fault(fault_);
        }
        ended_ += ends;
        ++arrived_;
        if (arrived_ < warps_) {
            const long phase = phase_;
            turn_.wait(lock, [&] { return phase_ != phase || !fault_.empty(); });
        } else {
            if (ended_ != 0 && ended_ != warps_) {
                fault_ = std::to_string(warps_ - ended_) + " of " + std::to_string(warps_) +
                         " warps wait at a barrier that the others never reach";
            } else {
                bring_together();
                over_ = ended_ == warps_;
            }
            arrived_ = 0;
            ended_ = 0;
            ++phase_;
            turn_.notify_all();
        }
        if (!fault_.empty()) {
            throw Fault(fault_);
        }
        lock.unlock();
        refresh(copies_[warp]);
    }

    // A warp that failed: nobody is to wait for it.
    void fail(const std::string& what) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (fault_.empty()) {
            fault_ = what;
        }
        turn_.notify_all();
    }

    const std::string& fault() const { return fault_; }

private:
    void touch(Copy& copy, long index, unsigned char how) const {
        if (index < 0 || static_cast<std::size_t>(index) >= copy.values.size()) {
            throw Fault("entry " + std::to_string(index) + " of shared memory, which has " +
                        std::to_string(copy.values.size()));
        }
        if (copy.touched[index] == 0) {
            copy.list.push_back(index);
        }
        copy.touched[index] |= how;
    }

    // All warps have arrived, so that this one may look at every copy.
    void bring_together() {
        for (int warp = 0; warp < warps_; ++warp) {
            for (const std::size_t index : copies_[warp].list) {
                if ((copies_[warp].touched[index] & WROTE) == 0) {
                    continue;
                }
                for (int other = 0; other < warps_; ++other) {
                    if (other != warp && copies_[other].touched[index] != 0) {
                        fault_ = "a race: warp " + std::to_string(warp) + " wrote entry " +
                                 std::to_string(index) + " of shared memory, and warp " +
                                 std::to_string(other) + " used it, with no barrier between";
                        return;
                    }
                }
                master_[index] = copies_[warp].values[index];
                changed_.push_back(index);
            }
        }
        news_ = changed_;
        changed_.clear();
    }

    void refresh(Copy& copy) const {
        for (const std::size_t index : copy.list) {
            copy.touched[index] = 0;
        }
        copy.list.clear();
        if (over_) {  // the next block begins
            std::fill(copy.values.begin(), copy.values.end(), NOTHING);
            return;
        }
        for (const std::size_t index : news_) {
            copy.values[index] = master_[index];
        }
    }

    const int warps_;
    std::vector<Copy> copies_;
    std::vector<float> master_;
    std::vector<std::size_t> changed_;
    std::vector<std::size_t> news_;  // written in the phase that ended
    std::mutex mutex_;
    std::condition_variable turn_;
    int arrived_ = 0;
    int ended_ = 0;
    long phase_ = 0;
    bool over_ = false;  // whether the phase that ended was the block's last
    std::string fault_;
};

}  // namespace emulator
