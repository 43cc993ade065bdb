// Fill::Present: pages that somebody counts, one by one. Threads stand for vCPUs.
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <numeric>
#include <random>

#include "tests/ept/ept_support.h"

namespace ept {
namespace pmap_present_test {

using namespace test;
using uvm::ErrorKind;
using uvm::Protection;

uvm::Mapping present(uvm::GpaRange range, Protection rights = Protection::All) {
  return {range, std::nullopt, uvm::Fill::Present, rights};
}

/// `count` pages; the bytes of page n are all pattern_of(first + n).
std::vector<std::byte> pattern_pages(std::uint64_t first, std::uint64_t count) {
  std::vector<std::byte> bytes;
  bytes.reserve(count * kPage);
  for (std::uint64_t i = 0; i < count; ++i) bytes.insert(bytes.end(), kPage, pattern_of(first + i));
  return bytes;
}

std::byte private_byte(const Pmap& pmap, std::uint64_t number) {
  std::vector<std::byte> bytes(kPage);
  EXPECT_OK(pmap.read_private(page(number), bytes));
  EXPECT_EQ(bytes.front(), bytes.back());
  return bytes.front();
}

/// Mappings of this process, in the window's range.
std::size_t host_mappings(Pmap& pmap) {
  const auto begin = pmap.window_base().value();
  const auto end = begin + pmap.covered().size();
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    const std::uint64_t at = std::stoull(line, nullptr, 16);
    if (at >= begin && at < end) ++count;
  }
  return count;
}

class Present : public testing::Test {
 protected:
  void SetUp() override {
    pmap = make_pmap(pages(0, kPages));
    if (pmap->events() == nullptr) GTEST_SKIP() << "no events on this host: " << pmap->events_reason();
  }
  static constexpr std::uint64_t kPages = 256;
  std::unique_ptr<Pmap> pmap;
};

TEST_F(Present, AnAbsentPageIsAnEventAndAFilledOneIsThereForBothAccesses) {
  ASSERT_OK(pmap->enter(present(pages(0, kPages))));
  EXPECT_FALSE(pmap->extract(page(7)));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    EXPECT_OK(pmap->fill(uvm::GpaRange::page_of(event.address), {}));
  });
  EXPECT_EQ(load(*pmap, 7), std::byte{0});
  store(*pmap, 7, std::byte{1});
  store(*pmap, 9, std::byte{2});
  EXPECT_EQ(handler.events(), 2) << "one for each page, none for the write after the read";
  EXPECT_EQ(harvested(*pmap, pages(0, kPages)), (std::vector{pages(7, 1), pages(9, 1)}));
  EXPECT_EQ(pmap->residency(pages(0, kPages)).resident, 2 * kPage);
  const auto seen = pmap->extract(page(9));
  ASSERT_TRUE(seen);
  ASSERT_TRUE(seen->frame);
  EXPECT_EQ(seen->frame->index, 9U);
  EXPECT_EQ(seen->fill, uvm::Fill::Present);
}

TEST_F(Present, AClusterOfBytesIsThereAtOnce) {
  ASSERT_OK(pmap->enter(present(pages(0, kPages))));
  ASSERT_OK(pmap->fill(pages(32, 16), pattern_pages(32, 16)));
  for (std::uint64_t i = 32; i < 48; ++i) EXPECT_EQ(load(*pmap, i), pattern_of(i));
  EXPECT_EQ(harvested(*pmap, pages(0, kPages)), std::vector{pages(32, 16)});
}

TEST_F(Present, FillingIsAllOrNothing) {
  ASSERT_OK(pmap->enter(present(pages(0, kPages))));
  EXPECT_EQ(kind_of(pmap->fill(pages(0, 2), pattern_pages(0, 1))), ErrorKind::Invalid);
  EXPECT_EQ(kind_of(pmap->fill(pages(kPages, 1), {})), ErrorKind::Invalid);
  EXPECT_TRUE(harvested(*pmap, pages(0, kPages)).empty());
}

TEST_F(Present, RemovedPagesKeepTheirBytesOutOfViewAndComeBack) {
  ASSERT_OK(pmap->enter(present(pages(0, kPages))));
  ASSERT_OK(pmap->fill(pages(0, 64), pattern_pages(0, 64)));
  store(*pmap, 20, std::byte{0xee});
  pmap->remove(pages(16, 16));
  EXPECT_EQ(harvested(*pmap, pages(0, kPages)), std::vector{pages(0, 64)});
  EXPECT_EQ(private_byte(*pmap, 17), pattern_of(17));
  EXPECT_EQ(pmap->residency(pages(16, 16)).resident, 0U);
  EXPECT_FALSE(pmap->extract(page(17)));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    EXPECT_OK(pmap->enter(present(pages(event.address.page() / 4 * 4, 4))));
  });
  EXPECT_EQ(*pmap->bytes(pages(20, 1)).data(), std::byte{0xee});
  EXPECT_EQ(load(*pmap, 21), pattern_of(21));
  EXPECT_EQ(handler.events(), 1) << "four came back together";
  EXPECT_EQ(load(*pmap, 31), pattern_of(31));
  EXPECT_EQ(handler.events(), 2);
}

TEST_F(Present, APageWithoutTranslationIsReadFilledAndFreedOutOfView) {
  ASSERT_OK(pmap->enter(present(pages(0, 32))));
  pmap->remove(pages(8, 8));
  ASSERT_OK(pmap->fill(pages(4, 8), pattern_pages(4, 8)));
  EXPECT_EQ(pmap->residency(pages(0, 32)).resident, 4 * kPage) << "the other four are out of view";
  const auto frame = pmap->harvest_page(page(6));
  ASSERT_TRUE(frame);
  std::vector<std::byte> bytes(6 * kPage);
  ASSERT_OK(pmap->read(*frame, bytes));
  EXPECT_EQ(bytes, pattern_pages(6, 6)) << "two in view and four out of view";
  bytes.resize(8 * kPage);
  EXPECT_EQ(kind_of(pmap->read(*frame, bytes)), ErrorKind::NoMapping);
  pmap->release(*pmap->harvest_page(page(9)));
  EXPECT_EQ(harvested(*pmap, pages(0, kPages)), (std::vector{pages(4, 5), pages(10, 2)}));
}

TEST_F(Present, DiscardedPagesAreEventsAgainAndCostNothing) {
  ASSERT_OK(pmap->enter(present(pages(0, kPages))));
  ASSERT_OK(pmap->fill(pages(0, 32), pattern_pages(0, 32)));
  pmap->remove(pages(0, 16));
  pmap->discard(pages(8, 16));
  EXPECT_EQ(harvested(*pmap, pages(0, kPages)), (std::vector{pages(0, 8), pages(24, 8)}));
  ASSERT_OK(pmap->enter(present(pages(0, 32))));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    EXPECT_OK(pmap->fill(uvm::GpaRange::page_of(event.address), {}));
  });
  EXPECT_EQ(load(*pmap, 3), pattern_of(3));
  EXPECT_EQ(load(*pmap, 12), std::byte{0});
  EXPECT_EQ(load(*pmap, 20), std::byte{0});
  EXPECT_EQ(load(*pmap, 25), pattern_of(25));
  EXPECT_EQ(handler.events(), 2);
}

TEST_F(Present, ComesFromEveryOtherMappingAndGoesToIt) {
  const auto object = make_object(kPages);
  const uvm::Mapping others[] = {zero(pages(0, 8)), copy_on_write(pages(0, 8), {object.get(), 0}),
                                 exact(pages(0, 8), {object.get(), 0})};
  for (const auto& other : others) {
    pmap->discard(pages(0, kPages));
    ASSERT_OK(pmap->enter(other));
    store(*pmap, 1, std::byte{0xaa});
    const bool is_private = other.fill != uvm::Fill::Exact;
    ASSERT_OK(pmap->enter(present(pages(0, 8))));
    EXPECT_EQ(harvested(*pmap, pages(0, kPages)).size(), is_private ? 1U : 0U);
    if (is_private) {
      EXPECT_EQ(load(*pmap, 1), std::byte{0xaa});
    }
    ASSERT_OK(pmap->fill(pages(2, 1), pattern_pages(2, 1)));
    pmap->remove(pages(2, 1));
    ASSERT_OK(pmap->enter(other));
    EXPECT_EQ(load(*pmap, 1), std::byte{0xaa});
    EXPECT_EQ(load(*pmap, 2), pattern_of(2)) << "private, or the object's own";
  }
}

TEST_F(Present, APageOfItsOwnCanBeEnteredAloneAndReadOnly) {
  ASSERT_OK(pmap->enter(present(pages(0, 8))));
  ASSERT_OK(pmap->fill(pages(0, 4), pattern_pages(0, 4)));
  const auto frame = pmap->harvest_page(page(2));
  ASSERT_TRUE(frame);
  pmap->remove(pages(2, 1));
  ASSERT_OK(pmap->enter(exact(pages(2, 1), *frame, Protection::ReadExecute)));
  int writes = 0;
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    EXPECT_EQ(event.access, uvm::AccessKind::Write);
    ++writes;
    EXPECT_OK(pmap->enter(exact(pages(2, 1), *frame)));
  });
  EXPECT_EQ(load(*pmap, 2), pattern_of(2));
  store(*pmap, 2, std::byte{9});
  EXPECT_EQ(load(*pmap, 2), std::byte{9});
  EXPECT_EQ(writes, 1);
  ASSERT_OK(pmap->enter(present(pages(4, 4), Protection::ReadExecute)));
  ASSERT_OK(pmap->fill(pages(4, 1), pattern_pages(4, 1)));
  EXPECT_EQ(load(*pmap, 4), pattern_of(4));
}

TEST_F(Present, ProtectingRemovesWhatWouldBeWritten) {
  ASSERT_OK(pmap->enter(present(pages(0, 8))));
  ASSERT_OK(pmap->fill(pages(0, 8), pattern_pages(0, 8)));
  pmap->protect(pages(2, 2), Protection::ReadExecute);
  int writes = 0;
  Handler handler(*pmap, [&](const StageTwoEvent&) {
    ++writes;
    EXPECT_OK(pmap->enter(present(pages(2, 2))));
  });
  store(*pmap, 1, std::byte{5});
  EXPECT_EQ(writes, 0);
  store(*pmap, 2, std::byte{5});
  EXPECT_EQ(writes, 1);
  EXPECT_EQ(load(*pmap, 3), pattern_of(3));
}

/// As reclaim does it for hours: the number of host mappings stays what it was.
TEST_F(Present, ComingAndGoingCutsNoHostMapping) {
  ASSERT_OK(pmap->enter(present(pages(0, kPages))));
  ASSERT_OK(pmap->fill(pages(0, kPages), pattern_pages(0, kPages)));
  const std::size_t before = host_mappings(*pmap);
  const std::uint64_t runs = pmap->run_count();
  std::mt19937 random(20011231);
  for (int round = 0; round < 2000; ++round) {
    const std::uint64_t first = random() % (kPages - 16);
    const uvm::GpaRange some = pages(first, 1 + random() % 16);
    if (round % 3 != 0) {
      pmap->remove(some);
    } else {
      ASSERT_OK(pmap->enter(present(some)));
    }
  }
  EXPECT_EQ(host_mappings(*pmap), before);
  EXPECT_LE(pmap->run_count(), runs + 2);
  ASSERT_OK(pmap->enter(present(pages(0, kPages))));
  for (std::uint64_t i = 0; i < kPages; ++i) EXPECT_EQ(load(*pmap, i), pattern_of(i));
}

/// As a guest that touches its memory at random does it.
TEST_F(Present, PagesEnteredInNoOrderNeedNoRunEach) {
  pmap = make_pmap(pages(0, kPages), Events::WhenPossible, {host::HugePages::Never, 12});
  for (std::uint64_t i = 0; i < kPages; i += 2) {
    const std::uint64_t number = i * 7 % kPages;
    ASSERT_OK(pmap->enter(present(pages(number, 1))));
    ASSERT_OK(pmap->fill(pages(number, 1), pattern_pages(number, 1)));
    if (i % 8 == 0) pmap->remove(pages(number, 1));
  }
  for (std::uint64_t i = 0; i < kPages; i += 2) EXPECT_EQ(private_byte(*pmap, i), pattern_of(i));
}

TEST_F(Present, AFrameIsReadAndWrittenInViewAndOutOfView) {
  ASSERT_OK(pmap->enter(present(pages(0, 8))));
  ASSERT_OK(pmap->fill(pages(0, 2), pattern_pages(0, 2)));
  pmap->remove(pages(1, 1));
  for (std::uint64_t i = 0; i < 2; ++i) {
    const auto frame = pmap->harvest_page(page(i));
    ASSERT_TRUE(frame);
    const std::array poked{std::byte{0xcc}};
    ASSERT_OK(pmap->write_frame(*frame, 5, poked));
    std::array<std::byte, 2> seen{};
    ASSERT_OK(pmap->read_frame(*frame, 4, seen));
    EXPECT_EQ(seen, (std::array{pattern_of(i), std::byte{0xcc}}));
  }
}

TEST_F(Present, WritersNeverLoseAStoreWhilePagesComeAndGo) {
  ASSERT_OK(pmap->enter(present(pages(0, 16))));
  ASSERT_OK(pmap->fill(pages(0, 16), {}));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    EXPECT_OK(pmap->enter(present(uvm::GpaRange::page_of(event.address))));
  });
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::uint64_t count = 0;
    auto* const word = reinterpret_cast<volatile std::uint64_t*>(pmap->bytes(pages(3, 1)).data());
    while (!stop.load()) {
      EXPECT_EQ(*word, count);
      *word = ++count;
    }
  });
  for (int i = 0; i < 500; ++i) pmap->remove(pages(0, 16));
  stop = true;
  writer.join();
}

TEST(PresentWithoutEvents, IsRefused) {
  const auto pmap = make_pmap(pages(0, 4), Events::Never);
  const auto entered = pmap->enter(present(pages(0, 4)));
  ASSERT_EQ(kind_of(entered), ErrorKind::Unsupported);
  EXPECT_NE(entered.error().text().find("run without a memory limit"), std::string::npos);
}

}  // namespace pmap_present_test
}  // namespace ept
