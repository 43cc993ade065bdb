#include "vmm/machine/memory_map.h"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <vector>

#include "vmm/machine/pin_list.h"

namespace vmm {
namespace {

template <class... Args>
void append(std::string& text, const char* format, Args... args) {
  std::array<char, 512> line{};
  const int length = std::snprintf(line.data(), line.size(), format, args...);
  if (length > 0) text.append(line.data(), std::min(static_cast<std::size_t>(length), line.size() - 1));
}

bool is_device(const uvm::EntryInfo& entry) {
  return entry.tenure == uvm::Tenure::None;
}

/// Which page sizes the host maps the resident part with.
std::string page_sizes(const uvm::Residency& residency) {
  if (residency.resident == 0) return "-";
  if (residency.huge == 0) return "4K";
  if (residency.huge >= residency.resident) return "2M";
  return "4K+2M";
}

void add(uvm::Residency& total, const uvm::Residency& part) {
  total.resident += part.resident;
  total.priv += part.priv;
  total.shared += part.shared;
  total.huge += part.huge;
}

constexpr const char* kHeading =
    "guest-physical range                  size rights  name     writes            rss    priv  shared   "
    "wired %s pages  object\n";

/// A column that only a space with a memory limit has.
std::string swapped_column(bool is_limited, const std::string& text) {
  std::string column;
  if (is_limited) append(column, "%7s ", text.c_str());
  return column;
}

/// ", limit 512M (in memory 498M), swapped 1.5G"
std::string limit_text(const uvm::ReclaimStatistics& reclaim) {
  if (reclaim.limit == 0) return {};
  return ", limit " + human_bytes(reclaim.limit) + " (in memory " + human_bytes(reclaim.resident) +
         ", of these hidden " + human_bytes(reclaim.inactive) + "), swapped " + human_bytes(reclaim.swapped);
}

}  // namespace

const char* kind_of(const uvm::EntryInfo& entry) {
  if (is_device(entry)) return "mmio";
  if (entry.object.empty()) return "zero-fill";
  return entry.sharing == uvm::Sharing::Shared ? "shared" : "copy-on-write";
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"", "K", "M", "G", "T", "P"};
  std::size_t unit = 0;
  std::uint64_t scale = 1;
  while (unit + 1 < kUnits.size() && bytes >= scale * 1024) {
    scale *= 1024;
    ++unit;
  }
  const std::uint64_t tenths = bytes / scale * 10 + bytes % scale * 10 / scale;
  std::string text = std::to_string(tenths / 10);
  if (tenths % 10 != 0) text += "." + std::to_string(tenths % 10);
  return text + kUnits[unit];
}

std::string format_memory_map(uvm::Space& space) {
  const std::vector<uvm::EntryInfo> entries = space.entries();
  const uvm::ReclaimStatistics reclaim = space.reclaim_statistics();
  const bool is_limited = reclaim.limit != 0;
  std::string text;
  append(text, kHeading, swapped_column(is_limited, "swapped").c_str());
  uvm::Residency total;
  std::uint64_t mapped = 0;
  std::uint64_t wired = 0;
  std::size_t devices = 0;
  for (const auto& entry : entries) {
    const uvm::Residency residency = space.residency(entry.range);
    add(total, residency);
    if (is_device(entry)) {
      ++devices;
    } else {
      mapped += entry.range.size();
    }
    wired += entry.wired;
    append(text, "%013" PRIx64 "-%013" PRIx64 " %10s %s/%s %-8s %-13s %7s %7s %7s %7s %s %-5s",
           entry.range.begin().value(), entry.range.end().value(), human_bytes(entry.range.size()).c_str(),
           uvm::to_string(entry.protection).c_str(), uvm::to_string(entry.max_protection).c_str(),
           entry.name.c_str(), kind_of(entry), human_bytes(residency.resident).c_str(),
           human_bytes(residency.priv).c_str(), human_bytes(residency.shared).c_str(),
           human_bytes(entry.wired).c_str(),
           swapped_column(is_limited, human_bytes(space.swapped(entry.range))).c_str(),
           page_sizes(residency).c_str());
    if (!entry.object.empty()) text += "  " + entry.object + "+" + uvm::to_string(entry.offset);
    text += '\n';
  }
  append(text, "total: %zu mappings of %s, resident %s (private %s, shared %s), wired %s, tables %s%s",
         entries.size() - devices, human_bytes(mapped).c_str(), human_bytes(total.resident).c_str(),
         human_bytes(total.priv).c_str(), human_bytes(total.shared).c_str(), human_bytes(wired).c_str(),
         human_bytes(space.metadata_bytes()).c_str(), limit_text(reclaim).c_str());
  if (devices > 0) append(text, "; %zu devices", devices);
  text += '\n';
  if (space.pin_statistics().pins != 0) text += format_pins(space);
  return text;
}

}  // namespace vmm
