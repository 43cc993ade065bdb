#include "vmm/machine/loader.h"

#include <cstddef>
#include <string>

#include "uvm/access.h"

namespace vmm {
namespace {

using Source = guest::Segment::Source;

/// A mapping costs the host a few structures and the guest its huge pages around it; below this a copy is
/// cheaper.
constexpr std::uint64_t kLeastMapped = 16 * uvm::kPageSize;
/// Copied at a time, so that a large initrd does not need its size a second time.
constexpr std::uint64_t kCopiedAtOnce = std::uint64_t{1} << 20;

uvm::Status map_pages(uvm::Space& space, const guest::Segment& segment, uvm::GpaRange pages,
                      const BootFile& file) {
  uvm::MapRequest request;
  request.range = pages;
  request.object = file.object();
  request.offset = uvm::ObjectOffset(segment.file_offset_of(pages.begin()));
  request.sharing = uvm::Sharing::Private;
  request.overlap = uvm::Overlap::Replace;
  request.name = segment.source == Source::FromInitrd ? "initrd" : "kernel";
  return space.map(request);
}

uvm::Status copy_bytes(uvm::Space& space, const guest::Segment& segment, uvm::GpaRange range,
                       const BootFile& file) {
  std::vector<std::byte> bytes;
  while (!range.empty()) {
    const uvm::GpaRange chunk = range.before(range.begin() + kCopiedAtOnce);
    bytes.resize(chunk.size());
    UVMM_CHECK(file.read(segment.file_offset_of(chunk.begin()), bytes));
    UVMM_CHECK(uvm::Access::write(space, chunk.begin(), bytes));
    range = range.from(chunk.end());
  }
  return uvm::ok();
}

uvm::Status load_from_file(uvm::Space& space, const guest::Segment& segment, const BootFile& file,
                           FilePages file_pages) {
  const auto range = segment.range();
  if (!range) return uvm::Error(uvm::ErrorKind::Invalid, "segment " + segment.name + " wraps around");
  const uvm::GpaRange pages = segment.mappable_pages();
  if (file_pages == FilePages::Copied || pages.size() < kLeastMapped)
    return copy_bytes(space, segment, *range, file);
  UVMM_CHECK(map_pages(space, segment, pages, file));
  UVMM_CHECK(copy_bytes(space, segment, range->before(pages.begin()), file));
  return copy_bytes(space, segment, range->from(pages.end()), file);
}

uvm::Status load_segment(uvm::Space& space, const guest::Segment& segment, const LoadSources& sources,
                         FilePages file_pages) {
  switch (segment.source) {
    case Source::Zero:
      return uvm::ok();
    case Source::Bytes:
      return uvm::Access::write(space, segment.gpa, segment.bytes);
    case Source::FromKernel:
      return load_from_file(space, segment, *sources.kernel, file_pages);
    case Source::FromInitrd:
      return load_from_file(space, segment, *sources.initrd, file_pages);
  }
  return uvm::ok();
}

}  // namespace

uvm::Status load(uvm::Space& space, const std::vector<guest::Segment>& segments, const LoadSources& sources,
                 FilePages file_pages) {
  for (const auto& segment : segments) {
    if (auto done = load_segment(space, segment, sources, file_pages); !done) {
      return std::move(done).error().with_context("loading " + segment.name);
    }
  }
  return uvm::ok();
}

}  // namespace vmm
