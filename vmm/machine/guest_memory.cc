#include "vmm/machine/guest_memory.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "ept/host/device_object.h"
#include "ept/host/ram_object.h"
#include "uvm/access.h"
#include "vmm/log.h"
#include "vmm/machine/layout.h"
#include "vmm/machine/vcpu_group.h"

namespace vmm {

uvm::Result<std::unique_ptr<GuestMemory>> GuestMemory::create(const Request& request) {
  auto memory = std::unique_ptr<GuestMemory>(new GuestMemory(request));
  UVMM_CHECK(memory->build());
  return memory;
}

GuestMemory::~GuestMemory() {
  slots_.clear();
  space_.reset();
  if (pmap_) pmap_->set_stage_two(nullptr);
}

/// Null for anonymous memory. A RAM object can be shared, frozen and forked without copying; without huge
/// pages its faults cost a quarter more than anonymous ones, so Auto takes it only where the host gives it
/// huge pages.
uvm::Result<std::shared_ptr<uvm::Object>> GuestMemory::ram_object() {
  if (limit() != 0) {
    backing_text_ = "anonymous memory within a limit";
    return std::shared_ptr<uvm::Object>();
  }
  if (request_.backing == MemoryBacking::Anonymous) {
    backing_text_ = "anonymous memory";
    return std::shared_ptr<uvm::Object>();
  }
  const std::uint64_t size =
      request_.ram.back().end().value();  // offset in the object = GPA; holes cost nothing
  auto object = ept::host::RamObject::create("ram", size, host_pages());
  if (!object) {
    return std::move(object).error().with_context(
        "guest memory (--memory-backing=anonymous does without an object)");
  }
  if (request_.backing == MemoryBacking::Auto && !(*object)->has_huge_pages()) {
    backing_text_ = "anonymous memory (" + (*object)->fallback_reason() + ")";
    return std::shared_ptr<uvm::Object>();
  }
  backing_text_ = (*object)->has_huge_pages() ? "RAM object with huge pages" : "RAM object";
  ram_ = std::move(*object);
  return uvm::Object::create(ram_);
}

ept::host::HugePages GuestMemory::host_pages() const {
  // Within a limit every page counts, and goes, by itself.
  return request_.huge_pages == HugePages::Never || limit() != 0 ? ept::host::HugePages::Never
                                                                 : ept::host::HugePages::Want;
}

std::uint64_t GuestMemory::limit() const {
  std::uint64_t ram = 0;
  for (const auto& range : request_.ram) ram += range.size();
  return request_.overcommit.limit < ram ? request_.overcommit.limit : 0;
}

uvm::Status GuestMemory::build_limit() {
  const Overcommit& overcommit = request_.overcommit;
  SwapSettings settings;
  settings.disk.place = overcommit.swap;
  settings.disk.bytes = overcommit.swap_size != 0 ? overcommit.swap_size : request_.ram.back().end().value();
  settings.compression = overcommit.compress ? SwapCompression::Zstd : SwapCompression::Off;
  UVMM_TRY(swap_, SwapFile::create(settings));
  const SwapDisk& disk = swap_->disk();
  log::event(log::Level::Info, "swap is ready",
             {{"file", disk.name()}, {"size", disk.bytes()}, {"how", disk.how()}});
  if (!disk.engine_reason().empty()) {
    log::event(log::Level::Warning, "swap does without io_uring", {{"reason", disk.engine_reason()}});
  }
  if (disk.in_memory()) {
    log::event(log::Level::Warning, "swap is in memory itself",
               {{"file", disk.name()}, {"way_out", "give --swap a directory on a disk"}});
  }
  low_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!low_) return uvm::Error::from_errno(errno, "creating an eventfd for the memory limit");
  uvm::MemoryLimit limit;
  limit.bytes = overcommit.limit;
  limit.swap = swap_.get();
  limit.low = [fd = low_.get()] { ::eventfd_write(fd, 1); };
  return space_->set_limit(limit);
}

uvm::Status GuestMemory::build() {
  const uvm::Gpa end = request_.files.empty() ? request_.ram.back().end() : request_.files.back().range.end();
  const auto covered = uvm::GpaRange::from_bounds(uvm::Gpa(0), end);
  ept::PmapConfig config;
  config.covered = *covered;
  config.stage_two = this;
  config.window.huge = host_pages();
  UVMM_TRY(pmap_, ept::Pmap::create(config));
  // Devices live beyond RAM as well, up to 4 GiB; they need no window.
  const auto limits = uvm::GpaRange::from_bounds(uvm::Gpa(0), std::max(covered->end(), layout::kMmioHoleEnd));
  UVMM_TRY(space_, uvm::Space::create(request_.name, *pmap_, *limits));
  UVMM_CHECK(request_.image != nullptr ? map_image(*request_.image) : map_ram());
  note_objects();
  UVMM_CHECK(map_files());
  if (limit() == 0) return uvm::ok();
  UVMM_CHECK(build_limit());
  if (request_.image == nullptr) return uvm::ok();
  UVMM_TRY(const auto view, snapshot::ImageView::create(*request_.image));
  return reset_to(view);
}

uvm::Status GuestMemory::map_ram() {
  UVMM_TRY(const auto object, ram_object());
  for (const auto& range : request_.ram) {
    regions_.push_back({range, nullptr, 0});
    uvm::MapRequest ram;
    ram.range = range;
    ram.object = object;
    ram.offset = uvm::ObjectOffset(range.begin().value());
    ram.sharing = object ? uvm::Sharing::Shared : uvm::Sharing::Private;
    ram.name = kRamName;
    UVMM_CHECK(space_->map(ram));
  }
  return uvm::ok();
}

/// The guest reads zeros behind the end of a file.
uvm::Status GuestMemory::map_files() {
  for (const virtio::pmem::Image& image : request_.files) {
    uvm::MapRequest request;
    request.name = image.name;
    request.protection = request.max_protection = uvm::Protection::ReadExecute;
    const std::uint64_t bytes = (image.file->size() + uvm::kPageSize - 1) & ~(uvm::kPageSize - 1);
    request.range = image.range.from(image.range.begin() + bytes);
    if (!request.range.empty()) UVMM_CHECK(space_->map(request));
    request.range = image.range.before(image.range.begin() + bytes);
    request.object = uvm::Object::create(image.file);
    request.sharing = uvm::Sharing::Shared;
    request.inherit = uvm::Inherit::Share;
    UVMM_CHECK(space_->map(request));
  }
  return uvm::ok();
}

uvm::Status GuestMemory::attach(const kvm::Vm& vm) {
  const auto add = [&](uvm::GpaRange range, kvm::SlotAccess access) {
    return slots_.add(vm, range, pmap_->window_base() + range.begin().value(), access);
  };
  for (const auto& range : request_.ram) UVMM_CHECK(add(range, kvm::SlotAccess::ReadWrite));
  for (const auto& image : request_.files) UVMM_CHECK(add(image.range, kvm::SlotAccess::ReadOnly));
  return uvm::ok();
}

uvm::Status GuestMemory::map_device(const std::string& name, uvm::GpaRange range) {
  for (const auto& ram : request_.ram) {
    if (!ram.overlaps(range)) continue;
    return uvm::Error(
        uvm::ErrorKind::Invalid,
        "device " + name + " at " + uvm::to_string(range) + " overlaps RAM at " + uvm::to_string(ram),
        "move one of them");
  }
  uvm::MapRequest request;
  request.range = range;
  request.object = uvm::Object::create(std::make_shared<ept::host::DeviceObject>(name, range.size()));
  request.sharing = uvm::Sharing::Shared;
  request.protection = request.max_protection = uvm::Protection::ReadWrite;
  request.inherit = uvm::Inherit::Share;
  request.name = name;
  return space_->map(request);
}

void GuestMemory::zap(uvm::GpaRange range) {
  std::optional<VcpuPause> pause;
  if (vcpus_ != nullptr) pause.emplace(*vcpus_);
  slots_.zap(range);
}

bool GuestMemory::is_ram(uvm::GpaRange range) const {
  return std::ranges::any_of(request_.ram, [&](const uvm::GpaRange& ram) { return ram.contains(range); });
}

bool GuestMemory::overlaps_ram(uvm::GpaRange range) const {
  return std::ranges::any_of(request_.ram, [&](const uvm::GpaRange& ram) { return ram.overlaps(range); });
}

bool GuestMemory::is_file(uvm::GpaRange range) const {
  return std::ranges::any_of(request_.files,
                             [&](const virtio::pmem::Image& image) { return image.range.contains(range); });
}

bool GuestMemory::holds(uvm::Gpa gpa, std::size_t bytes) const {
  const auto access = uvm::GpaRange::from_size(gpa, bytes);
  return access && (is_ram(*access) || is_file(*access));
}

uvm::Status GuestMemory::read(uvm::Gpa gpa, std::span<std::byte> data) {
  return uvm::Access::read(*space_, gpa, data);
}

uvm::Status GuestMemory::write(uvm::Gpa gpa, std::span<const std::byte> data) {
  const auto range = uvm::GpaRange::from_size(gpa, data.size());
  if (range && is_file(*range)) {
    // As to a ROM: it changes nothing.
    if (!files_written_.exchange(true)) {
      log::event(log::Level::Warning, "the guest writes to an image that it can only read",
                 {{"address", uvm::to_string(gpa)}, {"way_out", "mount it with -o ro"}});
    }
    return uvm::ok();
  }
  return uvm::Access::write(*space_, gpa, data);
}

}  // namespace vmm
