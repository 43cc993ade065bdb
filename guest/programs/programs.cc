#include "guest/programs/programs.h"

#include <algorithm>
#include <array>

#include "guest/programs/builtin_info.h"

#define UVMM_IMAGE(name)                         \
  extern const std::byte guest_program_##name[]; \
  extern const std::byte guest_program_##name##_end[];
extern "C" {
UVMM_IMAGE(hello16)
UVMM_IMAGE(modes)
UVMM_IMAGE(hello)
UVMM_IMAGE(memwalk)
UVMM_IMAGE(smp_hammer)
UVMM_IMAGE(triple)
UVMM_IMAGE(rubbish)
UVMM_IMAGE(wild)
UVMM_IMAGE(flood)
UVMM_IMAGE(spin)
UVMM_IMAGE(trio)
UVMM_IMAGE(scribe)
UVMM_IMAGE(poweroff)
UVMM_IMAGE(reset)
UVMM_IMAGE(idle)
UVMM_IMAGE(debugee)
UVMM_IMAGE(disk)
}
#undef UVMM_IMAGE

namespace guest::programs {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct Text {
  std::string_view name;
  std::string_view summary;
  std::string_view arguments;
};

Program real16(const Text& text, const std::byte* begin, const std::byte* end) {
  return {text.name, text.summary, text.arguments, Mode::Real16, {begin, end}, kRealEntry, kRealEntry, kMiB};
}

Program long64(const Text& text, std::uint64_t min_memory, const std::byte* begin, const std::byte* end) {
  return {text.name,    text.summary, text.arguments, Mode::Long64,
          {begin, end}, kLongEntry,   kLongEntry,     min_memory};
}

#define UVMM_IMAGE(name) guest_program_##name, guest_program_##name##_end

const std::array<Program, 17>& table() {
  static const std::array<Program, 17> programs{
      real16({"hello16", "prints a line in real mode", ""}, UVMM_IMAGE(hello16)),
      real16({"modes", "goes from real mode through protected mode to long mode", ""}, UVMM_IMAGE(modes)),
      long64({"hello", "prints a line in long mode", ""}, 2 * kMiB, UVMM_IMAGE(hello)),
      long64({"memwalk", "touches, writes and verifies all its RAM and reports the cycles",
              "passes=N page=2m|4k mode=verify|write|touch|random"},
             4 * kMiB, UVMM_IMAGE(memwalk)),
      long64({"smp_hammer", "all processors count in the same pages and check sums and order",
              "rounds=N pages=N"},
             8 * kMiB, UVMM_IMAGE(smp_hammer)),
      long64({"triple", "triple-faults", ""}, 2 * kMiB, UVMM_IMAGE(triple)),
      long64({"rubbish", "executes bytes that are no instruction", ""}, 2 * kMiB, UVMM_IMAGE(rubbish)),
      long64({"wild", "writes all over guest-physical space", ""}, 4 * kMiB, UVMM_IMAGE(wild)),
      long64(
          {"flood", "floods the serial port and prints a hash of what it sent", "bytes=N room=wait|ignore"},
          2 * kMiB, UVMM_IMAGE(flood)),
      long64({"spin", "never ends; counts at GPA 0x7000", ""}, 2 * kMiB, UVMM_IMAGE(spin)),
      long64({"trio", "raises words in pages that a device and a debugger write too, and checks theirs", ""},
             36 * kMiB, UVMM_IMAGE(trio)),
      long64({"scribe", "writes and sums up pages as far as words of its memory tell it to",
              "ballast=N disk=read|write"},
             16 * kMiB, UVMM_IMAGE(scribe)),
      long64({"poweroff", "powers off through ACPI", ""}, 2 * kMiB, UVMM_IMAGE(poweroff)),
      long64({"reset", "resets through the keyboard controller", ""}, 2 * kMiB, UVMM_IMAGE(reset)),
      long64({"idle", "halts for ever", ""}, 2 * kMiB, UVMM_IMAGE(idle)),
      long64({"debugee", "calls one function a known number of times, for debuggers", ""}, 4 * kMiB,
             UVMM_IMAGE(debugee)),
      long64(
          {"disk", "reads, writes and verifies a virtio disk", "mode=read|write|verify|loop bytes=N seed=N"},
          4 * kMiB, UVMM_IMAGE(disk)),
  };
  return programs;
}

#undef UVMM_IMAGE

}  // namespace

std::span<const Program> all() {
  return table();
}

const Program* find(std::string_view name) {
  const auto& programs = table();
  const auto* found = std::find_if(programs.begin(), programs.end(),
                                   [name](const Program& program) { return program.name == name; });
  return found == programs.end() ? nullptr : found;
}

}  // namespace guest::programs
