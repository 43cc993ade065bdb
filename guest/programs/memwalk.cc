// Walks all RAM but its own at CPL 3: first touch and second touch timed, then passes of writing and
// verifying.
//
//   passes=N            passes of `mode` after the two timed walks (default 1)
//   page=2m|4k          size of the guest's own pages; with 4k only as much RAM as half the low RAM holds
//   tables for mode=verify         write every word of every page, then compare every word (default)
//        write          write only
//        touch          no passes beyond the timed walks
//        random         the timed walks in a random order of pages, then like verify
//
// Status 0 when every word was what it had to be, 1 when not, 3 when there is no RAM to walk.
#include "guest/programs/rt/rt.h"
#include "guest/programs/rt/window.h"

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr unsigned kWords = kPage / sizeof(std::uint64_t);

struct Walk {
  guest::programs::RamRange ranges[rt::BuiltinInfo::kMaxRanges];
  unsigned count = 0;
  std::uint64_t pages = 0;
  std::uint64_t errors = 0;
  std::uint64_t first_error = 0;  // GPA
};

std::uint64_t pattern(std::uint64_t gpa, std::uint64_t pass) {
  return (gpa ^ (pass << 56)) * 0x9e37'79b9'7f4a'7c15 + pass;
}

void expect(Walk& walk, std::uint64_t gpa, std::uint64_t pass) {
  if (*rt::window(gpa) == pattern(gpa, pass)) return;
  if (walk.errors++ == 0) walk.first_error = gpa;
}

/// Calls `visit(gpa)` for each page, in address order.
template <class Visit>
void in_order(const Walk& walk, Visit visit) {
  for (unsigned i = 0; i < walk.count; ++i) {
    const std::uint64_t end = walk.ranges[i].gpa + walk.ranges[i].size;
    for (std::uint64_t gpa = walk.ranges[i].gpa; gpa < end; gpa += kPage) visit(gpa);
  }
}

std::uint64_t gpa_of_page(const Walk& walk, std::uint64_t page) {
  unsigned i = 0;
  for (; page >= walk.ranges[i].size / kPage; ++i) page -= walk.ranges[i].size / kPage;
  return walk.ranges[i].gpa + page * kPage;
}

/// The same pages, each once, in the order of a full-period generator over the next power of two.
template <class Visit>
void at_random(const Walk& walk, Visit visit) {
  std::uint64_t mask = 1;
  while (mask < walk.pages) mask = mask << 1 | 1;
  std::uint64_t state = 0;
  for (std::uint64_t n = 0; n <= mask; ++n) {
    state = (state * 0x5851'f42d'4c95'7f2d + 0x1405'7b7e'f767'814f) & mask;
    if (state < walk.pages) visit(gpa_of_page(walk, state));
  }
}

template <class Visit>
std::uint64_t timed(const Walk& walk, bool random, Visit visit) {
  const std::uint64_t begin = rt::cycles();
  if (random) {
    at_random(walk, visit);
  } else {
    in_order(walk, visit);
  }
  return rt::cycles() - begin;
}

void fill(const Walk& walk, std::uint64_t pass) {
  in_order(walk, [pass](std::uint64_t page) {
    for (std::uint64_t gpa = page; gpa < page + kPage; gpa += sizeof(std::uint64_t)) {
      *rt::window(gpa) = pattern(gpa, pass);
    }
  });
}

void verify(Walk& walk, std::uint64_t pass) {
  in_order(walk, [&walk, pass](std::uint64_t page) {
    for (unsigned word = 0; word < kWords; ++word) expect(walk, page + word * sizeof(std::uint64_t), pass);
  });
}

/// Maps what can be mapped and leaves out everything below 1 MiB, the program and the tables.
Walk prepare(const rt::BuiltinInfo& info, rt::PageSize size) {
  Walk walk;
  const std::uint64_t free_begin = rt::image_end();
  rt::WindowBuilder builder(free_begin, free_begin + (rt::low_ram_end(info) - free_begin) / 2);
  for (std::uint32_t i = 0; i < info.ranges; ++i) {
    std::uint64_t begin = (info.ram[i].gpa + kPage - 1) & ~(kPage - 1);
    const std::uint64_t end = (info.ram[i].gpa + info.ram[i].size) & ~(kPage - 1);
    if (begin < free_begin) begin = free_begin;
    if (end <= begin) continue;
    walk.ranges[walk.count++] = {begin, builder.map(begin, end - begin, size)};
  }
  for (unsigned i = 0; i < walk.count; ++i) {
    guest::programs::RamRange& range = walk.ranges[i];
    const std::uint64_t end = range.gpa + range.size;
    if (range.gpa < builder.tables_end()) {
      range.gpa = builder.tables_end() < end ? builder.tables_end() : end;
      range.size = end - range.gpa;
    }
    walk.pages += range.size / kPage;
  }
  return walk;
}

void report(const Walk& walk, rt::PageSize size, std::uint64_t first, std::uint64_t again) {
  rt::print("memwalk:");
  rt::print_field("bytes", walk.pages * kPage);
  rt::print_field("pages", walk.pages);
  rt::print_field("page_size", static_cast<std::uint64_t>(size));
  rt::print_field("first_cycles", first);
  rt::print_field("again_cycles", again);
  rt::print_field("errors", walk.errors);
  if (walk.errors != 0) {
    rt::print(" first_error=");
    rt::print_hex(walk.first_error);
  }
  rt::put('\n');
}

}  // namespace

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  const char* const mode = rt::argument(*info, "mode");
  const rt::PageSize size =
      rt::is(rt::argument(*info, "page"), "4k") ? rt::PageSize::Small : rt::PageSize::Large;
  Walk walk = prepare(*info, size);
  if (walk.pages == 0) {
    rt::print("memwalk: no RAM to walk\n");
    rt::finish(3);
  }
  const bool random = rt::is(mode, "random");
  const std::uint64_t first =
      timed(walk, random, [](std::uint64_t gpa) { *rt::window(gpa) = pattern(gpa, 0); });
  const std::uint64_t again = timed(walk, random, [&walk](std::uint64_t gpa) { expect(walk, gpa, 0); });
  const std::uint64_t passes = rt::is(mode, "touch") ? 0 : rt::number(*info, "passes", 1);
  for (std::uint64_t pass = 1; pass <= passes; ++pass) {
    fill(walk, pass);
    if (!rt::is(mode, "write")) verify(walk, pass);
  }
  report(walk, size, first, again);
  rt::finish(walk.errors == 0 ? 0 : 1);
}
