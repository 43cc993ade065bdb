// The fault driver: look up, decide, resolve; look again after every sleep.
//
// One Fault object is one fault. It holds the map lock shared and the entry's amap lock from the look at the
// facts to the entered translation. Some things cannot be done under them: asking a pager (it sleeps),
// copying an amap (it changes the map), flushing other spaces, and making room or reading swap (see
// reclaim.h). For these attempt() lets go of everything and says what to do next; afterwards nothing that was
// seen before is trusted: the entry is looked up again, the facts gathered again, and only the pager's answer
// is kept, as long as entry and object still want that very page and the object was not invalidated.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "uvm/access_mode.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/entry.h"
#include "uvm/fault_plan.h"
#include "uvm/locked_amap.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page_in.h"
#include "uvm/patience.h"
#include "uvm/pmap.h"
#include "uvm/reclaim.h"
#include "uvm/statistics.h"

namespace uvm {

/// The parts of a space that a fault works on.
struct FaultContext {
  const std::string& space;  // its name, for errors
  Map& map;
  Pmap& pmap;
  FaultCounters& counters;
  Reclaim& reclaim;
  Patience patience = Patience::Sleep;
};

/// Pages a fault on an anon looks ahead.
inline constexpr std::uint64_t kAnonCluster = 16;

/// The page that a wiring fault found or made.
struct WiredPage {
  Frame frame;
  std::shared_ptr<Object> object;  // whose page it is; null for a private one
  std::uint64_t generation = 0;    // of the object, when it gave the page
};

/// What a Peek or a Poke does with the page. Called with the map and the amap locked, so that nobody replaces
/// the page meanwhile; no frame: zeros that nobody holds (a Peek only).
using FrameUse = std::function<Status(std::optional<Frame>)>;

struct FrameVisit {
  const FrameUse* use = nullptr;
  SharedWrites shared = SharedWrites::Refuse;
};

class Fault {
 public:
  /// `address`: any byte of the page. Runs are entered inside `within` only.
  Fault(const FaultContext& context, Gpa address, AccessKind access, FaultKind kind,
        std::optional<GpaRange> within = std::nullopt);

  /// Needed before resolve() of a Peek or a Poke; `visit.use` outlives the fault.
  void set_use(FrameVisit visit) { visit_ = visit; }

  /// Returns the range that has translations now; it holds the page. Throws nothing.
  [[nodiscard]] Result<GpaRange> resolve();
  /// After resolve() of a wiring fault that succeeded: the page as it was when its slot was looked at,
  /// whether it has a translation or not.
  [[nodiscard]] const std::optional<WiredPage>& wired() const { return wired_; }

 private:
  enum class Next : std::uint8_t {
    Done,
    Again,
    AskPager,
    CopyAmap,
    Flush,
    MakeRoom,
    ReadSwap,
    EndBusy,
    Wait
  };
  /// What to ask the object for: pages from the faulting one on, and how many before it are wanted as well.
  struct Question {
    std::shared_ptr<Object> object;
    PagerRequest request;
    std::uint64_t pages_before = 0;
  };
  struct Answer {
    std::shared_ptr<Object> object;
    ObjectOffset offset;  // of the first frame
    ObjectFrames frames;
  };

  /// A slot that is being replaced under its sharers.
  struct Busy {
    std::shared_ptr<Amap> amap;
    std::uint64_t slot = 0;
    std::vector<Pmap*> pmaps;  // to be flushed; alive, because whoever leaves the amap waits for us
  };

  [[nodiscard]] Result<GpaRange> repeat();
  /// Whether the step waits for a backing, for swap, or for somebody who does.
  [[nodiscard]] bool sleeps(Next next) const;
  [[nodiscard]] Result<Next> attempt();
  [[nodiscard]] Result<Next> act(const Entry& entry, LockedAmap& amap, const FaultPlan& plan);
  [[nodiscard]] FaultFacts gather(const Entry& entry, const LockedAmap& amap) const;
  [[nodiscard]] bool is_resolved() const;

  [[nodiscard]] Result<Next> use_anon(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan);
  [[nodiscard]] Result<Next> use_in_place(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan);
  [[nodiscard]] Result<Next> use_object(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan);
  [[nodiscard]] Result<Next> fill_zeros(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan);
  [[nodiscard]] Result<Next> make_zeros(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan);
  [[nodiscard]] Result<Next> page_in(const Entry& entry, LockedAmap& amap, const FaultPlan& plan);
  [[nodiscard]] Result<Next> copy_page(const Entry& entry, LockedAmap& amap, const FaultPlan& plan);

  [[nodiscard]] bool is_wiring() const { return kind_ == FaultKind::Wire || kind_ == FaultKind::WireMax; }
  [[nodiscard]] bool visits() const { return visit_.use != nullptr; }
  [[nodiscard]] Status check_reach(const Entry& entry) const;
  [[nodiscard]] Result<Next> visit(std::optional<Frame> frame);
  [[nodiscard]] Result<Next> visit_object(const Entry& entry, const FaultPlan& plan);
  [[nodiscard]] std::optional<Frame> private_frame(const Entry& entry, const LockedAmap& amap) const;
  [[nodiscard]] Frame answered_frame(const Entry& entry) const;

  /// What of the entry may be entered at all.
  [[nodiscard]] GpaRange whole(const Entry& entry) const {
    return within_ ? entry.range.intersection(*within_) : entry.range;
  }
  /// The pages around the faulting one that can be entered together with it.
  [[nodiscard]] GpaRange run_around(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan) const;
  /// The same for private pages in place: those of the cluster whose slots are empty and not busy.
  [[nodiscard]] GpaRange run_in_place(const Entry& entry, const LockedAmap& amap) const;
  [[nodiscard]] Frame frame_in(const Mapping& mapping) const;
  [[nodiscard]] bool is_entered(const Mapping& mapping) const;
  void count_entered(GpaRange run);
  [[nodiscard]] Result<Next> enter(const Mapping& mapping);
  /// Enters private pages in place, of which `frame` is the one of the faulting page.
  [[nodiscard]] Result<Next> enter_in_place(GpaRange run, Frame frame, const FaultPlan& plan);

  [[nodiscard]] Next ask(const Entry& entry, std::uint64_t pages, std::uint64_t pages_before,
                         const FaultPlan& plan);
  [[nodiscard]] bool is_answered(const Entry& entry) const;
  [[nodiscard]] Status ask_pager();
  void copy_amap();
  [[nodiscard]] Status read_swap();
  [[nodiscard]] Next take_away(const Entry& entry, LockedAmap& amap, std::uint64_t slot);
  void flush_sharers();
  void end_busy();
  [[nodiscard]] std::string place() const;
  [[nodiscard]] Error error(ErrorKind kind, const std::string& why) const;

  const FaultContext context_;
  const Gpa page_;
  const AccessKind access_;
  const FaultKind kind_;
  const std::optional<GpaRange> within_;
  FrameVisit visit_;

  SlotState slot_ = SlotState::Empty;  // as the last attempt found it
  bool backing_gone_ = false;          // the pager failed, but a private page is there
  std::optional<Question> question_;
  std::optional<Answer> answer_;
  std::optional<std::uint64_t> version_asked_;  // of the map, when the pager was asked
  std::optional<Busy> busy_;
  bool limited_ = false;  // as the last attempt found it
  Room room_;             // for pages to be made
  std::optional<PageIn> page_in_;
  std::shared_ptr<Amap> wait_amap_;
  std::uint64_t wait_slot_ = 0;
  GpaRange entered_;
  std::optional<WiredPage> wired_;
};

}  // namespace uvm
