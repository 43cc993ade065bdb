// A driver of a virtio disk, as small as one can be: one queue, one request at a time, no interrupts.
//
//   mode=read     (the default) reads the disk and prints a hash of it
//   mode=write    writes a pattern made of `seed` and reads it back
//   mode=verify   reads and compares with the pattern of `seed`
//   mode=loop     reads for ever
//   bytes=N       how much of the disk, from its begin (default: all)
//
// Status 0; 1 other bytes than written; 2 no virtio disk; 3 not enough RAM; 4 the device does not agree; 5 it
// needs a reset; 6 a request failed.
#include "guest/programs/rt/rt.h"
#include "guest/programs/rt/window.h"

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSector = 512;
constexpr std::uint32_t kChunk = 64 << 10;  // bytes of one request
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

/// GPAs of the structures that a driver needs.
struct Registers {
  std::uint64_t common = 0;
  std::uint64_t notify = 0;
  std::uint64_t device = 0;
};

std::uint64_t bar_of(std::uint32_t device, std::uint32_t bar) {
  const std::uint32_t low = read_pci(device, 0x10 + 4 * bar);
  const bool is_wide = (low & 6) == 4;
  const std::uint64_t high = is_wide ? read_pci(device, 0x14 + 4 * bar) : 0;
  return high << 32 | (low & ~std::uint32_t{0xf});
}

Registers find_registers(std::uint32_t device) {
  Registers found;
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
  return *reinterpret_cast<volatile T*>(rt::kWindowBase + gpa);
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
alignas(kPage) std::uint64_t data[kChunk / 8];

constexpr std::uint16_t kNext = 1;
constexpr std::uint16_t kDeviceWrites = 2;
enum class Direction : std::uint32_t { Read = 0, Write = 1 };

class Disk {
 public:
  explicit Disk(const Registers& registers) : registers_(registers) {}

  void start() {
    status() = 0;
    while (status() != 0) rt::pause();
    status() = 1;
    status() = 1 | 2;
    // VIRTIO_F_VERSION_1 and nothing else.
    common32(8) = 1;
    common32(12) = 1;
    status() = 1 | 2 | 8;
    if ((status() & 8) == 0) fail("does not agree on features", 4);
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

  [[nodiscard]] std::uint64_t bytes() const {
    const std::uint64_t low = at<std::uint32_t>(registers_.device);
    return (std::uint64_t{at<std::uint32_t>(registers_.device + 4)} << 32 | low) * kSector;
  }

  /// Moves `bytes` between `data` and the disk.
  void move(Direction direction, std::uint64_t offset, std::uint32_t bytes) {
    ring.request = {static_cast<std::uint32_t>(direction), 0, offset / kSector};
    ring.status = 0xff;
    const std::uint16_t flags = direction == Direction::Read ? kNext | kDeviceWrites : kNext;
    ring.descriptors[0] = {address(&ring.request), sizeof ring.request, kNext, 1};
    ring.descriptors[1] = {address(data), bytes, flags, 2};
    ring.descriptors[2] = {address(&ring.status), 1, kDeviceWrites, 0};
    const std::uint16_t index = ring.available.index;
    ring.available.ring[index % kEntries] = 0;
    __atomic_store_n(&ring.available.index, static_cast<std::uint16_t>(index + 1), __ATOMIC_SEQ_CST);
    at<std::uint16_t>(notify_) = 0;
    for (std::uint32_t spins = 1; __atomic_load_n(&ring.used.index, __ATOMIC_ACQUIRE) == index; ++spins) {
      rt::pause();
      if (spins % 100'000 == 0) check();
    }
    if (ring.status != 0) fail("failed a request", 6);
  }

  [[noreturn]] static void fail(const char* what, std::uint8_t status) {
    rt::print("disk: the device ");
    rt::print(what);
    rt::put('\n');
    rt::finish(status);
  }

 private:
  template <class T>
  static std::uint64_t address(T* pointer) {
    return reinterpret_cast<std::uint64_t>(pointer);
  }
  volatile std::uint8_t& status() const { return at<std::uint8_t>(registers_.common + 20); }
  volatile std::uint16_t& common16(std::uint64_t offset) const {
    return at<std::uint16_t>(registers_.common + offset);
  }
  volatile std::uint32_t& common32(std::uint64_t offset) const {
    return at<std::uint32_t>(registers_.common + offset);
  }
  template <class T>
  void set_address(std::uint64_t offset, T* pointer) const {
    common32(offset) = static_cast<std::uint32_t>(address(pointer));
    common32(offset + 4) = static_cast<std::uint32_t>(address(pointer) >> 32);
  }
  void check() const {
    if ((status() & 64) != 0) fail("needs a reset", 5);
  }

  const Registers registers_;
  std::uint64_t notify_ = 0;
};

Disk find_disk(const rt::BuiltinInfo& info) {
  std::uint32_t device = 0;
  while (device < kDevices && read_pci(device, 0) != kVirtioDisk) ++device;
  if (device == kDevices) {
    rt::print("disk: there is no virtio disk\n");
    rt::finish(2);
  }
  const Registers registers = find_registers(device);
  write_pci(device, 0x04, 0x0006);  // decode memory, be a bus master
  rt::WindowBuilder window(rt::image_end(), rt::low_ram_end(info));
  const std::uint64_t places[] = {registers.common, registers.notify, registers.device};
  for (const std::uint64_t place : places) {
    if (window.map(place & ~(kPage - 1), kPage, rt::PageSize::Small) < kPage) {
      rt::print("disk: not enough RAM\n");
      rt::finish(3);
    }
  }
  return Disk(registers);
}

// ---- what is done with it

constexpr std::uint64_t kPrime = 0x100'0000'01b3;  // FNV-1a, eight bytes at a time

std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58'476d'1ce4'e5b9;
  value = (value ^ value >> 27) * 0x94d0'49bb'1331'11eb;
  return value ^ value >> 31;
}

std::uint32_t chunk_at(std::uint64_t offset, std::uint64_t bytes) {
  return bytes - offset < kChunk ? static_cast<std::uint32_t>(bytes - offset) : kChunk;
}

void write_all(Disk& disk, std::uint64_t bytes, std::uint64_t seed) {
  for (std::uint64_t offset = 0; offset < bytes; offset += kChunk) {
    for (std::uint64_t i = 0; i < kChunk / 8; ++i) data[i] = mixed(seed ^ (offset / 8 + i));
    disk.move(Direction::Write, offset, chunk_at(offset, bytes));
  }
}

std::uint64_t count_wrong(Disk& disk, std::uint64_t bytes, std::uint64_t seed) {
  std::uint64_t wrong = 0;
  for (std::uint64_t offset = 0; offset < bytes; offset += kChunk) {
    const std::uint32_t size = chunk_at(offset, bytes);
    disk.move(Direction::Read, offset, size);
    for (std::uint64_t i = 0; i < size / 8; ++i) wrong += data[i] != mixed(seed ^ (offset / 8 + i)) ? 1u : 0u;
  }
  return wrong;
}

std::uint64_t hash_of(Disk& disk, std::uint64_t bytes) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (std::uint64_t offset = 0; offset < bytes; offset += kChunk) {
    const std::uint32_t size = chunk_at(offset, bytes);
    disk.move(Direction::Read, offset, size);
    for (std::uint64_t i = 0; i < size / 8; ++i) hash = (hash ^ data[i]) * kPrime;
  }
  return hash;
}

}  // namespace

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  Disk disk = find_disk(*info);
  disk.start();
  const std::uint64_t capacity = disk.bytes();
  const std::uint64_t wanted = rt::number(*info, "bytes", capacity) / kSector * kSector;
  const std::uint64_t bytes = wanted < capacity ? wanted : capacity;
  const std::uint64_t seed = rt::number(*info, "seed", 1);
  const char* mode = rt::argument(*info, "mode");
  rt::print("disk:");
  rt::print_field("capacity", capacity);
  rt::print_field("bytes", bytes);
  if (rt::is(mode, "loop")) {
    rt::print(" reading\n");
    for (;;) static_cast<void>(hash_of(disk, bytes));
  }
  if (rt::is(mode, "write")) write_all(disk, bytes, seed);
  if (rt::is(mode, "write") || rt::is(mode, "verify")) {
    const std::uint64_t wrong = count_wrong(disk, bytes, seed);
    rt::print_field("wrong_words", wrong);
    rt::put('\n');
    rt::finish(wrong == 0 ? 0 : 1);
  }
  rt::print_field("hash", hash_of(disk, bytes));
  rt::put('\n');
  rt::finish(0);
}
