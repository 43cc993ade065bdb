// From process start to the guest's first word, beside QEMU for the same image; and what uvmm itself weighs.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "guest/programs/programs.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/raw_machine.h"

namespace {

constexpr int kRuns = 15;

/// Milliseconds of a whole run that prints a line and ends; negative when it did not end as it should.
double run(const std::vector<std::string>& arguments, int status) {
  const auto begin = std::chrono::steady_clock::now();
  const auto result = test::run_process(arguments);
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;
  return result.status == status ? spent.count() : -1;
}

void report(const char* name, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  if (times.front() < 0) {
    std::printf("%-36s did not run to its end\n", name);
    return;
  }
  std::printf("%-36s %7.1f / %7.1f ms\n", name, times.front(), times[times.size() / 2]);
}

/// hello16 as a boot sector on a disk: the same first instruction for QEMU, by way of its firmware.
std::string boot_sector() {
  const auto path = std::filesystem::temp_directory_path() / "uvmm-hello16.img";
  const auto image = guest::programs::find("hello16")->image;
  std::string bytes(reinterpret_cast<const char*>(image.data()), image.size());
  bytes.resize(512);
  bytes[510] = '\x55';
  bytes[511] = '\xaa';
  std::ofstream(path, std::ios::binary) << bytes;
  return path.string();
}

}  // namespace

int main() {
  if (const std::string reason = test::kvm_unusable(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 0;
  }
  const std::string uvmm = test::uvmm_path();
  const std::string sector = boot_sector();
  const std::vector<std::string> hello = {uvmm, "run", "--builtin", "hello16", "-m", "64"};
  const std::vector<std::string> large = {uvmm, "run", "--builtin", "hello16", "-m", "64G"};
  std::vector<std::string> qemu = {"/usr/bin/qemu-system-x86_64",
                                   "-nodefaults",
                                   "-display",
                                   "none",
                                   "-m",
                                   "64",
                                   "-serial",
                                   "stdio",
                                   "-device",
                                   "isa-debug-exit,iobase=0xf4,iosize=4",
                                   "-drive",
                                   "format=raw,file=" + sector};
  std::vector<double> ours;
  std::vector<double> ours_large;
  std::vector<double> theirs;
  for (int i = 0; i < kRuns; ++i) {
    ours.push_back(run(hello, 0));
    ours_large.push_back(run(large, 0));
    theirs.push_back(run(qemu, 1));
  }
  std::printf("process start to the end of a guest that prints one line, min / median of %d\n", kRuns);
  report("uvmm, 64 MiB", ours);
  report("uvmm, 64 GiB", ours_large);
  report("QEMU (TCG, its firmware), 64 MiB", theirs);
  std::filesystem::remove(sector);
  return 0;
}
