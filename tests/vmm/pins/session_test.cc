// What a client may ask, and what it is told; without sockets.
#include "vmm/pins/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>

#include "tests/support/patterns.h"
#include "tests/vmm/pins/pin_space.h"

namespace vmm::pins {
namespace pins_session_test {

using ::testing::HasSubstr;

class PinSession : public test::PinSpace {
 protected:
  struct Told {
    Header header;
    Message body;
    std::string text;  // of a refusal
    bool ends = false;
  };

  Told ask(
      Verb verb, const std::function<void(Message&)>& body = [](Message&) {}) {
    Message request;
    request.put(Header{verb, ++tag_, Outcome::Ok, 0});
    body(request);
    return tell(std::move(request));
  }
  Told tell(Message request) {
    Session::Answer answer = session_->answer(std::move(request));
    Told told;
    EXPECT_TRUE(answer.message.take(told.header));
    told.ends = answer.ends;
    EXPECT_EQ(told.ends, told.header.outcome == Outcome::Broken);
    if (told.header.outcome != Outcome::Ok) told.text = answer.message.take_text();
    told.body = std::move(answer.message);
    return told;
  }
  Told hello(std::string_view name = "nic", std::uint32_t version = kVersion) {
    HelloRequest request;
    request.version = version;
    std::ranges::copy(name.substr(0, kNameBytes), request.name.begin());
    return ask(Verb::Hello, [&](Message& message) { message.put(request); });
  }
  Told pin(const std::vector<Range>& ranges, std::uint32_t access = 1, std::uint32_t policy = 0) {
    return ask(Verb::Pin, [&](Message& message) {
      message.put(PinRequest{access, policy, static_cast<std::uint32_t>(ranges.size()), 0});
      for (const Range& range : ranges) message.put(range);
    });
  }
  Told unpin(std::uint64_t id) {
    return ask(Verb::Unpin, [&](Message& message) { message.put(UnpinRequest{id}); });
  }
  static Range range(std::uint64_t page, std::uint64_t count) { return {page * kPage, count * kPage}; }

  Environment environment_{*space_, 8 * kPage, {}};
  std::optional<Session> session_{std::in_place, environment_, 42};
  std::uint32_t tag_ = 0;
};

TEST_F(PinSession, SaysWhoItIsBeforeAnythingElse) {
  EXPECT_EQ(session_->name(), "process 42");
  const Told early = Session(environment_, 1).answer(Message()).ends ? pin({range(0, 1)}) : Told{};
  EXPECT_TRUE(early.ends);
  EXPECT_THAT(early.text, HasSubstr("before Hello"));
  const Told welcome = hello();
  EXPECT_EQ(welcome.header.outcome, Outcome::Ok);
  EXPECT_EQ(welcome.header.tag, tag_);
  EXPECT_EQ(session_->name(), "nic (process 42)");
}

TEST_F(PinSession, NamesAndVersionsAreLookedAt) {
  EXPECT_THAT(hello("two words").text, HasSubstr("a name"));
  EXPECT_THAT(hello("").text, HasSubstr("a name"));
  EXPECT_THAT(hello(std::string(kNameBytes, 'x')).text, HasSubstr("a name"));
  EXPECT_THAT(hello("nic", 7).text, HasSubstr("version 7"));
  EXPECT_EQ(session_->name(), "process 42");
}

TEST_F(PinSession, APinIsListedUnderItsNameAndEndsWithUnpin) {
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  Told told = pin({range(2, 2), range(8, 1)});
  ASSERT_EQ(told.header.outcome, Outcome::Ok) << told.text;
  PinReply made;
  ASSERT_TRUE(told.body.take(made));
  ASSERT_EQ(made.extents, 2U);
  Extent extent;
  ASSERT_TRUE(told.body.take(extent));
  EXPECT_EQ(extent.gpa, 2 * kPage);
  EXPECT_EQ(extent.size, 2 * kPage);
  EXPECT_EQ(told.body.fds.size(), 1U) << "one file, one descriptor";
  EXPECT_EQ(space_->pins().front().owner, "nic (process 42)");
  EXPECT_EQ(pinned(), 3 * kPage);
  EXPECT_EQ(unpin(made.pin).header.outcome, Outcome::Ok);
  EXPECT_EQ(pinned(), 0U);
  const Told again = unpin(made.pin);
  EXPECT_EQ(again.header.outcome, Outcome::Refused);
  EXPECT_THAT(again.text, HasSubstr("has no pin 1"));
}

TEST_F(PinSession, ADescriptorForReadingCannotWrite) {
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  const Told told = pin({range(0, 1)}, 0);
  ASSERT_EQ(told.body.fds.size(), 1U);
  const char byte = 'x';
  EXPECT_LT(::pwrite(told.body.fds[0].get(), &byte, 1, 0), 0);
}

TEST_F(PinSession, WhatCannotBePinnedIsRefusedAndNothingIsHeld) {
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  const std::vector<std::pair<std::vector<Range>, const char*>> refused = {
      {{range(40, 1)}, "nothing is mapped"},
      {{range(0, 1), range(40, 1)}, "nothing is mapped"},
      {{{kPage + 1, kPage}}, "whole pages"},
      {{{0, 0}}, "empty"},
      {{{~std::uint64_t{0} - 10, kPage}}, "passes 2^64"},
      {{{std::uint64_t{1} << 60, kPage}}, "outside"},
      {{range(0, 9)}, "may pin"},
  };
  for (const auto& [ranges, why] : refused) {
    const Told told = pin(ranges);
    EXPECT_EQ(told.header.outcome, Outcome::Refused) << why;
    EXPECT_THAT(told.text, HasSubstr(why));
    EXPECT_EQ(pinned(), 0U) << why;
    EXPECT_EQ(session_->bytes(), 0U) << why;
  }
  EXPECT_EQ(pin({range(0, 8)}).header.outcome, Outcome::Ok) << "and the connection goes on";
}

TEST_F(PinSession, WhatSomethingHoldsInPlaceIsRefusedByItsName) {
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  set_word(kRamPages, 1);
  const auto held =
      uvm::Pin::create(*space_, pages(kRamPages, 1), uvm::PinAccess::Write, uvm::PinOwner::create("vfio0"));
  ASSERT_TRUE(held);
  EXPECT_THAT(pin({range(kRamPages, 2)}).text, HasSubstr("vfio0"));
}

TEST_F(PinSession, BellsNeedALine) {
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  EXPECT_THAT(ask(Verb::Bell).text, HasSubstr("--pin-irq"));
  environment_.ring = [] {};
  Session other(environment_, 43);
  EXPECT_EQ(other.bell(), -1);
}

TEST_F(PinSession, MessagesThatAreNoneEndTheConnection) {
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  const auto broken = [&](const Told& told) { EXPECT_TRUE(told.ends) << told.text; };
  broken(tell(Message()));
  broken(ask(static_cast<Verb>(77)));
  broken(hello());
  broken(pin({}));
  broken(pin({range(0, 1)}, 2));
  broken(pin({range(0, 1)}, 1, 3));
  broken(pin(std::vector<Range>(kMostRanges + 1, range(0, 1))));
  broken(ask(Verb::Unpin));
  broken(ask(Verb::Bell, [](Message& message) { message.put(1); }));
  Message answer;
  answer.put(Header{Verb::Unpin, 1, Outcome::Refused, 0});
  broken(tell(std::move(answer)));
  Message with_fd;
  with_fd.put(Header{Verb::Bell, 1, Outcome::Ok, 0});
  with_fd.fds.emplace_back(::dup(0));
  broken(tell(std::move(with_fd)));
}

TEST_F(PinSession, RandomBytesNeitherHoldNorBreakAnything) {
  std::mt19937_64 random(test::test_seed());
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  for (int i = 0; i < 20000; ++i) {
    Message request;
    if (random() % 4 != 0) request.put(Header{static_cast<Verb>(random() % 6), 1, Outcome::Ok, 0});
    if (random() % 2 != 0) request.put(PinRequest{static_cast<std::uint32_t>(random() % 2), 0, 1, 0});
    for (std::uint64_t n = random() % 5; n > 0; --n)
      request.put(random() % 3 == 0 ? random() : random() % 32 * kPage);
    Session::Answer answer = session_->answer(std::move(request));
    Header header;
    EXPECT_TRUE(answer.message.take(header));
  }
  EXPECT_LE(pinned(), environment_.limit);
  session_.emplace(environment_, 44);
  EXPECT_EQ(pinned(), 0U);
}

TEST_F(PinSession, OneClientHasOnlySoManyPins) {
  environment_.limit = uvm::kNoPinLimit;
  session_.emplace(environment_, 42);
  ASSERT_EQ(hello().header.outcome, Outcome::Ok);
  for (std::size_t i = 0; i < kMostPins; ++i) ASSERT_EQ(pin({range(0, 1)}).header.outcome, Outcome::Ok);
  EXPECT_THAT(pin({range(0, 1)}).text, HasSubstr("4096 pins"));
}

}  // namespace pins_session_test
}  // namespace vmm::pins
