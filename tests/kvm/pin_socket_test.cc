// Device processes and a running guest: both work on the same bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "guest/programs/debugee_layout.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/socket_path.h"
#include "uvm/access.h"
#include "vmm/machine/machine.h"
#include "vmm/pin_client/client.h"

namespace pin_socket_test {

namespace at = guest::programs::debugee;
using ::testing::HasSubstr;
using vmm::pins::Client;

uvm::GpaRange page_of(std::uint64_t gpa) {
  return uvm::GpaRange::page_of(uvm::Gpa(gpa));
}

/// A word of guest memory, at memory speed.
class Word {
 public:
  Word(const vmm::pins::RemotePin& pin, std::uint64_t gpa)
      : word_(*reinterpret_cast<std::uint64_t*>(pin.bytes().data() + uvm::Gpa(gpa).offset_in_page())) {}
  [[nodiscard]] std::uint64_t get() const { return word_.load(); }
  void set(std::uint64_t value) { word_.store(value); }

 private:
  std::atomic_ref<std::uint64_t> word_;
};

/// The debugee waits at its gate, which is a word of a page of its program: private memory over a file's.
TEST(PinSocket, ADeviceOpensTheGateOfARunningGuest) {
  UVMM_REQUIRE_KVM();
  auto config = test::builtin_config("debugee");
  config.vcpus = 2;
  config.pins.socket = test::socket_path("pin");
  auto machine = vmm::Machine::create(config);
  ASSERT_TRUE(machine) << machine.error().text();
  const std::uint64_t closed = 0;
  ASSERT_TRUE(uvm::Access::write_value((*machine)->space(), uvm::Gpa(at::kGate), closed));
  uvm::Result<vmm::RunReport> report = vmm::RunReport{};
  std::thread running([&] { report = (*machine)->run(); });
  {
    auto device = Client::connect(config.pins.socket, "gatekeeper");
    ASSERT_TRUE(device) << device.error().text();
    const auto pin = device->pin(page_of(at::kGate));
    ASSERT_TRUE(pin) << pin.error().text();
    const Word spins(*pin, at::kSpins);
    EXPECT_TRUE(test::eventually([&] { return spins.get() != 0; })) << "what the guest writes is seen here";
    const std::uint64_t before = spins.get();
    EXPECT_TRUE(test::eventually([&] { return spins.get() != before; }));
    EXPECT_THAT((*machine)->memory_map(), HasSubstr("gatekeeper (process "));
    Word(*pin, at::kRounds).set(5);
    Word(*pin, at::kGate).set(1);
    const Word calls(*pin, at::kWorkCalls);
    EXPECT_TRUE(test::eventually([&] { return calls.get() == 2 * 5; })) << calls.get();
  }
  running.join();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, 0);
}

TEST(PinSocket, TheToolShowsFillsAndWatches) {
  UVMM_REQUIRE_KVM();
  const std::string path = test::socket_path("pin");
  const auto result = test::run_process(
      {"/bin/bash", "-c",
       std::string("B=") + test::build_dir() + "; s=" + path +
           "\n$B/uvmm run --builtin idle -m 64M --pin-socket $s </dev/null & p=$!\n"
           "while [ ! -S $s ] && kill -0 $p; do sleep 0.05; done\n"
           "t=$B/uvmm-pin\n"
           "$t $s fill 0x2000010 20 --byte 0x41 && $t $s hexdump 0x2000000 48\n"
           "$t $s hexdump 0x7fffffff000; echo outside=$?\n"
           "$t $s watch 0x2000000 4K --every 300 --times 5 & w=$!\n"
           "for i in 1 2 3 4 5 6 7 8; do $t $s fill 0x2000020 1 --byte $i; sleep 0.2; done\nwait $w\n"
           "kill $p; wait $p; echo ended=$?; [ ! -e $s ] && echo removed"});
  EXPECT_THAT(result.out, HasSubstr("000002000010  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41  "
                                    "|AAAAAAAAAAAAAAAA|\n"));
  EXPECT_THAT(result.out, HasSubstr("000002000020  41 41 41 41 00"));
  EXPECT_THAT(result.out, HasSubstr("outside=2"));
  EXPECT_THAT(result.err, HasSubstr("uvmm-pin: "));
  EXPECT_THAT(result.out, testing::ContainsRegex("000002000020  0[1-8] 41 41 41 00"));
  EXPECT_THAT(result.out, HasSubstr("ended=143\nremoved"));
}

TEST(PinSocket, ASocketThatCannotBeIsRefusedBeforeAnythingRuns) {
  UVMM_REQUIRE_KVM();
  const auto result = test::run_process(
      {test::uvmm_path(), "run", "--builtin", "hello", "--pin-socket", "/nonexistent/dir/socket"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent/dir/socket"));
  EXPECT_EQ(result.out, "");
}

}  // namespace pin_socket_test
