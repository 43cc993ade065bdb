#include "vmm/config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <span>

#include "vmm/config/check_text.h"
#include "vmm/config/nearest.h"
#include "vmm/log.h"
#include "vmm/text.h"

namespace vmm::config {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 2> kVhostUserKinds = {"blk", "fs"};
constexpr std::array<std::string_view, 3> kBackings = {"auto", "anonymous", "shared"};
constexpr std::array<std::string_view, 2> kHugePages = {"auto", "never"};
constexpr std::array<std::string_view, 3> kIrqChips = {"auto", "split", "full"};
constexpr std::array<std::string_view, 3> kDebugExits = {"auto", "qemu", "plain"};
constexpr std::array<std::string_view, 2> kCacheTypes = {"Writeback", "Unsafe"};
constexpr std::array<std::string_view, 2> kNetBackEnds = {"tap", "passt"};
constexpr std::array<std::string_view, 2> kSwapErrors = {"pause", "stop"};
constexpr std::array<std::string_view, 3> kConsoles = {"stdio", "none", "virtio"};
constexpr std::array<std::string_view, 2> kVirtioTransports = {"pci", "mmio"};
constexpr std::array<std::string_view, 2> kShowMaps = {"on-signal", "at-exit"};
constexpr std::array<std::string_view, 2> kClocks = {"continue", "host"};
constexpr std::array<std::string_view, 2> kOnKills = {"detach", "kill"};
constexpr std::array<std::string_view, 3> kOnDisconnects = {"resume", "stay", "kill"};
constexpr std::array<std::string_view, 2> kAtStarts = {"run", "wait"};
constexpr std::array<std::string_view, 7> kFormats = {"auto",      "bzimage",   "elf64",    "pvh",
                                                      "multiboot", "flat-real", "flat-long"};
constexpr std::array<std::string_view, 7> kLevels = {"trace", "debug",    "info", "warning",
                                                     "error", "critical", "off"};

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 80;  // bytes of a wrong value that a message repeats
  std::string shown = one_line(text.substr(0, kShown));
  if (text.size() > kShown) shown += "…";
  return "'" + shown + "'";
}

uvm::Result<std::size_t> parse_word(std::string_view name, Words words) {
  const auto found = std::ranges::find(words, name);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  return invalid(quoted(name) + " is not one of " + alternatives(words),
                 "the nearest is '" + std::string(nearest(name, words)) + "'");
}

template <class Enum>
uvm::Result<Enum> parse_enum(std::string_view name, Words words) {
  UVMM_TRY(const std::size_t index, parse_word(name, words));
  return static_cast<Enum>(index);
}

void drop_prefix(std::string_view& text, std::string_view prefix) {
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
}

enum class Digits { None, Fit, TooMany };

/// Takes the digits off the front of `text`.
Digits take_number(std::string_view& text, int base, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (length == 0 || error == std::errc::invalid_argument) return Digits::None;
  text.remove_prefix(length);
  return error == std::errc() ? Digits::Fit : Digits::TooMany;
}

/// The power of two that a size's suffix means; -1 for none known.
int suffix_shift(std::string_view suffix) {
  if (suffix.empty()) return 20;
  constexpr std::string_view kUnits = "KMGT";
  const char unit = suffix[0] >= 'a' ? static_cast<char>(suffix[0] - 'a' + 'A') : suffix[0];
  const std::size_t index = kUnits.find(unit);
  const std::string_view rest = suffix.substr(1);
  if (index == std::string_view::npos || !(rest.empty() || rest == "B" || rest == "b" || rest == "iB"))
    return -1;
  return 10 * (static_cast<int>(index) + 1);
}

uvm::Result<std::uint32_t> parse_forks(std::string_view text, std::uint32_t most) {
  std::string_view rest = text;
  std::uint64_t value = 0;
  if (take_number(rest, 10, value) != Digits::Fit || !rest.empty() || value > most) {
    return invalid(quoted(text) + " is no number of forks", "choose 0 to " + std::to_string(most));
  }
  return static_cast<std::uint32_t>(value);
}

}  // namespace

uvm::Result<std::uint64_t> parse_size(std::string_view text) {
  const std::string_view whole = text;
  drop_prefix(text, "size=");
  std::uint64_t value = 0;
  const Digits digits = take_number(text, 10, value);
  const int shift = suffix_shift(text);
  if (digits == Digits::None || shift < 0) {
    return invalid(quoted(whole) + " is not a size",
                   "write a whole number with K, M, G or T, as in 512M or 2G; without a unit it is MiB");
  }
  if (digits == Digits::TooMany || value > (std::numeric_limits<std::uint64_t>::max() >> shift)) {
    return invalid(quoted(whole) + " is more than 64 bits can hold");
  }
  return value << shift;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::string_view kUnits = "KMGT";
  if (bytes == 0) return "0";
  if (bytes % 1024 != 0) return std::to_string(bytes) + " bytes";
  std::size_t unit = 0;
  std::uint64_t value = bytes / 1024;
  while (unit + 1 < kUnits.size() && value % 1024 == 0) {
    value /= 1024;
    ++unit;
  }
  return std::to_string(value) + kUnits[unit];
}

uvm::Result<unsigned> parse_pin_irq(std::string_view text) {
  const std::string_view whole = text;
  std::uint64_t value = 0;
  if (take_number(text, 10, value) != Digits::Fit || !text.empty() || value < pins::kFirstBellIrq ||
      value > pins::kLastBellIrq) {
    return invalid(
        quoted(whole) + " is no interrupt for bells",
        "choose " + std::to_string(pins::kFirstBellIrq) + " to " + std::to_string(pins::kLastBellIrq));
  }
  return static_cast<unsigned>(value);
}

uvm::Result<vhost_user::Options> parse_vhost_user_fs(std::string_view text) {
  constexpr std::string_view kTag = ",tag=";
  const std::size_t at = text.rfind(kTag);
  if (at == std::string_view::npos) {
    return invalid(quoted(text) + " names no tag, by which the guest mounts the file system",
                   "write SOCKET,tag=TAG");
  }
  return vhost_user::Options{vhost_user::Kind::FileSystem, std::string(text.substr(0, at)),
                             std::string(text.substr(at + kTag.size()))};
}

uvm::Result<vhost_user::Kind> parse_vhost_user_kind(std::string_view name) {
  return parse_enum<vhost_user::Kind>(name, kVhostUserKinds);
}

uvm::Result<std::uint32_t> parse_vcpus(std::string_view text) {
  const std::string_view whole = text;
  drop_prefix(text, "cpus=");
  drop_prefix(text, "boot=");
  std::uint64_t value = 0;
  const Digits digits = take_number(text, 10, value);
  if (digits == Digits::None || !text.empty()) {
    return invalid(quoted(whole) + " is not a number of vCPUs", "write a whole number");
  }
  if (digits == Digits::TooMany || value > std::numeric_limits<std::uint32_t>::max()) {
    return invalid(quoted(whole) + " vCPUs are too many",
                   "1 to " + std::to_string(kMaxVcpus) + " are possible");
  }
  return static_cast<std::uint32_t>(value);
}

uvm::Result<std::uint32_t> parse_max_children(std::string_view text) {
  return parse_forks(text, control::kMostChildren);
}

uvm::Result<std::uint32_t> parse_ready_copies(std::string_view text) {
  return parse_forks(text, control::kMostReadyCopies);
}

uvm::Result<std::uint64_t> parse_address(std::string_view text) {
  const std::string_view whole = text;
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t value = 0;
  const Digits digits = take_number(text, hexadecimal ? 16 : 10, value);
  if (digits == Digits::None || !text.empty()) {
    return invalid(quoted(whole) + " is not an address", "write bytes, as in 0x100000 or 1048576");
  }
  if (digits == Digits::TooMany) return invalid(quoted(whole) + " is more than 64 bits can hold");
  return value;
}

uvm::Result<virtio::net::MacAddress> parse_mac(std::string_view text) {
  const std::string_view whole = text;
  virtio::net::MacAddress address{};
  bool good = text.size() == 3 * address.size() - 1;
  for (std::size_t i = 0; good && i < address.size(); ++i) {
    std::string_view digits = text.substr(3 * i, 2);
    std::uint64_t value = 0;
    good = take_number(digits, 16, value) == Digits::Fit && digits.empty() &&
           (i + 1 == address.size() || text[3 * i + 2] == ':');
    address[i] = static_cast<std::uint8_t>(value);
  }
  if (good) return address;
  return invalid(quoted(whole) + " is not a MAC address", "write six bytes, as in 02:4a:9f:00:00:01");
}

uvm::Result<MemoryBacking> parse_backing(std::string_view name) {
  return parse_enum<MemoryBacking>(name, kBackings);
}
uvm::Result<HugePages> parse_huge_pages(std::string_view name) {
  return parse_enum<HugePages>(name, kHugePages);
}
uvm::Result<IrqChip> parse_irqchip(std::string_view name) {
  return parse_enum<IrqChip>(name, kIrqChips);
}
uvm::Result<DebugExitStatus> parse_debug_exit(std::string_view name) {
  return parse_enum<DebugExitStatus>(name, kDebugExits);
}
uvm::Result<virtio::blk::Flush> parse_cache_type(std::string_view name) {
  return parse_enum<virtio::blk::Flush>(name, kCacheTypes);
}
uvm::Result<virtio::net::BackEnd> parse_net_back_end(std::string_view name) {
  return parse_enum<virtio::net::BackEnd>(name, kNetBackEnds);
}
uvm::Result<SwapError> parse_swap_error(std::string_view name) {
  return parse_enum<SwapError>(name, kSwapErrors);
}
uvm::Result<ConsoleMode> parse_console(std::string_view name) {
  return parse_enum<ConsoleMode>(name, kConsoles);
}
uvm::Result<VirtioTransport> parse_virtio_transport(std::string_view name) {
  return parse_enum<VirtioTransport>(name, kVirtioTransports);
}
uvm::Result<ShowMap> parse_show_map(std::string_view name) {
  return parse_enum<ShowMap>(name, kShowMaps);
}
uvm::Result<ClockPolicy> parse_clock(std::string_view name) {
  return parse_enum<ClockPolicy>(name, kClocks);
}

uvm::Result<gdb::OnKill> parse_on_kill(std::string_view name) {
  return parse_enum<gdb::OnKill>(name, kOnKills);
}
uvm::Result<gdb::OnDisconnect> parse_on_disconnect(std::string_view name) {
  return parse_enum<gdb::OnDisconnect>(name, kOnDisconnects);
}
uvm::Result<gdb::AtStart> parse_at_start(std::string_view name) {
  return parse_enum<gdb::AtStart>(name, kAtStarts);
}

uvm::Result<std::string> parse_kernel_format(std::string_view name) {
  UVMM_TRY(const std::size_t index, parse_word(name, kFormats));
  return std::string(kFormats[index]);
}

uvm::Result<std::string> parse_log_level(std::string_view name) {
  if (const auto level = log::parse_level(name)) return std::string(log::to_string(*level));
  UVMM_TRY(const std::size_t index, parse_word(name, kLevels));
  return std::string(kLevels[index]);
}

std::string_view to_string(vhost_user::Kind value) {
  return kVhostUserKinds[static_cast<std::size_t>(value)];
}
std::string_view to_string(MemoryBacking value) {
  return kBackings[static_cast<std::size_t>(value)];
}
std::string_view to_string(HugePages value) {
  return kHugePages[static_cast<std::size_t>(value)];
}
std::string_view to_string(IrqChip value) {
  return kIrqChips[static_cast<std::size_t>(value)];
}
std::string_view to_string(DebugExitStatus value) {
  return kDebugExits[static_cast<std::size_t>(value)];
}
std::string_view to_string(virtio::blk::Flush value) {
  return kCacheTypes[static_cast<std::size_t>(value)];
}
std::string_view to_string(virtio::net::BackEnd value) {
  return kNetBackEnds[static_cast<std::size_t>(value)];
}
std::string to_string(const virtio::net::MacAddress& address) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1], address[2],
                address[3], address[4], address[5]);
  return text.data();
}
std::string_view to_string(SwapError value) {
  return kSwapErrors[static_cast<std::size_t>(value)];
}
std::string_view to_string(ConsoleMode value) {
  return kConsoles[static_cast<std::size_t>(value)];
}
std::string_view to_string(VirtioTransport value) {
  return kVirtioTransports[static_cast<std::size_t>(value)];
}
std::string_view to_string(ShowMap value) {
  return kShowMaps[static_cast<std::size_t>(value)];
}
std::string_view to_string(gdb::OnKill value) {
  return kOnKills[static_cast<std::size_t>(value)];
}
std::string_view to_string(gdb::OnDisconnect value) {
  return kOnDisconnects[static_cast<std::size_t>(value)];
}
std::string_view to_string(gdb::AtStart value) {
  return kAtStarts[static_cast<std::size_t>(value)];
}

}  // namespace vmm::config
