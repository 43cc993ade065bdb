// Memory that other processes were given, kept here too as long as one of them has it: the next image shares
// it then, and nobody pays for it when they are gone.
//
// Nobody tells when a copy of a machine ends, or a copy of that. The kernel knows: what is given away is an
// open file description of its own, with a lock for reading on it, which goes with its last descriptor and
// mapping, wherever that is.
#pragma once

#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm::snapshot {

/// Not thread-safe.
class LentObjects {
 public:
  /// A descriptor for another process. Errors: System.
  [[nodiscard]] uvm::Result<Fd> lend(const MemoryObject& object);
  /// Lets go of those that nobody else has any more. Whether some are left.
  bool let_go();
  /// Lets go of all others.
  void keep_only(const std::vector<MemoryObject>& wanted);
  [[nodiscard]] const std::vector<MemoryObject>& objects() const { return objects_; }

 private:
  std::vector<MemoryObject> objects_;
};

}  // namespace vmm::snapshot
