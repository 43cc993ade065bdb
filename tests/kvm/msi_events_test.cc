// Interrupts by eventfd on a real VM: what KVM takes from the eventfd, and what stays in it.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "vmm/kvm/system.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/machine/interrupts.h"

namespace vmm {
namespace msi_events_test {

constexpr devices::MsiMessage kMessage{0xfee0'0000, 0x41};

bool is_readable(const Fd& event) {
  pollfd waiting{event.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

/// KVM takes an event on a thread of its own.
bool is_taken(const Fd& event) {
  for (int i = 0; i < 3000; ++i) {
    if (!is_readable(event)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

struct MsiEventsOn : testing::TestWithParam<IrqChip> {
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    auto system = kvm::System::open();
    ASSERT_TRUE(system) << system.error().text();
    auto made = kvm::Vm::create(*system);
    ASSERT_TRUE(made) << made.error().text();
    vm.emplace(*std::move(made));
    auto controllers = Interrupts::create(*vm, GetParam());
    ASSERT_TRUE(controllers) << controllers.error().text();
    interrupts = *std::move(controllers);
    auto processor = vm->create_vcpu(0);
    ASSERT_TRUE(processor) << processor.error().text();
    vcpu = *std::move(processor);
  }
  std::optional<kvm::Vm> vm;
  std::unique_ptr<Interrupts> interrupts;
  std::unique_ptr<kvm::Vcpu> vcpu;
};

TEST_P(MsiEventsOn, AreTakenByKvmUnlessHeld) {
  auto made = interrupts->message_events().create_event();
  ASSERT_TRUE(made) << made.error().text();
  devices::MsiEvent& event = **made;
  ASSERT_EQ(::eventfd_write(event.event().get(), 1), 0);
  EXPECT_TRUE(event.pending()) << "held at first";
  ASSERT_TRUE(event.deliver(kMessage));
  EXPECT_TRUE(is_taken(event.event())) << "what waited goes out";
  ASSERT_EQ(::eventfd_write(event.event().get(), 5), 0);
  EXPECT_TRUE(is_taken(event.event()));
  ASSERT_TRUE(event.deliver({kMessage.address, 0x42}));
  event.hold();
  event.hold();
  EXPECT_FALSE(event.pending());
  ASSERT_EQ(::eventfd_write(event.event().get(), 1), 0);
  EXPECT_TRUE(event.pending());
  EXPECT_TRUE(is_readable(event.event())) << "nobody takes it";
}

TEST_P(MsiEventsOn, HaveRoutesOfTheirOwnUntilTheyEnd) {
  std::vector<std::unique_ptr<devices::MsiEvent>> events;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i) {
      auto made = interrupts->message_events().create_event();
      ASSERT_TRUE(made) << made.error().text();
      ASSERT_TRUE((*made)->deliver(kMessage));
      events.push_back(*std::move(made));
    }
    events.clear();
  }
  // The I/O APIC's routes and those of messages are one table.
  interrupts->line(4).pulse();
  EXPECT_TRUE(interrupts->messages().send(kMessage.address, kMessage.data));
}

INSTANTIATE_TEST_SUITE_P(EveryKind, MsiEventsOn, testing::Values(IrqChip::Split, IrqChip::Full));

TEST(MsiRoutes, EndWhereKvmHasNoMore) {
  UVMM_REQUIRE_KVM();
  auto system = kvm::System::open();
  ASSERT_TRUE(system);
  auto vm = kvm::Vm::create(*system);
  ASSERT_TRUE(vm);
  MsiRoutes routes(*vm, {});
  std::uint32_t taken = 0;
  uvm::Result<std::uint32_t> last = routes.take();
  for (; last && taken < 10'000; ++taken) {
    EXPECT_GE(*last, layout::kIoApicPins);
    last = routes.take();
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().kind(), uvm::ErrorKind::NoMemory);
  routes.give_back(100);
  EXPECT_EQ(*routes.take(), 100U);
}

}  // namespace msi_events_test
}  // namespace vmm
