// The reference model's sequences on running guests.
#include <gtest/gtest.h>

#include "tests/support/kvm_machine.h"
#include "tests/support/model/kvm_backend.h"
#include "tests/support/model/property.h"
#include "vmm/kvm/probe.h"

namespace test {
namespace {

using model::check_random_sequences;
using model::Drops;
using model::KvmBackend;

/// On software paging KVM emulates much of the guest, and a vCPU asleep inside the emulator on a page that
/// cannot be brought in cannot be told to stop: a sequence can stand still there.
#define UVMM_REQUIRE_NESTED_PAGING() \
  if (const auto verdict = vmm::kvm::can_boot_linux(); !verdict.possible) GTEST_SKIP() << verdict.reason

TEST(ModelOnKvm, RandomSequencesGiveWhatPlainArraysGive) {
  UVMM_REQUIRE_KVM();
  UVMM_REQUIRE_NESTED_PAGING();
  check_random_sequences([] { return std::make_unique<KvmBackend>(Drops::WhenAsked); }, 1000);
}

TEST(ModelOnKvm, WhileTranslationsAreDroppedAtRandomMoments) {
  UVMM_REQUIRE_KVM();
  UVMM_REQUIRE_NESTED_PAGING();
  check_random_sequences([] { return std::make_unique<KvmBackend>(Drops::AtRandomMoments); }, 300);
}

}  // namespace
}  // namespace test
