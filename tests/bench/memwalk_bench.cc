// First touch of guest RAM at CPL3, uvmm against plain anonymous memory mapped straight into a memory slot.
//
// Both sides run the built-in memwalk, which counts cycles in the guest; runs alternate, so that whatever
// else the machine does meets both. The figure to watch is the ratio of the minima: at most 1.1.
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/raw_machine.h"

namespace {

constexpr std::uint64_t kMemory = std::uint64_t{512} << 20;
constexpr int kRuns = 7;

struct Case {
  const char* name;
  const char* backing;  // of uvmm
  const char* huge;     // of uvmm
  bool baseline_huge;
  const char* guest_page;
};

std::string arguments(const Case& which) {
  return std::string("mode=touch page=") + which.guest_page;
}

/// The number after "first_cycles=", per page; 0 when the guest did not get that far.
double cycles_per_page(const std::string& serial) {
  const auto field = [&serial](const std::string& name) {
    const auto at = serial.find(name + "=");
    return at == std::string::npos ? 0.0 : std::strtod(serial.c_str() + at + name.size() + 1, nullptr);
  };
  const double pages = field("pages");
  return pages > 0 ? field("first_cycles") / pages : 0.0;
}

double run_uvmm(const Case& which) {
  const auto result =
      test::run_process({test::uvmm_path(), "run", "--builtin", "memwalk", "--builtin-args", arguments(which),
                         "-m", "512", "--memory-backing", which.backing, "--huge-pages", which.huge});
  if (result.status != 0) std::fprintf(stderr, "uvmm: status %d: %s\n", result.status, result.err.c_str());
  return cycles_per_page(result.out);
}

double run_baseline(const Case& which) {
  void* memory = ::mmap(nullptr, kMemory + (2 << 20), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return 0;
  // Aligned to 2 MiB as uvmm's window is, so that both can be given huge pages.
  void* place = memory;
  std::size_t room = kMemory + (2 << 20);
  auto* aligned = static_cast<std::byte*>(std::align(2 << 20, kMemory, place, room));
  ::madvise(aligned, kMemory, which.baseline_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  double cycles = 0;
  {
    test_support::RawMachine::Options options;
    options.memory = kMemory;
    options.backing = aligned;
    auto machine = test_support::RawMachine::create(options);
    if (machine && (*machine)->load(*guest::programs::find("memwalk"), arguments(which))) {
      (*machine)->run();
      cycles = cycles_per_page((*machine)->serial());
    }
  }
  ::munmap(memory, kMemory + (2 << 20));
  return cycles;
}

bool measure(const Case& which) {
  std::vector<double> ours;
  std::vector<double> plain;
  for (int i = 0; i < kRuns; ++i) {
    ours.push_back(run_uvmm(which));
    plain.push_back(run_baseline(which));
  }
  std::sort(ours.begin(), ours.end());
  std::sort(plain.begin(), plain.end());
  if (ours.front() <= 0 || plain.front() <= 0) {
    std::printf("%-34s failed: a run gave no figure\n", which.name);
    return false;
  }
  std::printf("%-34s uvmm %8.0f / %8.0f   plain %8.0f / %8.0f   ratio %.2f / %.2f\n", which.name,
              ours.front(), ours[kRuns / 2], plain.front(), plain[kRuns / 2], ours.front() / plain.front(),
              ours[kRuns / 2] / plain[kRuns / 2]);
  return true;
}

}  // namespace

int main() {
  if (const std::string reason = test::kvm_unusable(); !reason.empty()) {
    std::printf("skipped: %s\n", reason.c_str());
    return 0;
  }
  std::printf("first touch of 512 MiB at CPL3, cycles a page, min / median of %d alternating runs\n", kRuns);
  bool good = true;
  for (const Case& which : {Case{"default, host 2M, guest 4K", "auto", "auto", true, "4k"},
                            Case{"default, host 2M, guest 2M", "auto", "auto", true, "2m"},
                            Case{"anonymous, host 2M, guest 4K", "anonymous", "auto", true, "4k"},
                            Case{"anonymous, host 4K, guest 4K", "anonymous", "never", false, "4k"},
                            Case{"RAM object, host 4K, guest 4K", "shared", "never", false, "4k"}}) {
    good = measure(which) && good;
  }
  return good ? 0 : 1;
}
