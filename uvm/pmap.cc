#include "uvm/pmap.h"

namespace uvm {

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
