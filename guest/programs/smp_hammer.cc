// All processors hammer the same pages at CPL 3 and check what they see.
//
//   rounds=N pages=N    (default 2000 and 64)
//
// Counters: every processor adds one to a counter in each page, N rounds long. A processor may never see a
// counter go back, and at the end each must be exactly vcpus * rounds. Order: each processor owns two pages;
// it stores its round into the first when the round begins, into the second when it ends. Whoever reads the
// second and then the first must find the first at least as new; x86 orders both pairs. A VMM that replaces a
// page under one processor but not under the other breaks either.
//
// Status 0; 1 lost increments or wrong order; 2 a processor did not come up; 3 not enough RAM.
#include "guest/programs/rt/rt.h"

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kMaxProcessors = 64;
constexpr std::uint32_t kMaxPages = 1024;

}  // namespace

/// What one application processor needs: descriptors, a TSS for exceptions, two stacks (smp_start.S knows the
/// size).
struct Processor {
  struct __attribute__((packed)) {
    std::uint16_t limit;
    std::uint64_t base;
  } gdt_pointer;
  alignas(16) std::uint64_t gdt[7];
  alignas(16) std::uint32_t tss[26];
  alignas(2048) char user_stack[4096];  // the kernel's stack is what lies before it
};
static_assert(sizeof(Processor) == 0x1800 && offsetof(Processor, user_stack) == 0x800);

extern "C" {
Processor processors[kMaxProcessors];
extern const char ap_start[];
extern const char ap_start_end[];
}

namespace {

std::uint32_t vcpus;
std::uint64_t rounds;
std::uint32_t pages;
std::uint64_t base;  // GPA of the first hammered page; the ordered pairs follow the counters

std::uint32_t arrived;
std::uint32_t go;
std::uint32_t done;
std::uint64_t order_errors;

template <class T>
T load(const T& from) {
  return __atomic_load_n(&from, __ATOMIC_ACQUIRE);
}
template <class T>
void store(T& to, T value) {
  __atomic_store_n(&to, value, __ATOMIC_RELEASE);
}
template <class T>
T add(T& to, T value) {
  return __atomic_fetch_add(&to, value, __ATOMIC_SEQ_CST);
}

std::uint64_t& counter(std::uint32_t page) {
  return *reinterpret_cast<std::uint64_t*>(base + page * kPage);
}
std::uint64_t& ordered(std::uint32_t processor, std::uint32_t which) {
  return counter(pages + 2 * processor + which);
}

/// What one processor has seen so far; static because CPL 3 stacks are small.
struct Seen {
  std::uint64_t counters[kMaxPages];
  std::uint64_t second[kMaxProcessors];
};
Seen seen[kMaxProcessors];

std::uint64_t check_order(Seen& mine) {
  std::uint64_t errors = 0;
  for (std::uint32_t other = 0; other < vcpus; ++other) {
    const std::uint64_t second = load(ordered(other, 1));
    const std::uint64_t first = load(ordered(other, 0));
    if (first < second || second < mine.second[other]) ++errors;
    mine.second[other] = second;
  }
  return errors;
}

void hammer(std::uint32_t id) {
  Seen& mine = seen[id];
  std::uint64_t errors = 0;
  for (std::uint64_t round = 1; round <= rounds; ++round) {
    store(ordered(id, 0), round);
    for (std::uint32_t i = 0; i < pages; ++i) {
      const std::uint32_t page = (i + id) % pages;
      const std::uint64_t before = add(counter(page), std::uint64_t{1});
      if (before < mine.counters[page]) ++errors;
      mine.counters[page] = before + 1;
    }
    store(ordered(id, 1), round);
    errors += check_order(mine);
  }
  if (errors != 0) add(order_errors, errors);
  add(done, std::uint32_t{1});
}

void prepare(Processor& processor) {
  const auto tss = reinterpret_cast<std::uint64_t>(processor.tss);
  const auto stack = reinterpret_cast<std::uint64_t>(processor.user_stack);
  processor.tss[1] = static_cast<std::uint32_t>(stack);  // RSP0
  processor.tss[25] = 0x68u << 16;                       // no I/O bitmap within the limit
  processor.gdt[1] = 0x00af'9b00'0000'ffff;
  processor.gdt[2] = 0x00cf'9300'0000'ffff;
  processor.gdt[3] = 0x00af'fb00'0000'ffff;
  processor.gdt[4] = 0x00cf'f300'0000'ffff;
  processor.gdt[5] = 0x67 | (tss & 0xff'ffff) << 16 | std::uint64_t{0x89} << 40 | (tss >> 24 & 0xff) << 56;
  processor.gdt_pointer = {sizeof(processor.gdt) - 1, reinterpret_cast<std::uint64_t>(processor.gdt)};
}

void wait_cycles(std::uint64_t cycles) {
  for (const std::uint64_t begin = rt::cycles(); rt::cycles() - begin < cycles;) rt::pause();
}

/// INIT and two SIPIs to all but ourselves, then waits until everybody has arrived.
void start_others() {
  for (std::uint32_t id = 1; id < vcpus; ++id) prepare(processors[id]);
  auto* to = reinterpret_cast<char*>(guest::programs::kSipiGpa);
  for (const char* from = ap_start; from != ap_start_end;) *to++ = *from++;
  auto& command = *reinterpret_cast<volatile std::uint32_t*>(0xfee0'0300);
  constexpr std::uint32_t kInit = 0xc'4500;
  constexpr std::uint32_t kStartUp = 0xc'4600 | guest::programs::kSipiGpa / kPage;
  command = kInit;
  wait_cycles(10'000'000);
  command = kStartUp;
  wait_cycles(1'000'000);
  command = kStartUp;
  // A processor that needs longer than this is not coming.
  constexpr std::uint64_t kPatience = 120'000'000'000;
  for (const std::uint64_t begin = rt::cycles(); load(arrived) != vcpus - 1;) {
    rt::pause();
    if (rt::cycles() - begin < kPatience) continue;
    rt::print("smp_hammer:");
    rt::print_field("arrived", load(arrived) + 1);
    rt::print_field("expected", vcpus);
    rt::put('\n');
    rt::finish(2);
  }
}

void set_up(const rt::BuiltinInfo& info) {
  vcpus = info.vcpus;
  rounds = rt::number(info, "rounds", 2000);
  pages = static_cast<std::uint32_t>(rt::number(info, "pages", 64));
  base = rt::image_end();
  const bool fits = base + (pages + 2 * std::uint64_t{vcpus}) * kPage <= rt::low_ram_end(info);
  if (vcpus != 0 && vcpus <= kMaxProcessors && pages != 0 && pages <= kMaxPages && fits) return;
  rt::print("smp_hammer: takes 1-64 processors and 1-1024 pages that fit into RAM\n");
  rt::finish(3);
}

}  // namespace

extern "C" void ap_main(std::uint32_t id) {
  add(arrived, std::uint32_t{1});
  while (load(go) == 0) rt::pause();
  hammer(id);
  for (;;) rt::pause();
}

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  set_up(*info);
  for (std::uint32_t page = 0; page < pages + 2 * vcpus; ++page) counter(page) = 0;
  if (vcpus > 1) start_others();
  store(go, std::uint32_t{1});
  hammer(0);
  while (load(done) != vcpus) rt::pause();

  std::uint64_t wrong = 0;
  for (std::uint32_t page = 0; page < pages; ++page) {
    if (load(counter(page)) != vcpus * rounds) ++wrong;
  }
  rt::print("smp_hammer:");
  rt::print_field("vcpus", vcpus);
  rt::print_field("pages", pages);
  rt::print_field("increments", vcpus * rounds * pages);
  rt::print_field("wrong_counters", wrong);
  rt::print_field("order_errors", load(order_errors));
  rt::print_field("first_page", base);
  rt::put('\n');
  rt::finish(wrong == 0 && load(order_errors) == 0 ? 0 : 1);
}
