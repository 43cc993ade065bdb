// libkvm against this host's KVM: what each wrapper promises, seen from outside.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "guest/programs/builtin_info.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/raw_machine.h"
#include "vmm/kvm/kvm.h"

namespace kvm_lib_test {

using namespace vmm::kvm;
using test_support::End;
using test_support::RawMachine;
using uvm::ErrorKind;

constexpr std::uint64_t kCodeGpa = 0x10'0000;

TEST(KvmSystem, a_missing_device_says_what_to_do) {
  const auto system = System::open("/dev/no-such-kvm");
  ASSERT_FALSE(system);
  EXPECT_EQ(system.error().kind(), ErrorKind::NotFound);
  EXPECT_NE(system.error().text().find("/dev/no-such-kvm"), std::string::npos) << system.error().text();
  EXPECT_NE(system.error().way_out().find("firmware"), std::string::npos);
}

TEST(KvmSystem, another_device_is_not_kvm) {
  const auto system = System::open("/dev/null");
  ASSERT_FALSE(system);
  EXPECT_EQ(system.error().kind(), ErrorKind::Unsupported);
  EXPECT_NE(system.error().text().find("is not a KVM device"), std::string::npos) << system.error().text();
}

/// A machine with 16 MiB, one vCPU in long mode at CPL 0, and whatever code a test puts there.
class KvmLib : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    auto made = RawMachine::create({});
    ASSERT_TRUE(made) << made.error().text();
    machine = std::move(*made);
  }
  void code(std::initializer_list<std::uint8_t> bytes) {
    const auto loaded = machine->load_code({bytes.begin(), bytes.size()}, kCodeGpa);
    ASSERT_TRUE(loaded) << loaded.error().text();
  }
  Vcpu& vcpu() { return machine->vcpu(0); }
  template <class T>
  T run_to() {
    auto exit = vcpu().run();
    EXPECT_TRUE(exit) << exit.error().text();
    EXPECT_TRUE(std::holds_alternative<T>(*exit)) << to_string(*exit);
    return std::get<T>(*exit);
  }

  std::unique_ptr<RawMachine> machine;
};

TEST_F(KvmLib, cpuid_and_msr_lists_decode) {
  const auto system = System::open();
  const auto leaves = system->supported_cpuid();
  ASSERT_TRUE(leaves) << leaves.error().text();
  ASSERT_FALSE(leaves->empty());
  EXPECT_EQ(leaves->front().function, 0U);
  EXPECT_GE(leaves->front().eax, 1U);
  const auto msrs = system->msr_indices();
  ASSERT_TRUE(msrs) << msrs.error().text();
  EXPECT_NE(std::find(msrs->begin(), msrs->end(), 0x174U), msrs->end()) << "no SYSENTER_CS";
  EXPECT_TRUE(system->feature_msr_indices());
}

TEST_F(KvmLib, cpuid_set_is_cpuid_read) {
  const auto read = vcpu().cpuid();
  ASSERT_TRUE(read) << read.error().text();
  const auto supported = System::open()->supported_cpuid();
  EXPECT_EQ(read->size(), supported->size());
}

TEST_F(KvmLib, io_in_takes_the_answer_from_the_page) {
  code({0xe4, 0x42, 0xe6, 0x43});  // in $0x42, %al; out %al, $0x43
  const auto in = run_to<IoExit>();
  EXPECT_EQ(in.direction, Direction::In);
  EXPECT_EQ(in.port, 0x42);
  in.data[0] = std::byte{0xa5};
  const auto out = run_to<IoExit>();
  EXPECT_EQ(out.port, 0x43);
  EXPECT_EQ(out.data[0], std::byte{0xa5});
}

TEST_F(KvmLib, registers_written_after_an_exit_count_in_the_guest) {
  code({0xe6, 0x42, 0xe6, 0x43});  // out %al, $0x42; out %al, $0x43
  run_to<IoExit>();
  auto regs = vcpu().regs();
  ASSERT_TRUE(regs);
  EXPECT_GE(regs->rip, kCodeGpa);
  regs->rax = 0x77;
  ASSERT_TRUE(vcpu().set_regs(*regs));
  EXPECT_EQ(vcpu().regs()->rax, 0x77U) << "reads what was just written";
  EXPECT_EQ(run_to<IoExit>().data[0], std::byte{0x77});
}

TEST_F(KvmLib, a_single_step_starts_at_the_instruction_just_chosen) {
  if (!probe_host().debug_supervisor.single_step) GTEST_SKIP() << "no single step at CPL 0 on this host";
  code({0xe6, 0x42, 0x90, 0x90, 0x90, 0x90});  // out %al, $0x42; nops
  run_to<IoExit>();
  auto regs = vcpu().regs();
  regs->rip = kCodeGpa + 4;
  ASSERT_TRUE(vcpu().set_regs(*regs));
  kvm_guest_debug debug{};
  debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
  ASSERT_TRUE(vcpu().set_guest_debug(debug));
  EXPECT_EQ(run_to<DebugExit>().pc, kCodeGpa + 5);
}

TEST_F(KvmLib, complete_pending_finishes_the_access_without_running_on) {
  code({0xe4, 0x42, 0xe6, 0x43});  // in $0x42, %al; out %al, $0x43
  run_to<IoExit>().data[0] = std::byte{0x5a};
  const auto done = vcpu().complete_pending();
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_TRUE(std::holds_alternative<IntrExit>(*done)) << to_string(*done);
  const auto regs = vcpu().regs();
  EXPECT_EQ(regs->rax & 0xff, 0x5aU);
  EXPECT_EQ(regs->rip, kCodeGpa + 2);
}

TEST_F(KvmLib, a_kick_before_the_run_is_not_lost_and_counts_once) {
  code({0xe6, 0x42});  // out %al, $0x42
  vcpu().kick();
  run_to<IntrExit>();
  run_to<IoExit>();
}

TEST_F(KvmLib, a_kick_survives_complete_pending) {
  code({0xe6, 0x42, 0xe6, 0x43});  // out %al, $0x42; out %al, $0x43
  run_to<IoExit>();
  vcpu().kick();
  ASSERT_TRUE(vcpu().complete_pending());
  run_to<IntrExit>();
  EXPECT_EQ(run_to<IoExit>().port, 0x43);
}

TEST_F(KvmLib, a_kick_ends_a_guest_that_never_exits) {
  code({0xeb, 0xfe});  // jmp .
  std::atomic<bool> over{false};
  std::thread kicker([&] {
    // Again and again: the first may come before run() has named its thread. With a pause, because a storm of
    // signals keeps a thread in its handler for ever.
    while (!over.load()) {
      vcpu().kick();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  run_to<IntrExit>();
  over.store(true);
  kicker.join();
}

TEST_F(KvmLib, a_kick_reaches_the_thread_of_a_forked_child) {
  code({0x90, 0xe6, 0x80});  // nop; out %al, $0x80
  run_to<IoExit>();          // this thread has run a vCPU before it forks
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(60);
    // The parent's machine is not a child's to run.
    auto own = RawMachine::create({});
    if (!own || !(*own)->load_code(std::array<std::uint8_t, 2>{0xeb, 0xfe}, kCodeGpa)) ::_exit(2);
    std::thread kicker([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));  // the guest is running
      (*own)->vcpu(0).kick();
    });
    const auto exit = (*own)->vcpu(0).run();
    kicker.join();
    ::_exit(exit && std::holds_alternative<IntrExit>(*exit) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << std::hex << status;
}

TEST_F(KvmLib, mmio_names_address_and_data) {
  code({0x89, 0x04, 0x25, 0x10, 0x00, 0x00, 0x40});  // mov %eax, 0x40000010
  auto regs = vcpu().regs();
  regs->rax = 0x0403'0201;
  ASSERT_TRUE(vcpu().set_regs(*regs));
  const auto mmio = run_to<MmioExit>();
  EXPECT_EQ(mmio.direction, Direction::Out);
  EXPECT_EQ(mmio.gpa, uvm::Gpa(0x4000'0010));
  ASSERT_EQ(mmio.data.size(), 4U);
  EXPECT_EQ(mmio.data[3], std::byte{4});
}

TEST_F(KvmLib, a_removed_slot_is_a_device_and_a_reinstated_one_memory) {
  MemSlot::Spec spec{};
  spec.slot = 1;
  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0x4000'0000), 0x1000);
  spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(machine->memory() + 0x30'0000));
  auto slot = MemSlot::create(machine->vm(), spec);
  ASSERT_TRUE(slot) << slot.error().text();
  machine->memory()[0x30'0000] = std::byte{0x11};
  // mov 0x40000000, %al; out %al, $0x42; jmp back
  code({0x8a, 0x04, 0x25, 0x00, 0x00, 0x00, 0x40, 0xe6, 0x42, 0xeb, 0xf5});
  EXPECT_EQ(run_to<IoExit>().data[0], std::byte{0x11});

  ASSERT_TRUE(slot->remove());
  ASSERT_TRUE(slot->remove()) << "twice is harmless";
  EXPECT_FALSE(slot->installed());
  const auto mmio = run_to<MmioExit>();
  EXPECT_EQ(mmio.gpa, uvm::Gpa(0x4000'0000));
  mmio.data[0] = std::byte{0x22};
  EXPECT_EQ(run_to<IoExit>().data[0], std::byte{0x22});

  ASSERT_TRUE(slot->reinstate());
  ASSERT_TRUE(slot->reinstate()) << "twice is harmless";
  EXPECT_EQ(run_to<IoExit>().data[0], std::byte{0x11});
}

TEST_F(KvmLib, slot_errors_name_slot_range_and_host_address) {
  MemSlot::Spec spec{};
  spec.slot = 7;
  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0x1000), 0x2000);  // inside slot 0
  spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(machine->memory()));
  const auto overlap = MemSlot::create(machine->vm(), spec);
  ASSERT_FALSE(overlap);
  EXPECT_EQ(overlap.error().kind(), ErrorKind::Busy);
  const std::string text = overlap.error().text();
  EXPECT_NE(text.find("slot 7, gpa 0x1000+0x2000, hva " + uvm::to_string(spec.hva)), std::string::npos)
      << text;

  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0x4000'0000), 0x1800);
  const auto ragged = MemSlot::create(machine->vm(), spec);
  ASSERT_FALSE(ragged);
  EXPECT_EQ(ragged.error().kind(), ErrorKind::Invalid);
  EXPECT_NE(ragged.error().text().find("not page-aligned"), std::string::npos) << ragged.error().text();
}

TEST_F(KvmLib, a_slot_that_goes_out_of_scope_frees_its_range) {
  MemSlot::Spec spec{};
  spec.slot = 1;
  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0x4000'0000), 0x1000);
  spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(machine->memory()));
  for (int i = 0; i < 2; ++i) {
    auto slot = MemSlot::create(machine->vm(), spec);
    ASSERT_TRUE(slot) << slot.error().text();
    const MemSlot moved = std::move(*slot);
    EXPECT_TRUE(moved.installed());
    EXPECT_FALSE(slot->installed());
  }
}

TEST_F(KvmLib, a_write_to_a_read_only_slot_leaves_and_a_read_does_not) {
  MemSlot::Spec spec{};
  spec.slot = 1;
  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0x4000'0000), 0x1000);
  spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(machine->memory() + 0x30'0000));
  spec.access = SlotAccess::ReadOnly;
  auto slot = MemSlot::create(machine->vm(), spec);
  ASSERT_TRUE(slot) << slot.error().text();
  machine->memory()[0x30'0000] = std::byte{0x33};
  // mov 0x40000000, %al; out %al, $0x42; mov %al, 0x40000000
  code({0x8a, 0x04, 0x25, 0x00, 0x00, 0x00, 0x40, 0xe6, 0x42, 0x88, 0x04, 0x25, 0x00, 0x00, 0x00, 0x40});
  EXPECT_EQ(run_to<IoExit>().data[0], std::byte{0x33});
  EXPECT_EQ(run_to<MmioExit>().gpa, uvm::Gpa(0x4000'0000));
}

TEST_F(KvmLib, the_dirty_log_names_the_page_written) {
  // movb $1, 0x203000; out %al, $0x42
  code({0xc6, 0x04, 0x25, 0x00, 0x30, 0x20, 0x00, 0x01, 0xe6, 0x42});
  ASSERT_TRUE(machine->slot().set_dirty_log(DirtyLog::On));
  run_to<IoExit>();
  std::vector<std::uint64_t> bitmap((machine->slot().spec().gpa.pages() + 63) / 64);
  const auto logged = machine->vm().dirty_log(0, bitmap);
  ASSERT_TRUE(logged) << logged.error().text();
  constexpr std::uint64_t kWritten = 0x203;
  EXPECT_EQ(bitmap[kWritten / 64], std::uint64_t{1} << kWritten % 64);
}

TEST_F(KvmLib, a_doorbell_signals_the_event_and_the_guest_runs_on) {
  const vmm::Fd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const DoorbellSpec spec{BusSpace::Pio, 0x42, 1, 0x07};
  ASSERT_TRUE(machine->vm().attach_doorbell(spec, event));
  // mov $7, %al; out %al, $0x42; mov $8, %al; out %al, $0x42
  code({0xb0, 0x07, 0xe6, 0x42, 0xb0, 0x08, 0xe6, 0x42});
  const auto out = run_to<IoExit>();
  EXPECT_EQ(out.data[0], std::byte{8}) << "only the matching value is taken";
  std::uint64_t rings = 0;
  EXPECT_EQ(::read(event.get(), &rings, sizeof(rings)), static_cast<ssize_t>(sizeof(rings)));
  EXPECT_EQ(rings, 1U);
  EXPECT_TRUE(machine->vm().detach_doorbell(spec, event));
}

TEST_F(KvmLib, msrs_round_trip_and_a_refused_one_is_named) {
  const kvm_msr_entry wanted{0x175, 0, 0x1234'5678};  // SYSENTER_ESP
  ASSERT_TRUE(vcpu().set_msrs({&wanted, 1}));
  std::array<kvm_msr_entry, 1> read{{{0x175, 0, 0}}};
  ASSERT_TRUE(vcpu().msrs(read));
  EXPECT_EQ(read[0].data, 0x1234'5678U);
  std::array<kvm_msr_entry, 2> unknown{{{0x175, 0, 0}, {0xdead'beef, 0, 0}}};
  const auto refused = vcpu().msrs(unknown);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("0xdeadbeef"), std::string::npos) << refused.error().text();
}

TEST_F(KvmLib, every_piece_of_state_can_be_read_and_put_back) {
  code({0xe6, 0x42});
  run_to<IoExit>();
  ASSERT_TRUE(vcpu().complete_pending());
  const auto back = [](const auto& read, auto set) {
    ASSERT_TRUE(read) << read.error().text();
    const auto written = set(*read);
    EXPECT_TRUE(written) << written.error().text();
  };
  back(vcpu().sregs(), [&](const auto& s) { return vcpu().set_sregs(s); });
  back(vcpu().fpu(), [&](const auto& s) { return vcpu().set_fpu(s); });
  back(vcpu().lapic(), [&](const auto& s) { return vcpu().set_lapic(s); });
  back(vcpu().mp_state(), [&](const auto& s) { return vcpu().set_mp_state(s); });
  back(vcpu().events(), [&](const auto& s) { return vcpu().set_events(s); });
  back(vcpu().xsave(), [&](const auto& s) { return vcpu().set_xsave(s); });
  back(vcpu().xcrs(), [&](const auto& s) { return vcpu().set_xcrs(s); });
  back(vcpu().debug_regs(), [&](const auto& s) { return vcpu().set_debug_regs(s); });
  EXPECT_TRUE(vcpu().tsc_khz());
  const auto translation = vcpu().translate(0x20'1234);
  ASSERT_TRUE(translation);
  EXPECT_EQ(translation->physical_address, 0x20'1234U);
}

TEST_F(KvmLib, a_short_xsave_area_is_refused) {
  const auto refused = vcpu().set_xsave(XsaveArea(16));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("of 64 bytes, this host needs"), std::string::npos)
      << refused.error().text();
}

TEST_F(KvmLib, inaccessible_host_memory_is_told_and_can_be_repaired) {
  // At CPL 0 the outcome depends on the backend; that it is one of the two documented ones does not.
  code({0x89, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00});  // mov %eax, 0x200000
  ASSERT_EQ(::mprotect(machine->memory() + 0x20'0000, 4096, PROT_NONE), 0);
  const auto exit = vcpu().run();
  ASSERT_TRUE(exit) << exit.error().text();
  EXPECT_TRUE(std::holds_alternative<MemoryFaultExit>(*exit) || std::holds_alternative<MmioExit>(*exit))
      << to_string(*exit);
}

TEST_F(KvmLib, an_absurd_vcpu_id_names_the_limit) {
  const auto vcpu = machine->vm().create_vcpu(1'000'000);
  ASSERT_FALSE(vcpu);
  EXPECT_EQ(vcpu.error().kind(), ErrorKind::Invalid);
  EXPECT_NE(vcpu.error().text().find("vCPUs a VM"), std::string::npos) << vcpu.error().text();
}

TEST_F(KvmLib, routing_takes_messages_and_an_irqfd) {
  const Routing routing{{}, {{4, {0xfee0'0000, 0x31}}}};
  const auto routed = machine->vm().set_routing(routing);
  ASSERT_TRUE(routed) << routed.error().text();
  const vmm::Fd event(::eventfd(0, EFD_CLOEXEC));
  ASSERT_TRUE(machine->vm().attach_irqfd(event, 4));
  EXPECT_TRUE(machine->vm().detach_irqfd(event, 4));
}

TEST_F(KvmLib, a_message_reaches_the_local_apic) {
  auto lapic = vcpu().lapic();
  ASSERT_TRUE(lapic);
  const auto reg = [&](std::size_t offset) -> std::uint32_t {
    std::uint32_t value = 0;
    std::memcpy(&value, lapic->regs + offset, sizeof(value));
    return value;
  };
  const std::uint32_t enabled = reg(0xf0) | 0x100;  // SVR: software enable
  std::memcpy(lapic->regs + 0xf0, &enabled, sizeof(enabled));
  ASSERT_TRUE(vcpu().set_lapic(*lapic));
  const auto delivered = machine->vm().signal_msi({0xfee0'0000, 0x31});
  ASSERT_TRUE(delivered) << delivered.error().text();
  EXPECT_TRUE(*delivered);
  lapic = vcpu().lapic();
  EXPECT_NE(reg(0x200 + 0x10 * (0x31 / 32)) & 1U << (0x31 % 32), 0U) << "not pending in the IRR";
}

}  // namespace kvm_lib_test
