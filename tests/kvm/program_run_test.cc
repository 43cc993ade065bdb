// Every built-in guest, run to its end on this host's KVM by the raw machine.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "guest/programs/builtin_info.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/raw_machine.h"

namespace program_run_test {

using guest::programs::find;
using test_support::End;
using test_support::RawMachine;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class ProgramRun : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }

  End start(std::string_view name, const RawMachine::Options& options = {}, std::string_view arguments = {}) {
    auto made = RawMachine::create(options);
    EXPECT_TRUE(made) << made.error().text();
    machine = std::move(*made);
    const auto* program = find(name);
    EXPECT_NE(program, nullptr) << name;
    const auto loaded = machine->load(*program, arguments);
    EXPECT_TRUE(loaded) << loaded.error().text();
    return machine->run();
  }
  /// The number after "name=" in the report line.
  std::uint64_t figure(const std::string& name) const {
    const std::string serial = machine->serial();
    const auto at = serial.find(" " + name + "=");
    EXPECT_NE(at, std::string::npos) << name << " missing in: " << serial;
    return at == std::string::npos ? ~std::uint64_t{0} : std::stoull(serial.substr(at + name.size() + 2));
  }

  std::unique_ptr<RawMachine> machine;
};

TEST_F(ProgramRun, hello16_prints_in_real_mode_and_passes) {
  EXPECT_EQ(start("hello16"), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U);
  EXPECT_EQ(machine->serial(), "hello from real mode\n");
}

TEST_F(ProgramRun, hello_prints_in_long_mode_and_passes) {
  EXPECT_EQ(start("hello"), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U);
  EXPECT_EQ(machine->serial(), "hello from long mode\n");
}

TEST_F(ProgramRun, memwalk_covers_all_memory_above_itself) {
  EXPECT_EQ(start("memwalk", {.memory = 32 * kMiB}), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  EXPECT_EQ(figure("errors"), 0U);
  EXPECT_EQ(figure("page_size"), 2 * kMiB);
  EXPECT_GE(figure("bytes"), 30 * kMiB);
  EXPECT_LT(figure("bytes"), 31 * kMiB);
  // The last word of RAM holds the pattern of pass 1, so the walk did reach it.
  const std::uint64_t last = 32 * kMiB - 8;
  std::uint64_t word = 0;
  std::memcpy(&word, machine->memory() + last, sizeof(word));
  EXPECT_EQ(word, (last ^ (std::uint64_t{1} << 56)) * 0x9e37'79b9'7f4a'7c15 + 1);
}

TEST_F(ProgramRun, memwalk_with_small_pages_and_random_order_visits_the_same_pages) {
  EXPECT_EQ(start("memwalk", {.memory = 32 * kMiB}, "page=4k mode=random passes=2"), End::ExitPort)
      << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  EXPECT_EQ(figure("page_size"), 4096U);
  EXPECT_EQ(figure("errors"), 0U);
  EXPECT_GE(figure("bytes"), 30 * kMiB);
}

/// A machine with a second piece of RAM far above the first.
class TwoPieces : public ProgramRun {
 protected:
  static constexpr std::uint64_t kHighBytes = 4 * kMiB;

  void SetUp() override {
    ProgramRun::SetUp();
    if (IsSkipped()) return;
    auto made = RawMachine::create({});
    ASSERT_TRUE(made) << made.error().text();
    machine = std::move(*made);
    memory = ::mmap(nullptr, kHighBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
  }
  void TearDown() override {
    slots.clear();
    machine.reset();
    ::munmap(memory, kHighBytes);
  }
  void add_high_memory(std::uint64_t gpa) {
    vmm::kvm::MemSlot::Spec spec{};
    spec.slot = 1;
    spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(gpa), kHighBytes);
    spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(memory));
    auto slot = vmm::kvm::MemSlot::create(machine->vm(), spec);
    ASSERT_TRUE(slot) << slot.error().text();
    slots.push_back(std::move(*slot));
    auto* info =
        reinterpret_cast<guest::programs::BuiltinInfo*>(machine->memory() + guest::programs::kInfoGpa);
    info->ram[info->ranges++] = {gpa, kHighBytes};
  }

  void* memory = nullptr;
  std::vector<vmm::kvm::MemSlot> slots;
};

TEST_F(TwoPieces, memwalk_reaches_memory_above_4_gib_and_across_a_table) {
  ASSERT_TRUE(machine->load(*find("memwalk"), "page=4k mode=random"));
  // The 512 GiB line is where the window goes on in another top-level entry.
  add_high_memory((std::uint64_t{512} << 30) - 2 * kMiB);
  EXPECT_EQ(machine->run(), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  EXPECT_GE(figure("bytes"), 14 * kMiB + kHighBytes);
  std::uint64_t last = 0;
  std::memcpy(&last, static_cast<std::byte*>(memory) + kHighBytes - sizeof(last), sizeof(last));
  EXPECT_NE(last, 0U);
}

TEST_F(TwoPieces, memwalk_walks_only_what_it_has_tables_for) {
  // With 2 MiB pages it needs one table, so a first run tells where the program ends.
  ASSERT_TRUE(machine->load(*find("memwalk"), "mode=touch"));
  EXPECT_EQ(machine->run(), End::ExitPort) << machine->detail();
  const std::uint64_t program_end = 16 * kMiB - figure("bytes") - 4096;

  auto made = RawMachine::create({});
  ASSERT_TRUE(made) << made.error().text();
  machine = std::move(*made);
  ASSERT_TRUE(machine->load(*find("memwalk"), "page=4k"));
  add_high_memory(std::uint64_t{4} << 30);
  // Eight pages after the program, half of them for tables: two for the low piece, and two for a part of the
  // high one, where a table of 4 KiB pages covers 2 MiB.
  auto* info = reinterpret_cast<guest::programs::BuiltinInfo*>(machine->memory() + guest::programs::kInfoGpa);
  info->ram[0].size = program_end + 8 * 4096;
  EXPECT_EQ(machine->run(), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  EXPECT_EQ(figure("bytes"), 4 * 4096 + 2 * kMiB);
}

TEST_F(ProgramRun, memwalk_in_random_order_touches_every_page_once) {
  EXPECT_EQ(start("memwalk", {}, "mode=random passes=0"), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  for (std::uint64_t gpa = 16 * kMiB - figure("bytes"); gpa < 16 * kMiB; gpa += 4096) {
    std::uint64_t word = 0;
    std::memcpy(&word, machine->memory() + gpa, sizeof(word));
    ASSERT_EQ(word, gpa * 0x9e37'79b9'7f4a'7c15) << uvm::hex(gpa);
  }
}

TEST_F(ProgramRun, memwalk_sees_memory_that_changes_under_it) {
  // Two GPAs on one host page: what is written through the second overwrites the first.
  auto made = RawMachine::create({.memory = 16 * kMiB});
  ASSERT_TRUE(made) << made.error().text();
  machine = std::move(*made);
  vmm::kvm::MemSlot::Spec alias{};
  alias.slot = 1;
  alias.gpa = *uvm::GpaRange::from_size(uvm::Gpa(16 * kMiB), 4096);
  alias.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(machine->memory() + 8 * kMiB));
  auto slot = vmm::kvm::MemSlot::create(machine->vm(), alias);
  ASSERT_TRUE(slot) << slot.error().text();
  ASSERT_TRUE(machine->load(*find("memwalk"), "mode=touch"));
  auto* info = reinterpret_cast<guest::programs::BuiltinInfo*>(machine->memory() + guest::programs::kInfoGpa);
  info->ram[0].size += 4096;
  EXPECT_EQ(machine->run(), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 1U) << machine->serial();
  EXPECT_EQ(figure("errors"), 1U);
  EXPECT_NE(machine->serial().find("first_error=0x800000"), std::string::npos) << machine->serial();
}

TEST_F(ProgramRun, smp_hammer_on_one_processor) {
  EXPECT_EQ(start("smp_hammer", {}, "rounds=100 pages=8"), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  EXPECT_EQ(figure("increments"), 800U);
}

TEST_F(ProgramRun, smp_hammer_brings_up_all_processors_and_loses_nothing) {
  EXPECT_EQ(start("smp_hammer", {.vcpus = 4}, "rounds=500 pages=16"), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  EXPECT_EQ(figure("vcpus"), 4U);
  EXPECT_EQ(figure("increments"), 4 * 500 * 16U);
  EXPECT_EQ(figure("wrong_counters"), 0U);
  EXPECT_EQ(figure("order_errors"), 0U);
}

TEST_F(ProgramRun, smp_hammer_survives_losing_its_translations) {
  constexpr std::uint64_t kBytes = 16 * kMiB;
  const vmm::Fd file(::memfd_create("hammered", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), kBytes), 0);
  void* window = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  ASSERT_NE(window, MAP_FAILED);
  auto made = RawMachine::create({.memory = kBytes, .vcpus = 2, .backing = static_cast<std::byte*>(window)});
  ASSERT_TRUE(made) << made.error().text();
  machine = std::move(*made);
  ASSERT_TRUE(machine->load(*find("smp_hammer"), "rounds=5000 pages=16"));
  std::atomic<bool> over{false};
  std::thread dropper([&] {
    // Zaps the window's and with it the guest's translations; the file keeps the contents.
    while (!over.load()) ::madvise(window, kBytes, MADV_DONTNEED);
  });
  EXPECT_EQ(machine->run(), End::ExitPort) << machine->detail();
  over.store(true);
  dropper.join();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  machine.reset();
  ::munmap(window, kBytes);
}

TEST_F(ProgramRun, smp_hammer_notices_a_page_that_goes_back_in_time) {
  EXPECT_EQ(start("smp_hammer", {}, "rounds=1 pages=1"), End::ExitPort) << machine->detail();
  const std::uint64_t page = figure("first_page");

  auto made = RawMachine::create({.vcpus = 2});
  ASSERT_TRUE(made) << made.error().text();
  machine = std::move(*made);
  ASSERT_TRUE(machine->load(*find("smp_hammer"), "rounds=1000000 pages=1"));
  std::atomic<bool> over{false};
  std::thread meddler([&] {
    auto* counter = reinterpret_cast<std::uint64_t*>(machine->memory() + page);
    while (!over.load()) {
      if (__atomic_load_n(counter, __ATOMIC_RELAXED) > 1000) __atomic_store_n(counter, 0, __ATOMIC_RELAXED);
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(machine->run(), End::ExitPort) << machine->detail();
  over.store(true);
  meddler.join();
  EXPECT_EQ(machine->status(), 1U) << machine->serial();
  EXPECT_EQ(figure("wrong_counters"), 1U);
  EXPECT_GT(figure("order_errors"), 0U);
}

TEST_F(ProgramRun, smp_hammer_refuses_more_pages_than_it_has) {
  EXPECT_EQ(start("smp_hammer", {}, "pages=5000"), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 3U) << machine->serial();
}

TEST_F(ProgramRun, triple_ends_in_a_triple_fault) {
  EXPECT_EQ(start("triple"), End::TripleFault) << machine->detail();
}

TEST_F(ProgramRun, rubbish_ends_in_a_guest_error) {
  const End end = start("rubbish");
  EXPECT_TRUE(end == End::TripleFault || end == End::InternalError) << machine->detail();
}

TEST_F(ProgramRun, wild_writes_everywhere_and_still_ends) {
  EXPECT_EQ(start("wild"), End::ExitPort) << machine->detail();
  EXPECT_EQ(machine->status(), 0U) << machine->serial();
  EXPECT_GT(figure("stray_writes"), 4000U);
  EXPECT_GT(figure("ram_pages"), 3000U);
}

TEST_F(ProgramRun, flood_sends_what_its_hash_says) {
  EXPECT_EQ(start("flood", {}, "bytes=3000"), End::ExitPort) << machine->detail();
  const std::string serial = machine->serial();
  ASSERT_GT(serial.size(), 3000U);
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (std::size_t i = 0; i < 3000; ++i) {
    hash = (hash ^ static_cast<std::uint8_t>(serial[i])) * 0x100'0000'01b3;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "fnv1a=%#llx", static_cast<unsigned long long>(hash));
  EXPECT_NE(serial.find(text.data(), 3000), std::string::npos) << text.data();
}

TEST_F(ProgramRun, poweroff_and_reset_end_the_machine) {
  EXPECT_EQ(start("poweroff"), End::PowerOff) << machine->detail();
  EXPECT_EQ(start("reset"), End::Reset) << machine->detail();
}

/// Runs `name` on another thread until `ready`, then stops it from this one.
class StoppedRun : public ProgramRun {
 protected:
  template <class Ready>
  End run_until(std::string_view name, Ready ready) {
    auto made = RawMachine::create({});
    EXPECT_TRUE(made) << made.error().text();
    machine = std::move(*made);
    EXPECT_TRUE(machine->load(*find(name)));
    End end = End::Failed;
    std::thread runner([&] { end = machine->run(); });
    while (!ready()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    machine->stop();
    runner.join();
    return end;
  }
};

TEST_F(StoppedRun, spin_counts_until_a_kick_stops_it) {
  const auto count = [this] {
    return __atomic_load_n(
        reinterpret_cast<const std::uint64_t*>(machine->memory() + guest::programs::kSpinCounterGpa),
        __ATOMIC_RELAXED);
  };
  EXPECT_EQ(run_until("spin", [&] { return count() > 1000; }), End::Stopped) << machine->detail();
  EXPECT_EQ(machine->serial(), "spinning\n");
}

TEST_F(StoppedRun, idle_halts_until_a_kick_stops_it) {
  EXPECT_EQ(run_until("idle", [this] { return machine->serial() == "idle\n"; }), End::Stopped)
      << machine->detail();
}

}  // namespace program_run_test
