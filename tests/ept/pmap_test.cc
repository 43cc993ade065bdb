// What the pmap contract says, on real host memory, with one thread.
#include "ept/pmap.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "ept/host/file_object.h"
#include "tests/ept/temp_file.h"

namespace ept {
namespace pmap_test {

using namespace test;
using uvm::ErrorKind;
using uvm::Fill;
using uvm::Frame;
using uvm::Placement;
using uvm::Protection;

constexpr auto kShareable = Placement::Shareable;

TEST(Pmap, RefusesRangesItCannotCover) {
  PmapConfig config;
  EXPECT_EQ(test::kind_of(Pmap::create(config)), ErrorKind::Invalid);
  config.covered = *uvm::GpaRange::from_size(uvm::Gpa(1), kPage);
  EXPECT_EQ(test::kind_of(Pmap::create(config)), ErrorKind::Invalid);
  config.covered = *uvm::GpaRange::from_size(uvm::Gpa(kTableLimit), kPage);
  const auto beyond = Pmap::create(config);
  ASSERT_FALSE(beyond);
  EXPECT_NE(beyond.error().text().find("2^48"), std::string::npos);
}

TEST(Pmap, AWindowLinesUpWithItsGuestAddresses) {
  const auto pmap = make_pmap(pages(0x12345, 100));
  EXPECT_EQ(pmap->window_base().value() % kGiB, 0x12345 * kPage % kGiB);
}

TEST(Pmap, AnUntouched64GiBSpaceCostsNextToNothing) {
  const auto pmap = make_pmap(*uvm::GpaRange::from_size(uvm::Gpa(0), 65 * kGiB));
  ASSERT_OK(pmap->enter(zero(*uvm::GpaRange::from_size(uvm::Gpa(0), 3 * kGiB))));
  ASSERT_OK(pmap->enter(zero(*uvm::GpaRange::from_size(uvm::Gpa(4 * kGiB), 61 * kGiB))));
  EXPECT_LT(pmap->metadata_bytes(), 32 * 1024u) << "half of it is set aside";
  EXPECT_EQ(pmap->extract(uvm::Gpa(64 * kGiB))->leaf_size, kGiB);
  store(*pmap, 64 * kGiB / kPage, std::byte{1});
  EXPECT_EQ(pmap->extract(uvm::Gpa(64 * kGiB))->frame->index, 64 * kGiB / kPage);
}

TEST(Pmap, RefusesMalformedMappings) {
  const auto pmap = make_pmap(pages(16, 16));
  const auto object = make_object(4);
  const Frame frame{object.get(), 0};
  EXPECT_EQ(test::kind_of(pmap->enter(zero(pages(15, 2)))), ErrorKind::Invalid);
  EXPECT_EQ(test::kind_of(pmap->enter(zero(pages(16, 0)))), ErrorKind::Invalid);
  EXPECT_EQ(test::kind_of(pmap->enter(zero(pages(16, 1), Protection::Write))), ErrorKind::Invalid);
  EXPECT_EQ(test::kind_of(pmap->enter({pages(16, 1), frame, Fill::Zero, Protection::All})),
            ErrorKind::Invalid);
  EXPECT_EQ(test::kind_of(pmap->enter({pages(16, 1), {}, Fill::Exact, Protection::All})), ErrorKind::Invalid);
  EXPECT_EQ(test::kind_of(pmap->enter({pages(16, 1), frame, Fill::CopyOnWrite, Protection::Read})),
            ErrorKind::Invalid);
}

TEST(Pmap, ForeignPrivatePagesAndUnknownStoresAreRefused) {
  class Strange : public uvm::FrameStore {
    [[nodiscard]] std::string_view name() const override { return "strange"; }
  } strange;
  const auto a = make_pmap(pages(0, 4));
  const auto b = make_pmap(pages(0, 4));
  ASSERT_OK(a->enter(zero(pages(0, 4))));
  const Frame private_page = *a->promote({page(1), std::nullopt, Placement::InPlace});
  EXPECT_EQ(test::kind_of(b->enter(exact(pages(1, 1), private_page))), ErrorKind::Unsupported);
  EXPECT_EQ(test::kind_of(a->enter(exact(pages(2, 1), private_page))), ErrorKind::Invalid);
  EXPECT_EQ(test::kind_of(a->enter(exact(pages(2, 1), {&strange, 0}))), ErrorKind::Unsupported);
  EXPECT_EQ(test::kind_of(a->promote({page(3), Frame{&strange, 0}, kShareable})), ErrorKind::Unsupported);
  EXPECT_EQ(test::kind_of(a->promote({page(4), std::nullopt, Placement::InPlace})), ErrorKind::Invalid);
}

TEST(Pmap, SharedFramesReachTheObject) {
  const auto pmap = make_pmap(pages(100, 50));
  const auto object = make_object(20);
  ASSERT_OK(pmap->enter(exact(pages(110, 20), {object.get(), 0})));
  EXPECT_EQ(load(*pmap, 113), pattern_of(3));
  store(*pmap, 113, std::byte{0xaa});
  EXPECT_EQ(stored_byte(*object, 3), std::byte{0xaa});
  EXPECT_TRUE(harvested(*pmap, pages(100, 50)).empty());
  EXPECT_EQ(pmap->extract(page(114))->frame, (Frame{object.get(), 4}));
}

TEST(Pmap, CopyOnWriteStaysInTheWindow) {
  const auto pmap = make_pmap(pages(0, 50));
  const auto object = make_object(20);
  ASSERT_OK(pmap->enter(copy_on_write(pages(10, 20), {object.get(), 0})));
  EXPECT_EQ(load(*pmap, 15), pattern_of(5));
  EXPECT_FALSE(pmap->harvest_page(page(15)));
  store(*pmap, 15, std::byte{0xbb});
  EXPECT_EQ(stored_byte(*object, 5), pattern_of(5));
  EXPECT_EQ(pmap->harvest_page(page(15))->index, 15u);
  EXPECT_EQ(pmap->extract(page(15))->frame->store->name(), "window");
  EXPECT_EQ(pmap->extract(page(16))->frame, (Frame{object.get(), 6}));
}

TEST(Pmap, EnteringAgainKeepsPrivatePages) {
  const auto pmap = make_pmap(pages(0, 64));
  const auto object = make_object(32);
  ASSERT_OK(pmap->enter(zero(pages(0, 16))));
  ASSERT_OK(pmap->enter(copy_on_write(pages(16, 32), {object.get(), 0})));
  store(*pmap, 3, std::byte{3});
  store(*pmap, 20, std::byte{20});
  const auto runs = pmap->run_count();
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(pmap->enter(zero(pages(0, 16))));
    ASSERT_OK(pmap->enter(copy_on_write(pages(18, 5), {object.get(), 2})));
  }
  EXPECT_EQ(pmap->run_count(), runs);
  EXPECT_EQ(load(*pmap, 3), std::byte{3});
  EXPECT_EQ(load(*pmap, 20), std::byte{20});
}

TEST(Pmap, ANewObjectAtAnOldAddressIsNotTakenForTheOldOne) {
  const auto pmap = make_pmap(pages(0, 4));
  // Allocators hand the same address out again; how often is theirs to say, so several are tried.
  bool met = false;
  for (int i = 0; i < 100 && !met; ++i) {
    auto object = make_object(1);
    const void* const address = object.get();
    ASSERT_OK(pmap->enter(exact(pages(0, 1), {object.get(), 0})));
    object.reset();
    auto fresh = host::RamObject::create("fresh", kPage, host::HugePages::Never);
    ASSERT_TRUE(fresh);
    met = fresh->get() == address;
    ASSERT_OK(pmap->enter(exact(pages(0, 1), {fresh->get(), 0})));
    ASSERT_EQ(load(*pmap, 0), std::byte{0});
  }
  if (!met) GTEST_SKIP() << "no allocation came back at an old address";
}

class PmapModes : public testing::TestWithParam<Events> {
 protected:
  [[nodiscard]] static std::unique_ptr<Pmap> make(uvm::GpaRange covered) {
    return make_pmap(covered, GetParam());
  }
};

TEST_P(PmapModes, ExactHidesPrivatePagesAndTheyComeBack) {
  const auto pmap = make(pages(0, 64));
  const auto object = make_object(32);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 32), {object.get(), 0})));
  store(*pmap, 7, std::byte{0x77});
  ASSERT_OK(pmap->enter(exact(pages(0, 32), {object.get(), 0})));
  EXPECT_EQ(load(*pmap, 7), pattern_of(7));
  EXPECT_EQ(harvested(*pmap, pages(0, 64)), std::vector{pages(7, 1)});
  EXPECT_EQ(pmap->extract(page(7))->frame, (Frame{object.get(), 7}));
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 32), {object.get(), 0})));
  EXPECT_EQ(load(*pmap, 7), std::byte{0x77});
  EXPECT_EQ(load(*pmap, 8), pattern_of(8));
  EXPECT_EQ(pmap->extract(page(7))->frame->index, 7u);
}

TEST_P(PmapModes, PrivatePagesSurviveAChangeOfWhatIsBehindThem) {
  const auto pmap = make(pages(0, 2048));
  const auto object = make_object(1024);
  ASSERT_OK(pmap->enter(zero(pages(0, 1024))));
  store(*pmap, 5, std::byte{5});
  for (std::uint64_t i = 100; i < 700; ++i) store(*pmap, i, pattern_of(i + 1));  // more than 2 MiB in one run
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 1024), {object.get(), 0})));
  EXPECT_EQ(load(*pmap, 5), std::byte{5});
  EXPECT_EQ(load(*pmap, 4), pattern_of(4));
  for (std::uint64_t i = 100; i < 700; ++i) ASSERT_EQ(load(*pmap, i), pattern_of(i + 1)) << i;
  EXPECT_EQ(load(*pmap, 700), pattern_of(700));
  // And what is behind them is the new thing.
  pmap->release(*pmap->harvest_page(page(600)));
  EXPECT_EQ(load(*pmap, 600), pattern_of(600));
}

TEST_P(PmapModes, RemoveKeepsPrivatePagesAndDiscardFreesThem) {
  const auto pmap = make(pages(0, 64));
  ASSERT_OK(pmap->enter(zero(pages(0, 64))));
  for (const std::uint64_t i : {1u, 2u, 40u}) store(*pmap, i, pattern_of(i));
  pmap->remove(pages(0, 64));
  EXPECT_FALSE(pmap->extract(page(1)));
  EXPECT_EQ(harvested(*pmap, pages(0, 64)), (std::vector{pages(1, 2), pages(40, 1)}));
  ASSERT_OK(pmap->enter(zero(pages(0, 30))));
  EXPECT_EQ(load(*pmap, 2), pattern_of(2));
  EXPECT_EQ(load(*pmap, 3), std::byte{0});
  pmap->discard(pages(2, 60));
  EXPECT_EQ(harvested(*pmap, pages(0, 64)), std::vector{pages(1, 1)});
  ASSERT_OK(pmap->enter(zero(pages(0, 64))));
  EXPECT_EQ(load(*pmap, 2), std::byte{0});
  EXPECT_EQ(load(*pmap, 40), std::byte{0});
  EXPECT_EQ(load(*pmap, 1), pattern_of(1));
}

TEST_P(PmapModes, APrivateFrameIsEnteredByItsName) {
  const auto pmap = make(pages(0, 16));
  const auto object = make_object(16);
  ASSERT_OK(pmap->enter(exact(pages(0, 16), {object.get(), 0})));
  const auto frame = pmap->promote({page(6), Frame{object.get(), 6}, Placement::InPlace});
  ASSERT_OK(frame);
  EXPECT_FALSE(pmap->extract(page(6))) << "no translation between promotion and entry";
  ASSERT_OK(pmap->enter(exact(pages(6, 1), *frame)));
  EXPECT_EQ(load(*pmap, 6), pattern_of(6));
  store(*pmap, 6, std::byte{0x66});
  EXPECT_EQ(stored_byte(*object, 6), pattern_of(6)) << "the object is not written";
  EXPECT_EQ(load(*pmap, 5), pattern_of(5));
  EXPECT_EQ(pmap->extract(page(6))->frame, *frame);
  EXPECT_EQ(test::kind_of(pmap->enter(exact(pages(7, 1), *frame + 1))), ErrorKind::Invalid) << "no such page";
}

TEST_P(PmapModes, PromotionInsideACopyOnWriteRangeLeavesItWhole) {
  const auto pmap = make(pages(0, 64));
  const auto object = make_object(64);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 64), {object.get(), 0})));
  const auto runs = pmap->run_count();
  const auto frame = pmap->promote({page(9), Frame{object.get(), 9}, Placement::InPlace});
  ASSERT_OK(frame);
  EXPECT_EQ(pmap->extract(page(9))->frame, *frame);
  EXPECT_EQ(pmap->harvest_page(page(9)), *frame);
  EXPECT_EQ(load(*pmap, 9), pattern_of(9));
  EXPECT_EQ(pmap->run_count(), runs);
}

TEST_P(PmapModes, PromotionOfWhatTheHostPromotedCopiesNothing) {
  const auto pmap = make(pages(0, 8));
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  store(*pmap, 2, std::byte{0x22});
  ASSERT_OK(pmap->promote({page(2), Frame{object.get(), 2}, Placement::InPlace}));
  EXPECT_EQ(load(*pmap, 2), std::byte{0x22});
  ASSERT_OK(pmap->promote({page(2), std::nullopt, Placement::InPlace}));
  EXPECT_EQ(load(*pmap, 2), std::byte{0x22});
}

TEST_P(PmapModes, PromotionFromAnotherSourceCopiesThat) {
  const auto pmap = make(pages(0, 8));
  const auto other = make_pmap(pages(100, 8));
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  ASSERT_OK(other->enter(zero(pages(100, 8))));
  store(*other, 103, std::byte{0x33});
  struct {
    std::uint64_t at;
    std::optional<Frame> source;
    std::byte wanted;
  } const cases[] = {
      {1, Frame{object.get(), 5}, pattern_of(5)},
      {2, std::nullopt, std::byte{0}},
      {3, other->harvest_page(page(103)), std::byte{0x33}},
  };
  for (const auto& [at, source, wanted] : cases) {
    const auto frame = pmap->promote({page(at), source, Placement::InPlace});
    ASSERT_OK(frame);
    ASSERT_OK(pmap->enter(exact(pages(at, 1), *frame)));
    EXPECT_EQ(load(*pmap, at), wanted) << at;
    store(*pmap, at, std::byte{0xcc});
  }
  EXPECT_EQ(load(*other, 103), std::byte{0x33});
  EXPECT_EQ(load(*pmap, 4), pattern_of(4));
}

TEST_P(PmapModes, APageThatIsGoneIsAPagerError) {
  const auto pmap = make(pages(0, 8));
  const auto other = make_pmap(pages(0, 8));
  const auto object = make_object(2);
  EXPECT_EQ(test::kind_of(pmap->promote({page(1), Frame{object.get(), 2}, Placement::InPlace})),
            ErrorKind::PagerIo);
  ASSERT_OK(other->enter(zero(pages(0, 8))));
  const Frame gone = *other->promote({page(1), std::nullopt, Placement::InPlace});
  other->release(gone);
  EXPECT_EQ(test::kind_of(pmap->promote({page(1), gone, kShareable})), ErrorKind::PagerIo);
  EXPECT_EQ((*host::Arena::of_process())->used(), 0u) << "a failed promotion keeps no frame";
}

TEST_P(PmapModes, PopulatingPastTheEndOfAFileIsAPagerError) {
  const auto pmap = make(pages(0, 8));
  const TempFile file(TempFile::patterned(4));
  const auto object = *host::FileObject::open(file.path());
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 4), {object.get(), 0})));
  file.resize(2 * kPage);
  const auto result = pmap->promote({page(3), Frame{object.get(), 3}, Placement::InPlace});
  ASSERT_FALSE(result);
  EXPECT_EQ(test::kind_of(result), ErrorKind::PagerIo);
}

TEST_P(PmapModes, ShareableFramesAreUsableInTwoSpaces) {
  const auto a = make(pages(0, 8));
  const auto b = make(pages(0, 8));
  const auto object = make_object(8);
  ASSERT_OK(a->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  const auto frame = a->promote({page(4), Frame{object.get(), 4}, kShareable});
  ASSERT_OK(frame);
  EXPECT_FALSE(a->extract(page(4)));
  ASSERT_OK(a->enter(exact(pages(4, 1), *frame)));
  ASSERT_OK(b->enter(exact(pages(1, 1), *frame)));
  EXPECT_EQ(load(*b, 1), pattern_of(4));
  store(*a, 4, std::byte{0x44});
  EXPECT_EQ(load(*b, 1), std::byte{0x44});
  EXPECT_TRUE(harvested(*a, pages(0, 8)).empty());
  a->remove(pages(4, 1));
  b->remove(pages(1, 1));
  a->release(*frame);
  EXPECT_EQ((*host::Arena::of_process())->used(), 0u);
}

TEST_P(PmapModes, AShareablePromotionTakesTheHostsPageWithIt) {
  const auto pmap = make(pages(0, 8));
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  store(*pmap, 4, std::byte{0x4d});
  const auto frame = pmap->promote({page(4), Frame{object.get(), 4}, kShareable});
  ASSERT_OK(frame);
  EXPECT_TRUE(harvested(*pmap, pages(0, 8)).empty());
  ASSERT_OK(pmap->enter(exact(pages(4, 1), *frame)));
  EXPECT_EQ(load(*pmap, 4), std::byte{0x4d});
  pmap->release(*frame);
}

TEST_P(PmapModes, ReleaseFreesTheLastReference) {
  const auto pmap = make(pages(0, 8));
  ASSERT_OK(pmap->enter(zero(pages(0, 8))));
  const Frame frame = *pmap->promote({page(3), std::nullopt, Placement::InPlace});
  ASSERT_OK(pmap->enter(exact(pages(3, 1), frame)));
  store(*pmap, 3, std::byte{3});
  pmap->release(frame);
  EXPECT_FALSE(pmap->harvest_page(page(3)));
  EXPECT_FALSE(pmap->extract(page(3)));
  ASSERT_OK(pmap->enter(zero(pages(3, 1))));
  EXPECT_EQ(load(*pmap, 3), std::byte{0});
}

TEST_P(PmapModes, ProtectNeverAddsRights) {
  const auto pmap = make(pages(0, 8));
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(exact(pages(0, 8), {object.get(), 0}, Protection::ReadWrite)));
  pmap->protect(pages(0, 2), Protection::All);
  EXPECT_EQ(pmap->extract(page(0))->rights, Protection::ReadWrite);
  pmap->protect(pages(2, 2), Protection::ReadExecute);
  const auto lowered = pmap->extract(page(2));
  if (lowered) {
    EXPECT_EQ(lowered->rights, Protection::Read);
  }
  pmap->protect(pages(4, 2), Protection::None);
  EXPECT_FALSE(pmap->extract(page(4)));
  EXPECT_EQ(pmap->extract(page(6))->rights, Protection::ReadWrite);
}

TEST_P(PmapModes, ProtectedPrivatePagesKeepTheirBytes) {
  const auto pmap = make(pages(0, 8));
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  store(*pmap, 3, std::byte{0x3e});
  pmap->protect(pages(0, 8), Protection::ReadExecute);
  const Frame frame = *pmap->harvest_page(page(3));
  ASSERT_OK(pmap->enter(exact(pages(3, 1), frame, Protection::Read)));
  EXPECT_EQ(load(*pmap, 3), std::byte{0x3e});
  EXPECT_EQ(pmap->extract(page(3))->rights, Protection::Read);
  EXPECT_EQ(pmap->extract(page(3))->frame, frame);
  ASSERT_OK(pmap->enter(exact(pages(3, 1), frame)));
  store(*pmap, 3, std::byte{0x3f});
  EXPECT_EQ(load(*pmap, 3), std::byte{0x3f});
  EXPECT_EQ(harvested(*pmap, pages(0, 8)), std::vector{pages(3, 1)});
}

TEST_P(PmapModes, ReadOnlySharedFramesBecomeWritableInPlace) {
  const auto pmap = make(pages(0, 8));
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(exact(pages(0, 8), {object.get(), 0}, Protection::Read)));
  EXPECT_EQ(load(*pmap, 3), pattern_of(3));
  ASSERT_OK(pmap->enter(exact(pages(2, 3), {object.get(), 2})));
  store(*pmap, 3, std::byte{0x99});
  EXPECT_EQ(stored_byte(*object, 3), std::byte{0x99});
  ASSERT_OK(pmap->enter(exact(pages(0, 8), {object.get(), 0}, Protection::Read)));
  EXPECT_EQ(load(*pmap, 3), std::byte{0x99});
}

TEST_P(PmapModes, HarvestIsExact) {
  constexpr std::uint64_t kCount = 3000;
  const auto pmap = make(pages(0, kCount));
  const auto object = make_object(kCount / 2);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, kCount / 2), {object.get(), 0})));
  ASSERT_OK(pmap->enter(zero(pages(kCount / 2, kCount / 2))));
  std::vector<bool> written(kCount);
  std::uint64_t random = 12345;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    if ((random >> 60) < 5) {
      store(*pmap, i, std::byte{1});
      written[i] = true;
    } else if ((random >> 60) < 10) {
      (void)load(*pmap, i);
    }
  }
  std::vector<bool> found(kCount);
  pmap->harvest(pages(0, kCount), [&](uvm::GpaRange run, Frame frame) {
    EXPECT_EQ(frame.index, run.begin().page());
    for (std::uint64_t i = 0; i < run.pages(); ++i) found[run.begin().page() + i] = true;
  });
  EXPECT_EQ(found, written);
}

TEST_P(PmapModes, ResidencyTellsPrivateFromShared) {
  const auto pmap = make(pages(0, 16));
  const auto object = make_object(16);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  ASSERT_OK(pmap->enter(exact(pages(8, 8), {object.get(), 8})));
  EXPECT_EQ(pmap->residency(pages(0, 16)).resident, 0u);
  store(*pmap, 1, std::byte{1});
  store(*pmap, 9, std::byte{1});
  const auto sum = pmap->residency(pages(0, 16));
  EXPECT_EQ(sum.priv, kPage);
  EXPECT_GE(sum.shared, kPage);
  EXPECT_EQ(sum.resident, sum.priv + sum.shared);
}

TEST_P(PmapModes, DropAllKeepsPrivatePages) {
  const auto pmap = make(pages(0, 16));
  const auto object = make_object(16);
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  store(*pmap, 1, std::byte{0x11});
  pmap->drop_all();
  EXPECT_FALSE(pmap->extract(page(1)));
  EXPECT_EQ(harvested(*pmap, pages(0, 16)), std::vector{pages(1, 1)});
  ASSERT_OK(pmap->enter(copy_on_write(pages(0, 8), {object.get(), 0})));
  EXPECT_EQ(load(*pmap, 1), std::byte{0x11});
}

/// Whether the kernel would write to the page on our behalf, as KVM does; the byte becomes 0 if so. Only
/// where writes are not watched: there it would wait.
bool is_writable(Pmap& pmap, std::uint64_t number) {
  const int zeros = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const ssize_t got = ::read(zeros, pmap.bytes(pages(number, 1)).data(), 1);
  ::close(zeros);
  return got == 1;
}

TEST(Pmap, WithoutEventsReadOnlyMappingsRefuseWrites) {
  const auto pmap = make_pmap(pages(0, 8), Events::Never);
  const auto object = make_object(8);
  ASSERT_OK(pmap->enter(zero(pages(0, 8))));
  store(*pmap, 1, std::byte{1});
  store(*pmap, 2, std::byte{2});
  ASSERT_OK(pmap->enter(exact(pages(1, 1), *pmap->harvest_page(page(1)), Protection::Read)));
  EXPECT_FALSE(is_writable(*pmap, 1)) << "a private page in view";
  pmap->remove(pages(2, 1));
  ASSERT_OK(pmap->enter(exact(pages(2, 1), *pmap->harvest_page(page(2)), Protection::Read)));
  EXPECT_FALSE(is_writable(*pmap, 2)) << "a private page that came back";
  ASSERT_OK(pmap->enter(exact(pages(3, 1), {object.get(), 3}, Protection::Read)));
  EXPECT_FALSE(is_writable(*pmap, 3)) << "a shared page";
  ASSERT_OK(pmap->enter(zero(pages(4, 1), Protection::Read)));
  EXPECT_FALSE(is_writable(*pmap, 4)) << "zeros";
  pmap->protect(pages(5, 1), Protection::Read);
  EXPECT_FALSE(is_writable(*pmap, 5)) << "protected";
  EXPECT_TRUE(is_writable(*pmap, 6));
  pmap->remove(pages(6, 1));
  EXPECT_FALSE(is_writable(*pmap, 6)) << "removed";
  EXPECT_EQ(load(*pmap, 1), std::byte{1});
  EXPECT_EQ(load(*pmap, 2), std::byte{2});
}

TEST_P(PmapModes, ReadOnlyZerosBecomeWritableInPlace) {
  const auto pmap = make(pages(0, 8));
  ASSERT_OK(pmap->enter(zero(pages(0, 8), Protection::Read)));
  EXPECT_EQ(load(*pmap, 3), std::byte{0});
  EXPECT_TRUE(harvested(*pmap, pages(0, 8)).empty());
  ASSERT_OK(pmap->enter(zero(pages(0, 8))));
  store(*pmap, 3, std::byte{3});
  ASSERT_OK(pmap->enter(zero(pages(0, 8), Protection::Read)));
  pmap->remove(pages(0, 8));
  ASSERT_OK(pmap->enter(zero(pages(0, 8))));
  EXPECT_EQ(load(*pmap, 3), std::byte{3});
  store(*pmap, 4, std::byte{4});
  EXPECT_EQ(harvested(*pmap, pages(0, 8)), std::vector{pages(3, 2)});
}

TEST_P(PmapModes, HugePagesStayInPlaceAndCountAsHuge) {
  const auto pmap = make_pmap(pages(512, 2048), GetParam(), {host::HugePages::Want, 8192});
  ASSERT_OK(pmap->enter(zero(pages(512, 2048))));
  for (const std::uint64_t i : {512u, 1100u, 2000u}) store(*pmap, i, pattern_of(i));
  if (pmap->residency(pages(512, 2048)).huge == 0) GTEST_SKIP() << "the host gives no huge pages";
  pmap->remove(pages(512, 2048));
  ASSERT_OK(pmap->enter(zero(pages(512, 2048))));
  for (const std::uint64_t i : {512u, 1100u, 2000u}) EXPECT_EQ(load(*pmap, i), pattern_of(i));
  EXPECT_GT(pmap->residency(pages(512, 2048)).huge, 0u) << "moving does not split";
}

INSTANTIATE_TEST_SUITE_P(Both, PmapModes, testing::Values(Events::WhenPossible, Events::Never),
                         [](const auto& mode) {
                           return std::string(mode.param == Events::Never ? "Plain" : "Watched");
                         });

TEST(Pmap, TheBudgetOfHostMappingsIsNamed) {
  const auto pmap = make_pmap(pages(0, 1000), Events::WhenPossible, {host::HugePages::Never, 20});
  const auto object = make_object(1000);
  ASSERT_OK(pmap->enter(zero(pages(0, 1000))));
  uvm::Status status = uvm::ok();
  std::uint64_t entered = 0;
  while (status && entered < 100) {
    status = pmap->enter(exact(pages(10 * entered, 1), {object.get(), 7}));
    if (status) ++entered;
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(test::kind_of(status), ErrorKind::NoMemory);
  EXPECT_NE(status.error().text().find("20 host mappings"), std::string::npos) << status.error().text();
  EXPECT_LE(pmap->run_count(), 22u);
  EXPECT_FALSE(pmap->extract(page(10 * entered))) << "after an error: old or no translations";
  EXPECT_EQ(pmap->extract(page(0))->frame, (Frame{object.get(), 7}));
}

TEST(Pmap, ReverseMapsFollow) {
  PvList shared;
  PmapConfig config;
  config.covered = pages(0, 64);
  config.pv_list = &shared;
  auto a = *Pmap::create(config);
  auto b = *Pmap::create(config);
  const auto object = make_object(64);
  ASSERT_OK(a->enter(exact(pages(0, 64), {object.get(), 0})));
  ASSERT_OK(b->enter(copy_on_write(pages(10, 10), {object.get(), 30})));
  EXPECT_EQ(shared.places({object.get(), 35}).size(), 2u);
  a->remove(pages(35, 1));
  EXPECT_EQ(shared.places({object.get(), 35}), (std::vector{PvList::Place{b.get(), page(15)}}));
  ASSERT_OK(b->enter(zero(pages(15, 1))));
  EXPECT_TRUE(shared.places({object.get(), 35}).empty());
  a->drop_all();
  EXPECT_TRUE(shared.places({object.get(), 1}).empty());
  b.reset();
  EXPECT_TRUE(shared.places({object.get(), 31}).empty());
}

TEST(Pmap, StageTwoIsZappedWithoutLocks) {
  class Recorder : public StageTwo {
   public:
    explicit Recorder(Pmap& pmap) : pmap_(pmap) {}
    void zap(uvm::GpaRange range) override {
      zapped.push_back(range);
      (void)pmap_.extract(range.begin());  // would deadlock
    }
    std::vector<uvm::GpaRange> zapped;

   private:
    Pmap& pmap_;
  };
  const auto pmap = make_pmap(pages(16, 16));
  Recorder recorder(*pmap);
  pmap->set_stage_two(&recorder);
  pmap->drop_all();
  EXPECT_EQ(recorder.zapped, std::vector{pages(16, 16)});
}

TEST(Pmap, BytesOutsideAreEmpty) {
  const auto pmap = make_pmap(pages(16, 16));
  EXPECT_TRUE(pmap->bytes(pages(15, 2)).empty());
  EXPECT_EQ(pmap->bytes(pages(16, 2)).size(), 2 * kPage);
}

}  // namespace pmap_test
}  // namespace ept
