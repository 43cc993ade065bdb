#include "ept/host/start_up_pages.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace ept::host {
namespace {

constexpr std::uintptr_t kPage = 4096;

bool is_traced() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("TracerPid:")) return line.find_first_of("123456789") != std::string::npos;
  }
  return true;  // nobody knows
}

int drop(struct dl_phdr_info* object, std::size_t /*bytes*/, void* /*nothing*/) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    // What can be written has been: it is no copy of a file any more.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(kPage - 1);
    const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // The vDSO refuses, and is no file.
    static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
  }
  return 0;
}

}  // namespace

void drop_start_up_pages() {
  if (is_traced()) return;
  ::malloc_trim(0);
  ::dl_iterate_phdr(drop, nullptr);
}

}  // namespace ept::host
