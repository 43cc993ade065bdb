#include "guest/programs/rt/disk.h"

#include "guest/programs/rt/rt.h"
#include "guest/programs/rt/window.h"

namespace rt {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint16_t kEntries = 8;

void out32(std::uint16_t port, std::uint32_t value) {
  asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
std::uint32_t in32(std::uint16_t port) {
  std::uint32_t value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

// ---- PCI

std::uint32_t read_pci(std::uint32_t device, std::uint32_t offset) {
  out32(0xcf8, 0x8000'0000 | device << 11 | (offset & 0xfc));
  return in32(0xcfc);
}
void write_pci(std::uint32_t device, std::uint32_t offset, std::uint32_t value) {
  out32(0xcf8, 0x8000'0000 | device << 11 | (offset & 0xfc));
  out32(0xcfc, value);
}

constexpr std::uint32_t kVirtioDisk = 0x1042'1af4;
constexpr std::uint32_t kDevices = 32;

std::uint64_t bar_of(std::uint32_t device, std::uint32_t bar) {
  const std::uint32_t low = read_pci(device, 0x10 + 4 * bar);
  const bool is_wide = (low & 6) == 4;
  const std::uint64_t high = is_wide ? read_pci(device, 0x14 + 4 * bar) : 0;
  return high << 32 | (low & ~std::uint32_t{0xf});
}

Disk::Registers find_registers(std::uint32_t device) {
  Disk::Registers found;
  for (std::uint32_t at = read_pci(device, 0x34) & 0xfc; at != 0;) {
    const std::uint32_t head = read_pci(device, at);
    if ((head & 0xff) == 0x09) {
      const std::uint64_t place = bar_of(device, read_pci(device, at + 4) & 7) + read_pci(device, at + 8);
      switch (head >> 24) {
        case 1:
          found.common = place;
          break;
        case 2:
          found.notify = place;
          break;
        case 4:
          found.device = place;
          break;
        default:
          break;
      }
    }
    at = head >> 8 & 0xfc;
  }
  return found;
}

template <class T>
volatile T& at(std::uint64_t gpa) {
  return *reinterpret_cast<volatile T*>(kWindowBase + gpa);
}

// ---- the queue, which lies in memory that is mapped one to one

struct Descriptor {
  std::uint64_t address;
  std::uint32_t bytes;
  std::uint16_t flags;
  std::uint16_t next;
};
struct Ring {
  Descriptor descriptors[kEntries];
  struct {
    std::uint16_t flags;
    std::uint16_t index;
    std::uint16_t ring[kEntries];
  } available;
  alignas(4) struct {
    std::uint16_t flags;
    std::uint16_t index;
    struct {
      std::uint32_t id;
      std::uint32_t bytes;
    } ring[kEntries];
  } used;
  struct {
    std::uint32_t type;
    std::uint32_t reserved;
    std::uint64_t sector;
  } request;
  std::uint8_t status;
};
alignas(kPage) Ring ring;
alignas(kPage) std::uint64_t chunk[kChunk / 8];

constexpr std::uint16_t kNext = 1;
constexpr std::uint16_t kDeviceWrites = 2;

std::uint64_t address_of(const volatile void* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

[[noreturn]] void fail(const char* what, std::uint8_t status) {
  print("disk: ");
  print(what);
  put('\n');
  finish(status);
}

}  // namespace

void Disk::start() {
  status() = 0;
  while (status() != 0) pause();
  status() = 1;
  status() = 1 | 2;
  // VIRTIO_F_VERSION_1 and nothing else.
  common32(8) = 1;
  common32(12) = 1;
  status() = 1 | 2 | 8;
  if ((status() & 8) == 0) fail("the device does not agree on features", 4);
  common16(22) = 0;
  common16(24) = kEntries;
  set_address(32, ring.descriptors);
  set_address(40, &ring.available);
  set_address(48, &ring.used);
  notify_ = registers_.notify;
  common16(28) = 1;
  status() = 1 | 2 | 8 | 4;
  check();
}

std::uint64_t Disk::bytes() const {
  const std::uint64_t low = at<std::uint32_t>(registers_.device);
  return (std::uint64_t{at<std::uint32_t>(registers_.device + 4)} << 32 | low) * kSector;
}

std::uint64_t* Disk::data() {
  return chunk;
}

void Disk::move(Direction direction, std::uint64_t offset, std::uint32_t bytes) {
  ring.request = {static_cast<std::uint32_t>(direction), 0, offset / kSector};
  ring.status = 0xff;
  const std::uint16_t flags = direction == Direction::Read ? kNext | kDeviceWrites : kNext;
  ring.descriptors[0] = {address_of(&ring.request), sizeof ring.request, kNext, 1};
  ring.descriptors[1] = {address_of(chunk), bytes, flags, 2};
  ring.descriptors[2] = {address_of(&ring.status), 1, kDeviceWrites, 0};
  const std::uint16_t index = ring.available.index;
  ring.available.ring[index % kEntries] = 0;
  __atomic_store_n(&ring.available.index, static_cast<std::uint16_t>(index + 1), __ATOMIC_SEQ_CST);
  at<std::uint16_t>(notify_) = 0;
  for (std::uint32_t spins = 1; __atomic_load_n(&ring.used.index, __ATOMIC_ACQUIRE) == index; ++spins) {
    pause();
    if (spins % 100'000 == 0) check();
  }
  if (ring.status == 0) return;
  check();  // which says why
  fail("the device failed a request", 6);
}

volatile std::uint8_t& Disk::status() const {
  return at<std::uint8_t>(registers_.common + 20);
}
volatile std::uint16_t& Disk::common16(std::uint64_t offset) const {
  return at<std::uint16_t>(registers_.common + offset);
}
volatile std::uint32_t& Disk::common32(std::uint64_t offset) const {
  return at<std::uint32_t>(registers_.common + offset);
}
void Disk::set_address(std::uint64_t offset, const void* place) const {
  common32(offset) = static_cast<std::uint32_t>(address_of(place));
  common32(offset + 4) = static_cast<std::uint32_t>(address_of(place) >> 32);
}
void Disk::check() const {
  if ((status() & 64) != 0) fail("the device needs a reset", 5);
}

Disk Disk::find(std::uint64_t end) {
  std::uint32_t device = 0;
  while (device < kDevices && read_pci(device, 0) != kVirtioDisk) ++device;
  if (device == kDevices) fail("there is no virtio disk", 2);
  const Registers registers = find_registers(device);
  write_pci(device, 0x04, 0x0006);  // decode memory, be a bus master
  WindowBuilder window(image_end(), end);
  const std::uint64_t places[] = {registers.common, registers.notify, registers.device};
  for (const std::uint64_t place : places) {
    if (window.map(place & ~(kPage - 1), kPage, PageSize::Small) < kPage) fail("not enough RAM", 3);
  }
  Disk disk(registers);
  disk.start();
  return disk;
}

}  // namespace rt
