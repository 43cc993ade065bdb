// The VM system on real host memory: a uvm::Space over an ept::Pmap, threads for vCPUs, property P0.
#include <gtest/gtest.h>

#include <fstream>
#include <span>

#include "ept/host/file_object.h"
#include "tests/ept/ept_support.h"
#include "uvm/access.h"
#include "uvm/space.h"

namespace ept {
namespace space_on_host_test {

using namespace test;
using uvm::AccessKind;
using uvm::FaultKind;

constexpr std::uint64_t kEach = 1024;  // pages of each mapping

class SpaceOnHost : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "ept_space_" + std::to_string(::getpid());
    std::ofstream file(path_, std::ios::binary);
    const std::string page_text(kPage, 'k');
    for (std::uint64_t i = 0; i < kEach; ++i) file << page_text;
    file.close();
    pmap_ = make_pmap(pages(0, 4 * kEach), Events::WhenPossible, {host::HugePages::Want, 8192});
    space_ = *uvm::Space::create("guest", *pmap_, pages(0, 4 * kEach));
    auto ram = host::RamObject::create("ram", kEach * kPage, host::HugePages::Want);
    ASSERT_TRUE(ram) << ram.error().text();
    map("zero", 0, nullptr, uvm::Sharing::Private);
    map("ram", kEach, std::shared_ptr<uvm::Pager>(std::move(*ram)), uvm::Sharing::Shared);
    map("image", 2 * kEach, std::shared_ptr<uvm::Pager>(make_object(kEach)), uvm::Sharing::Private);
    map("kernel", 3 * kEach, std::shared_ptr<uvm::Pager>(*host::FileObject::open(path_)),
        uvm::Sharing::Private);
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  void map(const char* name, std::uint64_t first, std::shared_ptr<uvm::Pager> pager, uvm::Sharing sharing) {
    uvm::MapRequest request;
    request.range = pages(first, kEach);
    if (pager) request.object = uvm::Object::create(std::move(pager));
    request.sharing = sharing;
    request.name = name;
    ASSERT_OK(space_->map(request));
  }
  void resolve(const StageTwoEvent& event) { EXPECT_OK(space_->fault(event.address, event.access)); }

  std::string path_;
  std::unique_ptr<Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
};

TEST_F(SpaceOnHost, OpenRangesAreWrittenWithoutAFault) {
  const std::vector<std::byte> bytes(2 * kPage, std::byte{'w'});
  const auto image = pages(2 * kEach + 5, 2);
  ASSERT_EQ(pmap_->copy_in_open(image, bytes), Pmap::Done::Yes);
  EXPECT_EQ(load(*pmap_, 2 * kEach + 6), std::byte{'w'});
  EXPECT_EQ(load(*pmap_, 2 * kEach + 7), pattern_of(7));
  EXPECT_EQ(pmap_->residency(image).priv, 2 * kPage) << "a write of the guest's own has a copy made";

  // One page in the range that is an event is enough.
  ASSERT_OK(space_->protect(pages(2 * kEach + 8, 1), uvm::Protection::ReadExecute));
  EXPECT_EQ(pmap_->copy_in_open(pages(2 * kEach + 7, 2), bytes), Pmap::Done::No);
  EXPECT_EQ(load(*pmap_, 2 * kEach + 7), pattern_of(7));
  pmap_->drop_all();
  EXPECT_EQ(pmap_->copy_in_open(pages(kEach, 2), bytes), Pmap::Done::No);
  EXPECT_EQ(pmap_->copy_in_open(pages(4 * kEach - 1, 2), bytes), Pmap::Done::No);
  EXPECT_EQ(pmap_->copy_in_open(image, std::span(bytes).first(kPage)), Pmap::Done::No);
}

TEST_F(SpaceOnHost, EveryMappingIsUsableWithoutAFault) {
  EXPECT_EQ(load(*pmap_, 5), std::byte{0});
  EXPECT_EQ(load(*pmap_, kEach + 5), std::byte{0});
  EXPECT_EQ(load(*pmap_, 2 * kEach + 5), pattern_of(5));
  EXPECT_EQ(load(*pmap_, 3 * kEach + 5), std::byte{'k'});
  EXPECT_LE(pmap_->run_count(), 4u) << "one host mapping an entry";
  store(*pmap_, 3 * kEach + 5, std::byte{'x'});
  EXPECT_EQ(pmap_->residency(pages(3 * kEach, kEach)).priv, kPage);
}

TEST_F(SpaceOnHost, AWiredFaultOnACopyOnWritePageKeepsItsFrame) {
  const auto at = page(2 * kEach + 9);
  ASSERT_OK(space_->fault(at, AccessKind::Read, FaultKind::WireMax));
  const auto frame = pmap_->extract(at)->frame;
  EXPECT_EQ(frame->store->name(), "window");
  store(*pmap_, 2 * kEach + 9, std::byte{0x99});
  pmap_->drop_all();
  ASSERT_OK(space_->fault(at, AccessKind::Write));
  EXPECT_EQ(pmap_->extract(at)->frame, frame);
  EXPECT_EQ(load(*pmap_, 2 * kEach + 9), std::byte{0x99});
}

TEST_F(SpaceOnHost, NothingIsLostWhileTranslationsAreDropped) {
  REQUIRE_EVENTS(pmap_);
  Handler handler(*pmap_, [&](const StageTwoEvent& event) { resolve(event); });
  constexpr std::uint64_t kAll = 4 * kEach;
  constexpr std::size_t kThreads = 2;
  const auto slot = [&](std::uint64_t number, std::size_t who) {
    return reinterpret_cast<volatile std::uint64_t*>(pmap_->bytes(pages(number, 1)).data()) + 8 * (who + 1);
  };
  std::vector<std::vector<std::uint64_t>> counts(kThreads + 1, std::vector<std::uint64_t>(kAll));
  for (std::size_t who = 0; who <= kThreads; ++who) {
    for (std::uint64_t i = 0; i < kAll; ++i) counts[who][i] = *slot(i, who);
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> vcpus;
  vcpus.reserve(kThreads);
  for (std::size_t who = 0; who < kThreads; ++who) {
    vcpus.emplace_back([&, who] {
      std::uint64_t random = who + 1;
      while (!stop.load(std::memory_order_relaxed)) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const std::uint64_t number = (random >> 33) % kAll;
        *slot(number, who) = *slot(number, who) + 1;
        ++counts[who][number];
      }
    });
  }
  std::uint64_t random = 77;
  for (int round = 0; round < 400; ++round) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t number = (random >> 33) % kAll;
    switch (round % 4) {
      case 0:
        space_->drop_translations();
        break;
      case 1:
        EXPECT_OK(space_->fault(page(number), AccessKind::Write, FaultKind::WireMax));
        break;
      case 2:
        if (number < 3 * kEach) pmap_->remove(pages(number, 1));
        break;
      case 3: {
        // A device: through the VM system, beside the vCPUs.
        const auto value = ++counts[kThreads][number];
        const auto bytes = std::as_bytes(std::span(&value, 1));
        EXPECT_OK(uvm::Access::write(*space_, page(number) + 64 * (kThreads + 1), bytes));
        break;
      }
    }
  }
  stop.store(true);
  for (auto& vcpu : vcpus) vcpu.join();
  for (std::size_t who = 0; who <= kThreads; ++who) {
    for (std::uint64_t i = 0; i < kAll; ++i) {
      ASSERT_EQ(*slot(i, who), counts[who][i]) << "page " << i << ", writer " << who;
    }
  }
  std::ifstream file(path_, std::ios::binary);
  const std::string contents(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(contents, std::string(kEach * kPage, 'k')) << "the kernel's file was written";
}

}  // namespace space_on_host_test
}  // namespace ept
