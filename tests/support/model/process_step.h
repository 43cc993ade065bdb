// One step of a sequence for machines that are processes: plain data, so that a sequence can be cut and
// printed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace test::model {

inline constexpr std::size_t kMachines =
    4;  // places for processes; a step that finds its place taken does nothing
inline constexpr std::size_t kMoments = 2;    // checkpoints of each
inline constexpr std::size_t kSnapshots = 3;  // directories
inline constexpr std::size_t kDevices = 2;    // pins of each

enum class Act : std::uint8_t {
  Start,       // a machine of `shape`
  Restore,     // a machine from `place`, limited with that `shape`; `then`
  Fork,        // a copy of `machine` in the place `other`; `then`; a device writes meanwhile with `storm`
  Kill,        // -9
  Quit,        // by its socket
  Pause,       //
  Resume,      //
  Write,       // the guest goes on for `count` steps; who tells it is `door`
  Poke,        // a debugger writes its word of `page`
  Pin,         // a device pins `count` pages from `page` on, as its pin `place`
  Dma,         // and writes its word of each
  Unpin,       //
  Leave,       // the device dies with all that it has pinned
  Checkpoint,  // `place`; `storm`
  Reset,       // to `place`
  Drop,        // `place`
  Save,        // a snapshot in `place`, on that in `other` with `based`; `storm`
  Check,       // every byte
};
inline constexpr std::size_t kActs = 18;

enum class Shape : std::uint8_t { Shared, Anonymous, Limited, TwoVcpus, DiskRead, DiskWritten, LimitedDisk };
inline constexpr std::size_t kShapes = 7;
enum class Door : std::uint8_t { Debugger, Device };
enum class Then : std::uint8_t { Run, Stay };
enum class Storm : std::uint8_t { No, Yes };
enum class Based : std::uint8_t { No, Yes };

struct ProcessStep {
  Act act = Act::Check;
  std::size_t machine = 0;
  std::size_t other = 0;
  std::size_t place = 0;
  std::uint64_t page = 0;
  std::uint64_t count = 1;
  Shape shape = Shape::Shared;
  Door door = Door::Debugger;
  Then then = Then::Run;
  Storm storm = Storm::No;
  Based based = Based::No;
};

/// The same seed gives the same steps; the first starts a machine.
[[nodiscard]] std::vector<ProcessStep> generate_process_steps(std::uint64_t seed, std::size_t steps);

[[nodiscard]] const char* to_string(Act act);
/// As an initializer in C++, with what is not as usual.
[[nodiscard]] std::string to_code(const ProcessStep& step);
[[nodiscard]] std::string to_code(const std::vector<ProcessStep>& steps);

}  // namespace test::model
