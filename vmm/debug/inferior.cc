#include "vmm/debug/inferior.h"

#include <algorithm>
#include <utility>

#include "uvm/base/range.h"

namespace vmm::debug {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;
using uvm::Result;
using uvm::Status;

PagingState paging_of(const kvm_sregs& sregs) {
  return {sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer};
}

Inferior::Inferior(uvm::Space& space, ExitHandler& machine)
    : space_(space), memory_(space), translator_(memory_), overlay_(memory_), run_(machine, *this, *this) {}

void Inferior::set_group(VcpuGroup& group) {
  group_ = &group;
  sregs_.resize(group.size());
  run_.set_group(group);
}

// --- coming and going
// ----------------------------------------------------------------------------------------

Status Inferior::attach(Sink sink) {
  if (!probed_) {
    UVMM_TRY(probed_, kvm::probe_debug_support());
    support_ = *probed_;
  }
  UVMM_CHECK(run_.halt());
  run_.set_support(support_);
  run_.set_step_flags(gdb::StepFlags::Default);
  overlay_.set_trap(trap_byte(choose_trap(support_)));
  settle();
  run_.set_sink([this, sink = std::move(sink)](const gdb::StopEvent& event) {
    gdb::StopEvent told = event;
    if (event.reason != gdb::StopReason::Exited) told.note = settle();
    sink(told);
  });
  return uvm::ok();
}

void Inferior::detach(gdb::AfterDetach after) {
  run_.set_sink(nullptr);
  if (!run_.halt()) return;
  settle();
  overlay_.unwant_all();
  // Memory that could be written to plant can be written to lift.
  static_cast<void>(overlay_.plant());
  hardware_.clear();
  promoted_.clear();
  told_.clear();
  translator_.override_cr3(std::nullopt);
  run_.release(after);
}

Status Inferior::plant() {
  for (;;) {
    auto status = overlay_.plant();
    const auto refused = overlay_.refused();
    if (status || !refused) return status;
    if (const auto spot = overlay_.find(*refused)) UVMM_CHECK(promote(spot->linear, status.error()));
    overlay_.unwant(*refused);
  }
}

Status Inferior::resume(std::span<const VcpuPlan> plans) {
  UVMM_CHECK(plant());
  // Planting may be put off by a suspension.
  run_.set_traps_planted(overlay_.any_planted() || overlay_.any_wanted());
  run_.set_debug_registers(hardware_.registers());
  return run_.resume(plans);
}

std::string Inferior::settle() {
  registers_changed();
  std::string note;
  for (const Overlay::Spot& spot : overlay_.check()) {
    if (!told_.insert(spot.linear).second) continue;
    note += "The guest has written over the breakpoint at " + uvm::hex(spot.linear) +
            "; it is planted again over what the guest wrote.\n";
  }
  return note;
}

// --- memory
// --------------------------------------------------------------------------------------------------

Result<kvm_sregs> Inferior::sregs(std::size_t index) {
  if (index >= sregs_.size()) return Error(ErrorKind::NotFound, "there is no vCPU " + std::to_string(index));
  if (!sregs_[index]) {
    UVMM_TRY(sregs_[index], group_->vcpu(index).sregs());
    if (sregs_[index]->ss.dpl == 0) translator_.seen_in_kernel(sregs_[index]->cr3);
  }
  return *sregs_[index];
}

Result<PagingState> Inferior::paging(std::size_t index) {
  UVMM_TRY(const kvm_sregs state, sregs(index));
  return paging_of(state);
}

void Inferior::registers_changed() {
  std::fill(sregs_.begin(), sregs_.end(), std::nullopt);
  translator_.forget();
}

Result<Translation> Inferior::translate(Place place) {
  if (!place.vcpu) return Translation{Gpa(place.address), uvm::kPageSize, false, true};
  UVMM_TRY(const PagingState state, paging(*place.vcpu));
  auto found = translator_.translate(state, {}, place.address);
  if (found || sregs_.size() == 1) return found;
  std::vector<std::uint64_t> others;
  for (std::size_t i = 0; i < sregs_.size(); ++i) {
    if (i == *place.vcpu) continue;
    if (const auto other = paging(i); other && paging_mode(*other) == paging_mode(state)) {
      others.push_back(other->cr3);
    }
  }
  auto elsewhere = translator_.translate(state, others, place.address);
  return elsewhere ? elsewhere : found;
}

Result<std::size_t> Inferior::read(Place place, std::span<std::byte> to) {
  if (to.empty()) return std::size_t{0};
  std::size_t done = 0;
  const std::uint64_t left_above = ~place.address;  // one less than what lies between there and 2^64
  const std::size_t wanted =
      to.size() - 1 > left_above ? static_cast<std::size_t>(left_above) + 1 : to.size();
  while (done < wanted) {
    const Place at{place.vcpu, place.address + done};
    const std::size_t in_page =
        std::min<std::size_t>(wanted - done, uvm::kPageSize - at.address % uvm::kPageSize);
    const auto part = to.subspan(done, in_page);
    const auto found = translate(at);
    const Status status = found ? memory_.read(found->gpa, part) : Status(found.error());
    if (!status) {
      if (done == 0) return status.error();
      break;
    }
    overlay_.hide(found->gpa, part);
    done += in_page;
  }
  return done;
}

Status Inferior::write(Place place, std::span<const std::byte> from) {
  std::vector<std::pair<Gpa, std::span<const std::byte>>> parts;
  for (std::size_t done = 0; done < from.size();) {
    const Place at{place.vcpu, place.address + done};
    const std::size_t in_page =
        std::min<std::size_t>(from.size() - done, uvm::kPageSize - at.address % uvm::kPageSize);
    UVMM_TRY(const Translation found, translate(at));
    parts.emplace_back(found.gpa, from.subspan(done, in_page));
    done += in_page;
  }
  translator_.forget();
  for (const auto& [gpa, bytes] : parts) UVMM_CHECK(overlay_.write_through(gpa, bytes));
  return uvm::ok();
}

// --- breakpoints
// ---------------------------------------------------------------------------------------------

Status Inferior::insert_software(Place place) {
  const TrapKind trap = choose_trap(support_);
  if (trap == TrapKind::None) {
    return Error(ErrorKind::Unsupported, "no trap byte leaves the guest on this host's KVM",
                 "try a hardware breakpoint");
  }
  if (promoted_.contains(place.address)) return uvm::ok();
  const auto found = translate(place);
  if (!found) return promote(place.address, found.error());
  if (found->user && !traps_user_code(trap, support_)) {
    return Error(ErrorKind::Unsupported, "address " + uvm::hex(place.address) +
                                             " is user code, and this host's KVM brings only a kernel's " +
                                             (trap == TrapKind::Out ? "OUT" : "INT3") + " back");
  }
  if (spares_pinned(*found) && promote(place.address, Error(ErrorKind::Pinned, "a device reads that page"))) {
    return uvm::ok();
  }
  const auto status = overlay_.want(found->gpa, place.address);
  return status ? status : promote(place.address, status.error());
}

/// A device that reads a pinned page would read the trap. While there are registers to spare, it need not.
bool Inferior::spares_pinned(const Translation& place) const {
  constexpr std::size_t kLeftForOthers = 2;
  const bool can =
      support_.supervisor.hardware_breakpoint && (!place.user || support_.user.hardware_breakpoint);
  return can && hardware_.free() > kLeftForOthers && space_.pin_count(place.gpa) != 0 &&
         !overlay_.find(place.gpa);
}

/// A place that can't be written, or isn't there yet, can still be watched by its address.
Status Inferior::promote(std::uint64_t linear, const Error& why) {
  if (!support_.supervisor.hardware_breakpoint) return why;
  const HardwareRequest request{WatchKind::Execute, linear, 1};
  if (const auto status = hardware_.insert(request); !status) {
    return Error(why.kind(), why.text() + "; and " + status.error().text());
  }
  promoted_.emplace(linear, request);
  return uvm::ok();
}

void Inferior::remove_software(Place place) {
  if (const auto found = promoted_.find(place.address); found != promoted_.end()) {
    hardware_.remove(found->second);
    promoted_.erase(found);
    return;
  }
  // The tables may have changed since: then it is known by its linear address.
  const auto now = translate(place);
  if (now && overlay_.find(now->gpa)) return overlay_.unwant(now->gpa);
  if (const auto then = overlay_.find_wanted(place.address)) overlay_.unwant(*then);
}

Status Inferior::insert_hardware(const HardwareRequest& request) {
  const bool watch = request.kind != WatchKind::Execute;
  const bool kernel = watch ? support_.supervisor.watchpoint : support_.supervisor.hardware_breakpoint;
  const bool user = watch ? support_.user.watchpoint : support_.user.hardware_breakpoint;
  if (kernel || user) return hardware_.insert(request);
  return Error(ErrorKind::Unsupported,
               std::string("debug registers do not leave the guest on this host's KVM, so no ") +
                   (watch ? "watchpoint" : "hardware breakpoint") + " would be hit",
               watch ? "'set can-use-hw-watchpoints 0' makes gdb step instead" : "use a software breakpoint");
}

bool Inferior::is_planted(kvm::Vcpu& vcpu, std::uint64_t linear) {
  const auto sregs = vcpu.sregs();
  if (!sregs) return false;
  const auto found = translator_.translate_exactly(paging_of(*sregs), linear);
  return found && overlay_.planted(found->gpa);
}

std::size_t Inferior::read_linear(const PagingState& state, std::uint64_t linear, std::span<std::byte> to) {
  std::size_t done = 0;
  while (done < to.size()) {
    const std::uint64_t at = linear + done;
    const auto part =
        to.subspan(done, std::min<std::size_t>(to.size() - done, uvm::kPageSize - at % uvm::kPageSize));
    const auto found = translator_.translate_exactly(state, at);
    if (!found || !memory_.read(found->gpa, part)) break;
    overlay_.hide(found->gpa, part);
    done += part.size();
  }
  return done;
}

bool Inferior::write_linear(const PagingState& state, std::uint64_t linear, std::span<const std::byte> from) {
  for (std::size_t done = 0; done < from.size();) {
    const std::uint64_t at = linear + done;
    const auto part =
        from.subspan(done, std::min<std::size_t>(from.size() - done, uvm::kPageSize - at % uvm::kPageSize));
    const auto found = translator_.translate_exactly(state, at);
    if (!found || !memory_.write(found->gpa, part)) return false;
    done += part.size();
  }
  return true;
}

}  // namespace vmm::debug
