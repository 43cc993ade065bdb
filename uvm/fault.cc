#include "uvm/fault.h"

#include <algorithm>
#include <new>
#include <utility>

#include "uvm/promote.h"

namespace uvm {

Fault::Fault(const FaultContext& context, Gpa address, AccessKind access, FaultKind kind,
             std::optional<GpaRange> within)
    : context_(context),
      page_(address.page_down()),
      access_(access),
      kind_(kind),
      within_(within),
      room_(context.reclaim) {}

std::string Fault::place() const {
  return "space " + context_.space + ": " + to_string(access_) + " at " + to_string(page_);
}

Error Fault::error(ErrorKind kind, const std::string& why) const {
  return {kind, place() + ": " + why};
}

Result<GpaRange> Fault::resolve() try {
  auto resolved = repeat();
  end_busy();
  return resolved;
} catch (const std::bad_alloc&) {
  end_busy();
  return out_of_memory([&] { return error(ErrorKind::NoMemory, "the host is out of memory"); });
}

Result<GpaRange> Fault::repeat() {
  while (true) {
    UVMM_TRY(const Next next, attempt());
    if (context_.patience == Patience::Refuse && sleeps(next)) {
      return error(ErrorKind::Busy, "the page has to be brought in first");
    }
    switch (next) {
      case Next::Done:
        return entered_;
      case Next::Again:
        break;
      case Next::AskPager:
        UVMM_CHECK(ask_pager());
        break;
      case Next::CopyAmap:
        copy_amap();
        break;
      case Next::Flush:
        flush_sharers();
        break;
      case Next::MakeRoom:
        if (auto made = context_.reclaim.make_room(room_, 1); !made) {
          return std::move(made).error().with_context(place());
        }
        break;
      case Next::ReadSwap:
        if (auto read = read_swap(); !read) return std::move(read).error().with_context(place());
        break;
      case Next::EndBusy:
        end_busy();
        break;
      case Next::Wait:
        room_.give_back();  // who waits holds nothing that others wait for
        std::exchange(wait_amap_, nullptr)->wait_for(wait_slot_);
        break;
    }
  }
}

bool Fault::sleeps(Next next) const {
  if (next == Next::AskPager) return !question_->object->answers_at_once();
  return next == Next::MakeRoom || next == Next::ReadSwap || next == Next::Wait;
}

Result<Fault::Next> Fault::attempt() {
  const SharedLock lock(context_.map.lock());
  if (version_asked_ && *version_asked_ != context_.map.version()) count(context_.counters.restarts);
  version_asked_.reset();
  const Entry* entry = context_.map.find(page_);
  if (entry == nullptr) return error(ErrorKind::NoMapping, "nothing is mapped there");

  LockedAmap amap(*entry);
  limited_ = context_.reclaim.is_limited();
  const FaultFacts facts = gather(*entry, amap);
  slot_ = facts.slot;
  const FaultPlan plan = plan_fault(facts);
  if (plan.what == FaultCase::NotAllowed) {
    return error(ErrorKind::Protection, "mapping " + *entry->name + " at " + to_string(entry->range) +
                                            " is " + to_string(entry->protection) + ", at most " +
                                            to_string(entry->max_protection));
  }
  UVMM_CHECK(check_reach(*entry));
  const std::uint64_t slot = entry->slot_of(page_);
  const bool is_ours = (busy_ && busy_->amap == entry->amap && busy_->slot == slot) ||
                       (page_in_ && page_in_->is_for(*entry, page_));
  if ((busy_ || page_in_) && !is_ours) return Next::EndBusy;  // the mapping changed meanwhile: begin again
  if (amap.is_busy(slot) && !is_ours) {
    wait_amap_ = entry->amap;
    wait_slot_ = slot;
    return Next::Wait;
  }
  // After the pager's answer entering it costs no more than this look.
  if (kind_ == FaultKind::Plain && !is_ours && !answer_ && is_resolved()) {
    entered_ = GpaRange::page_of(page_);
    count(context_.counters.already);
    return Next::Done;
  }
  auto next = act(*entry, amap, plan);
  if (next && *next == Next::AskPager && question_->object->answers_at_once()) {
    UVMM_CHECK(ask_pager());  // nothing is waited for, so the map can stay as it is
    next = act(*entry, amap, plan);
  }
  if (!next) return std::move(next).error().with_context(place());  // the pmap's, which knows no space
  if (*next == Next::AskPager) version_asked_ = context_.map.version();
  return next;
}

FaultFacts Fault::gather(const Entry& entry, const LockedAmap& amap) const {
  FaultFacts facts;
  facts.access = access_;
  facts.kind = kind_;
  facts.protection = entry.protection;
  facts.max_protection = entry.max_protection;
  facts.sharing = entry.sharing;
  facts.limited = limited_;
  facts.has_object = entry.object != nullptr;
  facts.revocable = facts.has_object && entry.object->tenure() == Tenure::Revocable;
  facts.has_amap = amap.exists();
  facts.needs_copy = entry.needs_copy;
  facts.amap_shared = !entry.needs_copy && (entry.placement == Placement::Shareable || amap.is_shared(entry));
  if (facts.has_object && !entry.is_private())
    return facts;  // no layer above the object: nothing to look for
  const std::uint64_t slot = entry.slot_of(page_);
  if (const auto anon = amap.find(slot); anon && anon->is_swapped()) {
    facts.slot = SlotState::Swapped;
  } else if (anon) {
    facts.slot = amap.is_mine_alone(slot) ? SlotState::Alone : SlotState::Borrowed;
  } else if (context_.pmap.harvest_page(page_)) {
    facts.slot = SlotState::InPlace;
  }
  return facts;
}

/// Whether the access would succeed now, the host's own work included.
bool Fault::is_resolved() const {
  const auto found = context_.pmap.extract(page_);
  return found && includes(found->rights, needed(access_));
}

Result<Fault::Next> Fault::act(const Entry& entry, LockedAmap& amap, const FaultPlan& plan) {
  FaultCounters& counters = context_.counters;
  Result<Next> next = Next::Done;
  std::atomic<std::uint64_t>* counter = nullptr;
  switch (plan.what) {
    case FaultCase::NotAllowed:
      return error(ErrorKind::Protection, "the mapping forbids it");
    case FaultCase::CopyAmap:
      return Next::CopyAmap;
    case FaultCase::UseAnon:
      counter = &counters.anon;
      if (visits()) {
        next = visit(private_frame(entry, amap));
      } else if (slot_ != SlotState::InPlace) {
        next = use_anon(entry, amap, plan);
      } else if (plan.fill == Fill::Zero) {
        next = fill_zeros(entry, amap, plan);
      } else if (plan.fill == Fill::CopyOnWrite && !backing_gone_) {
        next = use_object(entry, amap, plan);
      } else {
        next = use_in_place(entry, amap, plan);
      }
      break;
    case FaultCase::UseObject:
      // A write that is left to the host ends as a copy: the host makes it when the access is repeated.
      counter = plan.fill == Fill::CopyOnWrite && access_ == AccessKind::Write ? &counters.object_copied
                                                                               : &counters.object;
      next = visits() ? visit_object(entry, plan) : use_object(entry, amap, plan);
      break;
    case FaultCase::ZeroFill:
      counter = &counters.zero_filled;
      if (kind_ == FaultKind::Peek) {
        next = visit(std::nullopt);
      } else if (plan.fill == Fill::Zero) {
        next = fill_zeros(entry, amap, plan);
      } else if (plan.fill == Fill::Present) {
        next = make_zeros(entry, amap, plan);
      } else {
        next = copy_page(entry, amap, plan);
      }
      break;
    case FaultCase::PageIn:
      return page_in(entry, amap, plan);
    case FaultCase::CopyAnon:
      counter = &counters.anon_copied;
      next = copy_page(entry, amap, plan);
      break;
    case FaultCase::CopyObject:
      counter = &counters.object_copied;
      next = copy_page(entry, amap, plan);
      break;
  }
  if (next && *next == Next::Done) {
    count(kind_ == FaultKind::Peek ? counters.peeks : *counter);
    if (kind_ == FaultKind::Poke) count(counters.pokes);
    if (plan.fill == Fill::CopyOnWrite || plan.fill == Fill::Zero) count(counters.left_to_host);
  }
  return next;
}

/// Whether there is nothing to do: the page already is what the mapping would make it (wiring a page that the
/// host made must not cut the range it lies in), or a wiring fault prepared a page that nobody may access
/// today.
bool Fault::is_entered(const Mapping& mapping) const {
  if (mapping.rights == Protection::None) return true;
  if (mapping.fill != Fill::Exact || mapping.range.pages() != 1) return false;
  const auto found = context_.pmap.extract(page_);
  return found && found->frame == mapping.first && found->rights == mapping.rights;
}

Frame Fault::frame_in(const Mapping& mapping) const {
  return *mapping.first + ((page_ - mapping.range.begin()) >> kPageShift);
}

void Fault::count_entered(GpaRange run) {
  count(context_.counters.pages_entered, run.pages());
  if (run.pages() > 1) count(context_.counters.clusters);
}

Result<Fault::Next> Fault::enter(const Mapping& mapping) {
  if (mapping.first && is_wiring()) wired_ = WiredPage{frame_in(mapping), nullptr, 0};
  if (!is_entered(mapping)) {
    UVMM_CHECK(context_.pmap.enter(mapping));
    count_entered(mapping.range);
  }
  entered_ = mapping.range;
  return Next::Done;
}

/// Enters an anon, and the next ones as far as their frames follow each other and nothing is entered there.
Result<Fault::Next> Fault::use_anon(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan) {
  const std::uint64_t slot = entry.slot_of(page_);
  const Frame first = amap.find(slot)->frame();
  const GpaRange ahead = run_around(entry, amap, plan);
  std::uint64_t pages = 1;
  const std::uint64_t most = std::min(kAnonCluster, (ahead.end() - page_) >> kPageShift);
  while (pages < most) {
    const auto next = amap.find(slot + pages);
    if (!next || next->frame() != first + pages || amap.is_busy(slot + pages)) break;
    if ((slot_ == SlotState::Alone) != amap.is_mine_alone(slot + pages)) break;
    ++pages;
  }
  const GpaRange run = *GpaRange::from_size(page_, pages << kPageShift);
  if (limited_) context_.reclaim.add(run, room_);
  return enter({run, first, Fill::Exact, plan.rights});
}

Result<Fault::Next> Fault::use_in_place(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan) {
  const auto frame = context_.pmap.harvest_page(page_);
  if (!frame) return Next::Again;
  if (limited_) context_.reclaim.use(page_);
  return enter_in_place(run_in_place(entry, amap), *frame, plan);
}

Result<Fault::Next> Fault::enter_in_place(GpaRange run, Frame frame, const FaultPlan& plan) {
  wired_ = WiredPage{frame, nullptr, 0};
  if (plan.fill == Fill::Present) return enter({run, std::nullopt, Fill::Present, plan.rights});
  return enter({GpaRange::page_of(page_), frame, Fill::Exact, plan.rights});
}

Result<Fault::Next> Fault::use_object(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan) {
  // An answer reaches no further than the run that was asked for, and where nothing can lie above the object
  // nothing can have come between.
  const bool as_asked = is_answered(entry) && !entry.has_layer();
  const GpaRange run = as_asked ? whole(entry) : run_around(entry, amap, plan);
  if (!is_answered(entry)) {
    return ask(entry, (run.end() - page_) >> kPageShift, (page_ - run.begin()) >> kPageShift, plan);
  }
  // The part of the run that the pager's answer covers; both hold the page.
  const ObjectOffset first = std::max(answer_->offset, entry.offset_of(run.begin()));
  const ObjectOffset end = std::min(answer_->offset + (answer_->frames.run.count << kPageShift),
                                    entry.offset_of(run.begin()) + run.size());
  const Gpa begin = page_ - (entry.offset_of(page_) - first);
  const Mapping mapping{*GpaRange::from_size(begin, end - first),
                        answer_->frames.run.first + ((first - answer_->offset) >> kPageShift), plan.fill,
                        plan.rights};
  entered_ = mapping.range;
  if (is_wiring()) wired_ = WiredPage{frame_in(mapping), entry.object, answer_->frames.generation};
  if (is_entered(mapping)) return Next::Done;
  UVMM_TRY(const Freshness fresh, entry.object->enter(context_.pmap, mapping, answer_->frames.generation));
  if (fresh == Freshness::Stale) {
    answer_.reset();
    return Next::Again;
  }
  count_entered(mapping.range);
  return Next::Done;
}

Result<Fault::Next> Fault::fill_zeros(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan) {
  return enter({run_around(entry, amap, plan), std::nullopt, Fill::Zero, plan.rights});
}

/// 2B without an object, in a space that counts its pages.
Result<Fault::Next> Fault::make_zeros(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan) {
  Reclaim& reclaim = context_.reclaim;
  GpaRange run = GpaRange::page_of(page_);
  if (reclaim.looks_ahead(page_)) run = run_around(entry, amap, plan);
  if (!reclaim.take(room_, run)) {
    run = GpaRange::page_of(page_);
    if (!reclaim.take(room_, run)) return Next::MakeRoom;
  }
  if (plan.rights != Protection::None && !visits()) {
    UVMM_CHECK(context_.pmap.enter({run, std::nullopt, Fill::Present, plan.rights}));
  }
  UVMM_CHECK(context_.pmap.fill(run, {}));
  reclaim.add(run, room_);
  count(context_.counters.made_in_place, run.pages());
  const Frame frame = *context_.pmap.harvest_page(page_);
  if (visits()) return visit(frame);
  // Translations may have gone between entering and filling: then the pages are out of view, and whoever
  // sleeps on one was not woken.
  if (kind_ == FaultKind::Plain && !is_resolved()) return Next::Again;
  count_entered(run);
  wired_ = WiredPage{frame, nullptr, 0};
  entered_ = run;
  return Next::Done;
}

/// Chooses what to read; with the bytes read, puts them in place.
Result<Fault::Next> Fault::page_in(const Entry& entry, LockedAmap& amap, const FaultPlan& plan) {
  if (!page_in_) {
    const bool alone = entry.advice == Advice::Random;
    page_in_.emplace(context_.pmap);
    page_in_->choose(entry, amap, page_,
                     alone ? GpaRange::page_of(page_) : context_.reclaim.read_ahead(page_));
    return Next::ReadSwap;
  }
  // There is room; this makes it in the queues, before the pages are there.
  if (limited_) static_cast<void>(context_.reclaim.take(room_, page_in_->range()));
  UVMM_TRY(const GpaRange in, page_in_->finish(entry, amap, plan));
  if (limited_ && !in.empty()) context_.reclaim.add(in, room_);
  count(context_.counters.paged_in, in.pages());
  if (plan.placement == Placement::InPlace) count(context_.counters.made_in_place, in.pages());
  return Next::EndBusy;
}

/// 1B, and 2B where the host may not do it.
Result<Fault::Next> Fault::copy_page(const Entry& entry, LockedAmap& amap, const FaultPlan& plan) {
  const std::uint64_t slot = entry.slot_of(page_);
  Promotion promotion{page_, std::nullopt, plan.placement};
  if (plan.what == FaultCase::CopyObject) {
    if (!is_answered(entry)) return ask(entry, 1, 0, plan);
    promotion.source = answered_frame(entry);
  } else if (plan.what == FaultCase::CopyAnon) {
    promotion.source = private_frame(entry, amap);
  }
  if (limited_ && !context_.reclaim.take(room_, GpaRange::page_of(page_))) return Next::MakeRoom;
  // In place, the pmap flushes the one space there is. Others are ours to flush, if they can see an old page.
  if (plan.placement == Placement::Shareable && promotion.source && !busy_) {
    return take_away(entry, amap, slot);
  }
  UVMM_TRY(const Frame frame, promote_slot(context_.pmap, amap, slot, promotion));
  if (plan.placement == Placement::InPlace) count(context_.counters.made_in_place);
  if (limited_) context_.reclaim.add(GpaRange::page_of(page_), room_);
  if (visits()) return visit(frame);
  return enter_in_place(GpaRange::page_of(page_), frame, plan);
}

GpaRange Fault::run_around(const Entry& entry, const LockedAmap& amap, const FaultPlan& plan) const {
  if (kind_ != FaultKind::Plain || entry.advice == Advice::Random) return GpaRange::page_of(page_);
  GpaRange run = whole(entry);
  if (limited_ && entry.has_layer()) run = run.intersection(cluster_of(page_));
  if (slot_ == SlotState::Alone || slot_ == SlotState::Borrowed) {
    return context_.pmap.unserved(page_, run, plan.rights);
  }
  const std::uint64_t slot = entry.slot_of(page_);
  if (const auto below = amap.last_used({entry.slot_of(run.begin()), slot})) {
    run = run.from(entry.page_of_slot(*below + 1));
  }
  if (const auto above = amap.first_used({slot + 1, entry.slot_of(run.begin()) + run.pages()})) {
    run = run.before(entry.page_of_slot(*above));
  }
  run = context_.pmap.unserved(page_, run, plan.rights);
  if (plan.fill == Fill::CopyOnWrite || plan.fill == Fill::Zero || !entry.has_layer()) return run;
  // An exact mapping would hide private pages that the host made.
  context_.pmap.harvest(run, [&](GpaRange found, Frame) {
    if (found.end() <= page_) run = run.from(found.end());
    if (found.begin() > page_) run = run.before(found.begin());
  });
  return run;
}

GpaRange Fault::run_in_place(const Entry& entry, const LockedAmap& amap) const {
  const GpaRange page = GpaRange::page_of(page_);
  if (kind_ != FaultKind::Plain || entry.advice == Advice::Random) return page;
  const GpaRange most = entry.range.intersection(cluster_of(page_));
  const auto belongs = [&](Gpa at) {
    return !amap.find(entry.slot_of(at)) && !amap.is_busy(entry.slot_of(at));
  };
  Gpa begin = page.begin();
  while (begin > most.begin() && belongs(begin - kPageSize)) begin = begin - kPageSize;
  Gpa end = page.end();
  while (end < most.end() && belongs(end)) end += kPageSize;
  return *GpaRange::from_bounds(begin, end);
}

Fault::Next Fault::ask(const Entry& entry, std::uint64_t pages, std::uint64_t pages_before,
                       const FaultPlan& plan) {
  // A shared mapping that gets the right to write will not tell us when it does: the backing has to know now.
  const bool writes = access_ == AccessKind::Write || includes(plan.rights, Protection::Write);
  const bool reaches_object = entry.sharing == Sharing::Shared && writes;
  question_ = Question{entry.object,
                       {entry.offset_of(page_), pages, reaches_object ? AccessKind::Write : AccessKind::Read},
                       pages_before};
  return Next::AskPager;
}

Frame Fault::answered_frame(const Entry& entry) const {
  return answer_->frames.run.first + ((entry.offset_of(page_) - answer_->offset) >> kPageShift);
}

bool Fault::is_answered(const Entry& entry) const {
  if (!answer_ || answer_->object != entry.object) return false;
  const ObjectOffset wanted = entry.offset_of(page_);
  return answer_->offset <= wanted && wanted - answer_->offset < answer_->frames.run.count << kPageShift;
}

/// Asks for the faulting page, what follows and what lies before it. Whoever keeps its pages usually answers
/// with all of them; others are asked for what lies before only after they gave all that follows: one that
/// answers in small pieces (it reads a file) is not made to read pages nobody wants yet.
Status Fault::ask_pager() {
  Question question = *std::exchange(question_, std::nullopt);
  const bool keeps = question.object->tenure() == Tenure::Kept;
  const auto ask_for_all = [&] {
    PagerRequest all = question.request;
    all.offset = all.offset - (question.pages_before << kPageShift);
    all.pages += question.pages_before;
    const auto frames = question.object->get(all);
    if (!frames || frames->run.count <= question.pages_before) return false;
    if (keeps && frames->run.count != frames->available) return false;
    answer_ = Answer{question.object, all.offset, *frames};
    return true;
  };
  if (question.pages_before != 0 && keeps && ask_for_all()) return ok();
  auto frames = question.object->get(question.request);
  if (!frames) {
    if (slot_ != SlotState::InPlace) return std::move(frames).error().with_context(place());
    backing_gone_ = true;
    return ok();
  }
  answer_ = Answer{question.object, question.request.offset, *frames};
  if (question.pages_before != 0 && !keeps && frames->run.count == frames->available) ask_for_all();
  return ok();
}

void Fault::copy_amap() {
  const ExclusiveLock lock(context_.map.lock());
  Entry* entry = context_.map.find_for_change(page_);
  if (entry == nullptr || !entry->needs_copy) return;
  context_.map.own_amap(*entry);
  count(context_.counters.amap_copies);
}

Status Fault::read_swap() {
  Reclaim& reclaim = context_.reclaim;
  if (limited_) {
    auto made = reclaim.make_room(room_, page_in_->pages());
    if (!made && page_in_->pages() > 1) {
      page_in_->only_wanted();
      made = reclaim.make_room(room_, 1);
    }
    UVMM_CHECK(std::move(made));
  }
  auto read = page_in_->read();
  reclaim.count_in(read, page_in_->pages());
  return read;
}

/// The first half of a promotion that others share: the slot is busy from here on and the old page has no
/// translation anywhere. flush_sharers() waits, without a lock, until no vCPU uses one.
Fault::Next Fault::take_away(const Entry& entry, LockedAmap& amap, std::uint64_t slot) {
  amap.set_busy(slot);
  busy_ = Busy{entry.amap, slot, {}};
  amap.each_place(slot, [&](Pmap& pmap, GpaRange place) {
    pmap.remove(place);
    busy_->pmaps.push_back(&pmap);
  });
  return Next::Flush;
}

void Fault::flush_sharers() {
  for (Pmap* pmap : busy_->pmaps) pmap->update();
  busy_->pmaps.clear();
}

void Fault::end_busy() {
  page_in_.reset();
  if (!busy_) return;
  busy_->amap->clear_busy(busy_->slot);
  busy_.reset();
}

}  // namespace uvm
