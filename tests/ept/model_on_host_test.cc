// The reference model's sequences on this host's memory: what is decided here is what a host mapping obeys.
#include <gtest/gtest.h>

#include "tests/support/model/host_backend.h"
#include "tests/support/model/property.h"
#include "tests/support/model/runner.h"

namespace ept {
namespace model_on_host_test {

using ::test::model::check_random_sequences;
using ::test::model::Drops;
using ::test::model::HostBackend;

TEST(ModelOnHost, RandomSequencesGiveWhatPlainArraysGive) {
  check_random_sequences([] { return std::make_unique<HostBackend>(Events::WhenPossible, Drops::WhenAsked); },
                         6000);
}

// Found at random: a mapping replaced another whose page was private, and then that one's file was cut.
TEST(ModelOnHost, WhatReplacedAMappingOfAFileIsNotCutWithIt) {
  using ::test::model::Do;
  HostBackend backend(Events::WhenPossible, Drops::WhenAsked);
  const auto failure = ::test::model::Runner(backend).run({
      {.what = Do::Create, .space = 2},
      {.what = Do::Map, .space = 2, .count = 2, .object = 0, .object_page = 13},
      {.what = Do::Store, .space = 2, .word = 1, .value = 0x1bf6},
      {.what = Do::Limit, .space = 2},
      {.what = Do::Map, .space = 2, .count = 5, .object = 1, .object_page = 11},
      {.what = Do::Truncate, .count = 8, .object = 0},
      {.what = Do::Store, .space = 2, .value = 0xc3bf},
  });
  EXPECT_FALSE(failure) << *failure;
}

TEST(ModelOnHost, WhereTheHostTellsOfNothing) {
  check_random_sequences([] { return std::make_unique<HostBackend>(Events::Never, Drops::WhenAsked); }, 6000);
}

TEST(ModelOnHost, WhileTranslationsAreDroppedAtRandomMoments) {
  check_random_sequences(
      [] { return std::make_unique<HostBackend>(Events::WhenPossible, Drops::AtRandomMoments); }, 6000);
}

}  // namespace model_on_host_test
}  // namespace ept
