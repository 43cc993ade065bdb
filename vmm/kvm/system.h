// /dev/kvm itself: is it there, is it ours to use, what can it do.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::kvm {

/// The open /dev/kvm. Needed to create VMs and to ask about the host; may be closed once the VM exists.
/// Thread: any, all calls are independent.
class System {
 public:
  /// Errors: NotFound (no device: module not loaded, or virtualisation off), Permission, Unsupported (an API
  /// version other than 12), each with the way out.
  static uvm::Result<System> open(const std::string& path = "/dev/kvm");

  /// KVM_CHECK_EXTENSION on the system fd: 0 = no, otherwise 1 or the value the capability defines. An error
  /// counts as 0.
  [[nodiscard]] int check_extension(int capability) const;

  /// The CPUID leaves KVM can give a guest here.
  [[nodiscard]] uvm::Result<std::vector<kvm_cpuid_entry2>> supported_cpuid() const;
  /// MSRs worth saving and restoring.
  [[nodiscard]] uvm::Result<std::vector<std::uint32_t>> msr_indices() const;
  /// MSRs that describe features of the host (read with the system fd).
  [[nodiscard]] uvm::Result<std::vector<std::uint32_t>> feature_msr_indices() const;
  /// Bytes to map of a vCPU fd: the run page, the PIO page and perhaps the coalesced ring.
  [[nodiscard]] std::size_t vcpu_mmap_size() const { return vcpu_mmap_size_; }

  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  System(Fd fd, std::size_t vcpu_mmap_size) : fd_(std::move(fd)), vcpu_mmap_size_(vcpu_mmap_size) {}
  [[nodiscard]] uvm::Result<std::vector<std::uint32_t>> msr_list(unsigned long request,
                                                                 const char* name) const;

  Fd fd_;
  std::size_t vcpu_mmap_size_;
};

}  // namespace vmm::kvm
