// Space::extract: a range of one space becomes visible in another (NetBSD uvm_map_extract).
//
// Extraction for reading is not here: whoever only reads uses Access with AccessRights::Maximum, which looks
// at the pages where they are and changes nothing (rule D10; NetBSD made an amap and cut entries for it).
//
// For writing both spaces have to find the same pages, now and after the next write. So the range gets an
// amap, its own: a layer still shared with a fork's child is copied first. Pages that are private in place
// move to where both can use them. From then on the two mappings are a share group: who writes replaces the
// page for all of it, and for nobody else. When either is unmapped, the other goes on alone.
#include <new>
#include <optional>
#include <utility>

#include "uvm/space.h"
#include "uvm/space_fork.h"

namespace uvm {

Status Space::check_extract(const ExtractRequest& request) const {
  const GpaRange from = request.from;
  UVMM_CHECK(check_mapped(from, "extract"));
  UVMM_CHECK(check_not_open(from, "extract"));
  Status status;
  map_.each(from, [&](const Entry& entry) {
    if (!status || includes(entry.max_protection, request.protection)) return;
    status = refuse(ErrorKind::Protection, "extract", from,
                    *entry.name + " at " + to_string(entry.range) + " allows " +
                        to_string(entry.max_protection) + " at most, not " + to_string(request.protection));
  });
  UVMM_CHECK(std::move(status));
  return check_movable(from, "extract");
}

Status Space::check_free(GpaRange range, const char* operation) const {
  const Entry* there = map_.first_from(range.begin());
  if (there == nullptr || !there->range.overlaps(range)) return ok();
  return refuse(ErrorKind::Busy, operation, range,
                *there->name + " at " + to_string(there->range) + " is there",
                "unmap it, or ask for it to be replaced");
}

Status Space::extract(const ExtractRequest& request, Space& target) try {
  UVMM_CHECK(check_range(request.from, "extract"));
  const auto at = GpaRange::from_size(request.at, request.from.size());
  if (!at || &target == this || !includes(request.protection, Protection::Read)) {
    return refuse(
        ErrorKind::Invalid, "extract", request.from,
        "to " + to_string(request.at) + " of " + target.name() + " with " + to_string(request.protection),
        "name a place below 2^64 in another space, and rights with read");
  }
  UVMM_CHECK(target.check_range(*at, "extract"));
  SpaceFork group({map_, pmap_, *pins_}, {target.map_, target.pmap_});
  UVMM_CHECK(extract_locked(request, target, *at, group));
  group.finish();
  if (auto wired = target.wire_new(*at); !wired) {
    UVMM_CHECK(target.unmap(*at));
    return wired;
  }
  return ok();
} catch (const std::bad_alloc&) {
  return out_of_memory("extract", request.from);
}

// The analysis does not know that the group's map is the one locked here.
Status Space::extract_locked(const ExtractRequest& request, Space& target, GpaRange at,
                             SpaceFork& group) NO_THREAD_SAFETY_ANALYSIS {
  const GpaRange from = request.from;
  const ExclusivePair locks(map_.lock(), target.map_.lock());
  UVMM_CHECK(check_extract(request));
  UVMM_CHECK(target.check_free(at, "extract"));
  if (target.reclaim_.is_limited()) {
    Status status;
    map_.each(from, [&](const Entry& entry) {
      if (status) status = target.check_limit_allows(at, entry.object, entry.sharing, entry.max_protection);
    });
    UVMM_CHECK(std::move(status));
  }
  const auto name = request.name.empty() ? nullptr : std::make_shared<const std::string>(request.name);
  map_.clip(from);
  // What made it so far is joined again where it is still alike; pages that moved are as good as before.
  const auto give_up = [&]() NO_THREAD_SAFETY_ANALYSIS {
    static_cast<void>(target.map_.take_whole(at));
    map_.merge(from);
  };
  try {
    Status status;
    map_.each_for_change(from, [&](Entry& entry) NO_THREAD_SAFETY_ANALYSIS {
      if (status) status = group.make_shareable(entry);
    });
    if (!status) {
      give_up();
      // The pmap's, which knows no space.
      return std::move(status).error().with_context("space " + name_ + ": extract " + to_string(from));
    }
    map_.each(from, [&](const Entry& entry) NO_THREAD_SAFETY_ANALYSIS {
      Entry twin = entry;
      twin.range =
          *GpaRange::from_size(at.begin() + (entry.range.begin() - from.begin()), entry.range.size());
      twin.protection = request.protection;
      twin.inherit = Inherit::None;
      if (name) twin.name = name;
      target.map_.insert(std::move(twin));
    });
  } catch (const std::bad_alloc&) {
    give_up();
    throw;
  }
  map_.merge(from);
  return ok();
}

}  // namespace uvm
