// Accesses that only the VM system can resolve, as a stream.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "ept/host/uffd.h"
#include "uvm/base/range.h"
#include "uvm/protection.h"

namespace ept {

/// Somebody (a vCPU in guest mode, KVM on its behalf, a thread of ours) touched a page without translation
/// and sleeps until the range is entered or woken.
struct StageTwoEvent {
  uvm::Gpa address;                                // page-aligned or exact, as the kernel tells it
  uvm::AccessKind access = uvm::AccessKind::Read;  // Execute comes as Read: the host cannot tell
};

/// The events of one pmap. One thread at a time calls next(); it polls fd() for input first:
///
///     while (auto event = events->next()) {
///       if (auto s = space.fault(event->address, event->access); !s) { stop the machine; pmap->refuse(...);
///       }
///     }
///
/// space.fault() ends in Pmap::enter(), which wakes the sleeper.
class EventSource {
 public:
  EventSource(const host::Uffd& uffd, uvm::Hva window_base, uvm::GpaRange covered)
      : uffd_(uffd), window_base_(window_base), covered_(covered) {}
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  /// To poll for input; non-blocking; owned by the pmap.
  [[nodiscard]] int fd() const { return uffd_.fd(); }
  /// The next event, nullopt when there is none now.
  [[nodiscard]] std::optional<StageTwoEvent> next();

 private:
  const host::Uffd& uffd_;
  uvm::Hva window_base_;
  uvm::GpaRange covered_;
  std::array<host::UffdEvent, 16> buffer_{};
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace ept
