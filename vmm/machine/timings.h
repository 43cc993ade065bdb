// How often a machine was copied and brought back, and how long its vCPUs stood still for it.
#pragma once

#include "vmm/metrics.h"

namespace vmm {

struct Timings {
  TimedCounter images;       // taken for forks and snapshots; the pause
  TimedCounter checkpoints;  // the whole of it, the pause included
  TimedCounter resets;       // the same
};

}  // namespace vmm
