// A stopped machine as an ELF core file, for gdb with a vmlinux and for crash.
//
// Layout: header, program headers, RAM range after range (holes where pages are zero), notes at the end. Each
// RAM range is a segment at its physical address; what vCPU 0's tables map in the upper half comes as further
// segments at linear addresses over the same bytes of the file, so that gdb finds a kernel's symbols. Notes:
// an NT_PRSTATUS a vCPU, and VMCOREINFO when the kernel's copy was met in RAM.
#pragma once

#include <cstdint>
#include <string>

#include "uvm/base/error.h"
#include "vmm/debug/inferior.h"

namespace vmm::debug {

struct CoreReport {
  std::uint64_t ram_bytes = 0;
  std::size_t segments = 0;
  bool has_vmcoreinfo = false;
};

/// Errors: System when the file can't be written; those of reading. The file is left as far as it got.
[[nodiscard]] uvm::Result<CoreReport> write_core(Inferior& inferior, const std::string& path);

}  // namespace vmm::debug
