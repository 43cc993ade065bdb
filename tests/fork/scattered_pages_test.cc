// A copy of a machine whose guest has written single pages all over its memory: they are made when the copy's
// guest comes near them, and are right from the first moment.
#include <gtest/gtest.h>

#include <linux/kvm.h>

#include <cstring>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "guest/programs/builtin_info.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "uvm/access.h"
#include "vmm/machine/machine_image.h"
#include "vmm/snapshot/section_file.h"

namespace vmm {
namespace scattered_pages_test {

using test::RunningMachine;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kFirst = 4 * kMiB;
constexpr std::uint64_t kPages = 1000;
constexpr std::uint64_t kStride = 4 * uvm::kPageSize;

MachineConfig spinning() {
  auto config = test::builtin_config("spin");
  config.memory = 64 * kMiB;
  config.backing = MemoryBacking::Shared;
  return config;
}

uvm::Gpa place(std::uint64_t page) {
  return uvm::Gpa(kFirst + page * kStride);
}

class ScatteredPages : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }

  static void write(Machine& machine, std::uint64_t page, std::uint64_t value) {
    const auto written = uvm::Access::write_value(machine.space(), place(page), value);
    EXPECT_TRUE(written) << written.error().text();
  }
  static void write_all(Machine& machine, std::uint64_t value) {
    for (std::uint64_t page = 0; page < kPages; ++page) write(machine, page, value + page);
  }
  static void expect_all(Machine& machine, std::uint64_t value) {
    for (std::uint64_t page = 0; page < kPages; ++page) {
      const auto read = uvm::Access::read_value<std::uint64_t>(machine.space(), place(page));
      ASSERT_TRUE(read) << read.error().text();
      ASSERT_EQ(*read, value + page) << "page " << page;
      const auto beside =
          uvm::Access::read_value<std::uint64_t>(machine.space(), place(page) + uvm::kPageSize);
      ASSERT_TRUE(beside) << beside.error().text();
      ASSERT_EQ(*beside, 0U) << "beside page " << page;
    }
  }
  static MachineImage image_of(Machine& machine) {
    auto image = machine.take_image();
    EXPECT_TRUE(image) << image.error().text();
    return std::move(*image);
  }
  static std::unique_ptr<Machine> copy_of(Machine& machine) {
    auto made = Machine::create_from(spinning(), image_of(machine));
    EXPECT_TRUE(made) << made.error().text();
    return std::move(*made);
  }
  static std::uint64_t count(Machine& machine) {
    const auto value =
        uvm::Access::read_value<std::uint64_t>(machine.space(), uvm::Gpa(guest::programs::kSpinCounterGpa));
    return value ? *value : 0;
  }
  /// Pages that are the machine's own.
  static std::uint64_t own(Machine& machine) {
    const auto all = *uvm::GpaRange::from_size(uvm::Gpa(0), spinning().memory);
    return machine.space().residency(all).priv >> uvm::kPageShift;
  }
};

TEST_F(ScatteredPages, AreTheCopysWithoutBeingMade) {
  RunningMachine parent(spinning());
  ASSERT_TRUE(test::eventually([&] { return count(*parent) != 0; }));
  image_of(*parent);
  write_all(*parent, 1000);
  RunningMachine child(copy_of(*parent));
  const std::uint64_t before = count(*child);
  ASSERT_TRUE(test::eventually([&] { return count(*child) != before; })) << "it runs";
  EXPECT_LT(own(*child), kPages / 2) << "what it does not come near costs it nothing";
  write_all(*parent, 5000);
  expect_all(*child, 1000);
  expect_all(*parent, 5000);
}

TEST_F(ScatteredPages, AreThoseOfACopysCopyToo) {
  RunningMachine parent(spinning());
  image_of(*parent);
  write_all(*parent, 1000);
  RunningMachine child(copy_of(*parent));
  write(*child, 7, 77);
  RunningMachine grandchild(copy_of(*child));
  write_all(*child, 3000);
  const auto changed = uvm::Access::read_value<std::uint64_t>(grandchild->space(), place(7));
  ASSERT_TRUE(changed) << changed.error().text();
  EXPECT_EQ(*changed, 77U);
  write(*grandchild, 7, 1007);
  expect_all(*grandchild, 1000);
  expect_all(*child, 3000);
}

/// The state of a machine whose guest has its clock page somewhere.
std::vector<std::byte> with_clock_at(const std::vector<std::byte>& state, uvm::Gpa page) {
  constexpr std::uint32_t kSystemTime = 0x4b564d01;  // MSR_KVM_SYSTEM_TIME_NEW
  constexpr std::uint64_t kEnabled = 1;
  snapshot::SectionWriter writer;
  const auto table = snapshot::SectionTable::read(state);
  std::list<std::vector<std::byte>> contents;
  int found = 0;
  for (snapshot::Section section : table->all()) {
    auto& content = contents.emplace_back(section.content.begin(), section.content.end());
    for (std::size_t at = 0; section.name == "vcpu" && at + sizeof(kvm_msr_entry) <= content.size();
         at += 4) {
      kvm_msr_entry entry{};
      std::memcpy(&entry, content.data() + at, sizeof entry);
      if (entry.index != kSystemTime || entry.reserved != 0) continue;
      entry.data = page.value() | kEnabled;
      std::memcpy(content.data() + at, &entry, sizeof entry);
      ++found;
    }
    section.content = content;
    writer.add(section);
  }
  EXPECT_EQ(found, 1);
  return std::move(writer).finish();
}

TEST_F(ScatteredPages, AreMadeForKvmBeforeTheGuestRuns) {
  RunningMachine parent(spinning());
  image_of(*parent);
  write_all(*parent, 1000);
  MachineImage image = image_of(*parent);
  image.state = with_clock_at(image.state, place(500));
  auto made = Machine::create_from(spinning(), image);  // does not end if nobody makes the page
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_TRUE(uvm::Access::read_value<std::uint64_t>((*made)->space(), place(501)));
}

std::uint64_t pages_in(const snapshot::MemoryImage& image, const snapshot::MemoryObject& object) {
  std::uint64_t pages = 0;
  for (const auto& run : image.changed) pages += run.object == object ? run.range.pages() : 0;
  return pages;
}

TEST_F(ScatteredPages, AreSharedByImagesAsLongAsTheyAreTheSame) {
  RunningMachine parent(spinning());
  image_of(*parent);
  write_all(*parent, 1000);
  const MachineImage first = image_of(*parent);
  write(*parent, 7, 77);
  MachineImage second = image_of(*parent);
  const auto shared = first.memory.changed.back().object;
  EXPECT_GE(pages_in(second.memory, shared), kPages - 2);
  EXPECT_LT(second.memory.changed_pages() - pages_in(second.memory, shared), 20U)
      << "what the guest has written since";
  auto made = Machine::create_from(spinning(), second);
  ASSERT_TRUE(made) << made.error().text();
  RunningMachine child(std::move(*made));
  const auto changed = uvm::Access::read_value<std::uint64_t>(child->space(), place(7));
  ASSERT_TRUE(changed) << changed.error().text();
  EXPECT_EQ(*changed, 77U);
  write(*child, 7, 1007);
  expect_all(*child, 1000);
}

TEST_F(ScatteredPages, AreNotKeptByWhoHasTakenAnImage) {
  RunningMachine parent(spinning());
  image_of(*parent);
  write_all(*parent, 1000);
  std::weak_ptr<ept::host::Backing> pages = image_of(*parent).memory.changed.back().object;
  EXPECT_TRUE(pages.expired());
  const MachineImage next = image_of(*parent);
  EXPECT_GE(next.memory.changed_pages(), kPages);
}

}  // namespace scattered_pages_test
}  // namespace vmm
