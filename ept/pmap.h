// The pmap of one space: EPT-format tables, and a window of host memory that obeys them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ept/events.h"
#include "ept/frame_codec.h"
#include "ept/host/arena.h"
#include "ept/host/window.h"
#include "ept/loader.h"
#include "ept/pv_list.h"
#include "ept/stage_two.h"
#include "ept/table.h"
#include "uvm/base/lock.h"
#include "uvm/pmap.h"

namespace ept {

/// Whether missing translations become events that somebody reads from Pmap::events().
enum class Events : std::uint8_t {
  WhenPossible,  // by userfaultfd where the host has it
  Never,         // nobody reads events: an access without translation faults (SIGSEGV, or EFAULT in KVM_RUN)
};

struct PmapConfig {
  uvm::GpaRange covered;          // all GPAs that can ever be entered; page-aligned, below 2^48
  StageTwo* stage_two = nullptr;  // not owned; may come later with set_stage_two()
  Events events = Events::WhenPossible;
  host::WindowOptions window;
  PvList* pv_list =
      nullptr;  // not owned; shared between the pmaps of a share group, or null for one of its own
};

/// uvm::Pmap on host memory. Without memory for tables, what returns a Status says NoMemory, what returns
/// nothing takes more translations away than it was asked to, and never less. Thread-safe, except for create,
/// set_stage_two and destruction. See ept/ept.h.
class Pmap final : public uvm::Pmap {
 public:
  /// Errors: Invalid (range not aligned, empty, or beyond 2^48), NoMemory (address space).
  static uvm::Result<std::unique_ptr<Pmap>> create(const PmapConfig& config);
  ~Pmap() override;

  /// Host address of GPA covered().begin(), for memory slots: GPA g is at window_base() + (g - begin). Fixed
  /// for the life of the pmap, whatever is entered.
  [[nodiscard]] uvm::Hva window_base() const { return loader_base_; }
  [[nodiscard]] uvm::GpaRange covered() const { return config_.covered; }
  /// Before vCPUs run and after they ended for good (null).
  void set_stage_two(StageTwo* stage_two);
  /// Null when events are off or the host has none; events_reason() then says why. Owned by the pmap.
  [[nodiscard]] EventSource* events() { return events_.get(); }
  [[nodiscard]] const std::string& events_reason() const { return events_reason_; }
  /// Lets everybody who sleeps on an event in this page try again.
  void wake(uvm::Gpa page);
  /// For an event that cannot be resolved: accesses to this page, those that sleep on it included, are errors
  /// from now on (EFAULT, SIGSEGV; a copy_in() or copy_out() says PagerIo) and no events, until it is entered
  /// again. Only waking the sleeper would not do: KVM's emulator asks again before it looks at signals.
  void refuse(uvm::Gpa page);

  [[nodiscard]] uvm::Status enter(const uvm::Mapping& mapping) noexcept override;
  void remove(uvm::GpaRange range) noexcept override;
  void discard(uvm::GpaRange range) noexcept override;
  void free_private(uvm::GpaRange range) noexcept override;
  void protect(uvm::GpaRange range, uvm::Protection most) noexcept override;
  [[nodiscard]] uvm::Result<uvm::Frame> promote(const uvm::Promotion& promotion) noexcept override;
  void release(uvm::Frame frame) noexcept override;
  void harvest(uvm::GpaRange range, const std::function<void(uvm::GpaRange, uvm::Frame)>& found) override;
  void harvest_each(std::span<const uvm::GpaRange> ranges,
                    const std::function<void(uvm::GpaRange, uvm::Frame)>& found) override;
  [[nodiscard]] std::optional<uvm::Frame> harvest_page(uvm::Gpa page) override;
  [[nodiscard]] std::optional<uvm::Translation> extract(uvm::Gpa address) const override;
  [[nodiscard]] uvm::GpaRange unserved(uvm::Gpa page, uvm::GpaRange run,
                                       uvm::Protection rights) const override;
  /// Empty when `range` is not covered. A thread that touches bytes whose translation went in the meantime
  /// sleeps until the event is resolved, so it must hold no lock that resolution needs.
  [[nodiscard]] std::span<std::byte> bytes(uvm::GpaRange range) override;
  [[nodiscard]] uvm::Status read_frame(uvm::Frame frame, std::uint64_t offset,
                                       std::span<std::byte> to) override;
  [[nodiscard]] uvm::Status write_frame(uvm::Frame frame, std::uint64_t offset,
                                        std::span<const std::byte> from) override;
  [[nodiscard]] bool discard_equal(uvm::Gpa page, std::span<const std::byte> bytes) override;
  void update() noexcept override;
  void drop_all() noexcept override;
  /// Never a signal, whatever became of the page. They also sleep on events.
  [[nodiscard]] uvm::Status copy_out(uvm::GpaRange from, std::span<std::byte> to) override;
  [[nodiscard]] uvm::Status copy_in(uvm::GpaRange to, std::span<const std::byte> from) override;
  [[nodiscard]] uvm::Status settle(std::span<const uvm::GpaRange> ranges) override;
  [[nodiscard]] uvm::Status fill(uvm::GpaRange range, std::span<const std::byte> bytes) override;
  [[nodiscard]] uvm::Status read(uvm::Frame first, std::span<std::byte> to) const override;
  [[nodiscard]] uvm::Residency residency(uvm::GpaRange range) const override;
  void each_object_run(uvm::GpaRange range, const std::function<void(uvm::GpaRange)>& found) const override;
  [[nodiscard]] std::uint64_t metadata_bytes() const override;

  /// Private pages that the space begins with, made when something of their range is entered. Nothing of it
  /// is entered, nor private, and accesses to it are events (events() is not null). Errors: Invalid (the
  /// range, or a page outside of it), NoMemory.
  [[nodiscard]] uvm::Status defer(DeferredPages pages);
  /// Makes all of those that are left in a range now. Errors: NoMemory, PagerIo.
  [[nodiscard]] uvm::Status compose(uvm::GpaRange range);

  /// Gives `visit` the private in-place pages of the range with their bytes, ascending, in runs of its own
  /// choosing. The guest may write them meanwhile; and whoever can cut a file under them takes them away, so
  /// only guarded copies are made of them. `visit` calls nothing of this space. Errors: those of `visit`.
  [[nodiscard]] uvm::Status each_private(
      uvm::GpaRange range,
      const std::function<uvm::Status(uvm::GpaRange run, std::span<const std::byte> bytes)>& visit) const;

  /// Gives `write` the private in-place pages of the range, run by run, with their bytes, to read or write
  /// them where they are: neither host nor guest faults for them afterwards. Nobody else touches them
  /// meanwhile, and `write` calls nothing of this space. Errors: those of `write`; Unsupported (a page is
  /// protected against writing).
  [[nodiscard]] uvm::Status rewrite_private(
      uvm::GpaRange range,
      const std::function<uvm::Status(uvm::GpaRange run, std::span<std::byte> bytes)>& write);

  /// Writes all of a range, as a guest's own writes that are no event. Done::No: some of it would be one, or
  /// the host can't bring it, and some may be written; fault it in and copy_in().
  enum class Done : std::uint8_t { No, Yes };
  [[nodiscard]] Done copy_in_open(uvm::GpaRange to, std::span<const std::byte> from);

  /// What of the space is in memory right now, measured at the host: calls `found` for the pages of objects,
  /// run by run, and returns the bytes of private pages, in view or not. `found` calls nothing of this space.
  /// Errors: System.
  [[nodiscard]] uvm::Result<std::uint64_t> resident(const FoundObjectPages& found) const;

  /// Host mappings the window is cut into, of config.window.max_runs.
  [[nodiscard]] std::uint64_t run_count() const;
  /// Copies a private in-place page of this space. For promotions in another space. Errors: NoMapping.
  [[nodiscard]] uvm::Status read_private(uvm::Gpa page, std::span<std::byte> to) const;

 private:
  /// The name under which uvm knows this space's private pages: frame index = GPA page number.
  class PrivateStore final : public uvm::FrameStore {
   public:
    explicit PrivateStore(Pmap& owner) : owner_(owner) {}
    [[nodiscard]] std::string_view name() const override { return "window"; }
    [[nodiscard]] Pmap& owner() const { return owner_; }

   private:
    Pmap& owner_;
  };

  Pmap(const PmapConfig& config, Loader loader);

  [[nodiscard]] uvm::Status check(uvm::GpaRange range) const;
  [[nodiscard]] uvm::Frame private_frame(uvm::Gpa page) const { return {&private_, page.page()}; }
  [[nodiscard]] uvm::Status load_locked(const uvm::Mapping& mapping) REQUIRES(mutex_);
  [[nodiscard]] uvm::Status load_present_locked(uvm::GpaRange range, Guard guard) REQUIRES(mutex_);
  [[nodiscard]] uvm::Status fill_locked(uvm::GpaRange range, std::span<const std::byte> bytes)
      REQUIRES(mutex_);
  /// Private pages with these bytes (empty: zeros), without translation.
  [[nodiscard]] uvm::Status stash_locked(uvm::GpaRange range, std::span<const std::byte> bytes)
      REQUIRES(mutex_);
  [[nodiscard]] uvm::Result<std::uint64_t> encode_locked(uvm::Frame first, std::uint64_t pages)
      REQUIRES(mutex_);
  void discard_locked(uvm::GpaRange range) REQUIRES(mutex_);
  /// The parts of the range in which the host makes pages, or tells of absent ones.
  [[nodiscard]] std::vector<std::pair<uvm::GpaRange, uvm::Fill>> host_made_locked(uvm::GpaRange range) const
      REQUIRES(mutex_);
  /// Tables, reverse maps and window lose the range; private frames stay.
  void forget_locked(uvm::GpaRange range) REQUIRES(mutex_);
  /// Tables and reverse maps lose the range, or, where there is no memory to cut it out, everything: what
  /// they lost is for the window to lose too.
  [[nodiscard]] uvm::GpaRange forget_tables_locked(uvm::GpaRange range) REQUIRES(mutex_);
  [[nodiscard]] uvm::Result<Leaf> leaf_locked(const uvm::Mapping& mapping) REQUIRES(mutex_);
  [[nodiscard]] uvm::Status enter_locked(const uvm::Mapping& mapping, const Leaf& leaf) REQUIRES(mutex_);
  /// A copy that failed, again, while nothing of the window changes; and why it failed.
  [[nodiscard]] uvm::Status copy_again(uvm::Gpa page, uvm::AccessKind access, std::span<std::byte> to,
                                       std::span<const std::byte> from) const;
  [[nodiscard]] uvm::Error untouchable_locked(uvm::Gpa page) const REQUIRES(mutex_);
  [[nodiscard]] uvm::Status read_source(std::optional<uvm::Frame> source, std::span<std::byte> to) const;
  [[nodiscard]] uvm::Status read_content(const uvm::Promotion& promotion, std::span<std::byte> to) const;
  [[nodiscard]] uvm::Result<uvm::Frame> promote_in_place(const uvm::Promotion& promotion);
  [[nodiscard]] uvm::Result<uvm::Frame> promote_shareable(const uvm::Promotion& promotion);
  [[nodiscard]] bool host_can_promote_locked(const uvm::Promotion& promotion) const REQUIRES(mutex_);

  const PmapConfig config_;
  const uvm::Hva loader_base_;
  // Mutable: a frame names its store without const, and looking a frame up changes nothing.
  mutable PrivateStore private_;
  std::unique_ptr<PvList> own_pv_list_;
  PvList* const pv_list_;
  std::string events_reason_;
  StageTwo* stage_two_;

  mutable uvm::Mutex mutex_{uvm::LockRank::Pmap};
  FrameCodec codec_ GUARDED_BY(mutex_);
  Table table_ GUARDED_BY(mutex_);
  Loader loader_ GUARDED_BY(mutex_);
  std::unique_ptr<EventSource> events_;  // reads the loader's userfaultfd, which needs no lock
};

}  // namespace ept
