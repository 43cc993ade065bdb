#include "uvm/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>

namespace uvm {
namespace error_test {

Status passes_on(const Status& status) {
  UVMM_CHECK(Status(status));
  return ok();
}

Result<int> doubles(Result<int> in) {
  UVMM_TRY(const int value, std::move(in));
  return 2 * value;
}

TEST(ErrorTest, TextIsOneLineWithTheWayOut) {
  EXPECT_EQ(Error(ErrorKind::Busy, "a is busy").text(), "a is busy");
  EXPECT_EQ(Error(ErrorKind::Busy, "a is busy", "wait").text(), "a is busy; wait");
  EXPECT_EQ(Error(ErrorKind::Busy, "inner", "wait").with_context("outer").text(), "outer: inner; wait");
}

TEST(ErrorTest, KindFollowsErrno) {
  EXPECT_EQ(Error::from_errno(ENOENT, "x").kind(), ErrorKind::NotFound);
  EXPECT_EQ(Error::from_errno(EACCES, "x").kind(), ErrorKind::Permission);
  EXPECT_EQ(Error::from_errno(ENOMEM, "x").kind(), ErrorKind::NoMemory);
  EXPECT_EQ(Error::from_errno(EBUSY, "x").kind(), ErrorKind::Busy);
  EXPECT_EQ(Error::from_errno(ENOSYS, "x").kind(), ErrorKind::Unsupported);
  EXPECT_EQ(Error::from_errno(ERANGE, "x").kind(), ErrorKind::System);
  EXPECT_NE(Error::from_errno(ENOENT, "open x").what().find("No such file"), std::string::npos);
}

TEST(ErrorTest, EveryKindHasItsOwnName) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(ErrorKind::Guest); ++i) {
    names.insert(to_string(static_cast<ErrorKind>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorKind::Guest) + 1);
  EXPECT_EQ(names.count("unknown"), 0U);
}

TEST(ErrorTest, MacrosPassErrorsOn) {
  EXPECT_TRUE(passes_on(ok()));
  EXPECT_EQ(passes_on(Error(ErrorKind::Guest, "x")).error().kind(), ErrorKind::Guest);
  EXPECT_EQ(*doubles(4), 8);
  EXPECT_EQ(doubles(Error(ErrorKind::Invalid, "x")).error().kind(), ErrorKind::Invalid);
}

TEST(ErrorDeathTest, ValueOfAnErrorEndsTheProgram) {
  EXPECT_DEATH((void)Result<int>(Error(ErrorKind::Invalid, "no value here")).value(), "no value here");
}

}  // namespace error_test
}  // namespace uvm
