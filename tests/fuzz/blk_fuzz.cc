// A disk whose driver has written anything at all into its ring and its requests: every chain is answered or
// the ring is broken, the image keeps its size, and nothing stays pinned.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "ept/host/ram_object.h"
#include "ept/pmap.h"
#include "uvm/access.h"
#include "uvm/space.h"
#include "vmm/virtio/blk/blk.h"

namespace {

using namespace vmm;
using namespace vmm::virtio;

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kRamBytes = 16 * kPage;  // two rings' pages, then requests and their data
constexpr std::uint64_t kImageBytes = 64 * 1024;
constexpr std::uint16_t kQueueSize = 16;

void require(bool condition) {
  if (!condition) std::abort();
}

class Machine {
 public:
  Machine() {
    ept::PmapConfig config;
    config.covered = *uvm::GpaRange::from_size(uvm::Gpa(0), kRamBytes);
    pmap_ = *ept::Pmap::create(config);
    space_ = *uvm::Space::create("guest", *pmap_, config.covered);
    uvm::MapRequest ram;
    ram.range = config.covered;
    ram.name = "ram";
    require(space_->map(ram).has_value());
    image_file_ = Fd(::memfd_create("image", MFD_CLOEXEC));
    require(::ftruncate(image_file_.get(), kImageBytes) == 0);
    blk::Options options;
    options.id = "vda";
    options.path = "/proc/self/fd/" + std::to_string(image_file_.get());
    auto image = blk::DiskImage::open(options);
    require(image.has_value());
    blk_ = std::make_unique<blk::Blk>(
        blk::Blk::Parts{*space_, owner_, *std::move(image), 1, blk::EngineChoice::Plain});
    require(blk_->attach({io_, [] {}}).has_value());
    queue_.size = kQueueSize;
    queue_.driver_area = kPage;
    queue_.device_area = 2 * kPage;
    queue_.kick = &event_;
    queue_.call = &event_;
  }

  void run(std::span<const std::byte> input) {
    std::vector<std::byte> ram(kRamBytes);
    // A descriptor is 16 bytes, and so is a header: what the fuzzer moves about stays in step.
    std::copy_n(input.begin(), std::min(input.size(), ram.size()), ram.begin());
    // The ring of what is available follows the descriptors closely, so that short inputs reach it.
    std::copy_n(ram.begin() + 16 * kQueueSize, kPage, ram.begin() + kPage);
    std::fill_n(ram.begin() + 2 * kPage, kPage, std::byte{0});
    require(uvm::Access::write(*space_, uvm::Gpa(0), ram).has_value());
    SplitQueue::Surroundings around{*space_, owner_, [](std::uint64_t gpa, std::uint64_t bytes) {
                                      return gpa < kRamBytes && bytes <= kRamBytes - gpa;
                                    }};
    auto rings = SplitQueue::create(around, queue_, kFeatureIndirect | kFeatureVersion1);
    require(rings.has_value());
    const bool whole = blk_->serve(*rings).has_value();
    require(!whole || rings->outstanding() == 0);
    struct stat status {};
    require(::fstat(image_file_.get(), &status) == 0 && status.st_size == kImageBytes);
    require(owner_->pinned() == 3 * kPage);  // the rings
  }

 private:
  std::unique_ptr<ept::Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
  std::shared_ptr<uvm::PinOwner> owner_ = uvm::PinOwner::create("blk0");
  boost::asio::io_context io_;
  Fd image_file_;
  Fd event_;  // none: nobody listens
  Queue queue_;
  std::unique_ptr<blk::Blk> blk_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Machine machine;
  machine.run(std::as_bytes(std::span(data, size)));
  return 0;
}
