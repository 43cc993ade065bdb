// The story of 31 December 2001 on two running guests: one kernel image, its text pinned by a device in the
// one, poked by a debugger in the other, unpinned. uvm/uvm.h tells what went wrong then.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/guest/images.h"
#include "tests/support/kvm_machine.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "vmm/pin_client/client.h"

namespace shared_kernel_test {

constexpr std::uint64_t kLoad = 0x100'0000;
constexpr std::uint64_t kText = kLoad + 0x1000;  // the page behind the headers
constexpr std::uint64_t kWork = kText + 0x100;
constexpr std::uint64_t kGate = kLoad + 0x2010;
constexpr std::uint64_t kCalls = kLoad + 0x2018;
constexpr std::uint64_t kImageBytes = 0x2'0000;  // less is copied
constexpr std::byte kInt3{0xcc};

/// Waits until the gate is open, counts a call at kWork, and leaves with 0. Its pages are mapped, not copied.
std::vector<std::byte> kernel_image() {
  guest::test::ElfSpec spec;
  spec.entry = kText;
  spec.file_size = kImageBytes;
  spec.parts = {guest::test::ElfPart{.offset = 0,
                                     .virtual_address = kLoad,
                                     .physical = kLoad,
                                     .file_size = kImageBytes,
                                     .memory_size = kImageBytes,
                                     .align = 4096}};
  std::vector<std::byte> image = guest::test::make_elf(spec);
  const auto place = [&](std::uint64_t at, std::initializer_list<unsigned> bytes) {
    std::ranges::transform(bytes, image.begin() + static_cast<std::ptrdiff_t>(at - kLoad),
                           [](unsigned byte) { return static_cast<std::byte>(byte); });
  };
  place(kText, {0x48, 0x83, 0x3c, 0x25, 0x10, 0x20, 0x00, 0x01, 0x00,  // cmpq $0, kGate
                0x74, 0xf5,                                            // je kText
                0xe9, 0xf0, 0x00, 0x00, 0x00});                        // jmp kWork
  place(kWork, {0x48, 0xff, 0x04, 0x25, 0x18, 0x20, 0x00, 0x01,        // incq kCalls
                0x31, 0xc0, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xf4});      // out 0 to 0xf4
  return image;
}

/// A machine that runs on a thread of its own.
class RunningGuest {
 public:
  RunningGuest(const std::filesystem::path& kernel, std::string socket) : socket_(std::move(socket)) {
    auto config = test::builtin_config("");
    config.boot.kernel = kernel.string();
    config.debug_exit = vmm::DebugExitStatus::Plain;
    config.pins.socket = socket_;
    auto made = vmm::Machine::create(config);
    if (!made) {
      ADD_FAILURE() << made.error().text();
      return;
    }
    machine_ = std::move(*made);
    thread_ = std::thread([this] {
      const auto report = machine_->run();
      status_ = report ? report->status : -1;
      if (status_ != 0) ADD_FAILURE() << (report ? report->summary : report.error().text());
    });
  }
  ~RunningGuest() {
    if (!thread_.joinable()) return;
    machine_->stop();
    thread_.join();
  }
  RunningGuest(const RunningGuest&) = delete;
  RunningGuest& operator=(const RunningGuest&) = delete;

  [[nodiscard]] bool exists() const { return machine_ != nullptr; }
  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] uvm::Space& space() { return machine_->space(); }
  [[nodiscard]] std::byte at(std::uint64_t gpa) {
    std::byte byte{};
    EXPECT_TRUE(uvm::Access::read(space(), uvm::Gpa(gpa), {&byte, 1}, uvm::kDebugger));
    return byte;
  }
  void poke(std::uint64_t gpa, std::byte byte) {
    const auto poked = uvm::Access::write(space(), uvm::Gpa(gpa), {&byte, 1}, uvm::kDebugger);
    EXPECT_TRUE(poked) << poked.error().text();
  }
  /// Opens the gate; how the guest ended.
  [[nodiscard]] int finish() {
    EXPECT_TRUE(uvm::Access::write_value(space(), uvm::Gpa(kGate), std::uint64_t{1}));
    thread_.join();
    return status_;
  }

 private:
  std::string socket_;
  std::unique_ptr<vmm::Machine> machine_;
  std::thread thread_;
  int status_ = -1;
};

class SharedKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    const auto image = kernel_image();
    std::ofstream(kernel_, std::ios::binary)
        .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
  }
  void TearDown() override { std::filesystem::remove(kernel_); }

  [[nodiscard]] std::string name(const std::string& what) const {
    return testing::TempDir() + "uvmm-shared-kernel-" + std::to_string(::getpid()) + what;
  }
  const std::filesystem::path kernel_ = name(".bin");
};

std::byte seen_by(const vmm::pins::RemotePin& pin, std::uint64_t gpa) {
  return std::atomic_ref<std::byte>(pin.bytes()[gpa - kText]).load();
}

TEST_F(SharedKernel, TextPinnedInTheOneIsPokedInTheOther) {
  RunningGuest pinned(kernel_, name(".a"));
  RunningGuest poked(kernel_, name(".b"));
  ASSERT_TRUE(pinned.exists() && poked.exists());
  const std::byte before = pinned.at(kWork);
  ASSERT_NE(before, kInt3);
  {
    auto device = vmm::pins::Client::connect(pinned.socket(), "device");
    ASSERT_TRUE(device) << device.error().text();
    const auto pin = device->pin(uvm::GpaRange::page_of(uvm::Gpa(kText)), uvm::PinAccess::Read);
    ASSERT_TRUE(pin) << pin.error().text();
    poked.poke(kWork, kInt3);
    EXPECT_EQ(poked.at(kWork), kInt3);
    EXPECT_EQ(pinned.at(kWork), before);
    EXPECT_EQ(seen_by(*pin, kWork), before);
    // In the pinned guest itself the debugger writes in place, and the device sees it.
    pinned.poke(kWork, kInt3);
    EXPECT_EQ(seen_by(*pin, kWork), kInt3);
    pinned.poke(kWork, before);
    EXPECT_EQ(seen_by(*pin, kWork), before);
  }
  // Unpinned: this is where a kernel panicked.
  EXPECT_EQ(poked.at(kWork), kInt3);
  poked.poke(kWork, before);
  EXPECT_EQ(pinned.finish(), 0);
  EXPECT_EQ(poked.finish(), 0);
  EXPECT_EQ(pinned.at(kCalls), std::byte{1});
  EXPECT_EQ(poked.at(kCalls), std::byte{1});
  std::ifstream file(kernel_, std::ios::binary);
  std::vector<char> on_disk(kImageBytes);
  file.read(on_disk.data(), kImageBytes);
  const auto image = kernel_image();
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(on_disk)), image)) << "nobody wrote the file";
}

TEST_F(SharedKernel, TextPinnedInBothIsPokedInOne) {
  RunningGuest one(kernel_, name(".c"));
  RunningGuest other(kernel_, name(".d"));
  ASSERT_TRUE(one.exists() && other.exists());
  const std::byte before = one.at(kWork);
  {
    const auto owner = uvm::PinOwner::create("dma0");
    const auto text = uvm::GpaRange::page_of(uvm::Gpa(kText));
    auto a = uvm::Pin::create(one.space(), text, uvm::PinAccess::Read, owner);
    auto b = uvm::Pin::create(other.space(), text, uvm::PinAccess::Read, owner);
    ASSERT_TRUE(a) << a.error().text();
    ASSERT_TRUE(b) << b.error().text();
    const auto frame = a->frame_at(uvm::Gpa(kText));
    other.poke(kWork, kInt3);
    one.space().drop_translations();
    EXPECT_EQ(one.at(kWork), before);
    EXPECT_EQ(a->frame_at(uvm::Gpa(kText)), frame);
    EXPECT_EQ(b->bytes()[kWork - kText], kInt3) << "the device of the other sees what its debugger wrote";
    EXPECT_EQ(a->bytes()[kWork - kText], before);
  }
  other.poke(kWork, before);
  EXPECT_EQ(one.finish(), 0);
  EXPECT_EQ(other.finish(), 0);
}

}  // namespace shared_kernel_test
