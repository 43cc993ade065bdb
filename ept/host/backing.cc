#include "ept/host/backing.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "ept/host/memfd.h"
#include "uvm/base/range.h"

namespace ept::host {
namespace {

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1) + 1;
}

std::uint64_t offset_of(std::uint64_t page) {
  return page << uvm::kPageShift;
}

}  // namespace

Backing::Backing(UniqueFd fd, BackingKind kind) : fd_(std::move(fd)), kind_(kind), serial_(next_serial()) {
  struct stat file {};
  if (::fstat(fd_.get(), &file) == 0) identity_ = {file.st_dev, file.st_ino};
}

uvm::Result<uvm::FrameRun> Backing::run_of(const uvm::PagerRequest& request, std::uint64_t bytes) {
  const std::uint64_t first = request.offset.page();
  const std::uint64_t pages = (bytes + uvm::kPageSize - 1) >> uvm::kPageShift;
  if (first >= pages) {
    return uvm::Error(uvm::ErrorKind::EndOfObject, std::string(name()) + ": offset " +
                                                       uvm::to_string(request.offset) + " is past its " +
                                                       std::to_string(bytes) + " bytes");
  }
  return uvm::FrameRun{{this, first}, std::clamp<std::uint64_t>(request.pages, 1, pages - first)};
}

uvm::Status Backing::check_page(std::uint64_t /*index*/) const {
  return uvm::ok();
}

uvm::Status Backing::read_page(std::uint64_t index, std::span<std::byte> page) const {
  std::size_t done = 0;
  while (done < page.size()) {
    const auto offset = static_cast<off_t>(index * uvm::kPageSize + done);
    const ssize_t got = ::pread(fd(), page.data() + done, page.size() - done, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return uvm::Error(
          uvm::ErrorKind::PagerIo,
          std::string(name()) + ": reading at " + uvm::hex(offset_of(index)) + ": " + std::strerror(errno));
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  if (done == 0) {
    return uvm::Error(
        uvm::ErrorKind::EndOfObject,
        std::string(name()) + ": the page at " + uvm::hex(offset_of(index)) + " is past the end of the file");
  }
  std::memset(page.data() + done, 0, page.size() - done);
  return uvm::ok();
}

uvm::Status Backing::write(std::uint64_t index, std::uint64_t offset, std::span<const std::byte> from) const {
  const std::string what = std::string(name()) + ": writing at " + uvm::hex(offset_of(index) + offset);
  if (!uvm::includes(max_protection(), uvm::Protection::Write)) {
    return uvm::Error(uvm::ErrorKind::Protection, what + ": it is never written");
  }
  UVMM_CHECK(check_page(index));
  // As through a mapping: what lies past the end of the last page is nowhere, and makes no file longer.
  const std::uint64_t begin = offset_of(index) + offset;
  const std::uint64_t end = std::min(begin + from.size(), std::max(begin, present_size()));
  return write_memory(fd(), begin, from.first(end - begin), what);
}

}  // namespace ept::host
