// Decoding of the run page, from pages made by hand.
#include "vmm/kvm/exit.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "vmm/kvm/abi.h"

namespace exit_test {

using namespace vmm::kvm;

class RunPage : public testing::Test {
 protected:
  static constexpr std::size_t kBytes = 0x3000;
  Exit decode() { return decode_exit(page(), kBytes); }
  template <class T>
  T decode_as() {
    Exit exit = decode();
    EXPECT_TRUE(std::holds_alternative<T>(exit)) << to_string(exit);
    return std::get<T>(exit);
  }
  kvm_run& page() { return *reinterpret_cast<kvm_run*>(storage_.data()); }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(storage_.data()); }

 private:
  std::vector<std::uint64_t> storage_ = std::vector<std::uint64_t>(kBytes / 8);
};

TEST_F(RunPage, io_out_points_at_the_data_of_all_its_accesses) {
  page().exit_reason = KVM_EXIT_IO;
  page().io.direction = KVM_EXIT_IO_OUT;
  page().io.port = 0x3f8;
  page().io.size = 2;
  page().io.count = 3;
  page().io.data_offset = 0x1000;
  bytes()[0x1005] = std::byte{0x5a};
  const auto io = decode_as<IoExit>();
  EXPECT_EQ(io.direction, Direction::Out);
  EXPECT_EQ(io.port, 0x3f8);
  ASSERT_EQ(io.data.size(), 6U);
  EXPECT_EQ(io.data[5], std::byte{0x5a});
}

TEST_F(RunPage, io_data_never_reaches_past_the_mapping) {
  page().exit_reason = KVM_EXIT_IO;
  page().io.size = 4;
  page().io.count = 1024;
  page().io.data_offset = kBytes - 8;
  EXPECT_EQ(decode_as<IoExit>().data.size(), 8U);
  page().io.data_offset = kBytes + 8;
  EXPECT_EQ(decode_as<IoExit>().data.size(), 0U);
}

TEST_F(RunPage, mmio_read_is_answered_in_place) {
  page().exit_reason = KVM_EXIT_MMIO;
  page().mmio.phys_addr = 0xd000'0010;
  page().mmio.len = 4;
  page().mmio.is_write = 0;
  const auto mmio = decode_as<MmioExit>();
  EXPECT_EQ(mmio.direction, Direction::In);
  EXPECT_EQ(mmio.gpa, uvm::Gpa(0xd000'0010));
  ASSERT_EQ(mmio.data.size(), 4U);
  mmio.data[3] = std::byte{9};
  EXPECT_EQ(page().mmio.data[3], 9);
}

TEST_F(RunPage, emulation_failure_carries_the_instruction) {
  page().exit_reason = KVM_EXIT_INTERNAL_ERROR;
  page().emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
  page().emulation_failure.ndata = 4;
  page().emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
  page().emulation_failure.insn_size = 2;
  page().emulation_failure.insn_bytes[0] = 0x0f;
  page().emulation_failure.insn_bytes[1] = 0x0b;
  const auto error = decode_as<InternalErrorExit>();
  EXPECT_EQ(error.byte_count, 2);
  EXPECT_EQ(error.bytes[1], 0x0b);
  EXPECT_NE(to_string(decode()).find("bytes 0f 0b"), std::string::npos) << to_string(decode());
}

TEST_F(RunPage, emulation_failure_without_the_flag_claims_no_bytes) {
  page().exit_reason = KVM_EXIT_INTERNAL_ERROR;
  page().emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
  page().emulation_failure.ndata = 4;
  page().emulation_failure.insn_size = 2;
  EXPECT_EQ(decode_as<InternalErrorExit>().byte_count, 0);
}

TEST_F(RunPage, memory_fault_has_the_layout_newer_kernels_use) {
  page().exit_reason = vmm::kvm::abi::kExitMemoryFault;
  const vmm::kvm::abi::MemoryFault fault{vmm::kvm::abi::kMemoryFaultFlagPrivate, 0x7000, 0x1000};
  std::memcpy(bytes() + offsetof(kvm_run, hw), &fault, sizeof(fault));
  const auto exit = decode_as<MemoryFaultExit>();
  ASSERT_TRUE(exit.info);
  EXPECT_EQ(exit.info->gpa, uvm::Gpa(0x7000));
  EXPECT_EQ(exit.info->bytes, 0x1000U);
  EXPECT_EQ(exit.info->flags, vmm::kvm::abi::kMemoryFaultFlagPrivate);
}

TEST_F(RunPage, each_plain_reason_has_its_type) {
  const auto index_of = [this](std::uint32_t reason) {
    page().exit_reason = reason;
    return decode().index();
  };
  EXPECT_EQ(index_of(KVM_EXIT_HLT), Exit(HltExit{}).index());
  EXPECT_EQ(index_of(KVM_EXIT_SHUTDOWN), Exit(ShutdownExit{}).index());
  EXPECT_EQ(index_of(KVM_EXIT_FAIL_ENTRY), Exit(FailEntryExit{}).index());
  EXPECT_EQ(index_of(KVM_EXIT_IOAPIC_EOI), Exit(IoapicEoiExit{}).index());
  EXPECT_EQ(index_of(KVM_EXIT_SYSTEM_EVENT), Exit(SystemEventExit{}).index());
  EXPECT_EQ(index_of(KVM_EXIT_DEBUG), Exit(DebugExit{}).index());
  EXPECT_EQ(index_of(KVM_EXIT_DIRTY_RING_FULL), Exit(DirtyRingFullExit{}).index());
  EXPECT_EQ(index_of(KVM_EXIT_INTR), Exit(IntrExit{}).index());
}

TEST_F(RunPage, an_unknown_reason_keeps_its_number) {
  page().exit_reason = 4711;
  page().hw.hardware_exit_reason = 17;
  const auto unknown = decode_as<UnknownExit>();
  EXPECT_EQ(unknown.reason, 4711U);
  EXPECT_EQ(unknown.hardware_reason, 17U);
}

}  // namespace exit_test
