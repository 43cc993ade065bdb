#include "vmm/api/memory_json.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <utility>

#include "vmm/machine/memory_map.h"

namespace vmm::api {
namespace {

namespace json = boost::json;

struct Totals {
  uvm::Residency residency;
  std::uint64_t mapped = 0;
  std::uint64_t wired = 0;
  std::uint64_t swapped = 0;

  void add(const uvm::EntryInfo& entry, const uvm::Residency& part, std::uint64_t in_swap) {
    residency.resident += part.resident;
    residency.priv += part.priv;
    residency.shared += part.shared;
    residency.huge += part.huge;
    wired += entry.wired;
    swapped += in_swap;
    if (entry.tenure != uvm::Tenure::None) mapped += entry.range.size();
  }
  [[nodiscard]] json::object values() const {
    return {{"mapped", mapped},           {"resident", residency.resident}, {"private", residency.priv},
            {"shared", residency.shared}, {"huge", residency.huge},         {"wired", wired},
            {"swapped", swapped}};
  }
};

json::object mapping(const uvm::EntryInfo& entry, const uvm::Residency& residency, std::uint64_t swapped) {
  json::object object{{"begin", entry.range.begin().value()},
                      {"end", entry.range.end().value()},
                      {"name", entry.name},
                      {"kind", kind_of(entry)},
                      {"protection", uvm::to_string(entry.protection)},
                      {"max_protection", uvm::to_string(entry.max_protection)}};
  if (!entry.object.empty()) {
    object["object"] = entry.object;
    object["offset"] = entry.offset.value();
  }
  object["resident"] = residency.resident;
  object["private"] = residency.priv;
  object["shared"] = residency.shared;
  object["huge"] = residency.huge;
  object["wired"] = entry.wired;
  object["swapped"] = swapped;
  return object;
}

Totals measure(uvm::Space& space, json::array* mappings) {
  Totals totals;
  for (const uvm::EntryInfo& entry : space.entries()) {
    const uvm::Residency residency = space.residency(entry.range);
    const std::uint64_t swapped = space.swapped(entry.range);
    totals.add(entry, residency, swapped);
    if (mappings != nullptr) mappings->push_back(mapping(entry, residency, swapped));
  }
  return totals;
}

json::object faults_of(const uvm::FaultStatistics& faults) {
  return {{"asked", faults.faults},
          {"already", faults.already},
          {"anon", faults.anon},
          {"anon_copied", faults.anon_copied},
          {"object", faults.object},
          {"object_copied", faults.object_copied},
          {"zero_filled", faults.zero_filled},
          {"left_to_host", faults.left_to_host},
          {"pages_entered", faults.pages_entered},
          {"peeks", faults.peeks},
          {"pokes", faults.pokes},
          {"refused", faults.refused}};
}

json::value swap_of(const uvm::ReclaimStatistics& reclaim) {
  if (reclaim.limit == 0) return nullptr;
  return json::object{{"limit", reclaim.limit},          {"resident", reclaim.resident},
                      {"swapped", reclaim.swapped},      {"pages_out", reclaim.outs},
                      {"pages_in", reclaim.ins},         {"failed_outs", reclaim.failed_outs},
                      {"failed_ins", reclaim.failed_ins}};
}

json::value shares_of(const uvm::Result<control::Census>& census) {
  if (!census) return nullptr;
  return json::object{{"unique", census->own.unique},
                      {"shared", census->own.shared},
                      {"proportional", census->own.proportional},
                      {"guests", census->guests},
                      {"silent", census->silent},
                      {"objects_held", census->objects.held},
                      {"objects_unseen", census->objects.unseen}};
}

const char* text_of(uvm::ForkPolicy policy) {
  if (policy == uvm::ForkPolicy::Copy) return "copy";
  return policy == uvm::ForkPolicy::Quiesce ? "quiesce" : "refuse";
}

}  // namespace

std::string memory_map_json(uvm::Space& space) {
  json::array mappings;
  const Totals totals = measure(space, &mappings);
  return json::serialize(json::object{{"mappings", std::move(mappings)}, {"totals", totals.values()}});
}

std::string memory_statistics_json(uvm::Space& space, const uvm::Result<control::Census>& census) {
  json::object bytes = measure(space, nullptr).values();
  bytes["metadata"] = space.metadata_bytes();
  const uvm::PinStatistics pins = space.pin_statistics();
  return json::serialize(json::object{
      {"bytes", std::move(bytes)},
      {"faults", faults_of(space.statistics())},
      {"pins",
       json::object{
           {"pins", pins.pins}, {"bytes", pins.bytes}, {"most_bytes", pins.most_bytes}, {"made", pins.made}}},
      {"shares", shares_of(census)},
      {"swap", swap_of(space.reclaim_statistics())}});
}

std::string pins_json(const uvm::Space& space) {
  const auto now = std::chrono::steady_clock::now();
  json::array list;
  for (const uvm::PinInfo& pin : space.pins()) {
    list.push_back(json::object{{"begin", pin.range.begin().value()},
                                {"end", pin.range.end().value()},
                                {"access", pin.access == uvm::PinAccess::Read ? "read" : "write"},
                                {"on_fork", text_of(pin.policy)},
                                {"owner", pin.owner},
                                {"seconds", std::chrono::duration<double>(now - pin.since).count()}});
  }
  const uvm::PinStatistics sums = space.pin_statistics();
  return json::serialize(json::object{{"pins", std::move(list)}, {"bytes", sums.bytes}, {"made", sums.made}});
}

}  // namespace vmm::api
