// Random sequences on the simulated MMU, which notices every forgotten flush and every frame used too long.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/model/backend.h"
#include "tests/support/sim_mmu.h"

namespace test::model {

/// A file of which pages come and go: a truncated page that nobody holds is overwritten, one that a pin holds
/// stays, and a page that comes back is another one, of zeros. Thread-safe.
class ShrinkingPager : public uvm::Pager {
 public:
  /// Answers with at most `longest` pages. `most`: see Pager.
  ShrinkingPager(int object, std::uint64_t longest, uvm::Protection most);

  void resize(std::uint64_t pages);
  [[nodiscard]] std::span<std::byte> page(std::uint64_t number);

  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] bool hold(uvm::Frame frame) override;
  void let_go(uvm::Frame frame) override;
  /// Of pages that are not held.
  [[nodiscard]] bool discard(uvm::ObjectOffset first, std::uint64_t pages) override;
  [[nodiscard]] std::uint64_t size() const override;
  [[nodiscard]] uvm::Protection max_protection() const override { return most_; }
  [[nodiscard]] std::string_view name() const override { return store_.name(); }

 private:
  void free_if_unused(std::uint64_t index) REQUIRES(lock_);

  SimStore store_;
  const std::uint64_t longest_;
  const uvm::Protection most_;
  mutable uvm::Mutex lock_{uvm::LockRank::Leaf};
  std::vector<std::uint64_t> pages_ GUARDED_BY(lock_);  // where each page is in the store
  std::set<std::uint64_t> free_ GUARDED_BY(lock_);
  std::multiset<std::uint64_t> held_ GUARDED_BY(lock_);
};

class SimBackend : public Backend {
 public:
  SimBackend();
  [[nodiscard]] std::unique_ptr<Machine> make(const std::string& name) override;
  [[nodiscard]] uvm::Result<std::unique_ptr<Machine>> fork(Machine& parent, const std::string& name) override;
  [[nodiscard]] std::shared_ptr<uvm::Object> object(int object) override;
  void truncate(int object, std::uint64_t pages) override;
  [[nodiscard]] Words words(int object, std::uint64_t page) override;

 private:
  SimArena arena_;
  std::vector<std::shared_ptr<ShrinkingPager>> pagers_;
  std::vector<std::shared_ptr<uvm::Object>> objects_;
};

}  // namespace test::model
