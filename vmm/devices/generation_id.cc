#include "vmm/devices/generation_id.h"

namespace vmm::devices {

void GenerationId::set_place(uvm::Gpa gpa) {
  const uvm::MutexLock lock(mutex_);
  gpa_ = gpa.value();
}

std::optional<uvm::Gpa> GenerationId::place() const {
  const uvm::MutexLock lock(mutex_);
  return gpa_ ? std::optional(uvm::Gpa(*gpa_)) : std::nullopt;
}

GenerationId::Bytes GenerationId::bytes() const {
  const uvm::MutexLock lock(mutex_);
  return bytes_;
}

void GenerationId::renew(const Bytes& bytes, Tell tell) {
  const uvm::MutexLock lock(mutex_);
  bytes_ = bytes;
  if (tell == Tell::Guest) line_.pulse();
}

void GenerationId::state(StateFields& fields) {
  constexpr std::uint64_t kAlignment = 8;
  const uvm::MutexLock lock(mutex_);
  fields.field(gpa_);
  fields.require(!gpa_ || (*gpa_ % kAlignment == 0 && *gpa_ < uvm::kAddressLimit), "place");
  fields.bytes(bytes_);
}

}  // namespace vmm::devices
