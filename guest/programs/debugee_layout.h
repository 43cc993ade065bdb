// Where debugee.S keeps what a debugger wants: GPAs, which are its linear addresses too.
#pragma once

#include <cstdint>

namespace guest::programs::debugee {

inline constexpr std::uint64_t kGate = 0x10'0010;      // 64 bits each, this and the next
inline constexpr std::uint64_t kWantInt3 = 0x10'0018;  // 1: runs into its own INT3
inline constexpr std::uint64_t kRounds = 0x10'0020;    // calls of work() by each processor
inline constexpr std::uint64_t kWorkCalls = 0x10'0028;
inline constexpr std::uint64_t kInt3Seen = 0x10'0030;
inline constexpr std::uint64_t kFlagsSeen = 0x10'0038;  // RFLAGS as PUSHF in steps() saw them
inline constexpr std::uint64_t kArrived = 0x10'0040;    // processors that have come up
inline constexpr std::uint64_t kSpins = 0x10'0050;      // grows while processors wait at the gate
inline constexpr std::uint64_t kStepBytes = 0x10'0060;  // size of the step table
inline constexpr std::uint64_t kStepTable = 0x10'0068;  // its address: one address an instruction of steps()
inline constexpr std::uint64_t kWork = 0x10'0200;
inline constexpr std::uint64_t kOwnInt3 = 0x10'0280;
inline constexpr std::uint64_t kSteps = 0x10'0300;

}  // namespace guest::programs::debugee
