// Internal to the probe: its parts, each of which appends findings.
#pragma once

#include <string>
#include <utility>

#include "vmm/kvm/probe.h"

namespace vmm::kvm {

class System;
class TrialVm;

enum class Depth { BootOnly, Full };

/// /dev/kvm: capabilities, and what a throw-away VM shows. Sets report.backend to Unknown when a VM can be
/// made (the caller knows better which one), leaves None otherwise.
void probe_kvm(Report& report, Depth depth);
/// Debug exits in both rings; fills debug_supervisor and debug_user too.
void probe_debug(Report& report, TrialVm& trial);
/// What the kernel offers for the memory below a guest.
void probe_host_memory(Report& report);
/// userfaultfd, the part of it that has most questions.
void probe_userfaultfd(Report& report);

inline void add(Report& report, std::string area, std::string name, std::string value, Verdict verdict,
                std::string consequence) {
  report.findings.push_back(
      {std::move(area), std::move(name), std::move(value), verdict, std::move(consequence)});
}

/// Both readings of a yes/no fact: the consequence that applies, and the verdict for its absence.
struct Choice {
  const char* when_present;
  const char* when_absent;
  Verdict absent = Verdict::Degraded;
};
inline void add(Report& report, const char* area, const char* name, bool present, std::string value,
                const Choice& choice) {
  add(report, area, name, std::move(value), present ? Verdict::Yes : choice.absent,
      present ? choice.when_present : choice.when_absent);
}

}  // namespace vmm::kvm
