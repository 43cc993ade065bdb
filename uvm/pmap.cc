#include "uvm/pmap.h"

#include <cstring>

namespace uvm {

Status Pmap::copy_out(GpaRange from, std::span<std::byte> to) {
  std::memcpy(to.data(), bytes(from).data(), from.size());
  return ok();
}

Status Pmap::copy_in(GpaRange to, std::span<const std::byte> from) {
  std::memcpy(bytes(to).data(), from.data(), to.size());
  return ok();
}

Status Pmap::settle(GpaRange /*range*/) {
  return ok();
}

Status Pmap::fill(GpaRange range, std::span<const std::byte> /*bytes*/) {
  return Error(ErrorKind::Unsupported, "filling " + to_string(range) + ": this pmap cannot",
               "run without a memory limit");
}

Status Pmap::read(Frame first, std::span<std::byte> /*to*/) const {
  return Error(ErrorKind::Unsupported,
               "reading a page of " + std::string(first.store->name()) + ": this pmap cannot",
               "run without a memory limit");
}

}  // namespace uvm
