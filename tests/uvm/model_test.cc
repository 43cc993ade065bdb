// Random operations on several spaces, checked against the reference model after every step.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/uvm/fixture.h"
#include "tests/uvm/model_reference.h"

namespace test {
namespace {

using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::Protection;

constexpr std::uint64_t kPages = 48;        // of each space
constexpr std::uint64_t kObjectPages = 24;  // of each object

class ModelTest : public ::testing::Test {
 protected:
  struct Pair {
    std::unique_ptr<Guest> guest;
    std::unique_ptr<ModelSpace> model;
  };

  void start(std::uint64_t seed, std::size_t spaces) {
    random.seed(seed);
    for (std::uint64_t i = 0; i < 3; ++i) {
      auto pager = std::make_shared<FakePager>("object", kObjectPages * kPage, 1000 * (i + 1));
      if (i == 2) pager->answer_at_most(3);
      ModelObject copy(kObjectPages);
      for (std::uint64_t p = 0; p < kObjectPages; ++p) fill_pattern(copy[p], 1000 * (i + 1) + p);
      models.push_back(std::move(copy));
      objects.push_back(uvm::Object::create(pager));
      pagers.push_back(std::move(pager));
    }
    for (std::size_t i = 0; i < spaces; ++i) {
      pairs.push_back({std::make_unique<Guest>(arena, "guest" + std::to_string(i)),
                       std::make_unique<ModelSpace>(models)});
    }
  }

  std::uint64_t below(std::uint64_t limit) { return random() % limit; }
  Protection some_protection() {
    constexpr Protection kSome[] = {Protection::None, Protection::Read, Protection::ReadWrite,
                                    Protection::ReadExecute, Protection::All};
    return kSome[below(5)];
  }

  void step() {
    Pair& pair = pairs[below(pairs.size())];
    switch (below(18)) {
      case 0:
      case 1:
        return map(pair);
      case 2:
        return unmap(pair);
      case 3:
        return protect(pair);
      case 4:
        return pair.guest->space->drop_translations();
      case 5:
        return wire_fault(pair);
      case 6:
        return advise(pair);
      case 7:
      case 8:
        return access(pair);
      case 9:
        if (below(3) == 0) fork(pair);
        return;
      default:
        return cpu_access(pair);
    }
  }

  void map(Pair& pair) {
    const std::uint64_t first = below(kPages);
    const std::uint64_t count = 1 + below(kPages - first);
    uvm::MapRequest request = ram(pages(first, count), below(2) != 0 ? "ram" : "other");
    ModelPage mapped;
    mapped.protection = request.protection = some_protection();
    mapped.max_protection = request.max_protection = request.protection | some_protection();
    mapped.object = static_cast<int>(below(4)) - 1;
    if (mapped.object >= 0) {
      mapped.object_page = below(kObjectPages);
      request.object = objects[static_cast<std::size_t>(mapped.object)];
      request.offset = uvm::ObjectOffset(mapped.object_page * kPage);
    }
    mapped.sharing = request.sharing = below(3) == 0 ? uvm::Sharing::Shared : uvm::Sharing::Private;
    constexpr uvm::Inherit kSome[] = {uvm::Inherit::Share, uvm::Inherit::Share, uvm::Inherit::Copy,
                                      uvm::Inherit::Copy,  uvm::Inherit::Copy,  uvm::Inherit::Copy,
                                      uvm::Inherit::None,  uvm::Inherit::Zero};
    mapped.inherit = request.inherit = kSome[below(8)];
    request.advice = below(4) == 0 ? uvm::Advice::Random : uvm::Advice::Normal;
    request.overlap = below(2) != 0 ? uvm::Overlap::Replace : uvm::Overlap::Refuse;
    auto& known = pair.model->pages;
    const auto there = known.lower_bound(first);
    const bool overlaps = there != known.end() && there->first < first + count;
    const auto status = pair.guest->space->map(request);
    if (overlaps && request.overlap == uvm::Overlap::Refuse) {
      EXPECT_ERROR(status, ErrorKind::Busy);
      return;
    }
    EXPECT_OK(status);
    for (std::uint64_t p = 0; p < count; ++p) {
      mapped.cell = std::make_shared<ModelCell>();
      known[first + p] = mapped;
      ++mapped.object_page;
    }
  }

  void unmap(Pair& pair) {
    const std::uint64_t first = below(kPages);
    const std::uint64_t count = 1 + below(std::min<std::uint64_t>(8, kPages - first));
    EXPECT_OK(pair.guest->space->unmap(pages(first, count)));
    for (std::uint64_t p = 0; p < count; ++p) pair.model->pages.erase(first + p);
  }

  void protect(Pair& pair) {
    const std::uint64_t first = below(kPages);
    const std::uint64_t count = 1 + below(std::min<std::uint64_t>(8, kPages - first));
    const Protection wanted = some_protection();
    bool has_hole = false;
    bool is_beyond = false;
    for (std::uint64_t p = first; p < first + count; ++p) {
      const auto found = pair.model->pages.find(p);
      has_hole |= found == pair.model->pages.end();
      is_beyond |= found != pair.model->pages.end() && !includes(found->second.max_protection, wanted);
    }
    const auto status = pair.guest->space->protect(pages(first, count), wanted);
    if (has_hole || is_beyond) {
      EXPECT_ERROR(status, has_hole ? ErrorKind::NoMapping : ErrorKind::Protection);
      return;
    }
    EXPECT_OK(status);
    for (std::uint64_t p = first; p < first + count; ++p) pair.model->pages[p].protection = wanted;
  }

  /// Another space ends, and a child of this one takes its place.
  void fork(Pair& parent) {
    bool is_refused = false;
    auto model = std::make_unique<ModelSpace>(models);
    for (const auto& [at, mapped] : parent.model->pages) {
      is_refused |= mapped.inherit == uvm::Inherit::Copy && mapped.object >= 0 &&
                    mapped.sharing == uvm::Sharing::Shared &&
                    includes(mapped.max_protection, Protection::Write);
      if (auto inherited = inherit(mapped)) model->pages.emplace(at, std::move(*inherited));
    }
    if (is_refused) {
      SimMmu mmu(Guest::kBytes, &arena);
      EXPECT_ERROR(parent.guest->space->fork("refused", mmu), ErrorKind::Unsupported);
      return;
    }
    Pair& child = pairs[below(pairs.size())];
    if (&child == &parent) return;
    child.guest = nullptr;
    child.guest = std::make_unique<Guest>(arena, "child", *parent.guest);
    child.model = std::move(model);
    ++forks;
  }

  static std::optional<ModelPage> inherit(const ModelPage& mapped) {
    ModelPage child = mapped;
    switch (mapped.inherit) {
      case uvm::Inherit::None:
        return std::nullopt;
      case uvm::Inherit::Share:
        return child;
      case uvm::Inherit::Copy:
        child.cell = std::make_shared<ModelCell>();
        if (mapped.cell->bytes) child.cell->bytes = std::make_unique<PageBytes>(*mapped.cell->bytes);
        if (mapped.object < 0) child.sharing = uvm::Sharing::Private;
        return child;
      case uvm::Inherit::Zero:
        child.cell = std::make_shared<ModelCell>();
        child.object = -1;
        child.sharing = uvm::Sharing::Private;
        return child;
    }
    return std::nullopt;
  }

  void advise(Pair& pair) {
    const std::uint64_t first = below(kPages);
    (void)pair.guest->space->advise(pages(first, 1),
                                    below(2) != 0 ? uvm::Advice::Random : uvm::Advice::Normal);
  }

  /// Wiring faults copy pages ahead of time; nobody may see a difference in the bytes.
  void wire_fault(Pair& pair) {
    const std::uint64_t at = below(kPages);
    const auto kind = below(2) != 0 ? uvm::FaultKind::Wire : uvm::FaultKind::WireMax;
    const auto status = pair.guest->space->fault(page(at), AccessKind::Read, kind);
    const auto found = pair.model->pages.find(at);
    if (!status || found == pair.model->pages.end()) return;
    // From now on the page is what it was at this moment, whatever happens to the object.
    const ModelPage& mapped = found->second;
    const Protection most = kind == uvm::FaultKind::Wire ? mapped.protection : mapped.max_protection;
    const bool is_layered = mapped.object < 0 || mapped.sharing == uvm::Sharing::Private;
    if (is_layered && includes(most, Protection::Write)) (void)pair.model->writable(at);
  }

  void access(Pair& pair) {
    const std::uint64_t at = below(kPages);
    const std::uint64_t offset = below(kPage - 64);
    const bool writes = below(2) != 0;
    std::array<std::byte, 64> bytes{};
    fill_pattern(bytes, random());
    const auto error = pair.model->error(at, writes ? AccessKind::Write : AccessKind::Read);
    auto& space = *pair.guest->space;
    const auto status = writes ? uvm::Access::write(space, page(at) + offset, bytes)
                               : uvm::Access::read(space, page(at) + offset, bytes);
    if (error) {
      EXPECT_ERROR(status, *error) << "page " << at;
      return;
    }
    EXPECT_OK(status);
    finish(pair, at, offset, writes, bytes);
    // The simulated host makes private what it shows for access, if it may: see bytes() there.
    const ModelPage& mapped = pair.model->pages[at];
    const bool is_layered = mapped.object < 0 || mapped.sharing == uvm::Sharing::Private;
    if (is_layered && pair.guest->mmu.harvest_page(page(at))) (void)pair.model->writable(at);
  }

  void cpu_access(Pair& pair) {
    const std::uint64_t at = below(kPages);
    const std::uint64_t offset = below(kPage - 64);
    const bool writes = below(2) != 0;
    std::array<std::byte, 64> bytes{};
    fill_pattern(bytes, random());
    const auto error = pair.model->error(at, writes ? AccessKind::Write : AccessKind::Read);
    const auto status = writes ? pair.guest->cpu.write(page(at) + offset, bytes)
                               : pair.guest->cpu.read(page(at) + offset, bytes);
    if (error) {
      EXPECT_ERROR(status, *error) << "page " << at;
      return;
    }
    EXPECT_OK(status);
    finish(pair, at, offset, writes, bytes);
  }

  void finish(Pair& pair, std::uint64_t at, std::uint64_t offset, bool writes,
              const std::array<std::byte, 64>& bytes) {
    if (writes) {
      std::copy(bytes.begin(), bytes.end(), pair.model->writable(at).begin() + static_cast<long>(offset));
      return;
    }
    const PageBytes& expected = pair.model->bytes(at);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin() + static_cast<long>(offset)))
        << pair.guest->space->name() << " page " << at << " offset " << offset;
  }

  /// Every byte of every page that can be read.
  void check_all() {
    for (Pair& pair : pairs) {
      for (std::uint64_t at = 0; at < kPages; ++at) {
        PageBytes seen{};
        const auto status = pair.guest->cpu.read(page(at), seen);
        if (const auto error = pair.model->error(at, AccessKind::Read)) {
          EXPECT_ERROR(status, *error) << "page " << at;
        } else {
          EXPECT_OK(status);
          EXPECT_EQ(seen, pair.model->bytes(at)) << pair.guest->space->name() << " page " << at;
        }
      }
    }
    for (std::size_t i = 0; i < pagers.size(); ++i) {
      for (std::uint64_t p = 0; p < kObjectPages; ++p) {
        const auto bytes = pagers[i]->store().page(p);
        EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), models[i][p].begin()))
            << "object " << i << ":" << p;
      }
    }
  }

  std::mt19937_64 random;
  SimArena arena;
  std::vector<ModelObject> models;
  std::vector<std::shared_ptr<FakePager>> pagers;
  std::vector<std::shared_ptr<uvm::Object>> objects;
  std::vector<Pair> pairs;
  int forks = 0;
};

TEST_F(ModelTest, RandomOperationsGiveWhatPlainArraysGive) {
  start(test_seed(), 4);
  for (int i = 0; i < 6000 && !HasFailure(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    step();
    if (i % 100 == 99) check_all();
  }
  EXPECT_GT(forks, 3);
}

}  // namespace
}  // namespace test
