// The pmap against a plain model, one thread, every operation in every order.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/ept/ept_support.h"

namespace ept {
namespace pmap_random_test {

using namespace test;
using uvm::Fill;
using uvm::Frame;
using uvm::Placement;
using uvm::Protection;

constexpr std::uint64_t kPages = 96;
constexpr std::uint64_t kObjectPages = 160;

/// What a page of the space is, by the contract.
struct ModelPage {
  std::optional<uvm::Mapping> mapping;  // of this page alone
  std::optional<std::byte> own;         // the private frame's bytes
};

class Model {
 public:
  Model(unsigned seed, Events events) : random_(seed), pmap_(make_pmap(pages(0, kPages), events)) {
    for (auto& object : objects_) object = make_object(kObjectPages);
    for (const auto& object : objects_) {
      for (std::uint64_t i = 0; i < kObjectPages; ++i) bytes_[{object.get(), i}] = pattern_of(i);
    }
  }

  void step() {
    const std::uint64_t first = pick(kPages);
    const std::uint64_t count = 1 + pick(std::min<std::uint64_t>(kPages - first, pick(4) == 0 ? kPages : 6));
    switch (pick(12)) {
      case 0:
      case 1:
        return enter(zero(pages(first, count)));
      case 2:
        return enter(copy_on_write(pages(first, count), some_frame(count)));
      case 3:
        return enter(exact(pages(first, count), some_frame(count)));
      case 4:
        return enter_own(first);
      case 5:
        return remove(first, count);
      case 6:
        return discard(first, count);
      case 7:
        return promote(first);
      case 8:
        return release(first);
      case 9:
        return drop_all();
      default:
        return write(first);
    }
  }

  void check() {
    std::vector<uvm::GpaRange> wanted;
    for (std::uint64_t i = 0; i < kPages; ++i) {
      const ModelPage& model = model_[i];
      if (model.own) {
        if (!wanted.empty() && wanted.back().end() == page(i)) {
          wanted.back() = *uvm::GpaRange::from_bounds(wanted.back().begin(), page(i + 1));
        } else {
          wanted.push_back(pages(i, 1));
        }
      }
      const auto found = pmap_->extract(page(i));
      ASSERT_EQ(found.has_value(), model.mapping.has_value()) << "page " << i;
      if (!found) continue;
      ASSERT_EQ(found->fill, model.mapping->fill) << "page " << i;
      if (sees_own(model)) {
        ASSERT_EQ(found->frame->store->name(), "window") << "page " << i;
        ASSERT_EQ(found->frame->index, i);
      } else {
        ASSERT_EQ(found->frame, model.mapping->first) << "page " << i;
      }
      ASSERT_EQ(load(*pmap_, i), seen(model)) << "page " << i;
    }
    ASSERT_EQ(harvested(*pmap_, pages(0, kPages)), wanted);
    for (const auto& [frame, byte] : bytes_) {
      ASSERT_EQ(stored_byte(static_cast<const host::Backing&>(*static_cast<host::RamObject*>(frame.first)),
                            frame.second),
                byte);
    }
  }

 private:
  std::uint64_t pick(std::uint64_t limit) { return random_() % limit; }
  Frame some_frame(std::uint64_t count) { return {objects_[pick(2)].get(), pick(kObjectPages - count + 1)}; }
  std::pair<host::RamObject*, std::uint64_t> key(Frame frame) const {
    return {frame.store == objects_[0].get() ? objects_[0].get() : objects_[1].get(), frame.index};
  }
  static bool sees_own(const ModelPage& model) {
    return model.own &&
           (model.mapping->fill != Fill::Exact || model.mapping->first->store->name() == "window");
  }
  std::byte seen(const ModelPage& model) const {
    if (sees_own(model)) return *model.own;
    if (!model.mapping->first) return std::byte{0};
    return bytes_.at(key(*model.mapping->first));
  }

  void enter(const uvm::Mapping& mapping) {
    ASSERT_OK(pmap_->enter(mapping));
    for (std::uint64_t i = 0; i < mapping.range.pages(); ++i) {
      uvm::Mapping one = mapping;
      if (one.first) *one.first = *one.first + i;
      model_[mapping.range.begin().page() + i].mapping = one;
    }
  }
  void enter_own(std::uint64_t first) {
    const auto frame = pmap_->harvest_page(page(first));
    ASSERT_EQ(frame.has_value(), model_[first].own.has_value());
    if (!frame) return;
    const Protection rights = pick(2) == 0 ? Protection::All : Protection::Read;
    ASSERT_OK(pmap_->enter(exact(pages(first, 1), *frame, rights)));
    model_[first].mapping = exact(pages(first, 1), *frame, rights);
  }
  void remove(std::uint64_t first, std::uint64_t count) {
    pmap_->remove(pages(first, count));
    for (std::uint64_t i = 0; i < count; ++i) model_[first + i].mapping.reset();
  }
  void discard(std::uint64_t first, std::uint64_t count) {
    pmap_->discard(pages(first, count));
    for (std::uint64_t i = 0; i < count; ++i) model_[first + i] = {};
  }
  void promote(std::uint64_t at) {
    const std::optional<Frame> source = pick(3) == 0 ? std::nullopt : std::optional<Frame>(some_frame(1));
    // As a fault would: from what the page shows.
    const bool fitting = pick(2) == 0 && model_[at].mapping && !sees_own(model_[at]);
    const auto from = fitting ? model_[at].mapping->first : source;
    ASSERT_OK(pmap_->promote({page(at), from, Placement::InPlace}));
    if (!model_[at].own) {
      model_[at].own = from ? bytes_.at(key(*from)) : std::byte{0};
      // In place the page may keep its translation, if the mapping promised the same; otherwise it has none.
      const auto found = pmap_->extract(page(at));
      if (!fitting || model_[at].mapping->fill == Fill::Exact) {
        if (!found) model_[at].mapping.reset();
        return;
      }
    }
    if (!pmap_->extract(page(at))) model_[at].mapping.reset();
  }
  void release(std::uint64_t at) {
    const auto frame = pmap_->harvest_page(page(at));
    if (!frame) return;
    pmap_->release(*frame);
    if (model_[at].mapping && model_[at].mapping->first == frame) model_[at].mapping.reset();
    model_[at].own.reset();
  }
  void drop_all() {
    pmap_->drop_all();
    for (auto& one : model_) one.second.mapping.reset();
  }
  void write(std::uint64_t at) {
    ModelPage& model = model_[at];
    if (!model.mapping || !includes(model.mapping->rights, Protection::Write)) return;
    const auto value = static_cast<std::byte>(1 + pick(250));
    store(*pmap_, at, value);
    if (model.mapping->fill != Fill::Exact || sees_own(model)) {
      model.own = value;
    } else {
      bytes_[key(*model.mapping->first)] = value;
    }
  }

  std::mt19937 random_;
  std::unique_ptr<host::RamObject> objects_[2];
  std::unique_ptr<Pmap> pmap_;  // before the objects go
  std::map<std::uint64_t, ModelPage> model_;
  std::map<std::pair<host::RamObject*, std::uint64_t>, std::byte> bytes_;
};

class PmapRandom : public testing::TestWithParam<Events> {};

TEST_P(PmapRandom, AgreesWithAPlainModel) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed, GetParam());
    for (int step = 0; step < 300; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      model.step();
      if (HasFatalFailure()) return;
      if (step % 3 == 0) model.check();
      if (HasFatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, PmapRandom, testing::Values(Events::WhenPossible, Events::Never),
                         [](const auto& mode) {
                           return std::string(mode.param == Events::Never ? "Plain" : "Watched");
                         });

}  // namespace pmap_random_test
}  // namespace ept
