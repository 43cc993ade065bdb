// Pins: what a device pays for memory that stays. Ratios compare with what the kernel does to the same pages
// in the same run.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ept/host/ram_object.h"
#include "ept/pmap.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"
#include "vmm/pin_client/client.h"
#include "vmm/pins/server.h"

namespace {

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kBytes = std::uint64_t{256} << 20U;

uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
}

/// Private memory, so that pinning is all uvm's work; of an object, where it is the pager's.
struct Guest {
  explicit Guest(uvm::Sharing sharing = uvm::Sharing::Private) {
    ept::PmapConfig config;
    config.covered = pages(0, kBytes / kPage);
    pmap = *ept::Pmap::create(config);
    space = *uvm::Space::create("bench", *pmap, config.covered);
    uvm::MapRequest ram;
    ram.range = config.covered;
    ram.name = "ram";
    ram.sharing = sharing;
    if (sharing == uvm::Sharing::Shared) {
      ram.object = uvm::Object::create(std::shared_ptr<uvm::Pager>(
          *ept::host::RamObject::create("ram", kBytes, ept::host::HugePages::Never)));
    }
    if (!space->map(ram)) std::abort();
  }
  void touch(std::uint64_t first, std::uint64_t count) const {
    if (!uvm::Access::fill(*space, pages(first, count), std::byte{1})) std::abort();
  }

  std::unique_ptr<ept::Pmap> pmap;
  std::unique_ptr<uvm::Space> space;
  std::shared_ptr<uvm::PinOwner> owner = uvm::PinOwner::create("bench");
};

void BM_OnePrivatePage(benchmark::State& state) {
  const Guest guest;
  guest.touch(0, 64);
  for ([[maybe_unused]] auto _ : state) {
    const auto pin = uvm::Pin::create(*guest.space, pages(7, 1), uvm::PinAccess::Write, guest.owner);
    if (!pin) state.SkipWithError("pin");
  }
}
BENCHMARK(BM_OnePrivatePage);

void BM_OnePageOfRam(benchmark::State& state) {
  const Guest guest(uvm::Sharing::Shared);
  guest.touch(0, 64);
  for ([[maybe_unused]] auto _ : state) {
    const auto pin = uvm::Pin::create(*guest.space, pages(7, 1), uvm::PinAccess::Write, guest.owner);
    if (!pin) state.SkipWithError("pin");
  }
}
BENCHMARK(BM_OnePageOfRam);

void scatter(benchmark::State& state, uvm::Sharing sharing) {
  const Guest guest(sharing);
  guest.touch(0, 1024);
  std::vector<uvm::GpaRange> list;
  for (std::uint64_t i = 0; i < 128; ++i) list.push_back(pages(i * 37 % 1024, 1));
  const uvm::PinRequest request{guest.owner, uvm::PinAccess::Write, uvm::ForkPolicy::Copy,
                                uvm::Placement::InPlace, uvm::Patience::Sleep};
  for ([[maybe_unused]] auto _ : state) {
    const auto pin = uvm::Pin::create(*guest.space, list, request);
    if (!pin) state.SkipWithError("pin");
  }
}
void BM_ScatterListOf128PrivatePages(benchmark::State& state) {
  scatter(state, uvm::Sharing::Private);
}
BENCHMARK(BM_ScatterListOf128PrivatePages)->Unit(benchmark::kMicrosecond);
void BM_ScatterListOf128PagesOfRam(benchmark::State& state) {
  scatter(state, uvm::Sharing::Shared);
}
BENCHMARK(BM_ScatterListOf128PagesOfRam)->Unit(benchmark::kMicrosecond);

/// What the host takes for a message to another thread and its answer, with nothing done in between.
void BM_BareRoundTrip(benchmark::State& state) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) != 0) return state.SkipWithError("socketpair");
  std::thread echo([end = ends[1]] {
    std::array<char, 64> bytes{};
    while (::recv(end, bytes.data(), bytes.size(), 0) > 0) {
      if (::send(end, bytes.data(), bytes.size(), 0) < 0) break;
    }
  });
  std::array<char, 64> bytes{};
  for ([[maybe_unused]] auto _ : state) {
    if (::send(ends[0], bytes.data(), bytes.size(), 0) < 0) state.SkipWithError("send");
    if (::recv(ends[0], bytes.data(), bytes.size(), 0) <= 0) state.SkipWithError("recv");
  }
  ::close(ends[0]);
  echo.join();
  ::close(ends[1]);
}
BENCHMARK(BM_BareRoundTrip)->Unit(benchmark::kMicrosecond)->UseRealTime();

/// Two round trips, a descriptor that is passed, and a mapping that comes and goes.
void BM_OutOfProcess(benchmark::State& state) {
  const Guest guest(uvm::Sharing::Shared);
  guest.touch(0, 64);
  const std::string path = "/tmp/uvmm-bench-pins-" + std::to_string(::getpid());
  const auto server = vmm::pins::serve(path, {*guest.space, uvm::kNoPinLimit, {}});
  if (!server || !(*server)->start()) return state.SkipWithError("server");
  auto client = vmm::pins::Client::connect(path, "bench");
  if (!client) return state.SkipWithError("client");
  for ([[maybe_unused]] auto _ : state) {
    auto pin = client->pin(pages(7, 1));
    if (!pin || !pin->unpin()) state.SkipWithError("pin");
  }
}
BENCHMARK(BM_OutOfProcess)->Unit(benchmark::kMicrosecond)->UseRealTime();

double copy_seconds(std::byte* to, const std::byte* from, std::size_t bytes) {
  const auto begin = std::chrono::steady_clock::now();
  std::memcpy(to, from, bytes);
  benchmark::DoNotOptimize(*to);
  benchmark::ClobberMemory();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// A device's copies into pinned memory that another process maps, against copies into plain memory.
void BM_ThroughputOfADeviceProcess(benchmark::State& state) {
  constexpr std::uint64_t kCopied = std::uint64_t{16} << 20U;
  const Guest guest(uvm::Sharing::Shared);
  guest.touch(0, kCopied / kPage);
  const std::string path = "/tmp/uvmm-bench-copies-" + std::to_string(::getpid());
  const auto server = vmm::pins::serve(path, {*guest.space, uvm::kNoPinLimit, {}});
  if (!server || !(*server)->start()) return state.SkipWithError("server");
  auto client = vmm::pins::Client::connect(path, "bench");
  auto pin = client->pin(pages(0, kCopied / kPage));
  if (!pin) return state.SkipWithError("pin");
  std::vector<std::byte> source(kCopied, std::byte{3});
  std::vector<std::byte> plain(kCopied);
  double pinned = 1e9;
  double bare = 1e9;
  for ([[maybe_unused]] auto _ : state) {
    pinned = std::min(pinned, copy_seconds(pin->bytes().data(), source.data(), kCopied));
    bare = std::min(bare, copy_seconds(plain.data(), source.data(), kCopied));
  }
  state.counters["times_plain"] = bare / pinned;
}
BENCHMARK(BM_ThroughputOfADeviceProcess)->Iterations(40);

}  // namespace

BENCHMARK_MAIN();
