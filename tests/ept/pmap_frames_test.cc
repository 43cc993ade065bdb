// Frames read and written by their names, past the translations: the debugger's door on the host.
#include <gtest/gtest.h>

#include "tests/ept/ept_support.h"
#include "uvm/access.h"
#include "uvm/space.h"

namespace ept {
namespace pmap_frames_test {

using namespace test;
using uvm::ErrorKind;
using uvm::Frame;
using uvm::Placement;
using uvm::Protection;

class PmapFrames : public testing::TestWithParam<Events> {
 protected:
  void SetUp() override { pmap_ = make_pmap(pages(0, 64), GetParam()); }
  [[nodiscard]] uvm::Status put(Frame frame, std::byte value) {
    return pmap_->write_frame(frame, 0, std::span(&value, 1));
  }
  [[nodiscard]] std::byte get(Frame frame) {
    std::byte value{};
    EXPECT_OK(pmap_->read_frame(frame, 0, std::span(&value, 1)));
    return value;
  }
  std::unique_ptr<Pmap> pmap_;
};

TEST_P(PmapFrames, AWritablePageIsWrittenWhereItIs) {
  ASSERT_OK(pmap_->enter(zero(pages(0, 8))));
  store(*pmap_, 2, std::byte{1});
  const Frame frame = *pmap_->harvest_page(page(2));
  const auto runs = pmap_->run_count();
  EXPECT_OK(put(frame, std::byte{7}));
  EXPECT_EQ(load(*pmap_, 2), std::byte{7});
  EXPECT_EQ(get(frame), std::byte{7});
  EXPECT_EQ(pmap_->run_count(), runs);
  EXPECT_TRUE(pmap_->extract(page(2)));
}

TEST_P(PmapFrames, AReadOnlyPageIsWrittenOutOfSight) {
  const auto object = make_object(8);
  ASSERT_OK(pmap_->enter(exact(pages(0, 8), {object.get(), 0}, Protection::Read)));
  const Frame frame = *pmap_->promote({page(3), Frame{object.get(), 3}, Placement::InPlace});
  EXPECT_OK(put(frame, std::byte{7}));
  ASSERT_OK(pmap_->enter(exact(pages(3, 1), frame, Protection::Read)));
  EXPECT_EQ(load(*pmap_, 3), std::byte{7});
  EXPECT_OK(put(frame, std::byte{8}));
  EXPECT_FALSE(pmap_->extract(page(3))) << "the next access is an event";
  ASSERT_OK(pmap_->enter(exact(pages(3, 1), frame, Protection::Read)));
  EXPECT_EQ(load(*pmap_, 3), std::byte{8});
  EXPECT_EQ(stored_byte(*object, 3), pattern_of(3));
  EXPECT_EQ(load(*pmap_, 4), pattern_of(4));
}

TEST_P(PmapFrames, ObjectsAndArenaPagesAreReadAndWritten) {
  const auto object = make_object(8);
  EXPECT_EQ(get({object.get(), 5}), pattern_of(5));
  EXPECT_OK(put({object.get(), 5}, std::byte{9}));
  EXPECT_EQ(stored_byte(*object, 5), std::byte{9});
  const Frame shared = *pmap_->promote({page(1), Frame{object.get(), 5}, Placement::Shareable});
  EXPECT_OK(put(shared, std::byte{10}));
  EXPECT_EQ(get(shared), std::byte{10});
  EXPECT_EQ(stored_byte(*object, 5), std::byte{9});
  pmap_->release(shared);
  std::byte value{};
  EXPECT_EQ(test::kind_of(pmap_->read_frame({object.get(), 8}, 0, std::span(&value, 1))), ErrorKind::PagerIo);
}

TEST_P(PmapFrames, APageIsFreedOnlyWhenItIsTheSame) {
  const auto object = make_object(8);
  ASSERT_OK(pmap_->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  store(*pmap_, 3, std::byte{1});
  std::vector<std::byte> below(kPage);
  ASSERT_OK(object->read_page(3, below));
  EXPECT_FALSE(pmap_->discard_equal(page(3), below));
  EXPECT_FALSE(pmap_->discard_equal(page(4), below)) << "not private";
  ASSERT_OK(pmap_->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  EXPECT_EQ(load(*pmap_, 3), std::byte{1});
  store(*pmap_, 3, pattern_of(3));
  EXPECT_TRUE(pmap_->discard_equal(page(3), below));
  EXPECT_TRUE(harvested(*pmap_, pages(0, 8)).empty());
  ASSERT_OK(pmap_->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  EXPECT_EQ(load(*pmap_, 3), pattern_of(3));
}

TEST_P(PmapFrames, ADebuggerPlantsAndTakesBack) {
  auto space = *uvm::Space::create("guest", *pmap_, pages(0, 64));
  auto backing = make_object(8);
  const auto* stored = backing.get();
  uvm::MapRequest request;
  request.range = pages(0, 8);
  request.object = uvm::Object::create(std::shared_ptr<uvm::Pager>(std::move(backing)));
  request.protection = Protection::ReadExecute;
  request.name = "text";
  ASSERT_OK(space->map(request));
  EXPECT_EQ(load(*pmap_, 3), pattern_of(3));
  const std::byte planted{0xcc};
  const std::byte original = pattern_of(3);
  EXPECT_OK(uvm::Access::write(*space, page(3) + 9, std::span(&planted, 1), uvm::kDebugger));
  EXPECT_EQ(stored_byte(*stored, 3), pattern_of(3));
  std::byte seen{};
  EXPECT_OK(uvm::Access::read(*space, page(3) + 9, std::span(&seen, 1)));  // resolves the translation
  EXPECT_EQ(seen, planted);
  EXPECT_EQ(load(*pmap_, 3), pattern_of(3)) << "the byte before it";
  EXPECT_EQ(space->reshare(page(3)).value(), uvm::Reshared::Kept);
  EXPECT_OK(uvm::Access::write(*space, page(3) + 9, std::span(&original, 1), uvm::kDebugger));
  EXPECT_EQ(space->reshare(page(3)).value(), uvm::Reshared::Dropped);
  EXPECT_TRUE(harvested(*pmap_, pages(0, 8)).empty());
  EXPECT_OK(space->fault(page(3), uvm::AccessKind::Read));
  EXPECT_EQ(load(*pmap_, 3), pattern_of(3));
}

INSTANTIATE_TEST_SUITE_P(Modes, PmapFrames, testing::Values(Events::WhenPossible, Events::Never),
                         [](const auto& mode) {
                           return mode.param == Events::Never ? "WithoutEvents" : "WithEvents";
                         });

}  // namespace pmap_frames_test
}  // namespace ept
