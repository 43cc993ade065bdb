#include "uvm/object.h"

#include <algorithm>
#include <functional>
#include <new>
#include <string>
#include <utility>

namespace uvm {
namespace {

std::string place(const Pager& pager, ObjectOffset offset) {
  return std::string(pager.name()) + ": page at " + to_string(offset);
}

}  // namespace

std::shared_ptr<Object> Object::create(std::shared_ptr<Pager> pager) {
  return std::make_shared<Object>(std::move(pager));
}

Result<ObjectFrames> Object::get(const PagerRequest& request) {
  ObjectFrames answer;
  {
    const MutexLock lock(lock_);
    answer.generation = generation_;
  }
  const std::uint64_t bytes = pager_->size();
  const std::uint64_t pages = (bytes >> kPageShift) + ((bytes & (kPageSize - 1)) != 0 ? 1 : 0);
  if (request.offset.page() >= pages) {
    return Error(ErrorKind::EndOfObject, place(*pager_, request.offset) + " is past the end at " + hex(bytes),
                 "the backing was truncated, or the mapping is longer than it");
  }
  PagerRequest bounded = request;
  bounded.pages = std::min(request.pages, pages - request.offset.page());
  answer.available = bounded.pages;
  UVMM_TRY(answer.run, pager_->get(bounded));
  if (answer.run.count == 0 || answer.run.count > bounded.pages || answer.run.first.store == nullptr) {
    return Error(ErrorKind::PagerIo, place(*pager_, request.offset) + ": the pager answered with " +
                                         std::to_string(answer.run.count) + " pages of " +
                                         std::to_string(bounded.pages));
  }
  return answer;
}

Result<Freshness> Object::enter(Pmap& pmap, const Mapping& mapping, std::uint64_t generation) {
  // The lock spans check and enter: an invalidate() comes before both or finds the translation to remove.
  const MutexLock lock(lock_);
  if (generation != generation_) return Freshness::Stale;
  UVMM_CHECK(pmap.enter(mapping));
  return Freshness::Current;
}

void Object::invalidate(ObjectRange range) {
  // In rounds, because it may not fail for want of memory.
  std::array<Pmap*, kRound> pmaps{};
  std::size_t count = 0;
  do {
    count = remove_translations(range, pmaps);
    for (std::size_t i = 0; i < count; ++i) pmaps[i]->update();
  } while (count == kRound);
}

/// `from` holds the pmaps of the last round; then those of this one, the next in the order of the uses.
/// Returns how many they are.
std::size_t Object::remove_translations(ObjectRange range, std::array<Pmap*, kRound>& from) {
  const MutexLock lock(lock_);
  ++generation_;
  Pmap* const last = from.back();
  std::size_t count = 0;
  const auto visit = [&](Pmap& pmap, GpaRange part) {
    if (!std::less<>()(last, &pmap)) return;
    if (count == 0 || from[count - 1] != &pmap) {
      if (count == kRound) return;
      from[count++] = &pmap;
    }
    pmap.remove(part);
  };
  uses_.each_place(range, std::ref(visit));  // a function object that holds all this would need memory
  return count;
}

Status Object::drop_lost() {
  const std::uint64_t left = (pager_->present_size() + kPageSize - 1) & ~(kPageSize - 1);
  const auto lost = ObjectRange::from_bounds(ObjectOffset(left), ObjectOffset(kAddressLimit));
  if (!lost || left >= pager_->size()) return ok();
  invalidate(*lost);
  const auto first = pager_->get({lost->begin(), 1, AccessKind::Read});
  return first ? ok() : Status(first.error());
}

std::uint64_t Object::discard(ObjectRange range) {
  const std::uint64_t end = (pager_->size() + kPageSize - 1) & ~(kPageSize - 1);
  const ObjectRange there = range.before(ObjectOffset(end));
  const MutexLock lock(lock_);
  if (there.empty() || uses_.is_shared_in(there)) return 0;
  return pager_->discard(there.begin(), there.pages()) ? there.pages() : 0;
}

bool Object::is_shared_in(ObjectRange range) const {
  const MutexLock lock(lock_);
  return uses_.is_shared_in(range);
}

Freshness Object::hold(FrameRun run, std::uint64_t generation) {
  // As for enter(): an invalidate() comes before both, or the pager knows of the hold.
  const MutexLock lock(lock_);
  if (generation != generation_) return Freshness::Stale;
  std::uint64_t held = 0;
  try {
    while (held < run.count && pager_->hold(run.first + held)) ++held;
  } catch (const std::bad_alloc&) {
    while (held > 0) pager_->let_go(run.first + --held);
    throw;
  }
  if (held == run.count) {
    holds_ += held;
    return Freshness::Current;
  }
  while (held > 0) pager_->let_go(run.first + --held);
  return Freshness::Stale;
}

void Object::let_go(FrameRun run) {
  const MutexLock lock(lock_);
  for (std::uint64_t i = run.count; i > 0; --i) pager_->let_go(run.first + (i - 1));
  holds_ -= run.count;
}

std::uint64_t Object::holds() const {
  const MutexLock lock(lock_);
  return holds_;
}

void Object::add_use(const Use& use) {
  const MutexLock lock(lock_);
  uses_.add(use);
}

void Object::remove_use(const Use& use) {
  const MutexLock lock(lock_);
  uses_.remove(use);
}

void Object::split_use(const Use& use, Gpa at) {
  const MutexLock lock(lock_);
  uses_.split(use, at);
}

void Object::join_uses(const Use& low, const Use& high) {
  const MutexLock lock(lock_);
  uses_.join(low, high);
}

std::size_t Object::uses() const {
  const MutexLock lock(lock_);
  return uses_.size();
}

}  // namespace uvm
