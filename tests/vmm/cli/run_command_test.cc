#include "vmm/cli/run_command.h"

#include <gtest/gtest.h>

namespace vmm::cli {
namespace run_command_test {

TEST(StatusOf, TellsInputFromHostFromFailure) {
  using uvm::Error;
  using uvm::ErrorKind;
  EXPECT_EQ(status_of(Error(ErrorKind::Invalid, "kernel x")), ExitStatus::BadInput);
  EXPECT_EQ(status_of(Error(ErrorKind::NotFound, "kernel x: No such file")), ExitStatus::BadInput);
  EXPECT_EQ(status_of(Error(ErrorKind::NotFound, "/dev/kvm: No such file")), ExitStatus::NoHost);
  EXPECT_EQ(status_of(Error(ErrorKind::Permission, "/dev/kvm: Permission denied")), ExitStatus::NoHost);
  EXPECT_EQ(status_of(Error(ErrorKind::NoMemory, "guest memory")), ExitStatus::Internal);
  EXPECT_EQ(status_of(Error(ErrorKind::NoMemory, "kernel x needs 64 MiB", "give at least -m 68M")),
            ExitStatus::BadInput);
  EXPECT_EQ(status_of(Error(ErrorKind::System, "KVM_CREATE_VM")), ExitStatus::Internal);
}

}  // namespace run_command_test
}  // namespace vmm::cli
