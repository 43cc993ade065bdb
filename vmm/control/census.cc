#include "vmm/control/census.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "vmm/control/client.h"
#include "vmm/control/run_directory.h"
#include "vmm/machine/memory_map.h"

namespace vmm::control {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

uvm::Result<Census> take_census(const uvm::Result<ResidentPages>& own, const CensusPatience& patience) {
  if (!own) return own.error();
  Census census;
  census.objects = objects_of(std::span(&*own, 1));
  std::vector<ResidentPages> guests{*own};
  const auto end = Clock::now() + patience.all;
  for (const std::string& socket : known_sockets()) {
    const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
    if (left.count() <= 0) {
      ++census.silent;
      continue;
    }
    auto pages = fetch_resident_pages(socket, {std::min(left, patience.each), ::getpid()});
    if (pages) {
      guests.push_back(*std::move(pages));
    } else if (pages.error().kind() == uvm::ErrorKind::Busy) {
      ++census.silent;
    }
  }
  census.guests = guests.size();
  census.own = shares_of(guests).front();
  return census;
}

uvm::Result<Census> RecentCensus::get() {
  {
    const uvm::MutexLock lock(mutex_);
    if (last_ && Clock::now() - last_->when < kept_) return last_->census;
  }
  UVMM_TRY(const Census census, take_());
  const uvm::MutexLock lock(mutex_);
  last_ = Taken{census, Clock::now()};
  return census;
}

std::string format_census(const Census& census) {
  const auto& [unique, shared, proportional] = census.own;
  std::string text = "unique " + human_bytes(unique) + ", shared " + human_bytes(shared) + ", proportional " +
                     human_bytes(proportional) + ", among " + std::to_string(census.guests) + " guests";
  if (census.silent != 0) text += " (" + std::to_string(census.silent) + " more did not answer)";
  return text + "\nobjects: " + std::to_string(census.objects.objects) + " of " +
         human_bytes(census.objects.held) + ", " + human_bytes(census.objects.unseen) +
         " of these not in this guest's view\n";
}

void add_census_metrics(const uvm::Result<Census>& census, MetricWriter& writer) {
  if (!census) return;
  const auto gauge = [&](const char* kind, std::uint64_t bytes) {
    writer.gauge("uvmm_memory_share_bytes", "Guest memory in host memory, counted among all guests.", bytes,
                 MetricWriter::label("kind", kind));
  };
  gauge("unique", census->own.unique);
  gauge("shared", census->own.shared);
  gauge("proportional", census->own.proportional);
  constexpr const char* kObjects = "uvmm_memory_object_bytes";
  writer.gauge(kObjects, "Objects of guest memory that this guest keeps alive, with others or alone.",
               census->objects.held, MetricWriter::label("kind", "held"));
  writer.gauge(kObjects, "", census->objects.unseen, MetricWriter::label("kind", "unseen"));
  writer.gauge("uvmm_memory_share_guests", "Guests that the shares were counted among.", census->guests);
}

}  // namespace vmm::control
