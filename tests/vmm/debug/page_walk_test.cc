#include "vmm/debug/page_walk.h"

#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <random>
#include <string>
#include <vector>

namespace vmm::debug {
namespace page_walk_test {

constexpr std::uint64_t kRoot = 0x10'0000;
constexpr std::uint64_t kRights = 6;  // RW, U/S
constexpr std::uint64_t kNoExecute = std::uint64_t{1} << 63;
constexpr std::uint64_t kPcid = 0xabc;

/// One way of mapping: a mode and the size of its leaf.
struct Shape {
  PagingMode mode;
  unsigned leaf_shift;
  std::vector<unsigned> shifts;  // of every level down to the leaf
  std::vector<std::string> names;
  unsigned entry_bytes;
  std::uint64_t linear;
  std::uint64_t frame;  // what the leaf points at
};
void PrintTo(const Shape& shape, std::ostream* out) {
  *out << to_string(shape.mode) << " leaf 2^" << shape.leaf_shift;
}

/// Sparse guest memory with a builder of tables.
class Tables {
 public:
  explicit Tables(const Shape& shape) : shape_(shape) {
    std::uint64_t table = root();
    for (std::size_t i = 0; i < shape.shifts.size(); ++i) {
      const std::uint64_t index = shape.linear >> shape.shifts[i] & index_mask(i);
      at_.push_back(table + index * shape.entry_bytes);
      const bool leaf = i + 1 == shape.shifts.size();
      const std::uint64_t next = leaf ? shape.frame : table + 0x1'0000;
      const bool large = leaf && shape.leaf_shift != 12;
      const bool bare = shape.mode == PagingMode::Pae && i == 0;  // PAE's top level has no rights
      put(at_.back(), next | (large ? 0x80U : 0U) | (bare ? 0U : kRights) | 1U);
      table = next & ~std::uint64_t{0xfff};
    }
  }

  PagingState state() const {
    PagingState state;
    state.cr3 = root();
    if (shape_.mode == PagingMode::None) return state;
    state.cr0 = std::uint64_t{1} << 31 | 1;
    state.cr4 = 0x10;
    if (shape_.mode != PagingMode::Bits32) state.cr4 |= 0x20;
    if (shape_.mode == PagingMode::FourLevel || shape_.mode == PagingMode::FiveLevel) {
      state.efer = 0x500;
      state.cr3 |= kPcid;
    }
    if (shape_.mode == PagingMode::FiveLevel) state.cr4 |= 0x1000;
    return state;
  }

  std::uint64_t entry_gpa(std::size_t level) const { return at_[level]; }
  std::uint64_t get(std::uint64_t gpa) const {
    const auto found = words_.find(gpa & ~std::uint64_t{7});
    const std::uint64_t word = found == words_.end() ? 0 : found->second;
    if (shape_.entry_bytes == 8) return word;
    return (gpa & 4) != 0 ? word >> 32 : word & 0xffff'ffff;
  }
  void put(std::uint64_t gpa, std::uint64_t value) {
    std::uint64_t& word = words_[gpa & ~std::uint64_t{7}];
    if (shape_.entry_bytes == 8) {
      word = value;
    } else if ((gpa & 4) != 0) {
      word = (word & 0xffff'ffff) | value << 32;
    } else {
      word = (word & ~std::uint64_t{0xffff'ffff}) | (value & 0xffff'ffff);
    }
  }
  ReadPhysical reader() {
    return [this](uvm::Gpa gpa) -> uvm::Result<std::uint64_t> {
      EXPECT_TRUE(gpa.is_aligned(8));
      ++reads_;
      const auto found = words_.find(gpa.value());
      return found == words_.end() ? 0 : found->second;
    };
  }
  std::size_t reads() const { return reads_; }

 private:
  std::uint64_t root() const { return shape_.mode == PagingMode::Pae ? kRoot + 0x20 : kRoot; }
  std::uint64_t index_mask(std::size_t level) const {
    if (shape_.entry_bytes == 4) return 0x3ff;
    return shape_.mode == PagingMode::Pae && level == 0 ? 3 : 0x1ff;
  }

  const Shape shape_;
  std::vector<std::uint64_t> at_;
  std::map<std::uint64_t, std::uint64_t> words_;
  std::size_t reads_ = 0;
};

std::vector<Shape> shapes() {
  const std::vector<std::string> names{"PML5E", "PML4E", "PDPTE", "PDE", "PTE"};
  const std::vector<unsigned> shifts{48, 39, 30, 21, 12};
  std::vector<Shape> all;
  for (const bool five : {false, true}) {
    const auto mode = five ? PagingMode::FiveLevel : PagingMode::FourLevel;
    const auto first = static_cast<std::ptrdiff_t>(five ? 0 : 1);
    for (const std::size_t leaf : {2U, 3U, 4U}) {
      const auto last = static_cast<std::ptrdiff_t>(leaf + 1);
      Shape shape{mode,
                  shifts[leaf],
                  {shifts.begin() + first, shifts.begin() + last},
                  {names.begin() + first, names.begin() + last},
                  8,
                  five ? 0xffab'cdef'1234'5678 : 0xffff'cdef'1234'5678,
                  0};
      shape.frame = 0x000f'edcb'a987'6543U >> shape.leaf_shift << shape.leaf_shift;
      all.push_back(shape);
      shape.linear = 0x0000'1234'5678'9abc;  // the lower half
      all.push_back(shape);
    }
  }
  all.push_back({PagingMode::Pae, 12, {30, 21, 12}, {"PDPTE", "PDE", "PTE"}, 8, 0xc123'4567, 0xf'1234'5000});
  all.push_back({PagingMode::Pae, 21, {30, 21}, {"PDPTE", "PDE"}, 8, 0x8123'4567, 0xf'1220'0000});
  all.push_back({PagingMode::Bits32, 12, {22, 12}, {"PDE", "PTE"}, 4, 0xc123'4567, 0x8765'4000});
  all.push_back({PagingMode::Bits32, 12, {22, 12}, {"PDE", "PTE"}, 4, 0xc163'5567, 0x8765'4000});
  all.push_back({PagingMode::Bits32, 22, {22}, {"PDE"}, 4, 0xc123'4567, 0x8740'0000});
  return all;
}

class PageWalk : public testing::TestWithParam<Shape> {};

TEST_P(PageWalk, FindsTheByte) {
  const Shape& shape = GetParam();
  Tables tables(shape);
  ASSERT_EQ(paging_mode(tables.state()), shape.mode);
  const auto found = walk(tables.state(), shape.linear, tables.reader());
  ASSERT_TRUE(found) << found.error().text();
  const std::uint64_t offset = shape.linear & ((std::uint64_t{1} << shape.leaf_shift) - 1);
  EXPECT_EQ(found->gpa.value(), shape.frame + offset);
  EXPECT_EQ(found->page_bytes, std::uint64_t{1} << shape.leaf_shift);
  EXPECT_TRUE(found->user);
  EXPECT_TRUE(found->writable);
  EXPECT_EQ(tables.reads(), shape.shifts.size()) << "one read a level";
}

TEST_P(PageWalk, RightsAreReportedAndNeverRefuse) {
  const Shape& shape = GetParam();
  for (std::size_t level = 0; level < shape.shifts.size(); ++level) {
    const bool bare = shape.mode == PagingMode::Pae && level == 0;
    for (const std::uint64_t right : {std::uint64_t{2}, std::uint64_t{4}}) {
      Tables tables(shape);
      const std::uint64_t at = tables.entry_gpa(level);
      const std::uint64_t no_execute = shape.entry_bytes == 8 && !bare ? kNoExecute : 0;
      tables.put(at, (tables.get(at) & ~right) | no_execute);
      const auto found = walk(tables.state(), shape.linear, tables.reader());
      ASSERT_TRUE(found) << found.error().text();
      EXPECT_EQ(found->writable, bare || right != 2);
      EXPECT_EQ(found->user, bare || right != 4);
    }
  }
}

TEST_P(PageWalk, AMissingLevelIsNamed) {
  const Shape& shape = GetParam();
  for (std::size_t level = 0; level < shape.shifts.size(); ++level) {
    Tables tables(shape);
    const std::uint64_t at = tables.entry_gpa(level);
    tables.put(at, tables.get(at) & ~std::uint64_t{1});
    const auto found = walk(tables.state(), shape.linear, tables.reader());
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind(), uvm::ErrorKind::NoMapping);
    EXPECT_NE(found.error().text().find("its " + shape.names[level] + " at gpa"), std::string::npos)
        << found.error().text();
    EXPECT_EQ(tables.reads(), level + 1);
  }
}

TEST_P(PageWalk, AnUnreadableTableIsNamed) {
  const Shape& shape = GetParam();
  for (std::size_t level = 0; level < shape.shifts.size(); ++level) {
    Tables tables(shape);
    const auto good = tables.reader();
    const std::uint64_t bad = tables.entry_gpa(level) & ~std::uint64_t{7};
    const auto found = walk(tables.state(), shape.linear, [&](uvm::Gpa gpa) -> uvm::Result<std::uint64_t> {
      if (gpa.value() == bad) return uvm::Error(uvm::ErrorKind::NoMapping, "no RAM there");
      return good(gpa);
    });
    ASSERT_FALSE(found);
    EXPECT_NE(found.error().text().find(shape.names[level]), std::string::npos) << found.error().text();
    EXPECT_NE(found.error().text().find("no RAM there"), std::string::npos);
  }
}

/// Whatever the tables hold, a walk ends after a level each, with a place or an error.
TEST_P(PageWalk, EndsOnRubbish) {
  const Shape& shape = GetParam();
  const auto seed = static_cast<std::uint64_t>(testing::UnitTest::GetInstance()->random_seed());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    Tables tables(shape);
    std::size_t reads = 0;
    const auto found = walk(tables.state(), random(), [&](uvm::Gpa gpa) -> uvm::Result<std::uint64_t> {
      EXPECT_LT(gpa.value(), uvm::kAddressLimit);
      ++reads;
      return random() | 1;
    });
    EXPECT_LE(reads, 5U);
    if (!found) continue;
    EXPECT_LT(found->gpa.value(), uvm::kAddressLimit);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, PageWalk, testing::ValuesIn(shapes()));

TEST(PageWalkModes, FollowTheControlRegisters) {
  PagingState state;
  EXPECT_EQ(paging_mode(state), PagingMode::None);
  state.cr4 = 0x1030;
  state.efer = 0x100;  // LME without LMA
  EXPECT_EQ(paging_mode(state), PagingMode::None) << "nothing counts before CR0.PG";
  state.cr0 = std::uint64_t{1} << 31;
  EXPECT_EQ(paging_mode(state), PagingMode::Pae);
  state.efer = 0x500;
  EXPECT_EQ(paging_mode(state), PagingMode::FiveLevel);
  state.cr4 = 0x20;
  EXPECT_EQ(paging_mode(state), PagingMode::FourLevel);
  state.cr4 = 0;
  EXPECT_EQ(paging_mode(state), PagingMode::Bits32);
}

TEST(PageWalkModes, WithoutPagingAddressesArePhysicalAnd32Bit) {
  const auto refuse = [](uvm::Gpa) -> uvm::Result<std::uint64_t> {
    return uvm::Error(uvm::ErrorKind::Invalid, "nothing to read");
  };
  const auto found = walk(PagingState{}, 0xffff'ffff'8010'0004, refuse);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->gpa.value(), 0x8010'0004U);
}

TEST(PageWalkModes, WithoutPseTheLargeBitOfA32BitEntryIsIgnored) {
  const Shape shape{PagingMode::Bits32, 12, {22, 12}, {"PDE", "PTE"}, 4, 0xc123'4567, 0x8765'4000};
  Tables tables(shape);
  tables.put(tables.entry_gpa(0), tables.get(tables.entry_gpa(0)) | 0x80);
  PagingState state = tables.state();
  state.cr4 = 0;
  const auto found = walk(state, shape.linear, tables.reader());
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->gpa.value(), 0x8765'4567U);
}

TEST(PageWalkModes, Pse36ReachesAbove4G) {
  const Shape shape{PagingMode::Bits32, 22, {22}, {"PDE"}, 4, 0xc123'4567, 0x8740'0000};
  Tables tables(shape);
  tables.put(tables.entry_gpa(0), tables.get(tables.entry_gpa(0)) | std::uint64_t{0x1f} << 13);
  const auto found = walk(tables.state(), shape.linear, tables.reader());
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->gpa.value(), 0x1f'8763'4567U);
}

TEST(PageWalkModes, AddressesThatAreNotCanonicalAreRefused) {
  PagingState state;
  state.cr0 = std::uint64_t{1} << 31;
  state.cr4 = 0x20;
  state.efer = 0x500;
  const auto empty = [](uvm::Gpa) -> uvm::Result<std::uint64_t> { return 0; };
  for (const std::uint64_t bad :
       {0x0000'8000'0000'0000ULL, 0xffff'7fff'ffff'ffffULL, 0xff00'0000'0000'0000ULL}) {
    EXPECT_EQ(walk(state, bad, empty).error().kind(), uvm::ErrorKind::Invalid);
  }
  for (const std::uint64_t good : {0x0000'7fff'ffff'ffffULL, 0xffff'8000'0000'0000ULL}) {
    EXPECT_EQ(walk(state, good, empty).error().kind(), uvm::ErrorKind::NoMapping);
  }
  state.cr4 |= 0x1000;
  EXPECT_EQ(walk(state, 0xff00'0000'0000'0000, empty).error().kind(), uvm::ErrorKind::NoMapping);
  EXPECT_EQ(walk(state, 0x0100'0000'0000'0000, empty).error().kind(), uvm::ErrorKind::Invalid);
}

}  // namespace page_walk_test
}  // namespace vmm::debug
