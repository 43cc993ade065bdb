// T12: copy-on-write with several vCPUs never shows old bytes after new ones.
//
// A writer stores growing numbers and tells the last one it has stored; readers that know a number must not
// read a smaller one. Every round starts from a page that has to be copied, and the copy is made by the host
// alone, or by a wiring fault that races with it.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/uvm/fixture.h"

namespace test {
namespace acceptance_t12_test {

using uvm::FaultKind;

class AcceptanceT12 : public SpaceFixture {
 protected:
  /// Two readers and a writer on page 0, and `meanwhile` in a fourth thread.
  template <class F>
  void round(F&& meanwhile) {
    std::atomic<std::uint64_t> stored{0};
    std::atomic<int> old_after_new{0};
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        SimCpu cpu(space, guest.mmu);
        while (!done) {
          const std::uint64_t known = stored.load(std::memory_order_acquire);
          const auto seen = cpu.load(page(0));
          if (!seen || *seen < known) ++old_after_new;
        }
      });
    }
    threads.emplace_back([&] { meanwhile(); });
    {
      SimCpu cpu(space, guest.mmu);
      for (std::uint64_t value = 1; value <= 50; ++value) {
        EXPECT_OK(cpu.store(page(0), value));
        stored.store(value, std::memory_order_release);
      }
    }
    done = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(old_after_new, 0);
  }

  void start_over() {
    auto request = over(pages(0, 4), zeros);
    request.overlap = uvm::Overlap::Replace;
    EXPECT_OK(space.map(request));
  }

  std::shared_ptr<uvm::Object> zeros = uvm::Object::create(std::make_shared<FakePager>("zeros", 4 * kPage));
};

TEST_F(AcceptanceT12, WhenTheHostCopies) {
  for (int i = 0; i < 30 && !HasFailure(); ++i) {
    start_over();
    round([] {});
  }
}

TEST_F(AcceptanceT12, WhenAWiringFaultCopies) {
  for (int i = 0; i < 30 && !HasFailure(); ++i) {
    start_over();
    round([&] { EXPECT_OK(space.fault(page(0), uvm::AccessKind::Read, FaultKind::WireMax)); });
  }
}

TEST_F(AcceptanceT12, WhileTranslationsAreDropped) {
  for (int i = 0; i < 30 && !HasFailure(); ++i) {
    start_over();
    round([&] {
      for (int j = 0; j < 20; ++j) space.drop_translations();
    });
  }
}

}  // namespace acceptance_t12_test
}  // namespace test
