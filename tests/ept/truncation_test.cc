// A file is cut under a space: every access of ours is an error that names file and offset, never a signal,
// and what the cut did not reach goes on.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "ept/host/file_object.h"
#include "tests/ept/temp_file.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace ept {
namespace truncation_test {

using namespace test;
using uvm::Access;
using uvm::AccessKind;
using uvm::ErrorKind;

constexpr std::uint64_t kPages = 16;  // of the file
constexpr std::uint64_t kLeft = 4;    // after the cut

/// The file at page 0, privately; and again at page kPages, shared and read-only.
class Truncation : public testing::Test {
 protected:
  void SetUp() override {
    object_ = uvm::Object::create(std::shared_ptr<uvm::Pager>(*host::FileObject::open(file_.path())));
    pmap_ = make_pmap(pages(0, 3 * kPages));
    space_ = *uvm::Space::create("guest", *pmap_, pages(0, 3 * kPages));
    map(pages(0, kPages), uvm::Sharing::Private);
    map(pages(kPages, kPages), uvm::Sharing::Shared);
  }
  void map(uvm::GpaRange range, uvm::Sharing sharing) {
    uvm::MapRequest request;
    request.range = range;
    request.object = object_;
    request.sharing = sharing;
    if (sharing == uvm::Sharing::Shared) {
      request.protection = request.max_protection = uvm::Protection::ReadExecute;
    }
    request.name = "file";
    ASSERT_OK(space_->map(request));
  }
  void cut() const { file_.resize(kLeft * kPage); }
  [[nodiscard]] uvm::Result<std::byte> read(std::uint64_t number) {
    return Access::read_value<std::byte>(*space_, page(number) + 7);
  }
  [[nodiscard]] uvm::Status write(std::uint64_t number, std::byte value) {
    return Access::write_value(*space_, page(number) + 7, value);
  }
  /// A PagerIo error that names the file and the offset of its page `number`.
  void expect_gone(const uvm::Error& error, std::uint64_t number) const {
    EXPECT_EQ(error.kind(), ErrorKind::PagerIo) << error.text();
    EXPECT_NE(error.text().find("file " + file_.path()), std::string::npos) << error.text();
    EXPECT_NE(error.text().find("offset " + uvm::hex(number * kPage)), std::string::npos) << error.text();
  }

  const TempFile file_{TempFile::patterned(kPages)};
  std::shared_ptr<uvm::Object> object_;
  std::unique_ptr<Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
};

TEST_F(Truncation, ReadsAndWritesOfTheLostPagesAreErrors) {
  for (std::uint64_t i = 0; i < 2 * kPages; ++i) ASSERT_EQ(*read(i), pattern_of(i % kPages));
  ASSERT_OK(write(2, std::byte{0xee}));
  ASSERT_OK(write(kPages - 1, std::byte{0xee}));  // a private page goes with its file's end, as Linux has it
  cut();
  for (std::uint64_t i = 0; i < 2 * kPages; ++i) {
    const auto byte = read(i);
    if (i % kPages < kLeft) {
      EXPECT_EQ(*byte, i == 2 ? std::byte{0xee} : pattern_of(i % kPages)) << i;
    } else {
      ASSERT_FALSE(byte) << i;
      expect_gone(byte.error(), i % kPages);
    }
  }
  const auto written = write(kPages - 1, std::byte{1});
  ASSERT_FALSE(written);
  expect_gone(written.error(), kPages - 1);
  EXPECT_OK(write(3, std::byte{0xdd}));
}

TEST_F(Truncation, ARunOfBytesEndsAtTheFirstLostPage) {
  cut();
  std::vector<std::byte> bytes(kPages * kPage, std::byte{0});
  const auto status = Access::read(*space_, page(0), bytes);
  ASSERT_FALSE(status);
  expect_gone(status.error(), kLeft);
  EXPECT_EQ(bytes[kLeft * kPage - 1], pattern_of(kLeft - 1));
  EXPECT_EQ(bytes[kLeft * kPage], std::byte{0});
  const auto filled = Access::fill(*space_, pages(kLeft - 1, 2), std::byte{5});
  ASSERT_FALSE(filled);
  expect_gone(filled.error(), kLeft);
}

TEST_F(Truncation, WithoutTranslationsTheErrorIsThePagers) {
  space_->drop_translations();
  pmap_->remove(pages(0, 2 * kPages));
  cut();
  for (const std::uint64_t lost : {kLeft, 2 * kPages - 1}) {
    const auto status = space_->fault(page(lost), AccessKind::Read);
    ASSERT_FALSE(status);
    expect_gone(status.error(), lost % kPages);
  }
  EXPECT_OK(space_->fault(page(kLeft - 1), AccessKind::Write));
  EXPECT_EQ(*read(kLeft - 1), pattern_of(kLeft - 1));
}

TEST_F(Truncation, PromotionsOfLostPagesAreErrors) {
  cut();
  for (const auto kind : {uvm::FaultKind::Wire, uvm::FaultKind::WireMax}) {
    const auto status = space_->fault(page(kLeft), AccessKind::Read, kind);
    ASSERT_FALSE(status);
    expect_gone(status.error(), kLeft);
  }
  // Elsewhere, by the bytes.
  pmap_->remove(pages(kLeft, 1));
  const auto status = space_->fault(page(kLeft), AccessKind::Write, uvm::FaultKind::WireMax);
  ASSERT_FALSE(status);
  expect_gone(status.error(), kLeft);
}

TEST_F(Truncation, PrivatePagesOutOfViewAreErrorsTooAndTheOthersStay) {
  for (std::uint64_t i = 0; i < kPages; ++i) ASSERT_OK(write(i, std::byte{0xc0}));
  pmap_->remove(pages(0, kPages));
  cut();
  for (std::uint64_t i = 0; i < kPages; ++i) {
    const auto byte = read(i);
    if (i < kLeft) {
      EXPECT_EQ(*byte, std::byte{0xc0}) << i;
    } else {
      ASSERT_FALSE(byte) << i;
      expect_gone(byte.error(), i);
    }
  }
}

TEST_F(Truncation, OnlyTheOneWhoTouchesALostPageHearsOfIt) {
  auto other_pmap = make_pmap(pages(0, kPages));
  auto other = *uvm::Space::create("other", *other_pmap, pages(0, kPages));
  uvm::MapRequest request;
  request.range = pages(0, kPages);
  request.object = object_;
  ASSERT_OK(other->map(request));
  cut();
  std::byte byte{};
  for (std::uint64_t i = 0; i < kLeft; ++i) EXPECT_OK(Access::read(*other, page(i), {&byte, 1}));
  const auto mine = read(kLeft);
  const auto theirs = Access::read(*other, page(kLeft), {&byte, 1});
  ASSERT_FALSE(mine);
  ASSERT_FALSE(theirs);
  EXPECT_EQ(mine.error().text().find("space guest:"), 0U) << mine.error().text();
  EXPECT_EQ(theirs.error().text().find("space other:"), 0U) << theirs.error().text();
}

TEST_F(Truncation, AFileThatGrowsAgainIsReadAgain) {
  cut();
  EXPECT_FALSE(read(kLeft));
  file_.resize(kPages * kPage);
  EXPECT_EQ(*read(kLeft), std::byte{0});
}

TEST_F(Truncation, CutsAtAnyMomentNeverSignal) {
  std::atomic<bool> over{false};
  std::thread cutter([&] {
    while (!over) {
      cut();
      file_.resize(kPages * kPage);
    }
  });
  std::vector<std::byte> bytes(kPage);
  int errors = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::uint64_t number = static_cast<std::uint64_t>(round) % kPages;
    if (round % 64 == 0) pmap_->remove(pages(0, kPages));
    if (round % 96 == 0) space_->drop_translations();
    const auto status = round % 3 == 0 ? Access::write(*space_, page(number), bytes)
                                       : Access::read(*space_, page(number), bytes);
    if (status) continue;
    ++errors;
    EXPECT_EQ(status.error().text().find("space guest"), 0U) << status.error().text();
  }
  over = true;
  cutter.join();
  RecordProperty("errors", errors);
}

}  // namespace truncation_test
}  // namespace ept
