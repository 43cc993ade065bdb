// The reference model's sequences on this host's memory: what is decided here is what a host mapping obeys.
#include <gtest/gtest.h>

#include "tests/support/model/host_backend.h"
#include "tests/support/model/property.h"

namespace ept {
namespace {

using ::test::model::check_random_sequences;
using ::test::model::Drops;
using ::test::model::HostBackend;

TEST(ModelOnHost, RandomSequencesGiveWhatPlainArraysGive) {
  check_random_sequences([] { return std::make_unique<HostBackend>(Events::WhenPossible, Drops::WhenAsked); },
                         6000);
}

TEST(ModelOnHost, WhereTheHostTellsOfNothing) {
  check_random_sequences([] { return std::make_unique<HostBackend>(Events::Never, Drops::WhenAsked); }, 6000);
}

TEST(ModelOnHost, WhileTranslationsAreDroppedAtRandomMoments) {
  check_random_sequences(
      [] { return std::make_unique<HostBackend>(Events::WhenPossible, Drops::AtRandomMoments); }, 6000);
}

}  // namespace
}  // namespace ept
