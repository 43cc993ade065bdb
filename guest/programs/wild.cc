// Writes where it has no business: all RAM but its own, every 2 MiB of the rest below 4 GiB, every GiB up to
// 64 GiB. A machine survives it when the write to the exit port still arrives.
#include "guest/programs/rt/rt.h"
#include "guest/programs/rt/window.h"

namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kLargeBytes = static_cast<std::uint64_t>(rt::PageSize::Large);

bool is_ram(const rt::BuiltinInfo& info, std::uint64_t gpa) {
  for (std::uint32_t i = 0; i < info.ranges; ++i) {
    if (gpa - info.ram[i].gpa < info.ram[i].size) return true;
  }
  return false;
}

}  // namespace

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  const rt::BuiltinInfo copy = *info;  // the original lies in the way
  const std::uint64_t low_end = rt::low_ram_end(copy);
  rt::WindowBuilder builder(rt::image_end(), low_end);
  std::uint64_t mapped = builder.map(0, 4 * kGiB, rt::PageSize::Large) / (4 * kGiB);
  for (std::uint64_t gpa = 4 * kGiB; gpa < 64 * kGiB; gpa += kGiB) {
    mapped += builder.map(gpa, kLargeBytes, rt::PageSize::Large) / kLargeBytes;
  }
  if (mapped != 61) rt::finish(3);

  std::uint64_t stray = 0;
  std::uint64_t seed = 1;
  for (std::uint64_t gpa = 0; gpa < 64 * kGiB; gpa += gpa < 4 * kGiB ? kLargeBytes : kGiB) {
    if (is_ram(copy, gpa)) continue;
    seed = seed * 6364136223846793005 + 1442695040888963407;
    *rt::window(gpa) = seed;
    *rt::window(gpa + (seed >> 43 << 3) % kLargeBytes) = ~seed;
    stray += 2;
  }
  std::uint64_t pages = 0;
  for (std::uint64_t gpa = 0; gpa < 4 * kGiB; gpa += 4096) {
    const bool own = guest::programs::kLongEntry <= gpa && gpa < builder.tables_end();
    if (own || !is_ram(copy, gpa)) continue;
    *rt::window(gpa) = ~gpa;
    ++pages;
  }
  rt::print("wild:");
  rt::print_field("ram_pages", pages);
  rt::print_field("stray_writes", stray);
  rt::put('\n');
  rt::finish(0);
}
