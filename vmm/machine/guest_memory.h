// Guest RAM: a UVM space over an EPT pmap, shown to KVM through memory slots.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ept/host/ram_object.h"
#include "ept/pmap.h"
#include "ept/stage_two.h"
#include "guest/e820.h"
#include "uvm/base/lock.h"
#include "uvm/object.h"
#include "uvm/space.h"
#include "vmm/kvm/fd.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/config.h"
#include "vmm/machine/exits.h"
#include "vmm/machine/ram_slots.h"
#include "vmm/machine/write_watch.h"
#include "vmm/snapshot/lent_objects.h"
#include "vmm/snapshot/memory_image.h"
#include "vmm/snapshot/page_collector.h"
#include "vmm/snapshot/prior_pages.h"
#include "vmm/swap/swap_file.h"
#include "vmm/virtio/pmem/image.h"

namespace vmm {

class VcpuGroup;

/// Owns pmap, space and slots. One slot a RAM range, for the machine's life: every later change (kernel pages
/// mapped over RAM, forks, pins) happens in the window behind the slot, which KVM follows by itself.
///
/// Order: create, attach (slots exist, guest can run), set_vcpus; then vCPUs run. Destroy after the vCPUs
/// have ended and before the Vm.
class GuestMemory : public ept::StageTwo, public RamDoor {
 public:
  /// The name of RAM's mappings, which nobody but this machine has.
  static constexpr const char* kRamName = "ram";

  struct Request {
    std::string name;
    std::vector<uvm::GpaRange> ram;  // ascending, disjoint, page-aligned
    MemoryBacking backing = MemoryBacking::Auto;
    HugePages huge_pages = HugePages::Auto;
    Overcommit overcommit;
    const snapshot::MemoryImage* image = nullptr;  // what RAM holds at first; null: zeros
    std::vector<virtio::pmem::Image> files;        // above RAM, disjoint, to be read only
  };
  /// Opens the swap file, if there is a limit, reserves address space and makes the mappings; touches no page
  /// of it. Errors name the option to change.
  [[nodiscard]] static uvm::Result<std::unique_ptr<GuestMemory>> create(const Request& request);
  ~GuestMemory() override;

  [[nodiscard]] uvm::Status attach(const kvm::Vm& vm);
  /// Shows where a device answers, in whole pages: the range has no slot, so that an access is an exit to the
  /// bus, and whoever takes it for memory is refused with the device's name. Errors: Invalid (a part is RAM:
  /// an access to a slot never reaches a device), Busy (another device is there).
  [[nodiscard]] uvm::Status map_device(const std::string& name, uvm::GpaRange range);
  /// Who has to stand still while stage 2 is zapped; null while there is nobody.
  void set_vcpus(VcpuGroup* vcpus) { vcpus_ = vcpus; }

  [[nodiscard]] uvm::Space& space() { return *space_; }
  [[nodiscard]] ept::Pmap& pmap() { return *pmap_; }
  /// Bytes of RAM that may be in memory at once; 0: there is no limit, or none that a guest of this size
  /// could reach.
  [[nodiscard]] std::uint64_t limit() const;
  /// Readable when little of the limit is left; an eventfd. Only with a limit.
  [[nodiscard]] int low_fd() const { return low_.get(); }
  /// What take_image() needs: room for the pages that it would copy, and those that it need not.
  struct ImageRoom {
    snapshot::PageCollector pages;
    /// Of what was copied already, if that was many: what it is a part of, and what was written since.
    std::optional<WriteWatch> watch = std::nullopt;
    std::vector<snapshot::MemoryRegion> parts = {};
    uvm::PageSet written = {};
  };
  /// Made while the guest runs, as fresh pages cost several times as much as their copies. Many private pages
  /// are copied now and watched, so that only what is written meanwhile is left to take_image(), however many
  /// they are. Errors: NoMemory, System, PagerIo.
  [[nodiscard]] uvm::Result<ImageRoom> prepare_image();
  /// What RAM holds now, with every vCPU paused, no trap of a debugger in it and nobody writing it. The
  /// changed pages are in `room`, for the caller to finish. RAM that can be frozen is from here on mapped
  /// copy-on-write; other memory (anonymous, files, under a limit, pinned before the first time) is copied as
  /// far as it is not zeros. Frames and translations of what is pinned stay. Errors: Pinned (a pin's policy,
  /// naming owner and range), NoMemory, System; the guest goes on.
  [[nodiscard]] uvm::Result<snapshot::MemoryImage> take_image(ImageRoom& room);
  /// The image that was taken, settled: for the next one.
  void remember(const snapshot::MemoryImage& image) EXCLUDES(objects_mutex_);
  /// Makes RAM what it was, where it differs now; private pages keep their frames. Under the same conditions.
  /// Errors: those of Access::write; RAM is neither the one nor the other then.
  [[nodiscard]] uvm::Status reset_to(const snapshot::ImageView& image);

  /// Whether the guest has tried to write one of the files' pages. Any thread.
  [[nodiscard]] bool files_written() const { return files_written_; }

  /// Whether some of an image's pages are made when somebody touches them, which is an event.
  [[nodiscard]] bool makes_pages_later() const { return !deferred_from_.empty(); }

  /// A descriptor of an image's object for another process. Changed pages of the last image are kept for the
  /// next one as long as any process has them. Any thread. Errors: System.
  [[nodiscard]] uvm::Result<Fd> lend(const snapshot::MemoryObject& object) EXCLUDES(objects_mutex_);
  /// Lets go of what was kept so and nobody has any more. Whether some is left. Any thread.
  bool let_go() EXCLUDES(objects_mutex_);

  /// Null without a limit.
  [[nodiscard]] const SwapFile* swap() const { return swap_.get(); }

  /// What RAM is a mapping of and keeps alive, each once: its own object, frozen memory, files of snapshots.
  /// Any thread.
  [[nodiscard]] std::vector<snapshot::MemoryObject> objects() const EXCLUDES(objects_mutex_);

  /// "RAM object with huge pages", for logs.
  [[nodiscard]] const std::string& backing_text() const { return backing_text_; }

  /// ept::StageTwo: pauses the vCPUs and takes the slots of the range out and in again, which drops every
  /// translation KVM has of it, on nested and on shadow paging alike.
  void zap(uvm::GpaRange range) override;

  /// RAM, and the files above it.
  [[nodiscard]] bool holds(uvm::Gpa gpa, std::size_t bytes) const override;
  [[nodiscard]] uvm::Status read(uvm::Gpa gpa, std::span<std::byte> data) override;
  [[nodiscard]] uvm::Status write(uvm::Gpa gpa, std::span<const std::byte> data) override;
  [[nodiscard]] uvm::Status drop_lost() override { return space_->drop_lost(); }

 private:
  explicit GuestMemory(Request request) : request_(std::move(request)) {}
  [[nodiscard]] uvm::Status build();
  [[nodiscard]] uvm::Status build_limit();
  [[nodiscard]] ept::host::HugePages host_pages() const;
  [[nodiscard]] uvm::Result<std::shared_ptr<uvm::Object>> ram_object();
  [[nodiscard]] uvm::Status map_ram();
  [[nodiscard]] uvm::Status map_files();
  [[nodiscard]] bool is_ram(uvm::GpaRange range) const;
  [[nodiscard]] bool overlaps_ram(uvm::GpaRange range) const;
  [[nodiscard]] bool is_file(uvm::GpaRange range) const;
  [[nodiscard]] uvm::Status map_image(const snapshot::MemoryImage& image);
  /// Changed pages of an image that are not mapped from it.
  struct ChangedRun {
    snapshot::MemoryRegion pages;
    snapshot::MemoryRegion region;  // what is under them and around them: a part of regions_
  };
  [[nodiscard]] std::vector<ChangedRun> lay_out(const snapshot::MemoryImage& image);
  [[nodiscard]] uvm::Status copy_changed(const snapshot::ImageView& image, uvm::GpaRange run);
  [[nodiscard]] uvm::Status defer_changed(std::span<const ChangedRun> runs);
  [[nodiscard]] uvm::Status map_region(const snapshot::MemoryRegion& region, uvm::Overlap overlap);
  [[nodiscard]] uvm::Status check_pins() const;
  [[nodiscard]] bool can_freeze() const;
  [[nodiscard]] uvm::Status freeze_ram();
  void note_objects() EXCLUDES(objects_mutex_);
  [[nodiscard]] uvm::Result<snapshot::PriorPages> prior_pages() const EXCLUDES(objects_mutex_);
  [[nodiscard]] uvm::Status bring_back_discarded(const snapshot::ImageView& image, uvm::GpaRange common);
  /// Calls `follows` for parts of RAM that are a region with the private pages the host made over it, `other`
  /// for all that is not so simple.
  [[nodiscard]] uvm::Status each_part(
      const std::function<uvm::Status(const snapshot::MemoryRegion& part)>& follows,
      const std::function<uvm::Status(uvm::GpaRange range)>& other) const;
  [[nodiscard]] std::vector<snapshot::MemoryRegion> followed_parts() const;
  [[nodiscard]] uvm::GpaRange all_ram() const;
  [[nodiscard]] uvm::Status copy_ahead(ImageRoom& room);
  /// What is left of that to the pause; nothing: all is.
  [[nodiscard]] std::optional<std::vector<uvm::GpaRange>> written_since(ImageRoom& room) const;

  const Request request_;
  std::string backing_text_;
  Fd low_;
  std::unique_ptr<SwapFile> swap_;  // outlives the space, whose pages are in it
  std::unique_ptr<ept::Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
  RamSlots slots_;
  std::shared_ptr<ept::host::RamObject> ram_;    // while RAM is a shared mapping of it, or a part of RAM is
  std::vector<snapshot::MemoryRegion> regions_;  // what RAM is a private mapping of, else zeros; ascending
  mutable uvm::Mutex objects_mutex_{uvm::LockRank::Leaf};
  std::vector<snapshot::MemoryObject> objects_ GUARDED_BY(objects_mutex_);  // of ram_ and regions_
  std::vector<std::weak_ptr<const ept::DeferredSource>> deferred_from_;  // alive while pages are to be made
  snapshot::RememberedPages last_image_ GUARDED_BY(objects_mutex_);
  snapshot::LentObjects lent_ GUARDED_BY(objects_mutex_);
  VcpuGroup* vcpus_ = nullptr;
  std::atomic<bool> files_written_ = false;
};

}  // namespace vmm
