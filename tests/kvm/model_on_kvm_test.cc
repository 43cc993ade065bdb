// The reference model's sequences on running guests.
#include <gtest/gtest.h>

#include "tests/support/kvm_machine.h"
#include "tests/support/model/kvm_backend.h"
#include "tests/support/model/property.h"

namespace test {
namespace model_on_kvm_test {

using model::check_random_sequences;
using model::Drops;
using model::KvmBackend;

TEST(ModelOnKvm, RandomSequencesGiveWhatPlainArraysGive) {
  UVMM_REQUIRE_KVM();
  check_random_sequences([] { return std::make_unique<KvmBackend>(Drops::WhenAsked); }, 1000);
}

TEST(ModelOnKvm, WhileTranslationsAreDroppedAtRandomMoments) {
  UVMM_REQUIRE_KVM();
  check_random_sequences([] { return std::make_unique<KvmBackend>(Drops::AtRandomMoments); }, 300);
}

}  // namespace model_on_kvm_test
}  // namespace test
