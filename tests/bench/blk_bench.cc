// What a disk costs a request: the device with a driver in the same thread, beside the same reads and writes
// of the same file by io_uring alone. Warm page cache, so that what is measured is this program and the
// kernel. "us_each" is the time of one request, and BM_Device's less BM_Alone's is the device's own.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ept/host/ram_object.h"
#include "ept/pmap.h"
#include "uvm/access.h"
#include "uvm/space.h"
#include "vmm/virtio/blk/blk.h"

namespace {

using namespace vmm;
using namespace vmm::virtio;

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kRam = std::uint64_t{256} << 20U;
constexpr std::uint64_t kFile = std::uint64_t{256} << 20U;
constexpr std::uint64_t kHeaders = 16 * kPage;
constexpr std::uint64_t kBuffers = std::uint64_t{64} << 20U;
constexpr std::uint16_t kRing = 256;

void require(bool condition) {
  if (!condition) std::abort();
}

/// A file that is in the page cache.
class Image {
 public:
  Image() : path_("/var/tmp/uvmm-blk-bench-" + std::to_string(::getpid())) {
    const Fd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const std::vector<char> piece(1U << 20U, 'x');
    for (std::uint64_t at = 0; at < kFile; at += piece.size()) {
      require(::pwrite(fd.get(), piece.data(), piece.size(), static_cast<off_t>(at)) > 0);
    }
  }
  ~Image() { ::unlink(path_.c_str()); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const Image& image() {
  static const Image one;
  return one;
}

enum class What : std::uint8_t { Read, Write };

/// The file's places in the order in which they are asked for, the same for all.
class Places {
 public:
  explicit Places(std::uint64_t bytes) : bytes_(bytes) {}
  std::uint64_t next() { return random_() % (kFile / bytes_) * bytes_; }

 private:
  std::uint64_t bytes_;
  std::mt19937_64 random_{7};
};

class Device {
 public:
  explicit Device(blk::EngineChoice engine) {
    ept::PmapConfig config;
    config.covered = *uvm::GpaRange::from_size(uvm::Gpa(0), kRam);
    pmap_ = *ept::Pmap::create(config);
    space_ = *uvm::Space::create("guest", *pmap_, config.covered);
    uvm::MapRequest ram;
    ram.range = config.covered;
    ram.name = "ram";
    ram.sharing = uvm::Sharing::Shared;
    ram.object = uvm::Object::create(
        std::shared_ptr<uvm::Pager>(*ept::host::RamObject::create("ram", kRam, ept::host::HugePages::Never)));
    require(space_->map(ram).has_value());
    require(uvm::Access::fill(*space_, config.covered, std::byte{1}).has_value());
    blk::Options options;
    options.id = "vda";
    options.path = image().path();
    auto opened = blk::DiskImage::open(options);
    require(opened.has_value());
    const auto owner = uvm::PinOwner::create("blk0");
    blk_ = std::make_unique<blk::Blk>(blk::Blk::Parts{*space_, owner, *std::move(opened), 1, engine});
    require(blk_->attach({io_, [] {}}).has_value());
    queue_.size = kRing;
    queue_.driver_area = 4 * kPage;
    queue_.device_area = 8 * kPage;
    queue_.kick = &kick_;
    queue_.call = &call_;
    require(uvm::Access::fill(*space_, *uvm::GpaRange::from_size(uvm::Gpa(0), kHeaders), std::byte{0})
                .has_value());
    rings_ = std::make_unique<SplitQueue>(*SplitQueue::create(
        {*space_, owner,
         [](std::uint64_t gpa, std::uint64_t bytes) { return gpa < kRam && bytes <= kRam - gpa; }},
        queue_, kFeatureVersion1 | blk::kFeatureFlush));
    memory_ = space_->pmap().bytes(config.covered);
    require(!memory_.empty());
  }

  /// So many requests of so many bytes, all offered at once; returns when all are answered.
  void turn(What what, unsigned depth, std::uint32_t bytes, Places& places) {
    for (unsigned i = 0; i < depth; ++i) {
      const std::uint64_t header = kHeaders + 32 * std::uint64_t{i};
      const std::uint64_t data = kBuffers + std::uint64_t{i} * bytes;
      put<std::uint32_t>(header, what == What::Read ? 0 : 1);
      put<std::uint64_t>(header + 8, places.next() / 512);
      const auto first = static_cast<std::uint16_t>(3 * i);
      describe(first, header, 16, 1);
      describe(first + 1U, data, bytes, what == What::Read ? 3 : 1);
      describe(first + 2U, header + 16, 1, 2);
      put<std::uint16_t>(queue_.driver_area + 4 + 2 * static_cast<std::uint64_t>(offered_++ % kRing), first);
    }
    put(queue_.driver_area + 2, offered_);
    require(blk_->serve(*rings_).has_value());
    while (get<std::uint16_t>(queue_.device_area + 2) != offered_) io_.run_one();
  }

 private:
  template <class T>
  void put(std::uint64_t gpa, T value) {
    std::memcpy(memory_.data() + gpa, &value, sizeof value);
  }
  template <class T>
  T get(std::uint64_t gpa) {
    return *reinterpret_cast<const volatile T*>(memory_.data() + gpa);
  }
  void describe(unsigned index, std::uint64_t gpa, std::uint32_t bytes, std::uint16_t flags) {
    put(16 * std::uint64_t{index}, gpa);
    put(16 * std::uint64_t{index} + 8, bytes);
    put(16 * std::uint64_t{index} + 12, flags);
    put(16 * std::uint64_t{index} + 14, static_cast<std::uint16_t>(index + 1));
  }

  std::unique_ptr<ept::Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
  boost::asio::io_context io_{1};
  Fd kick_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  Fd call_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  Queue queue_;
  std::unique_ptr<blk::Blk> blk_;
  std::unique_ptr<SplitQueue> rings_;
  std::span<std::byte> memory_;
  std::uint16_t offered_ = 0;
};

void report(benchmark::State& state, unsigned depth, std::uint32_t bytes) {
  const auto requests = static_cast<double>(state.iterations()) * depth;
  state.counters["us_each"] =
      benchmark::Counter(requests / 1e6, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.SetBytesProcessed(static_cast<std::int64_t>(requests * bytes));
}

template <What what, blk::EngineChoice engine>
void BM_Device(benchmark::State& state) {
  const auto depth = static_cast<unsigned>(state.range(0));
  const auto bytes = static_cast<std::uint32_t>(state.range(1));
  Device device(engine);
  Places places(bytes);
  for ([[maybe_unused]] auto _ : state) device.turn(what, depth, bytes, places);
  report(state, depth, bytes);
}

template <What what>
void BM_Alone(benchmark::State& state) {
  const auto depth = static_cast<unsigned>(state.range(0));
  const auto bytes = static_cast<std::uint32_t>(state.range(1));
  const Fd fd(::open(image().path().c_str(), O_RDWR | O_CLOEXEC));
  std::vector<std::byte> memory(std::size_t{depth} * bytes);
  io_uring ring{};
  require(::io_uring_queue_init(256, &ring, 0) == 0);
  Places places(bytes);
  for ([[maybe_unused]] auto _ : state) {
    for (unsigned i = 0; i < depth; ++i) {
      io_uring_sqe* const entry = ::io_uring_get_sqe(&ring);
      std::byte* const at = memory.data() + std::size_t{i} * bytes;
      if (what == What::Read) {
        ::io_uring_prep_read(entry, fd.get(), at, bytes, places.next());
      } else {
        ::io_uring_prep_write(entry, fd.get(), at, bytes, places.next());
      }
    }
    require(::io_uring_submit_and_wait(&ring, depth) >= 0);
    io_uring_cqe* done = nullptr;
    while (::io_uring_peek_cqe(&ring, &done) == 0) {
      require(done->res == static_cast<int>(bytes));
      ::io_uring_cqe_seen(&ring, done);
    }
  }
  ::io_uring_queue_exit(&ring);
  report(state, depth, bytes);
}

using blk::EngineChoice;

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1, 4096})->Args({32, 4096})->Args({1, 65536})->Args({8, 1 << 20})->UseRealTime();
}

BENCHMARK(BM_Alone<What::Read>)->Apply(sizes);
BENCHMARK(BM_Device<What::Read, EngineChoice::Best>)->Apply(sizes);
BENCHMARK(BM_Device<What::Read, EngineChoice::Plain>)->Apply(sizes);
BENCHMARK(BM_Alone<What::Write>)->Apply(sizes);
BENCHMARK(BM_Device<What::Write, EngineChoice::Best>)->Apply(sizes);
BENCHMARK(BM_Device<What::Write, EngineChoice::Plain>)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
