// A real device's DMA, through a real IOMMU, into pinned guest memory. There is no guest: the device, the
// debugger's door and the VM system are all that is needed to see whether they mean the same bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "ept/host/file_object.h"
#include "tests/ept/temp_file.h"
#include "tests/vfio/edu.h"
#include "tests/vmm/pins/pin_space.h"
#include "vmm/vfio/dma_map.h"
#include "vmm/vfio/iommufd.h"

namespace edu_test {

using ::testing::HasSubstr;
using uvm::Access;
using uvm::ForkPolicy;
using vmm::vfio::Container;
using vmm::vfio::DmaMap;
using Bytes = std::vector<std::byte>;

/// 16 pages of a RAM object and as many private ones, all of them the device's.
class EduDma : public test::PinSpace {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_EDU();
    auto container = test::open_container();
    ASSERT_TRUE(container) << container.error().text();
    container_ = *std::move(container);
    auto edu = test::Edu::open(*container_);
    ASSERT_TRUE(edu) << edu.error().text();
    edu_.emplace(*std::move(edu));
  }
  void map_all(ForkPolicy policy = ForkPolicy::Refuse) {
    const std::vector ranges = {pages(0, 2 * kRamPages)};
    auto map = DmaMap::create(*space_, *container_, ranges, owner_, policy);
    ASSERT_TRUE(map) << map.error().text();
    map_.emplace(*std::move(map));
  }

  static Bytes bytes_of(std::uint64_t count, unsigned seed) {
    std::mt19937 random(seed);
    Bytes bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
  }
  static Bytes read(uvm::Space& space, std::uint64_t from, std::uint64_t count) {
    Bytes bytes(count);
    EXPECT_TRUE(Access::read(space, uvm::Gpa(from), bytes, uvm::kDebugger));
    return bytes;
  }
  Bytes read(std::uint64_t from, std::uint64_t count) { return read(*space_, from, count); }
  void poke(std::uint64_t to, const Bytes& bytes) {
    const auto done = Access::write(*space_, uvm::Gpa(to), bytes, uvm::kDebuggerShared);
    EXPECT_TRUE(done) << done.error().text();
  }

  const std::shared_ptr<uvm::PinOwner> owner_ = uvm::PinOwner::create("vfio0");
  std::unique_ptr<Container> container_;
  std::optional<test::Edu> edu_;
  std::optional<DmaMap> map_;
};

constexpr std::uint64_t kBlock = test::Edu::kMost;
constexpr std::uint64_t kShared = 2 * uvm::kPageSize;    // in the RAM object
constexpr std::uint64_t kPrivate = 20 * uvm::kPageSize;  // in private memory

TEST_F(EduDma, TheKernelsNewerInterfaceIsUsedWhereItIs) {
  const bool is_there =
      std::filesystem::exists("/dev/iommu") && !vmm::vfio::find_host_device(*test::bound_edu())->file.empty();
  EXPECT_EQ(dynamic_cast<vmm::vfio::Iommufd*>(container_.get()) != nullptr, is_there);
}

TEST_F(EduDma, TheDeviceIsWhatItSays) {
  EXPECT_EQ(edu_->get(0) & 0xffff, 0x00edu);
  edu_->set<std::uint32_t>(4, 0x1234'5678);
  EXPECT_EQ(edu_->get(4), ~0x1234'5678U);
  EXPECT_EQ(edu_->registers().bytes, 1U << 20);
  EXPECT_FALSE(edu_->registers().areas.empty());
}

TEST_F(EduDma, CopiesOutOfAndIntoPinnedMemory) {
  map_all();
  EXPECT_EQ(pinned(), 2 * kRamPages * kPage);
  const Bytes first = bytes_of(kBlock, 1);
  poke(kShared, first);
  edu_->load(kShared, kBlock);
  edu_->store(kPrivate, kBlock);
  EXPECT_EQ(read(kPrivate, kBlock), first);
  const Bytes second = bytes_of(100, 2);
  poke(kPrivate + 50, second);
  edu_->load(kPrivate + 50, 100);
  edu_->store(kShared + kPage - 40, 100);  // over the edge of two pages
  EXPECT_EQ(read(kShared + kPage - 40, 100), second);
}

/// Device and debugger write to one page, each to its half, while the translations go again and again. Each
/// round the whole page is what both have written.
TEST_F(EduDma, AndTheDebuggerWriteToOnePage) {
  map_all();
  std::atomic<bool> done{false};
  std::thread dropper([&] {
    while (!done) space_->drop_translations();
  });
  for (const std::uint64_t page : {kShared, kPrivate}) {
    Bytes model(kPage);
    poke(page, model);
    for (unsigned round = 0; round < 6; ++round) {
      const Bytes of_device = bytes_of(kPage / 2, 2 * round);
      const Bytes of_debugger = bytes_of(kPage / 2, 2 * round + 1);
      poke(0, of_device);
      edu_->load(0, kPage / 2);
      std::thread debugger([&] {
        for (std::uint64_t at = 0; at < kPage / 2; at += 64) {
          poke(page + kPage / 2 + at, Bytes(of_debugger.begin() + static_cast<std::ptrdiff_t>(at),
                                            of_debugger.begin() + static_cast<std::ptrdiff_t>(at + 64)));
        }
      });
      edu_->store(page, kPage / 2);
      debugger.join();
      std::copy(of_device.begin(), of_device.end(), model.begin());
      std::copy(of_debugger.begin(), of_debugger.end(), model.begin() + kPage / 2);
      EXPECT_EQ(read(page, kPage), model) << "page " << uvm::hex(page) << " round " << round;
      // And the device reads what the debugger wrote.
      edu_->load(page + kPage / 2, kPage / 2);
      edu_->store(kPage, kPage / 2);
      EXPECT_EQ(read(kPage, kPage / 2), of_debugger);
    }
  }
  done = true;
  dropper.join();
}

/// A pin holds pages, not rights: taken away and given back, the memory is still the device's.
TEST_F(EduDma, KeepsItsPagesWhileTheGuestLosesItsRights) {
  map_all();
  for (const std::uint64_t page : {kShared, kPrivate}) {
    const auto range = uvm::GpaRange::page_of(uvm::Gpa(page));
    const Bytes before = bytes_of(kBlock, 3);
    const Bytes after = bytes_of(kBlock, 4);
    poke(page, before);
    ASSERT_TRUE(space_->protect(range, uvm::Protection::None));
    EXPECT_EQ(read(page, kBlock), before);
    edu_->load(page, kBlock);
    poke(page, after);
    ASSERT_TRUE(space_->protect(range, uvm::Protection::ReadWrite));
    EXPECT_TRUE(Access::read_value<std::uint64_t>(*space_, uvm::Gpa(page)));
    edu_->store(page, kBlock);
    EXPECT_EQ(read(page, kBlock), before) << "page " << uvm::hex(page);
    edu_->load(page, kBlock);
  }
}

/// The story of 2001 with a device: two guests share an image, one's is wired for DMA, the other's is poked.
TEST_F(EduDma, WiredInOneGuestAndPokedInAnother) {
  const ept::test::TempFile image{ept::test::TempFile::patterned(4)};
  const auto object =
      uvm::Object::create(std::shared_ptr<uvm::Pager>(*ept::host::FileObject::open(image.path())));
  ept::PmapConfig config;
  config.covered = pages(0, 64);
  const auto other_pmap = *ept::Pmap::create(config);
  const auto other = *uvm::Space::create("other", *other_pmap, config.covered);
  uvm::MapRequest kernel;
  kernel.range = pages(40, 4);
  kernel.object = object;
  kernel.name = "kernel";
  ASSERT_TRUE(space_->map(kernel));
  ASSERT_TRUE(other->map(kernel));
  const std::vector ranges = {kernel.range};
  {
    auto map = DmaMap::create(*space_, *container_, ranges, owner_, ForkPolicy::Refuse);
    ASSERT_TRUE(map) << map.error().text();
    const std::uint64_t page = 41 * kPage;
    const Bytes original = read(page, kBlock);
    const Bytes breakpoint(1, std::byte{0xcc});
    ASSERT_TRUE(Access::write(*other, uvm::Gpa(page), breakpoint, uvm::kDebugger));
    edu_->load(page, kBlock);
    edu_->store(42 * kPage, kBlock);
    EXPECT_EQ(read(42 * kPage, kBlock), original) << "the device saw another guest's breakpoint";
    poke(page + 1, breakpoint);
    edu_->load(page, kBlock);
    edu_->store(42 * kPage, kBlock);
    EXPECT_EQ(read(42 * kPage + 1, 1), breakpoint) << "the device did not see its own guest's";
    EXPECT_EQ(read(*other, page + 1, 1), Bytes(1, original[1]));
    EXPECT_EQ(read(*other, 42 * kPage, 1), Bytes(1, ept::test::pattern_of(2)));
  }
  EXPECT_EQ(pinned(), 0u);
  ASSERT_TRUE(space_->unmap(kernel.range));
}

/// The child of a fork gets the bytes of that moment, the device goes on with the parent's pages.
TEST_F(EduDma, GoesOnWithTheParentAfterAFork) {
  map_all(ForkPolicy::Copy);
  const Bytes before = bytes_of(kBlock, 5);
  const Bytes after = bytes_of(kBlock, 6);
  poke(kPrivate, before);
  poke(kShared, after);
  ASSERT_TRUE(space_->inherit(pages(0, kRamPages), uvm::Inherit::Share));
  ept::PmapConfig config;
  config.covered = pages(0, 4 * kRamPages);
  const auto child_pmap = *ept::Pmap::create(config);
  auto child = space_->fork("child", *child_pmap);
  ASSERT_TRUE(child) << child.error().text();
  edu_->load(kShared, kBlock);
  edu_->store(kPrivate, kBlock);
  EXPECT_EQ(read(kPrivate, kBlock), after);
  EXPECT_EQ(read(**child, kPrivate, kBlock), before);
}

TEST_F(EduDma, ReachesNothingThatIsNotMapped) {
  map_all();
  const Bytes mine = bytes_of(kBlock, 7);
  poke(kPrivate, mine);
  map_.reset();
  EXPECT_EQ(pinned(), 0u);
  edu_->store(kPrivate, kBlock);  // the IOMMU stops it
  EXPECT_EQ(read(kPrivate, kBlock), mine);
}

TEST_F(EduDma, InterruptsComeAsEvents) {
  constexpr std::uint32_t kMsi = VFIO_PCI_MSI_IRQ_INDEX;
  const auto count = edu_->device().irq_count(kMsi);
  ASSERT_TRUE(count) << count.error().text();
  ASSERT_EQ(*count, 1u);
  EXPECT_EQ(*edu_->device().irq_count(VFIO_PCI_MSIX_IRQ_INDEX), 0u);
  const vmm::Fd event(::eventfd(0, EFD_CLOEXEC));
  const int events[] = {event.get()};
  ASSERT_TRUE(edu_->device().connect_irqs(kMsi, events));
  edu_->set<std::uint32_t>(0x60, 1);
  pollfd waiting{event.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 30'000), 1);
  edu_->device().disconnect_irqs(kMsi);
}

TEST_F(EduDma, AHolderThatIsKilledLeavesNothingBehind) {
  edu_.reset();
  container_.reset();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    container_ = *test::open_container();
    edu_.emplace(*test::Edu::open(*container_));
    map_.emplace(
        *DmaMap::create(*space_, *container_, std::vector{pages(0, kRamPages)}, owner_, ForkPolicy::Refuse));
    (void)!::write(ready[1], "", 1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const auto busy = test::open_container();
  ASSERT_TRUE(busy) << busy.error().text();
  const auto refused = test::Edu::open(**busy);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), uvm::ErrorKind::Busy);
  EXPECT_THAT(refused.error().text(), HasSubstr("another process"));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const auto again = test::Edu::open(**busy);
  EXPECT_TRUE(again) << again.error().text();
}

/// Takes a capability from the calling thread, for good.
void drop_capability(unsigned number) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  ASSERT_EQ(::syscall(SYS_capget, &header, sets), 0);
  sets[number / 32].effective &= ~(1U << (number % 32));
  ASSERT_EQ(::syscall(SYS_capset, &header, sets), 0);
}

TEST_F(EduDma, TheLimitOfLockedMemoryIsExplained) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  const rlimit little{4 * kPage, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
  std::string text;
  std::thread unprivileged([&] {
    drop_capability(CAP_IPC_LOCK);
    const auto map = DmaMap::create(*space_, *container_, std::vector{pages(0, 8)}, owner_, ForkPolicy::Copy);
    if (!map) text = map.error().text();
  });
  unprivileged.join();
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &before), 0);
  EXPECT_THAT(text, HasSubstr("RLIMIT_MEMLOCK"));
  EXPECT_THAT(text, HasSubstr("ulimit -l"));
  EXPECT_EQ(pinned(), 0u);
  map_all();  // and with the capability there is no limit
}

}  // namespace edu_test
