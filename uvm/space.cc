#include "uvm/space.h"

#include <new>
#include <utility>
#include <vector>

#include "uvm/fault.h"

namespace uvm {

Result<std::unique_ptr<Space>> Space::create(std::string name, Pmap& pmap, GpaRange limits) try {
  if (limits.empty() || !limits.is_page_aligned() || limits.end().value() > kAddressLimit) {
    return Error(ErrorKind::Invalid, "space " + name + ": limits " + to_string(limits),
                 "they have to be whole pages below " + hex(kAddressLimit));
  }
  return std::unique_ptr<Space>(new Space(std::move(name), pmap, limits));
} catch (const std::bad_alloc&) {
  return uvm::out_of_memory([&] {
    return Error(ErrorKind::NoMemory, "a space of " + to_string(limits) + ": the host is out of memory");
  });
}

Space::Space(std::string name, Pmap& pmap, GpaRange limits)
    : name_(std::move(name)),
      pmap_(pmap),
      limits_(limits),
      map_(pmap, pins_.get()),
      reclaim_({name_, map_, pmap_, *pins_, open_}) {}

Space::~Space() {
  unwire_all();
  Map::Entries taken;
  {
    const ExclusiveLock lock(map_.lock());
    taken = map_.take_whole(limits_);
    pmap_.discard(limits_);
  }
  detach(taken);
}

Error Space::refuse(ErrorKind kind, const char* operation, GpaRange range, const std::string& why,
                    std::string way_out) const {
  return {kind, "space " + name_ + ": " + operation + " " + to_string(range) + ": " + why,
          std::move(way_out)};
}

Error Space::out_of_memory(const char* operation, GpaRange range) const noexcept {
  return uvm::out_of_memory([&] {
    return refuse(ErrorKind::NoMemory, operation, range, "the host is out of memory",
                  "free some and try again; nothing has changed");
  });
}

Status Space::check_range(GpaRange range, const char* operation) const {
  if (range.empty()) return refuse(ErrorKind::Invalid, operation, range, "the range is empty");
  if (!range.is_page_aligned()) {
    return refuse(ErrorKind::Invalid, operation, range, "not whole pages",
                  "use multiples of " + std::to_string(kPageSize) + " bytes");
  }
  if (!limits_.contains(range)) {
    return refuse(ErrorKind::Invalid, operation, range, "outside the space's " + to_string(limits_));
  }
  return ok();
}

Status Space::check_not_open(GpaRange range, const char* operation) const {
  if (const auto open = open_.overlapping(range)) {
    return refuse(ErrorKind::Busy, operation, range, "an access to " + to_string(*open) + " is open",
                  "try again when it has been closed");
  }
  return ok();
}

FaultContext Space::fault_context(Patience patience) {
  return {name_, map_, pmap_, counters_, reclaim_, patience};
}

Status Space::fault(Gpa address, AccessKind access, FaultKind kind) {
  UVMM_CHECK(fault_within(address, access, kind, std::nullopt));
  return ok();
}

Result<GpaRange> Space::fault_within(Gpa address, AccessKind access, FaultKind kind,
                                     std::optional<GpaRange> within) {
  count(counters_.faults);
  auto resolved = Fault(fault_context(), address, access, kind, within).resolve();
  if (!resolved) count(counters_.refused);
  return resolved;
}

Status Space::visit(Gpa address, FaultKind kind, SharedWrites shared, const FrameUse& use) {
  count(counters_.faults);
  const AccessKind access = kind == FaultKind::Poke ? AccessKind::Write : AccessKind::Read;
  Fault fault(fault_context(), address, access, kind);
  fault.set_use({&use, shared});
  auto resolved = fault.resolve();
  if (resolved) return ok();
  count(counters_.refused);
  return std::move(resolved).error();
}

Status Space::drop_lost() try {
  std::vector<std::shared_ptr<Object>> objects;
  {
    const SharedLock lock(map_.lock());
    map_.each(limits_, [&](const Entry& entry) {
      if (entry.object) objects.push_back(entry.object);
    });
  }
  Status status;
  for (const auto& object : objects) {
    if (auto there = object->drop_lost(); !there) status = std::move(there).error();
  }
  return status;
} catch (const std::bad_alloc&) {
  return out_of_memory("looking for lost pages", limits_);
}

void Space::drop_translations() {
  pmap_.drop_all();
}

Status Space::start_write_log(GpaRange range) try {
  UVMM_CHECK(check_range(range, "log writes"));
  written_->start(range);
  // Whoever was writing under one of these locks, and did not see that the log is on, has written now.
  const ExclusiveLock lock(map_.lock());
  pins_->pass();
  open_.pass();
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory("log writes", range);
}

void Space::take_written(PageSet& into) {
  // In this order: a pin that ends in between is in both.
  pins_->add_writable(into);
  written_->take(into);
}

std::optional<EntryInfo> Space::entry_at(Gpa address) const {
  const SharedLock lock(map_.lock());
  const Entry* entry = map_.find(address);
  if (entry == nullptr) return std::nullopt;
  return info(*entry);
}

InPlacePages Space::in_place_pages() const {
  InPlacePages measured;
  measured.by_uvm = counters_.made_in_place.load(std::memory_order_relaxed);
  pmap_.harvest(limits_, [&](GpaRange run, Frame) { measured.pages += run.pages(); });
  return measured;
}

std::vector<EntryInfo> Space::entries(GpaRange range) const {
  std::vector<EntryInfo> shown;
  const SharedLock lock(map_.lock());
  if (range == limits_) shown.reserve(map_.size());
  map_.each(range, [&](const Entry& entry) { shown.push_back(info(entry)); });
  return shown;
}

std::uint64_t Space::metadata_bytes() const {
  const SharedLock lock(map_.lock());
  return sizeof(Space) - sizeof(Map) + sizeof(PinTable) + pins_->metadata_bytes() + map_.metadata_bytes() +
         reclaim_.metadata_bytes() - sizeof(Reclaim) + pmap_.metadata_bytes();
}

std::uint64_t Space::version() const {
  const SharedLock lock(map_.lock());
  return map_.version();
}

}  // namespace uvm
