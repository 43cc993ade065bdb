// Reads, writes and verifies a virtio disk.
//
//   mode=read     (the default) reads the disk and prints a hash of it
//   mode=write    writes a pattern made of `seed` and reads it back
//   mode=verify   reads and compares with the pattern of `seed`
//   mode=loop     reads for ever
//   bytes=N       how much of the disk, from its begin (default: all)
//
// Status 0; 1 other bytes than written; 2 no virtio disk; 3 not enough RAM; 4 the device does not agree; 5 it
// needs a reset; 6 a request failed.
#include "guest/programs/rt/disk.h"

#include "guest/programs/mixed.h"
#include "guest/programs/rt/rt.h"

namespace {

using guest::programs::mixed;

constexpr std::uint64_t kPrime = 0x100'0000'01b3;  // FNV-1a, eight bytes at a time

std::uint32_t chunk_at(std::uint64_t offset, std::uint64_t bytes) {
  return bytes - offset < rt::kChunk ? static_cast<std::uint32_t>(bytes - offset) : rt::kChunk;
}

void write_all(rt::Disk& disk, std::uint64_t bytes, std::uint64_t seed) {
  for (std::uint64_t offset = 0; offset < bytes; offset += rt::kChunk) {
    for (std::uint64_t i = 0; i < rt::kChunk / 8; ++i) rt::Disk::data()[i] = mixed(seed ^ (offset / 8 + i));
    disk.move(rt::Direction::Write, offset, chunk_at(offset, bytes));
  }
}

std::uint64_t count_wrong(rt::Disk& disk, std::uint64_t bytes, std::uint64_t seed) {
  std::uint64_t wrong = 0;
  for (std::uint64_t offset = 0; offset < bytes; offset += rt::kChunk) {
    const std::uint32_t size = chunk_at(offset, bytes);
    disk.move(rt::Direction::Read, offset, size);
    for (std::uint64_t i = 0; i < size / 8; ++i)
      wrong += rt::Disk::data()[i] != mixed(seed ^ (offset / 8 + i)) ? 1u : 0u;
  }
  return wrong;
}

std::uint64_t hash_of(rt::Disk& disk, std::uint64_t bytes) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (std::uint64_t offset = 0; offset < bytes; offset += rt::kChunk) {
    const std::uint32_t size = chunk_at(offset, bytes);
    disk.move(rt::Direction::Read, offset, size);
    for (std::uint64_t i = 0; i < size / 8; ++i) hash = (hash ^ rt::Disk::data()[i]) * kPrime;
  }
  return hash;
}

}  // namespace

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  rt::Disk disk = rt::Disk::find(rt::low_ram_end(*info));
  const std::uint64_t capacity = disk.bytes();
  const std::uint64_t wanted = rt::number(*info, "bytes", capacity) / rt::kSector * rt::kSector;
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
