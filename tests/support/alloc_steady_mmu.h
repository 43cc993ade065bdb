// A simulated MMU whose own memory never runs out, so that an AllocFault meets the VM system's alone.
#pragma once

#include <functional>
#include <optional>

#include "tests/support/alloc_fault.h"
#include "tests/support/sim_mmu.h"

namespace test {

class SteadyMmu : public SimMmu {
 public:
  using SimMmu::SimMmu;

  [[nodiscard]] uvm::Status enter(const uvm::Mapping& mapping) override {
    const AllocPause pause;
    return SimMmu::enter(mapping);
  }
  void remove(uvm::GpaRange range) override {
    const AllocPause pause;
    SimMmu::remove(range);
  }
  void discard(uvm::GpaRange range) override {
    const AllocPause pause;
    SimMmu::discard(range);
  }
  void free_private(uvm::GpaRange range) override {
    const AllocPause pause;
    SimMmu::free_private(range);
  }
  void protect(uvm::GpaRange range, uvm::Protection most) override {
    const AllocPause pause;
    SimMmu::protect(range, most);
  }
  [[nodiscard]] uvm::Result<uvm::Frame> promote(const uvm::Promotion& promotion) override {
    const AllocPause pause;
    return SimMmu::promote(promotion);
  }
  void release(uvm::Frame frame) override {
    const AllocPause pause;
    SimMmu::release(frame);
  }
  void harvest(uvm::GpaRange range, const std::function<void(uvm::GpaRange, uvm::Frame)>& found) override {
    const AllocPause pause;
    SimMmu::harvest(range, [&](uvm::GpaRange run, uvm::Frame first) {
      const AllocResume resume;
      found(run, first);
    });
  }
  [[nodiscard]] uvm::Status fill(uvm::GpaRange range, std::span<const std::byte> bytes) override {
    const AllocPause pause;
    return SimMmu::fill(range, bytes);
  }
  [[nodiscard]] uvm::Status read(uvm::Frame first, std::span<std::byte> to) const override {
    const AllocPause pause;
    return SimMmu::read(first, to);
  }
  [[nodiscard]] std::span<std::byte> bytes(uvm::GpaRange range) override {
    const AllocPause pause;
    return SimMmu::bytes(range);
  }
  [[nodiscard]] uvm::Status copy_out(uvm::GpaRange from, std::span<std::byte> to) override {
    const AllocPause pause;
    return SimMmu::copy_out(from, to);
  }
  [[nodiscard]] uvm::Status copy_in(uvm::GpaRange to, std::span<const std::byte> from) override {
    const AllocPause pause;
    return SimMmu::copy_in(to, from);
  }
  [[nodiscard]] uvm::Status read_frame(uvm::Frame frame, std::uint64_t offset,
                                       std::span<std::byte> to) override {
    const AllocPause pause;
    return SimMmu::read_frame(frame, offset, to);
  }
  [[nodiscard]] uvm::Status write_frame(uvm::Frame frame, std::uint64_t offset,
                                        std::span<const std::byte> from) override {
    const AllocPause pause;
    return SimMmu::write_frame(frame, offset, from);
  }
  [[nodiscard]] bool discard_equal(uvm::Gpa page, std::span<const std::byte> bytes) override {
    const AllocPause pause;
    return SimMmu::discard_equal(page, bytes);
  }
  void update() override {
    const AllocPause pause;
    SimMmu::update();
  }
  void drop_all() override {
    const AllocPause pause;
    SimMmu::drop_all();
  }
};

}  // namespace test
