// One memory, three writers: a running guest, a device process's DMA and a debugger work on the same pages at
// once, while translations are lost at random moments. Each raises words of its own; nobody may ever see one
// fall, and in the end every word is what its writer wrote last.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ept/host/frozen_object.h"
#include "guest/programs/trio_layout.h"
#include "tests/support/background_process.h"
#include "tests/support/debug_session.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/patterns.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/socket_path.h"
#include "uvm/access.h"
#include "vmm/pin_client/client.h"

namespace coherence_test {

namespace trio = guest::programs::trio;
using ::testing::HasSubstr;
using vmm::gdb::AfterDetach;

constexpr std::uint64_t kAll = 2 * trio::kPages;

/// What one of the writers has seen so far, and has to see again or more of.
class Witness {
 public:
  Witness(std::string name, trio::Writer self) : name_(std::move(name)), self_(self) {}

  void sees(std::uint64_t page, std::uint64_t who, std::uint64_t value) {
    std::uint64_t& last = seen_[page][who];
    const bool right = who == self_ ? value == last : value >= last;
    EXPECT_TRUE(right) << name_ << ": page " << page << ", word of writer " << who << ": " << value
                       << " after " << last;
    last = value;
  }
  /// The value to write next.
  std::uint64_t raise(std::uint64_t page) { return ++seen_[page][self_]; }
  [[nodiscard]] std::uint64_t written(std::uint64_t page) const { return seen_[page][self_]; }

 private:
  const std::string name_;
  const trio::Writer self_;
  std::array<std::array<std::uint64_t, trio::kWriters>, kAll> seen_{};
};

std::uint64_t word_of(std::uint64_t page_begin, std::uint64_t who) {
  return page_begin + who * trio::kWordsApart * 8;
}

/// A device process's end: everything goes through memory that it has mapped.
class Device {
 public:
  explicit Device(const std::string& path) {
    if (const auto started = start(path); !started) failure_ = started.error().text();
  }
  ~Device() { stop(); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] const std::string& failure() const { return failure_; }
  /// The pin ends, too.
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }
  [[nodiscard]] std::uint64_t written(std::uint64_t page) const { return witness_.written(page); }

 private:
  uvm::Status start(const std::string& path) {
    UVMM_TRY(auto client, vmm::pins::Client::connect(path, "trio-device"));
    const auto size = trio::kPages * trio::kPageBytes;
    UVMM_TRY(auto pin, client.pin({*uvm::GpaRange::from_size(uvm::Gpa(trio::kRam), size),
                                   *uvm::GpaRange::from_size(uvm::Gpa(trio::kOther), size)}));
    thread_ = std::thread([this, pin = std::move(pin)] { work(pin); });
    return uvm::ok();
  }

  static std::atomic_ref<std::uint64_t> word(const vmm::pins::RemotePin& pin, std::uint64_t page,
                                             std::uint64_t who) {
    const auto bytes = pin.bytes(page < trio::kPages ? 0 : 1);
    auto* at = bytes.data() + word_of(page % trio::kPages * trio::kPageBytes, who);
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(at));
  }
  void work(const vmm::pins::RemotePin& pin) {
    while (!stopping_) {
      for (std::uint64_t page = 0; page < kAll; ++page) {
        for (std::uint64_t who = 0; who < trio::kWriters; ++who)
          witness_.sees(page, who, word(pin, page, who).load());
        word(pin, page, trio::kDevice).store(witness_.raise(page));
      }
      ++rounds_;
    }
  }

  std::string failure_;
  Witness witness_{"device", trio::kDevice};
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> rounds_{0};
  std::thread thread_;
};

vmm::MachineConfig trio_config(const std::string& socket) {
  auto config = test::builtin_config("trio");
  config.pins.socket = socket;
  return config;
}

class Coherence : public ::testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }
};

TEST_F(Coherence, GuestDeviceAndDebuggerOnTheSamePages) {
  const std::string socket = test::socket_path("trio-pins");
  test::DebugSession session(trio_config(socket));
  ASSERT_EQ(session.failure(), "");
  uvm::Space& space = session.machine().space();
  const auto control = [&](std::uint64_t at) {
    return *uvm::Access::read_value<std::uint64_t>(space, uvm::Gpa(at));
  };
  // Half of the pages are private over somebody else's.
  uvm::MapRequest other;
  other.range = *uvm::GpaRange::from_size(uvm::Gpa(trio::kOther), trio::kPages * trio::kPageBytes);
  other.name = "other";
  other.overlap = uvm::Overlap::Replace;
  const std::vector<std::byte> zeros(other.range.size());
  auto frozen = ept::host::FrozenObject::from_bytes("zeros", zeros);
  ASSERT_TRUE(frozen) << frozen.error().text();
  other.object = uvm::Object::create(std::shared_ptr<uvm::Pager>(std::move(*frozen)));
  ASSERT_TRUE(space.map(other));
  session.target().detach(AfterDetach::Run);
  ASSERT_TRUE(test::eventually([&] { return control(trio::kRounds) != 0; })) << "the guest did not come up";
  Device device(socket);
  ASSERT_EQ(device.failure(), "");

  Witness debugger("debugger", trio::kDebugger);
  const auto place = [](std::uint64_t page, std::uint64_t who) { return word_of(trio::page_at(page), who); };
  const auto look = [&](std::uint64_t page) {
    for (std::uint64_t who = 0; who < trio::kWriters; ++who)
      debugger.sees(page, who, session.word(place(page, who)));
  };
  std::mt19937_64 random(test::test_seed());
  for (int visit = 0; visit < 60 && !HasFailure(); ++visit) {
    ASSERT_TRUE(session.target().attach(session.stops()));
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t page = random() % kAll;
      look(page);
      session.set_word(place(page, trio::kDebugger), debugger.raise(page));
      look(page);
    }
    session.target().detach(AfterDetach::Run);
    if (random() % 2 == 0) space.drop_translations();
    const std::uint64_t before = control(trio::kRounds);
    ASSERT_TRUE(test::eventually([&] { return control(trio::kRounds) != before; }))
        << "the guest stands still";
  }
  EXPECT_GT(device.rounds(), 0U);
  device.stop();
  ASSERT_TRUE(session.target().attach(session.stops()));
  for (std::uint64_t page = 0; page < kAll; ++page) {
    look(page);
    EXPECT_EQ(session.word(place(page, trio::kDevice)), device.written(page)) << "page " << page;
  }
  EXPECT_TRUE(test::eventually([&] { return space.pin_statistics().pins == 0; }));
  session.set_word(trio::kStop, 1);
  const auto end = session.go();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->reason, vmm::gdb::StopReason::Exited);
  EXPECT_EQ(end->status, 0) << "the guest saw a word fall, or lost one of its own";
}

TEST_F(Coherence, StockGdbBesideADevice) {
  if (test::run_process({"/bin/sh", "-c", "command -v gdb"}).status != 0) {
    GTEST_SKIP() << "gdb is not installed (package gdb)";
  }
  const std::string pins = test::socket_path("trio-stock");
  const std::string door = test::socket_path("trio-door");
  const std::string script = test::socket_path("trio-script") + ".py";
  std::ofstream(script) << "import gdb\n"
                           "gdb.execute('set confirm off')\n"
                           "for turn in range(1, 21):\n"
                           "    gdb.execute('target remote " +
                               door +
                               "')\n"
                               "    for page in range(16):\n"
                               "        word = '*(unsigned long *)%#x' % (0x2000000 + page * 4096 + 128)\n"
                               "        if int(gdb.parse_and_eval(word)) != turn - 1:\n"
                               "            print('LOST', turn, page, gdb.parse_and_eval(word))\n"
                               "        gdb.execute('set var %s = %d' % (word, turn))\n"
                               "    if turn == 20:\n"
                               "        gdb.execute('set var *(unsigned long *)0x1fff000 = 1')\n"
                               "    gdb.execute('detach')\n"
                               "print('ALL WRITTEN')\n";
  test::BackgroundProcess guest({test::uvmm_path(), "run", "--builtin", "trio", "-m", "64M", "--console",
                                 "none", "--pin-socket", pins, "--gdb", "unix:" + door},
                                script + ".log");
  ASSERT_TRUE(test::eventually([&] { return std::filesystem::exists(pins); })) << guest.output();
  Device device(pins);
  ASSERT_EQ(device.failure(), "");
  const auto gdb =
      test::run_process({"/usr/bin/env", "gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-iex",
                         "set remotetimeout 60", "-x", script});
  EXPECT_THAT(gdb.out, HasSubstr("ALL WRITTEN")) << gdb.err;
  EXPECT_THAT(gdb.out, ::testing::Not(HasSubstr("LOST")));
  EXPECT_EQ(guest.wait(std::chrono::seconds(120)), 0) << guest.output();
  EXPECT_GT(device.rounds(), 0U);
  std::filesystem::remove(script);
  std::filesystem::remove(script + ".log");
}

}  // namespace coherence_test
