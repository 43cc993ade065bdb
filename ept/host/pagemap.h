// What the kernel knows about the pages of a mapping.
#pragma once

#include <cstdint>
#include <functional>

#include "ept/host/window.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace ept::host {

/// A run of pages that are alike.
struct PageRun {
  uvm::HvaRange range;
  bool present = false;    // in memory and mapped
  bool swapped = false;    // in swap
  bool of_file = false;    // a page of a file, or of shared memory
  bool zero_page = false;  // the kernel's page of zeros: nothing of anybody's
  bool huge = false;       // mapped with 2 MiB or more
};

/// Private bytes: there, and neither a file's nor the kernel's zeros.
[[nodiscard]] constexpr bool is_private(const PageRun& run) {
  return (run.present || run.swapped) && !run.of_file && !run.zero_page;
}

enum class PagemapSource { Best, File };

/// What a mapping can hold besides private pages. Whether a page is a file's is written in the kernel's
/// description of the page; not to have to look there makes a scan twice as fast (6 ns a page, not 13).
enum class MappingOf { Anonymous, File };

/// Makes the calls below open nothing any more on this thread, which may not be allowed to later.
void open_pagemap();

/// Calls `visit` for every run of pages of the range that are present or swapped, ascending. By the
/// PAGEMAP_SCAN call (Linux 6.7), else by reading /proc/self/pagemap, which does not know zero pages nor huge
/// ones: they come as private 4 KiB pages. Errors: System.
uvm::Status scan_pages(uvm::HvaRange range, const std::function<void(const PageRun&)>& visit,
                       PagemapSource source = PagemapSource::Best);
/// The same, private pages only; the kernel skips the others. Anonymous: the whole range is such memory.
uvm::Status scan_private_pages(uvm::HvaRange range, MappingOf of,
                               const std::function<void(const PageRun&)>& visit,
                               PagemapSource source = PagemapSource::Best);

/// Calls `visit` for the private runs of a window's range, as GPAs. Needs no memory, if `visit` does not.
template <class F>
void each_private_run(const Window& window, uvm::GpaRange range, MappingOf of, F&& visit) {
  // Two references: as much as a std::function holds without memory of its own.
  const auto found = [&window, &visit](const PageRun& run) {
    const uvm::Gpa begin = window.covered().begin() + (run.range.begin() - window.base());
    visit(*uvm::GpaRange::from_size(begin, run.range.size()));
  };
  // The page map of one's own process is always readable; without it nothing private would be found.
  (void)scan_private_pages(window.hva(range), of, found);
}

}  // namespace ept::host
