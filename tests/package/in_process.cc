// Guest memory in a program of one's own: a space, RAM in it, a pin for a device, and system calls on it.
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>

#include "ept/host/ram_object.h"
#include "ept/pmap.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace {

uvm::Status run() {
  const auto all = *uvm::GpaRange::from_size(uvm::Gpa(0), std::uint64_t{64} << 20U);
  ept::PmapConfig config;
  config.covered = all;
  UVMM_TRY(const auto pmap, ept::Pmap::create(config));
  UVMM_TRY(const auto space, uvm::Space::create("guest", *pmap, all));
  uvm::MapRequest ram;
  ram.range = all;
  ram.name = "ram";
  ram.sharing = uvm::Sharing::Shared;
  UVMM_TRY(std::shared_ptr<uvm::Pager> pages,
           ept::host::RamObject::create("ram", all.size(), ept::host::HugePages::Want));
  ram.object = uvm::Object::create(std::move(pages));
  UVMM_CHECK(space->map(ram));

  // A scatter list, all or nothing; the kernel fills it, as a disk's read would.
  const std::array<uvm::GpaRange, 2> list = {*uvm::GpaRange::from_size(uvm::Gpa(0x5000), 0x1000),
                                             *uvm::GpaRange::from_size(uvm::Gpa(0x2000), 0x2000)};
  uvm::PinRequest request;
  request.owner = uvm::PinOwner::create("disk0");
  UVMM_TRY(const uvm::Pin pin, uvm::Pin::create(*space, list, request));
  std::vector<iovec> parts;
  for (const uvm::GpaRange& range : pin.ranges()) {
    const auto bytes = pin.bytes(range);
    parts.push_back({bytes.data(), bytes.size()});
  }
  const int zeros = ::open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  const ssize_t got = ::readv(zeros, parts.data(), static_cast<int>(parts.size()));
  ::close(zeros);
  if (got != 0x3000) return uvm::Error(uvm::ErrorKind::System, "short read");

  // Pinned memory cannot be unmapped, and says who holds it.
  const uvm::Status refused = space->unmap(all);
  std::printf("%s\n", refused.error().text().c_str());
  UVMM_TRY(const auto word, uvm::Access::read_value<std::uint64_t>(*space, uvm::Gpa(0x2008)));
  std::printf("%s\n", word != 0 ? "read" : "nothing read");
  return uvm::ok();
}

}  // namespace

int main() {
  const uvm::Status done = run();
  if (!done) std::printf("failed: %s\n", done.error().text().c_str());
  return done ? 0 : 1;
}
