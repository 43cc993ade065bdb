// A swap area whose own memory never runs out: for tests that take it from everybody else.
#pragma once

#include "tests/support/alloc_fault.h"
#include "tests/support/fake_swap.h"

namespace test {

class SteadySwap : public FakeSwap {
 public:
  [[nodiscard]] uvm::Result<uvm::SwapSlot> write(std::span<const std::byte> bytes) override {
    const AllocPause pause;
    return FakeSwap::write(bytes);
  }
  [[nodiscard]] uvm::Status read(uvm::SwapSlot first, std::span<std::byte> to) override {
    const AllocPause pause;
    return FakeSwap::read(first, to);
  }
  void free(uvm::SwapSlot first, std::uint64_t count) override {
    const AllocPause pause;
    FakeSwap::free(first, count);
  }
};

}  // namespace test
