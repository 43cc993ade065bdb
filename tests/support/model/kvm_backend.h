// Random sequences on running guests: each space is the memory of a virtual machine whose vCPU loads and
// stores at the addresses it is told.
#pragma once

#include <memory>
#include <vector>

#include "tests/support/model/host_backend.h"

namespace test::model {

class KvmShell;

/// Ready-made machines wait here for a space, because making one costs more than a sequence's steps.
class KvmBackend : public HostBackend {
 public:
  explicit KvmBackend(Drops drops);
  ~KvmBackend() override;
  [[nodiscard]] uvm::Gpa base() const override;

 protected:
  [[nodiscard]] std::unique_ptr<HostMachine> bare_machine() override;

 private:
  std::vector<std::unique_ptr<KvmShell>> shells_;
};

}  // namespace test::model
