// Events: threads stand for vCPUs and touch the window through pointers, a handler thread stands for the
// virtual machine's. Nothing here waits for a clock.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>

#include "tests/ept/ept_support.h"

namespace ept {
namespace pmap_events_test {

using namespace test;
using uvm::AccessKind;
using uvm::Frame;
using uvm::Placement;
using uvm::Protection;

TEST(PmapEvents, ATouchOfAHoleIsAnEventWithItsAddress) {
  const auto pmap = make_pmap(pages(100, 16));
  REQUIRE_EVENTS(pmap);
  std::vector<StageTwoEvent> seen;
  {
    Handler handler(*pmap, [&](const StageTwoEvent& event) {
      seen.push_back(event);
      EXPECT_OK(pmap->enter(zero(uvm::GpaRange::page_of(event.address))));
    });
    store(*pmap, 103, std::byte{1});
    EXPECT_EQ(load(*pmap, 107), std::byte{0});
    EXPECT_EQ(load(*pmap, 103), std::byte{1});
  }
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].address.page_down(), page(103));
  EXPECT_EQ(seen[0].access, AccessKind::Write);
  EXPECT_EQ(seen[1].address.page_down(), page(107));
  EXPECT_EQ(seen[1].access, AccessKind::Read);
}

TEST(PmapEvents, WakeLetsTheSleeperAskAgain) {
  const auto pmap = make_pmap(pages(0, 4));
  REQUIRE_EVENTS(pmap);
  int asked = 0;
  {
    Handler handler(*pmap, [&](const StageTwoEvent& event) {
      if (++asked == 1) {
        pmap->wake(event.address);
      } else {
        EXPECT_OK(pmap->enter(zero(uvm::GpaRange::page_of(event.address))));
      }
    });
    store(*pmap, 2, std::byte{1});
  }
  EXPECT_GE(asked, 2);
}

/// What KVM's emulator does with guest memory: an access of the kernel's, which no signal ends while it
/// sleeps on an event. How many bytes it got; 0: EFAULT.
ssize_t read_in_kernel(Pmap& pmap, std::uint64_t number) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const ssize_t got = ::write(ends[1], pmap.bytes(pages(number, 1)).data(), kPage);
  EXPECT_TRUE(got >= 0 || errno == EFAULT);
  for (const int end : ends) ::close(end);
  return std::max<ssize_t>(got, 0);
}

TEST(PmapEvents, ARefusedPageIsAnErrorForWhoeverSleepsOnIt) {
  const auto pmap = make_pmap(pages(0, 8));
  REQUIRE_EVENTS(pmap);
  ASSERT_OK(pmap->enter({pages(0, 4), std::nullopt, uvm::Fill::Present, Protection::All}));
  for (const std::uint64_t number : {1U, 5U}) {  // absent, and never entered
    SCOPED_TRACE("page " + std::to_string(number));
    {
      Handler handler(*pmap, [&](const StageTwoEvent& event) { pmap->refuse(event.address); });
      EXPECT_EQ(read_in_kernel(*pmap, number), 0);
      std::array<std::byte, 8> bytes{};
      EXPECT_EQ(kind_of(pmap->copy_out(*uvm::GpaRange::from_size(page(number), 8), bytes)),
                uvm::ErrorKind::PagerIo);
      EXPECT_EQ(handler.events(), 1) << "it asked again";
    }
    // Later it can be brought in after all.
    ASSERT_OK(pmap->fill(pages(number, 1), std::vector<std::byte>(kPage, std::byte{7})));
    ASSERT_OK(pmap->enter({pages(number, 1), std::nullopt, uvm::Fill::Present, Protection::All}));
    EXPECT_EQ(read_in_kernel(*pmap, number), static_cast<ssize_t>(kPage));
    EXPECT_EQ(load(*pmap, number), std::byte{7});
  }
}

TEST(PmapEvents, RemovedPagesOfEveryKindAreEvents) {
  const auto pmap = make_pmap(pages(0, 64));
  REQUIRE_EVENTS(pmap);
  const auto object = make_object(64);
  const uvm::Mapping mappings[] = {zero(pages(0, 16)), copy_on_write(pages(16, 16), {object.get(), 16}),
                                   exact(pages(32, 16), {object.get(), 32})};
  for (const auto& mapping : mappings) ASSERT_OK(pmap->enter(mapping));
  for (const std::uint64_t i : {1u, 17u, 33u}) store(*pmap, i, std::byte{0xd0});
  for (const std::uint64_t i : {2u, 18u, 34u}) (void)load(*pmap, i);
  pmap->remove(pages(0, 64));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    for (const auto& mapping : mappings) {
      if (mapping.range.contains(event.address)) {
        EXPECT_OK(pmap->enter(mapping));
      }
    }
  });
  for (const std::uint64_t i : {1u, 17u, 33u}) EXPECT_EQ(load(*pmap, i), std::byte{0xd0}) << i;
  EXPECT_EQ(handler.events(), 3);
  EXPECT_EQ(load(*pmap, 2), std::byte{0});
  EXPECT_EQ(load(*pmap, 18), pattern_of(18));
  EXPECT_EQ(load(*pmap, 34), pattern_of(34));
  EXPECT_EQ(handler.events(), 3) << "whole ranges were entered";
}

TEST(PmapEvents, WritesToReadOnlyFramesAreEvents) {
  const auto pmap = make_pmap(pages(0, 64));
  REQUIRE_EVENTS(pmap);
  const auto object = make_object(64);
  ASSERT_OK(pmap->enter(exact(pages(0, 8), {object.get(), 0}, Protection::Read)));
  ASSERT_OK(pmap->enter(zero(pages(8, 8))));
  store(*pmap, 9, std::byte{0x90});
  ASSERT_OK(pmap->enter(exact(pages(9, 1), *pmap->harvest_page(page(9)), Protection::Read)));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    EXPECT_EQ(event.access, AccessKind::Write);
    const auto at = event.address.page_down();
    const auto found = pmap->extract(at);
    ASSERT_TRUE(found);
    EXPECT_OK(pmap->enter(exact(uvm::GpaRange::page_of(at), *found->frame)));
  });
  for (const std::uint64_t i : {0u, 3u, 7u}) EXPECT_EQ(load(*pmap, i), pattern_of(i));
  EXPECT_EQ(load(*pmap, 9), std::byte{0x90});
  EXPECT_EQ(handler.events(), 0);
  store(*pmap, 3, std::byte{0xee});
  store(*pmap, 9, std::byte{0xef});
  EXPECT_EQ(handler.events(), 2);
  EXPECT_EQ(stored_byte(*object, 3), std::byte{0xee});
  EXPECT_EQ(load(*pmap, 9), std::byte{0xef});
}

// Forgotten and entered again as they were: the reader asks once, and writes are events as before.
TEST(PmapEvents, ReadOnlyFramesThatWereDroppedComeBackReadOnly) {
  const auto pmap = make_pmap(pages(0, 64));
  REQUIRE_EVENTS(pmap);
  const auto object = make_object(64);
  const auto text = exact(pages(0, 8), {object.get(), 0}, Protection::Read);
  ASSERT_OK(pmap->enter(text));
  EXPECT_EQ(load(*pmap, 3), pattern_of(3));
  pmap->remove(pages(0, 8));
  std::vector<AccessKind> seen;
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    seen.push_back(event.access);
    // A reader that asks again would ask for ever; it is let go.
    const bool is_first = seen.size() == 1 && event.access == AccessKind::Read;
    EXPECT_OK(pmap->enter(is_first ? text : exact(text.range, *text.first)));
  });
  EXPECT_EQ(load(*pmap, 3), pattern_of(3));
  EXPECT_EQ(load(*pmap, 4), pattern_of(4));
  store(*pmap, 4, std::byte{0xee});
  EXPECT_EQ(seen, (std::vector<AccessKind>{AccessKind::Read, AccessKind::Write}));
  EXPECT_EQ(stored_byte(*object, 4), std::byte{0xee});
}

// D6 and D3: while others write to a page of a shared object, it is replaced for this space. What they wrote
// before is in the copy, what they write after is not in the object, and nobody sees the old page again.
TEST(PmapEvents, PromotionOfASharedPageLosesNoWrite) {
  const auto pmap = make_pmap(pages(0, 8));
  REQUIRE_EVENTS(pmap);
  for (int round = 0; round < 200; ++round) {
    const auto object = make_object(8);
    ASSERT_OK(pmap->enter(exact(pages(0, 8), {object.get(), 0})));
    std::mutex fault_lock;  // as a map's would, it keeps the handler behind promotion and entry
    Handler handler(*pmap, [&](const StageTwoEvent& event) {
      const std::lock_guard lock(fault_lock);
      if (!pmap->extract(event.address)) {
        EXPECT_OK(
            pmap->enter(exact(uvm::GpaRange::page_of(event.address), {object.get(), event.address.page()})));
      }
    });
    auto* const counter = reinterpret_cast<std::atomic<std::uint64_t>*>(pmap->bytes(pages(5, 1)).data());
    counter->store(0);
    std::atomic<bool> stop{false};
    std::atomic<bool> started{false};
    std::uint64_t written = 0;
    std::thread vcpu([&] {
      while (!stop.load()) {
        const std::uint64_t before = counter->fetch_add(1);
        ASSERT_EQ(before, written) << "a write was lost";
        ++written;
        started.store(true);
      }
    });
    while (!started.load()) std::this_thread::yield();
    Frame frame;
    {
      const std::lock_guard lock(fault_lock);
      frame = *pmap->promote({page(5), Frame{object.get(), 5}, Placement::InPlace});
      EXPECT_OK(pmap->enter(exact(pages(5, 1), frame)));
    }
    const std::uint64_t at_promotion = counter->load();
    std::vector<std::byte> old(kPage);
    ASSERT_OK(object->read_page(5, old));
    std::uint64_t in_object = 0;
    std::memcpy(&in_object, old.data(), sizeof in_object);
    EXPECT_LE(in_object, at_promotion);
    stop.store(true);
    vcpu.join();
    EXPECT_EQ(counter->load(), written);
    ASSERT_OK(object->read_page(5, old));
    std::uint64_t in_object_later = 0;
    std::memcpy(&in_object_later, old.data(), sizeof in_object_later);
    EXPECT_EQ(in_object_later, in_object) << "the old page was written after the promotion";
    pmap->discard(pages(0, 8));
  }
}

// The host may make the page private just before the promotion takes the translation away. Then that page is
// the result, with what was written.
TEST(PmapEvents, AWriteThatRacesWithAPromotionIsKept) {
  constexpr std::uint64_t kRounds = 3000;
  const auto pmap = make_pmap(pages(0, kRounds));
  REQUIRE_EVENTS(pmap);
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(zero(pages(0, kRounds))));
  std::mutex fault_lock;
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    const std::lock_guard lock(fault_lock);
    if (!pmap->extract(event.address)) {
      EXPECT_OK(pmap->enter(zero(uvm::GpaRange::page_of(event.address))));
    }
  });
  std::atomic<std::uint64_t> turn{0};
  std::thread vcpu([&] {
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      while (turn.load() <= i) {
      }
      // Spread over the time a promotion takes.
      for (std::uint64_t n = 0; n < i % 64 * 16; ++n) std::atomic_signal_fence(std::memory_order_seq_cst);
      store(*pmap, i, std::byte{0xfe});
    }
  });
  for (std::uint64_t i = 0; i < kRounds; ++i) {
    const std::lock_guard lock(fault_lock);
    turn.store(i + 1);
    const auto frame = pmap->promote({page(i), Frame{object.get(), 3}, Placement::InPlace});
    ASSERT_OK(frame);
    ASSERT_OK(pmap->enter(exact(pages(i, 1), *frame)));
  }
  vcpu.join();
  for (std::uint64_t i = 0; i < kRounds; ++i) ASSERT_EQ(load(*pmap, i), std::byte{0xfe}) << i;
}

// Property P0: translations are dropped again and again while threads increment counters all over the window.
void hammer_while_dropping(host::HugePages huge) {
  constexpr std::uint64_t kShared = 2048;
  constexpr std::uint64_t kAll = 4 * 2048;
  const auto pmap = make_pmap(pages(0, kAll), Events::WhenPossible, {huge, 8192});
  REQUIRE_EVENTS(pmap);
  auto created = host::RamObject::create("ram", kShared * kPage, huge);
  ASSERT_TRUE(created);
  const auto object = std::move(*created);
  const auto image = make_object(kShared);
  const uvm::Mapping mappings[] = {
      exact(pages(0, kShared), {object.get(), 0}),
      copy_on_write(pages(kShared, kShared), {image.get(), 0}),
      zero(pages(2 * kShared, kShared)),
  };
  for (const auto& mapping : mappings) ASSERT_OK(pmap->enter(mapping));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    for (const auto& mapping : mappings) {
      if (mapping.range.contains(event.address)) {
        EXPECT_OK(pmap->enter(mapping));
      }
    }
  });
  std::atomic<bool> stop{false};
  std::vector<std::vector<std::uint64_t>> counts(2, std::vector<std::uint64_t>(3 * kShared));
  const auto slot = [&](std::uint64_t number, std::size_t who) {
    return reinterpret_cast<volatile std::uint64_t*>(pmap->bytes(pages(number, 1)).data()) + 8 * (who + 1);
  };
  for (std::uint64_t i = 0; i < 3 * kShared; ++i) {
    for (std::size_t who = 0; who < counts.size(); ++who) counts[who][i] = *slot(i, who);
  }
  std::vector<std::thread> vcpus;
  vcpus.reserve(counts.size());
  for (std::size_t who = 0; who < counts.size(); ++who) {
    vcpus.emplace_back([&, who] {
      std::uint64_t random = who + 1;
      while (!stop.load(std::memory_order_relaxed)) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const std::uint64_t number = (random >> 33) % (3 * kShared);
        *slot(number, who) = *slot(number, who) + 1;
        ++counts[who][number];
      }
    });
  }
  for (int round = 0; round < 300; ++round) {
    pmap->drop_all();
    if (round % 3 == 0) std::this_thread::yield();
    if (round % 50 == 0) pmap->remove(pages(static_cast<std::uint64_t>(round) * 20, 40));
  }
  stop.store(true);
  for (auto& vcpu : vcpus) vcpu.join();
  for (std::uint64_t i = 0; i < 3 * kShared; ++i) {
    for (std::size_t who = 0; who < counts.size(); ++who) {
      ASSERT_EQ(*slot(i, who), counts[who][i]) << "page " << i << ", thread " << who;
    }
  }
  EXPECT_GT(handler.events(), 0);
}

TEST(PmapEvents, DropAllLosesNoByteWhileThreadsRun) {
  hammer_while_dropping(host::HugePages::Never);
}

TEST(PmapEvents, DropAllLosesNoByteWithHugePages) {
  hammer_while_dropping(host::HugePages::Want);
}

// Fork-like: private pages lose and get back their translations while threads write to them.
TEST(PmapEvents, RemovingPrivatePagesLosesNoWrite) {
  constexpr std::uint64_t kCount = 1024;
  const auto pmap = make_pmap(pages(0, kCount));
  REQUIRE_EVENTS(pmap);
  const auto image = make_object(kCount / 2);
  const uvm::Mapping mappings[] = {zero(pages(0, kCount / 2)),
                                   copy_on_write(pages(kCount / 2, kCount / 2), {image.get(), 0})};
  for (const auto& mapping : mappings) ASSERT_OK(pmap->enter(mapping));
  Handler handler(*pmap, [&](const StageTwoEvent& event) {
    for (const auto& mapping : mappings) {
      // Clusters, so that pages come back by copying as well as by moving.
      const auto part = mapping.range.intersection(pages(event.address.page() / 64 * 64, 64));
      if (part.empty()) continue;
      auto cluster = mapping;
      cluster.range = part;
      if (cluster.first) *cluster.first = *cluster.first + (part.begin() - mapping.range.begin()) / kPage;
      EXPECT_OK(pmap->enter(cluster));
    }
  });
  std::atomic<bool> stop{false};
  std::vector<std::uint64_t> counts(kCount);
  const auto slot = [&](std::uint64_t number) {
    return reinterpret_cast<volatile std::uint64_t*>(pmap->bytes(pages(number, 1)).data());
  };
  for (std::uint64_t i = 0; i < kCount; ++i) counts[i] = *slot(i);
  std::thread vcpu([&] {
    std::uint64_t random = 9;
    while (!stop.load(std::memory_order_relaxed)) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const std::uint64_t number = (random >> 33) % kCount;
      *slot(number) = *slot(number) + 1;
      ++counts[number];
    }
  });
  std::uint64_t random = 5;
  for (int round = 0; round < 1500; ++round) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t first = (random >> 40) % kCount;
    const std::uint64_t count = 1 + (random >> 20) % 300 % (kCount - first);
    if (round % 2 == 0) {
      pmap->remove(pages(first, count));
    } else {
      pmap->protect(pages(first, count), Protection::Read);
    }
  }
  stop.store(true);
  vcpu.join();
  for (std::uint64_t i = 0; i < kCount; ++i) ASSERT_EQ(*slot(i), counts[i]) << "page " << i;
}

TEST(PmapEvents, AreOffWhenTheyAreNotWanted) {
  const auto pmap = make_pmap(pages(0, 4), Events::Never);
  EXPECT_EQ(pmap->events(), nullptr);
  EXPECT_FALSE(pmap->events_reason().empty());
}

}  // namespace pmap_events_test
}  // namespace ept
