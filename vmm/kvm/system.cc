#include "vmm/kvm/system.h"

#include <fcntl.h>

#include "vmm/kvm/abi.h"
#include "vmm/kvm/ioctl.h"

namespace vmm::kvm {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

namespace {

Error open_error(int number, const std::string& path) {
  const std::string what = "cannot open " + path;
  switch (number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return Error::from_errno(number, what,
                               "enable virtualisation in the firmware and load kvm_intel or kvm_amd");
    case EACCES:
    case EPERM:
      return Error::from_errno(
          number, what, "join the group that owns it (usually 'kvm': usermod -aG kvm $USER), or run as root");
    default:
      return Error::from_errno(number, what);
  }
}

}  // namespace

Result<System> System::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return open_error(errno, path);
  const int version = call(fd.get(), KVM_GET_API_VERSION, 0);
  if (version < 0) return Error(ErrorKind::Unsupported, path + " is not a KVM device", "check the path");
  if (version != abi::kApiVersion) {
    return Error(ErrorKind::Unsupported,
                 path + " speaks KVM API version " + std::to_string(version) + ", uvmm " +
                     std::to_string(abi::kApiVersion),
                 "use a Linux kernel from 2.6.22 on");
  }
  const int bytes = call(fd.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (bytes < static_cast<int>(sizeof(kvm_run))) {
    return Error(ErrorKind::Unsupported,
                 path + ": the vCPU page has only " + std::to_string(bytes) + " bytes");
  }
  return System(std::move(fd), static_cast<std::size_t>(bytes));
}

int System::check_extension(int capability) const {
  const int value = call(fd_.get(), KVM_CHECK_EXTENSION, capability);
  return value < 0 ? 0 : value;
}

Result<std::vector<kvm_cpuid_entry2>> System::supported_cpuid() const {
  // The kernel says E2BIG when the buffer is short but not by how much; it has about 80 leaves today.
  for (std::size_t room = 128; room <= 4096; room *= 2) {
    Flexible<abi::CpuidHeader, kvm_cpuid_entry2> buffer(room);
    if (call(fd_.get(), abi::kGetSupportedCpuid, &buffer.header()) == 0) return buffer.entries();
    if (errno != E2BIG) break;
  }
  return Error::from_errno(errno, "KVM_GET_SUPPORTED_CPUID");
}

Result<std::vector<std::uint32_t>> System::msr_indices() const {
  return msr_list(abi::kGetMsrIndexList, "KVM_GET_MSR_INDEX_LIST");
}

Result<std::vector<std::uint32_t>> System::feature_msr_indices() const {
  return msr_list(abi::kGetMsrFeatureIndexList, "KVM_GET_MSR_FEATURE_INDEX_LIST");
}

Result<std::vector<std::uint32_t>> System::msr_list(unsigned long request, const char* name) const {
  Flexible<abi::MsrListHeader, std::uint32_t> probe(std::size_t{0});
  if (call(fd_.get(), request, &probe.header()) == 0) return probe.entries();
  if (errno != E2BIG) return Error::from_errno(errno, name);
  Flexible<abi::MsrListHeader, std::uint32_t> buffer(probe.header().count);
  if (call(fd_.get(), request, &buffer.header()) < 0) return Error::from_errno(errno, name);
  return buffer.entries();
}

}  // namespace vmm::kvm
