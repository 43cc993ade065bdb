#include "vmm/machine/memory_shares.h"

#include <algorithm>
#include <map>
#include <set>

#include "uvm/base/range.h"

namespace vmm {
namespace {

/// Where a guest's pages of an object begin or end.
struct Border {
  std::uint64_t page = 0;
  std::size_t guest = 0;
};

/// One object's pages, handed out from border to border.
void share_object(std::vector<Border> borders, std::vector<MemoryShare>& shares, std::vector<double>& parts) {
  std::ranges::sort(borders, {}, &Border::page);
  std::set<std::size_t> holders;
  std::uint64_t from = 0;
  for (const Border& border : borders) {
    const std::uint64_t bytes = (border.page - from) * uvm::kPageSize;
    for (const std::size_t holder : holders) {
      (holders.size() == 1 ? shares[holder].unique : shares[holder].shared) += bytes;
      parts[holder] += static_cast<double>(bytes) / static_cast<double>(holders.size());
    }
    from = border.page;
    // Its runs are disjoint: what has begun ends before the next begins.
    if (holders.erase(border.guest) == 0) holders.insert(border.guest);
  }
}

}  // namespace

std::vector<MemoryShare> shares_of(std::span<const ResidentPages> guests) {
  std::vector<MemoryShare> shares(guests.size());
  std::vector<double> parts(guests.size());
  std::map<uvm::ObjectIdentity, std::vector<Border>> objects;
  for (std::size_t guest = 0; guest < guests.size(); ++guest) {
    shares[guest].unique = guests[guest].own;
    parts[guest] = static_cast<double>(guests[guest].own);
    for (const auto& [id, runs] : guests[guest].objects) {
      for (const ObjectRun& run : runs) {
        objects[id].push_back({run.first, guest});
        objects[id].push_back({run.end(), guest});
      }
    }
  }
  for (auto& [id, borders] : objects) share_object(std::move(borders), shares, parts);
  for (std::size_t guest = 0; guest < guests.size(); ++guest) {
    shares[guest].proportional = static_cast<std::uint64_t>(parts[guest] + 0.5);
  }
  return shares;
}

HeldObjects objects_of(std::span<const ResidentPages> guests) {
  std::map<uvm::ObjectIdentity, std::uint64_t> held;
  std::map<uvm::ObjectIdentity, std::vector<ObjectRun>> shown;
  for (const ResidentPages& guest : guests) {
    for (const auto& [id, bytes] : guest.held) held[id] = std::max(held[id], bytes);
    for (const auto& [id, runs] : guest.objects) {
      shown[id].insert(shown[id].end(), runs.begin(), runs.end());
    }
  }
  HeldObjects all;
  for (const auto& [id, bytes] : held) {
    std::uint64_t in_view = 0;
    put_in_order(shown[id]);
    for (const ObjectRun& run : shown[id]) in_view += run.pages * uvm::kPageSize;
    ++all.objects;
    all.held += bytes;
    // The guests were asked one after the other; some may have given pages back since.
    all.unseen += bytes - std::min(bytes, in_view);
  }
  return all;
}

}  // namespace vmm
