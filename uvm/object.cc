#include "uvm/object.h"

#include <algorithm>
#include <set>
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
  std::set<Pmap*> touched;
  {
    const MutexLock lock(lock_);
    ++generation_;
    uses_.each_place(range, [&](Pmap& pmap, GpaRange part) {
      pmap.remove(part);
      touched.insert(&pmap);
    });
  }
  for (Pmap* pmap : touched) pmap->update();
}

Freshness Object::hold(Frame frame, std::uint64_t generation) {
  // As for enter(): an invalidate() comes before both, or the pager knows of the hold.
  const MutexLock lock(lock_);
  if (generation != generation_ || !pager_->hold(frame)) return Freshness::Stale;
  ++holds_;
  return Freshness::Current;
}

void Object::let_go(Frame frame) {
  const MutexLock lock(lock_);
  pager_->let_go(frame);
  --holds_;
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

std::size_t Object::uses() const {
  const MutexLock lock(lock_);
  return uses_.size();
}

}  // namespace uvm
