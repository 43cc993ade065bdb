// A Pmap with real bytes and no hardware: what the VM system is tested against.
//
// It behaves like the strictest host the contract allows. Translations that were removed or lowered stay in
// the TLBs of the simulated vCPUs until update(), so a forgotten flush shows; the host breaks copy-on-write
// and fills zeros by itself where a mapping says so; frames that are given back are overwritten. Whatever
// breaks the contract fails the test that runs.
//
// One liberty: bytes() cannot know whether it is for reading, so it makes private what the host could make
// private. The contents are the same.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/support/sim_store.h"
#include "uvm/base/lock.h"
#include "uvm/pmap.h"
#include "uvm/space.h"

namespace test {

class SimCpu;

class SimMmu : public uvm::Pmap {
 public:
  /// Addresses below `bytes` can hold private pages.
  explicit SimMmu(std::uint64_t bytes, SimArena* arena = nullptr);
  ~SimMmu() override;

  [[nodiscard]] uvm::Status enter(const uvm::Mapping& mapping) override;
  void remove(uvm::GpaRange range) override;
  void discard(uvm::GpaRange range) override;
  void free_private(uvm::GpaRange range) override;
  void protect(uvm::GpaRange range, uvm::Protection most) override;
  [[nodiscard]] uvm::Result<uvm::Frame> promote(const uvm::Promotion& promotion) override;
  void release(uvm::Frame frame) override;
  void harvest(uvm::GpaRange range, const std::function<void(uvm::GpaRange, uvm::Frame)>& found) override;
  [[nodiscard]] std::optional<uvm::Frame> harvest_page(uvm::Gpa page) override;
  [[nodiscard]] std::optional<uvm::Translation> extract(uvm::Gpa address) const override;
  [[nodiscard]] uvm::GpaRange unserved(uvm::Gpa page, uvm::GpaRange run,
                                       uvm::Protection rights) const override;
  [[nodiscard]] std::span<std::byte> bytes(uvm::GpaRange range) override;
  [[nodiscard]] uvm::Status copy_out(uvm::GpaRange from, std::span<std::byte> to) override;
  [[nodiscard]] uvm::Status copy_in(uvm::GpaRange to, std::span<const std::byte> from) override;
  /// Nobody takes a private page away here.
  [[nodiscard]] uvm::Status settle(std::span<const uvm::GpaRange> /*ranges*/) override { return uvm::ok(); }
  [[nodiscard]] uvm::Status fill(uvm::GpaRange range, std::span<const std::byte> bytes) override;
  [[nodiscard]] uvm::Status read(uvm::Frame first, std::span<std::byte> to) const override;
  [[nodiscard]] uvm::Status read_frame(uvm::Frame frame, std::uint64_t offset,
                                       std::span<std::byte> to) override;
  [[nodiscard]] uvm::Status write_frame(uvm::Frame frame, std::uint64_t offset,
                                        std::span<const std::byte> from) override;
  [[nodiscard]] bool discard_equal(uvm::Gpa page, std::span<const std::byte> bytes) override;
  void update() override;
  void drop_all() override;
  [[nodiscard]] uvm::Residency residency(uvm::GpaRange range) const override;
  void each_object_run(uvm::GpaRange range, const std::function<void(uvm::GpaRange)>& found) const override;
  [[nodiscard]] std::uint64_t metadata_bytes() const override;

  /// The n-th enter()/promote()/fill() from now fails with NoMemory, and all after it; 0: none does.
  void fail_enter_from(std::uint64_t n) { enter_budget_ = n; }
  void fail_promote_from(std::uint64_t n) { promote_budget_ = n; }
  void fail_fill_from(std::uint64_t n) { fill_budget_ = n; }

  /// Called at the begin of every update(), when uvm holds no lock. Set it while nobody uses the MMU.
  void before_update(std::function<void()> hook) { before_update_ = std::move(hook); }

  [[nodiscard]] std::uint64_t enters() const { return enters_; }
  [[nodiscard]] std::uint64_t promotions() const { return promotions_; }
  [[nodiscard]] std::uint64_t host_copies() const { return host_copies_; }
  [[nodiscard]] std::size_t ranges() const;
  [[nodiscard]] std::size_t private_pages() const;

 private:
  friend class SimCpu;
  struct Segment {
    std::uint64_t end;  // page number
    std::optional<uvm::Frame> first;
    uvm::Fill fill;
    uvm::Protection rights;
  };
  using Segments = std::map<std::uint64_t, Segment>;  // by first page
  enum class Outcome : std::uint8_t { Found, HostWork, Event };
  struct Walk {
    Outcome outcome = Outcome::Event;
    std::byte* bytes = nullptr;
    uvm::Protection rights = uvm::Protection::None;
  };

  /// What the hardware finds for an access, without changing anything.
  [[nodiscard]] Walk walk(std::uint64_t page, uvm::AccessKind access);
  /// The host makes the page private: with these bytes, or zeros when there are none.
  void make_private(std::uint64_t page, std::span<const std::byte> bytes);
  /// The host's fault handler.
  void host_work(std::uint64_t page);
  /// Calls `copy(bytes)` with the host bytes of `range`, in one page; no flush ends meanwhile.
  template <class F>
  [[nodiscard]] uvm::Status copy_through(uvm::GpaRange range, uvm::AccessKind access, F&& copy);
  /// The bytes of a frame that is in use, from `offset` on.
  [[nodiscard]] std::byte* frame_bytes(uvm::Frame frame, std::uint64_t offset, std::size_t count);
  [[nodiscard]] Segments::const_iterator at(std::uint64_t page) const REQUIRES(lock_);
  void cut(std::uint64_t page) REQUIRES(lock_);
  void erase(uvm::GpaRange range) REQUIRES(lock_);
  void flush(std::optional<std::uint64_t> page);
  void add(SimCpu* cpu);
  void forget(SimCpu* cpu);

  SimStore window_;  // private pages in place, by page number
  SimArena* const arena_;
  mutable uvm::Mutex lock_{uvm::LockRank::Pmap};
  Segments segments_ GUARDED_BY(lock_);
  std::set<std::uint64_t> private_ GUARDED_BY(lock_);
  std::set<std::uint64_t> moving_ GUARDED_BY(lock_);  // no translation while the host copies
  std::condition_variable_any moved_;
  // Held across a flush, so that no vCPU ends meanwhile. Not ranked: a thread that holds a vCPU's lock never
  // takes it.
  std::mutex cpus_lock_;
  std::vector<SimCpu*> cpus_;
  uvm::Mutex copying_{uvm::LockRank::Page};  // held while this process copies through a translation
  std::function<void()> before_update_;
  std::atomic<std::uint64_t> enter_budget_{0};
  std::atomic<std::uint64_t> promote_budget_{0};
  std::atomic<std::uint64_t> fill_budget_{0};
  std::atomic<std::uint64_t> enters_{0};
  std::atomic<std::uint64_t> promotions_{0};
  std::atomic<std::uint64_t> host_copies_{0};
};

/// A vCPU with a TLB of its own. One thread at a time; several on one MMU.
class SimCpu {
 public:
  SimCpu(uvm::Space& space, SimMmu& mmu);
  ~SimCpu();
  SimCpu(const SimCpu&) = delete;
  SimCpu& operator=(const SimCpu&) = delete;

  /// Like guest instructions: fault through the space until the access succeeds or the fault is an error.
  [[nodiscard]] uvm::Status read(uvm::Gpa from, std::span<std::byte> to);
  [[nodiscard]] uvm::Status write(uvm::Gpa to, std::span<const std::byte> from);
  [[nodiscard]] uvm::Status execute(uvm::Gpa at);
  /// An aligned word, atomically.
  [[nodiscard]] uvm::Result<std::uint64_t> load(uvm::Gpa from);
  [[nodiscard]] uvm::Status store(uvm::Gpa to, std::uint64_t value);

  /// Whether it would access the page without looking at the tables.
  [[nodiscard]] bool caches(uvm::Gpa page);

  /// Faults that reached the space.
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  friend class SimMmu;
  struct Cached {
    std::byte* bytes;
    uvm::Protection rights;
  };
  void flush(std::optional<std::uint64_t> page);
  [[nodiscard]] bool holds(const std::byte* bytes);
  /// Calls `use(bytes of the page)` with the translation held.
  template <class F>
  [[nodiscard]] uvm::Status with_page(uvm::Gpa at, uvm::AccessKind access, F&& use);

  uvm::Space& space_;
  SimMmu& mmu_;
  uvm::Mutex lock_{uvm::LockRank::Page};  // held while an "instruction" uses a translation
  std::unordered_map<std::uint64_t, Cached> tlb_ GUARDED_BY(lock_);
  std::uint64_t events_ = 0;
};

}  // namespace test
