#include "tests/gdb/linux_guest.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "tests/support/places.h"
#include "vmm/kvm/fd.h"
#include "vmm/kvm/probe.h"

namespace test {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::minutes kPatience{5};

bool needs_rig() {
  return std::getenv("UVMM_FORCE_RIG") != nullptr || !vmm::kvm::can_boot_linux().possible;
}

/// Binds a port of the loopback, 0 being any; 0 when that can't be.
std::uint16_t bound(std::uint16_t port) {
  const vmm::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;  // connections that have just ended do not count
  static_cast<void>(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), any, size) != 0 || ::getsockname(socket.get(), any, &size) != 0) return 0;
  return ntohs(address.sin_port);
}

std::string base64(const std::string& text) {
  ProcessOptions options;
  options.input = {{"", text}};
  return run_process({"/usr/bin/base64", "-w0"}, options).out;
}

}  // namespace

std::string first_installed(const std::vector<std::string>& programs) {
  for (const std::string& each : programs) {
    if (run_process({"/bin/sh", "-c", "command -v " + each}).status == 0) return each;
  }
  return {};
}

bool is_free_port(std::uint16_t port) {
  return bound(port) == port;
}

std::string linux_symbols() {
  return asset("vmlinux.debug");
}

std::string no_linux_to_debug() {
  if (first_installed({"gdb"}).empty()) return "gdb is not installed (package gdb)";
  if (!fs::exists(asset("vmlinuz"))) return "no default guest (./dev assets makes it)";
  if (!fs::exists(linux_symbols()))
    return "no symbols of the default guest's kernel (./dev symbols fetches them from Debian's archive)";
  if (needs_rig() && first_installed({"qemu-system-x86_64"}).empty())
    return "no KVM that boots Linux, and no QEMU for the rig (package qemu-system-x86)";
  return {};
}

LinuxGuest::LinuxGuest(const std::string& script) {
  const bool in_rig = needs_rig();
  const std::string port = std::to_string(bound(0));
  address_ = "127.0.0.1:" + port;
  std::vector<std::string> words = {"/usr/bin/env"};
  if (in_rig) {
    words.insert(words.end(), {"UVMM_RIG_FORWARD=" + port, "UVMM_RIG_TIMEOUT=3000",
                               test::source_dir() + "/tests/rig/rig.sh"});
  }
  const std::string console = "console=ttyS0 panic=-1 pti=on uvmm.exec=base64:";
  words.insert(words.end(),
               {test::uvmm_path(), "run", "-k", asset("vmlinuz"), "-i", asset("initramfs.cpio.gz"), "-c", "4",
                "-p", console + base64(script), "--gdb", in_rig ? "tcp:10.0.2.15:1234" : "tcp:" + address_});
  process_ = std::make_unique<BackgroundProcess>(
      words, testing::TempDir() + "uvmm-gdb-linux-" + std::to_string(::getpid()) + ".log");
}

bool LinuxGuest::is_up() {
  return process_->prints("uvmm-guest: begin", 0, kPatience);
}

bool LinuxGuest::will_print(const std::string& text) {
  return process_->prints(text, process_->output_size(), kPatience);
}

std::string LinuxGuest::gdb(const std::vector<std::string>& commands, const std::string& program) const {
  std::vector<std::string> words = {"/usr/bin/env",
                                    program,
                                    "-batch",
                                    "-nx",
                                    "-iex",
                                    "set debuginfod enabled off",
                                    "-iex",
                                    "set remotetimeout 120",
                                    linux_symbols(),
                                    "-ex",
                                    "target remote " + address_};
  for (const std::string& each : commands) words.insert(words.end(), {"-ex", each});
  ProcessOptions options;
  options.limit = std::chrono::minutes(30);
  const auto result = run_process(words, options);
  return result.out + result.err;
}

}  // namespace test
