// A pager over memory that fails, answers short and pauses on demand.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tests/support/sim_store.h"
#include "uvm/object.h"
#include "uvm/pager.h"

namespace test {

/// Thread-safe in get(); the knobs are set while nobody asks.
class FakePager : public uvm::Pager {
 public:
  /// Page n holds pattern(kPageSize, seed + n); seed 0: zeros.
  FakePager(std::string name, std::uint64_t bytes, std::uint64_t seed = 0,
            uvm::Protection most = uvm::Protection::All);

  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] std::uint64_t size() const override { return bytes_; }
  [[nodiscard]] uvm::Protection max_protection() const override { return most_; }
  [[nodiscard]] std::string_view name() const override { return store_.name(); }

  /// Not beyond the size it was made with.
  void resize(std::uint64_t bytes) { bytes_ = bytes; }
  /// Every get() of this page fails, until clear_failures().
  void fail_page(std::uint64_t page, uvm::ErrorKind kind);
  void clear_failures() { failing_page_ = kNone; }
  void answer_at_most(std::uint64_t pages) { longest_ = pages; }
  /// Called in every get() before it answers, without locks: the moment to change the map behind a fault.
  void before_answer(std::function<void(const uvm::PagerRequest&)> hook) { hook_ = std::move(hook); }

  [[nodiscard]] std::uint64_t gets() const { return gets_; }
  [[nodiscard]] std::uint64_t writes_asked() const { return writes_asked_; }
  [[nodiscard]] SimStore& store() { return store_; }

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  SimStore store_;
  std::atomic<std::uint64_t> bytes_;
  const uvm::Protection most_;
  std::atomic<std::uint64_t> longest_{kNone};
  std::atomic<std::uint64_t> failing_page_{kNone};
  uvm::ErrorKind failure_ = uvm::ErrorKind::PagerIo;
  std::function<void(const uvm::PagerRequest&)> hook_;
  std::atomic<std::uint64_t> gets_{0};
  std::atomic<std::uint64_t> writes_asked_{0};
};

}  // namespace test
