// The monitor's verbs that touch memory and files.
#include <algorithm>
#include <cstring>
#include <fstream>

#include "uvm/base/range.h"
#include "vmm/debug/core_dump.h"
#include "vmm/debug/monitor_verbs.h"

namespace vmm::debug::monitor {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

constexpr std::size_t kChunk = std::size_t{1} << 20;  // bytes copied at a time

/// Reads [place, place + bytes) in chunks; `step(offset, chunk)`. An unreadable byte ends it with an error.
template <class F>
Status each_chunk(MonitorCall& call, Place place, std::uint64_t bytes, F&& step) {
  std::vector<std::byte> chunk(std::min<std::uint64_t>(bytes, kChunk));
  for (std::uint64_t done = 0; done < bytes;) {
    const auto part = std::span(chunk).first(std::min<std::uint64_t>(bytes - done, chunk.size()));
    UVMM_TRY(const std::size_t read, call.inferior.read({place.vcpu, place.address + done}, part));
    UVMM_CHECK(step(done, part.first(read)));
    done += read;
  }
  return uvm::ok();
}

struct Format {
  std::uint64_t count = 1;
  std::size_t unit = 4;
};

/// "/4gx": how many, how large; the letter for the base is taken and ignored.
Result<Format> parse_format(std::string_view word) {
  Format format;
  std::string digits;
  for (const char c : word.substr(1)) {
    constexpr std::string_view kUnits = "bhwg";
    if (c >= '0' && c <= '9') {
      digits += c;
    } else if (const auto unit = kUnits.find(c); unit != std::string_view::npos) {
      format.unit = std::size_t{1} << unit;
    } else if (c != 'x') {
      return Error(ErrorKind::Invalid, "format '" + std::string(word) + "' is not /COUNT with b, h, w or g");
    }
  }
  if (!digits.empty()) {
    UVMM_TRY(format.count, parse_number(digits, "count"));
  }
  return format;
}

Result<std::vector<std::byte>> parse_bytes(std::string_view hex) {
  std::vector<std::byte> bytes;
  if (hex.empty() || hex.size() % 2 != 0) {
    return Error(ErrorKind::Invalid, "'" + std::string(hex) + "' is not pairs of hexadecimal digits");
  }
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    UVMM_TRY(const std::uint64_t value, parse_number("0x" + std::string(hex.substr(i, 2)), "byte"));
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

}  // namespace

Status need_words(const MonitorCall& call, std::size_t count, std::string_view usage) {
  if (call.words.size() == count) return uvm::ok();
  return Error(ErrorKind::Invalid, "usage: monitor " + std::string(usage));
}

Result<Place> parse_place(const MonitorCall& call, std::string_view word) {
  constexpr std::string_view kPhysical = "phys:";
  const bool physical = word.rfind(kPhysical, 0) == 0;
  if (physical) word.remove_prefix(kPhysical.size());
  UVMM_TRY(const std::uint64_t address, parse_number(word, "address"));
  if (physical) return Place{std::nullopt, address};
  return Place{call.vcpu, address};
}

Status examine_physical(MonitorCall& call) {
  Format format;
  if (!call.words.empty() && call.words[0][0] == '/') {
    UVMM_TRY(format, parse_format(call.words[0]));
    call.words.erase(call.words.begin());
  }
  UVMM_CHECK(need_words(call, 1, "xp [/COUNTbhwg] GPA"));
  UVMM_TRY(const std::uint64_t gpa, parse_number(call.words[0], "address"));
  constexpr std::uint64_t kMost = 1U << 20;
  if (format.count > kMost) return Error(ErrorKind::Invalid, "more than 1m units", "use dump-memory");
  std::size_t column = 0;
  return each_chunk(call, {std::nullopt, gpa}, format.count * format.unit,
                    [&](std::uint64_t offset, std::span<const std::byte> bytes) -> Status {
                      for (std::size_t i = 0; i + format.unit <= bytes.size(); i += format.unit) {
                        std::uint64_t value = 0;
                        std::memcpy(&value, bytes.data() + i, format.unit);
                        if (column == 0) call.out(hex16(gpa + offset + i).substr(2) + ":");
                        call.out(" 0x" + hex16(value).substr(18 - 2 * format.unit));
                        column = (column + format.unit) % 16;
                        const bool last = offset + i + format.unit == format.count * format.unit;
                        if (column == 0 || last) call.out("\n");
                      }
                      return uvm::ok();
                    });
}

Status translate(MonitorCall& call) {
  UVMM_CHECK(need_words(call, 1, "gva2gpa ADDRESS"));
  UVMM_TRY(const std::uint64_t address, parse_number(call.words[0], "address"));
  UVMM_TRY(const Translation found, call.inferior.translate({call.vcpu, address}));
  call.out("gpa: " + uvm::hex(found.gpa.value()) + " (page of " + uvm::hex(found.page_bytes) + " bytes, " +
           (found.user ? "user" : "kernel") + (found.writable ? ", writable" : ", read-only") + ")\n");
  return uvm::ok();
}

Status cr3(MonitorCall& call) {
  Translator& translator = call.inferior.translator();
  if (call.words.size() == 1 && call.words[0] == "auto") {
    translator.override_cr3(std::nullopt);
  } else if (call.words.size() == 1) {
    UVMM_TRY(const std::uint64_t value, parse_number(call.words[0], "CR3"));
    translator.override_cr3(value);
  } else if (call.words.size() == 2 && call.words[0] == "vcpu") {
    UVMM_TRY(const std::uint64_t index, parse_number(call.words[1], "vCPU"));
    UVMM_TRY(const PagingState state, call.inferior.paging(index));
    translator.override_cr3(state.cr3);
  } else if (!call.words.empty()) {
    return Error(ErrorKind::Invalid, "usage: monitor cr3 [auto|VALUE|vcpu N]");
  }
  const auto fixed = translator.cr3_override();
  call.out("addresses are translated by " +
           (fixed ? "the tables at cr3 " + uvm::hex(*fixed) : std::string("each vCPU's own tables")) + "\n");
  return uvm::ok();
}

Status poke_shared(MonitorCall& call) {
  GuestBytes& memory = call.inferior.memory();
  if (call.words.size() == 1 && call.words[0] == "on") {
    memory.allow_shared_writes(uvm::SharedWrites::Allow);
  } else if (call.words.size() == 1 && call.words[0] == "off") {
    memory.allow_shared_writes(uvm::SharedWrites::Refuse);
  } else if (!call.words.empty()) {
    return Error(ErrorKind::Invalid, "usage: monitor poke-shared [on|off]");
  }
  const bool on = memory.shared_writes() == uvm::SharedWrites::Allow;
  call.out(std::string("writes into memory that others see are ") + (on ? "done" : "refused") + "\n");
  return uvm::ok();
}

Status dump(MonitorCall& call) {
  UVMM_CHECK(need_words(call, 3, "dump-memory FILE ADDRESS BYTES"));
  UVMM_TRY(const Place place, parse_place(call, call.words[1]));
  UVMM_TRY(const std::uint64_t bytes, parse_number(call.words[2], "size"));
  std::ofstream file(call.words[0], std::ios::binary | std::ios::trunc);
  UVMM_CHECK(each_chunk(call, place, bytes, [&](std::uint64_t, std::span<const std::byte> part) -> Status {
    file.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size()));
    return uvm::ok();
  }));
  if (!file.flush()) return Error(ErrorKind::System, "'" + call.words[0] + "' cannot be written");
  call.out(std::to_string(bytes) + " bytes written to " + call.words[0] + "\n");
  return uvm::ok();
}

Status load(MonitorCall& call) {
  UVMM_CHECK(need_words(call, 2, "load FILE ADDRESS"));
  UVMM_TRY(Place place, parse_place(call, call.words[1]));
  std::ifstream file(call.words[0], std::ios::binary);
  if (!file) return Error(ErrorKind::NotFound, "'" + call.words[0] + "' cannot be read");
  std::vector<char> chunk(kChunk);
  std::uint64_t done = 0;
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || file.gcount() != 0) {
    const auto part = std::as_bytes(std::span(chunk)).first(static_cast<std::size_t>(file.gcount()));
    UVMM_CHECK(call.inferior.write({place.vcpu, place.address + done}, part));
    done += part.size();
  }
  call.out(std::to_string(done) + " bytes loaded at " + call.words[1] + "\n");
  return uvm::ok();
}

Status search(MonitorCall& call) {
  UVMM_CHECK(need_words(call, 3, "search ADDRESS BYTES HEX"));
  UVMM_TRY(const Place place, parse_place(call, call.words[0]));
  UVMM_TRY(const std::uint64_t bytes, parse_number(call.words[1], "size"));
  UVMM_TRY(const auto pattern, parse_bytes(call.words[2]));
  std::vector<std::byte> window;  // the end of the chunk before, then the chunk
  std::uint64_t window_at = 0;
  std::uint64_t found = 0;
  UVMM_CHECK(each_chunk(call, place, bytes, [&](std::uint64_t, std::span<const std::byte> part) -> Status {
    window.insert(window.end(), part.begin(), part.end());
    auto at = window.begin();
    while ((at = std::search(at, window.end(), pattern.begin(), pattern.end())) != window.end()) {
      call.out(uvm::hex(place.address + window_at + static_cast<std::uint64_t>(at - window.begin())) + "\n");
      ++found;
      ++at;
    }
    const std::size_t gone = window.size() - std::min(window.size(), pattern.size() - 1);
    window.erase(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(gone));
    window_at += gone;
    return uvm::ok();
  }));
  call.out(std::to_string(found) + " found\n");
  return uvm::ok();
}

Status core(MonitorCall& call) {
  UVMM_CHECK(need_words(call, 1, "core FILE"));
  UVMM_TRY(const CoreReport report, write_core(call.inferior, call.words[0]));
  call.out(std::to_string(report.ram_bytes >> 20) + " MiB of RAM, " + std::to_string(report.segments) +
           " segments, " + std::to_string(call.inferior.vcpus()) + " vCPUs" +
           (report.has_vmcoreinfo ? ", VMCOREINFO" : "") + " written to " + call.words[0] + "\n" +
           (report.has_vmcoreinfo ? "by crash(8): crash --kaslr auto vmlinux " + call.words[0] + "\n" : ""));
  return uvm::ok();
}

}  // namespace vmm::debug::monitor
