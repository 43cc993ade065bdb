// uvmm-pin: works on the memory of a running guest from another process, and shows how a device does it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "uvm/base/range.h"
#include "vmm/pin_client/client.h"

namespace {

using vmm::pins::Client;
using vmm::pins::RemotePin;

constexpr int kBadInput = 2;
constexpr std::size_t kRow = 16;  // bytes a line

struct Words {
  std::string socket;
  std::uint64_t gpa = 0;
  std::uint64_t size = uvm::kPageSize;
  unsigned byte = 0;
  std::string name = "uvmm-pin";
  unsigned milliseconds = 1000;
  unsigned times = 0;  // 0: until it is told to end
  bool write = false;
};

/// The bytes somebody names, and the pages they lie in.
struct Window {
  uvm::GpaRange wanted;
  RemotePin pin;
  [[nodiscard]] std::span<std::byte> bytes() const {
    return pin.bytes().subspan(wanted.begin() - pin.ranges().front().begin(), wanted.size());
  }
};

uvm::Result<Window> open(const Words& words, uvm::PinAccess access) {
  const auto wanted = uvm::GpaRange::from_size(uvm::Gpa(words.gpa), words.size);
  const auto cover = wanted ? wanted->page_cover() : std::nullopt;
  if (!cover || wanted->empty()) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      uvm::hex(words.size) + " bytes at " + uvm::hex(words.gpa) + " are no range");
  }
  UVMM_TRY(Client client, Client::connect(words.socket, words.name));
  UVMM_TRY(RemotePin pin, client.pin(*cover, access));
  return Window{*wanted, std::move(pin)};
}

void print_row(std::uint64_t gpa, std::span<const std::byte> row) {
  std::printf("%012llx ", static_cast<unsigned long long>(gpa));
  for (std::size_t i = 0; i < kRow; ++i) {
    if (i % 8 == 0) std::printf(" ");
    i < row.size() ? std::printf("%02x ", std::to_integer<unsigned>(row[i])) : std::printf("   ");
  }
  std::printf(" |");
  for (const std::byte byte : row) {
    const auto c = std::to_integer<unsigned char>(byte);
    std::printf("%c", std::isprint(c) != 0 ? c : '.');
  }
  std::printf("|\n");
}

uvm::Status hexdump(const Words& words) {
  UVMM_TRY(const Window window, open(words, uvm::PinAccess::Read));
  const auto bytes = window.bytes();
  for (std::size_t at = 0; at < bytes.size(); at += kRow) {
    print_row(window.wanted.begin().value() + at, bytes.subspan(at, std::min(kRow, bytes.size() - at)));
  }
  return uvm::ok();
}

uvm::Status fill(const Words& words) {
  UVMM_TRY(const Window window, open(words, uvm::PinAccess::Write));
  std::ranges::fill(window.bytes(), static_cast<std::byte>(words.byte));
  return uvm::ok();
}

uvm::Status watch(const Words& words) {
  UVMM_TRY(const Window window, open(words, uvm::PinAccess::Read));
  const auto bytes = window.bytes();
  std::vector<std::byte> last(bytes.begin(), bytes.end());
  for (unsigned looked = 0; words.times == 0 || looked < words.times; ++looked) {
    std::this_thread::sleep_for(std::chrono::milliseconds(words.milliseconds));
    const std::vector<std::byte> now(bytes.begin(), bytes.end());
    for (std::size_t at = 0; at < now.size(); at += kRow) {
      const std::size_t size = std::min(kRow, now.size() - at);
      if (std::memcmp(&now[at], &last[at], size) == 0) continue;
      print_row(window.wanted.begin().value() + at, std::span(now).subspan(at, size));
    }
    std::fflush(stdout);
    last = now;
  }
  return uvm::ok();
}

/// Holds until its input ends.
uvm::Status pin(const Words& words) {
  UVMM_TRY(const Window window, open(words, words.write ? uvm::PinAccess::Write : uvm::PinAccess::Read));
  std::printf("pinned %s for %s\n", to_string(window.pin.ranges().front()).c_str(),
              words.write ? "writing" : "reading");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return uvm::ok();
}

}  // namespace

int main(int argc, char** argv) try {
  Words words;
  uvm::Status (*act)(const Words&) = nullptr;
  CLI::App app("Works on the memory of a guest that runs with --pin-socket.", "uvmm-pin");
  app.require_subcommand(1);
  app.add_option("SOCKET", words.socket, "the guest's pin socket")->required();
  app.add_option("--name", words.name, "what uvmm shows for this process (default: uvmm-pin)");
  const auto verb = [&](const char* name, const char* what, uvm::Status (*does)(const Words&)) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->add_option("GPA", words.gpa, "guest-physical address, in bytes or 0x…")->required();
    sub->add_option("SIZE", words.size, "bytes, with K, M or G (default: 4K)")
        ->transform(CLI::AsSizeValue(false));
    sub->callback([&act, does] { act = does; });
    return sub;
  };
  verb("hexdump", "print bytes", hexdump);
  verb("fill", "set every byte", fill)
      ->add_option("--byte", words.byte, "to this value (default: 0)")
      ->check(CLI::Range(0, 0xff));
  CLI::App* watching = verb("watch", "print lines that change", watch);
  watching->add_option("--every", words.milliseconds, "milliseconds between two looks (default: 1000)");
  watching->add_option("--times", words.times, "looks (default: until it is ended)");
  verb("pin", "hold the pages until the standard input ends", pin)
      ->add_flag("--write", words.write, "for writing");
  CLI11_PARSE(app, argc, argv);
  if (const uvm::Status done = act(words); !done) {
    std::fprintf(stderr, "uvmm-pin: %s\n", done.error().text().c_str());
    return kBadInput;
  }
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "uvmm-pin: %s\n", failure.what());
  return kBadInput;
}
