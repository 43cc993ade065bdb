// Random sequences on the simulated MMU against the reference model, and the machinery that shortens them.
#include <gtest/gtest.h>

#include "tests/support/model/generator.h"
#include "tests/support/model/property.h"
#include "tests/support/model/runner.h"
#include "tests/support/model/shrink.h"
#include "tests/support/model/sim_backend.h"

namespace test {
namespace model_test {

using model::Do;
using model::Op;

TEST(Model, RandomSequencesOnTheSimulatedMmuGiveWhatPlainArraysGive) {
  model::check_random_sequences([] { return std::make_unique<model::SimBackend>(); }, 40'000);
}

TEST(Model, EveryKindOfStepIsDoneAndEveryRefusalHappens) {
  model::SimBackend backend;
  model::Runner runner(backend);
  ASSERT_EQ(runner.run(model::generate(1, 20'000)), std::nullopt);
  for (std::size_t kind = 0; kind < model::kKinds; ++kind) {
    EXPECT_GE(runner.done(static_cast<Do>(kind)), 50U) << "kind " << kind;
  }
  for (const Do kind : {Do::Map, Do::Unmap, Do::Protect, Do::Inherit, Do::Advise, Do::Load, Do::Store,
                        Do::Execute, Do::Read, Do::Write, Do::Fault, Do::Pin, Do::Fork}) {
    EXPECT_GE(runner.refused(kind), 15U) << "kind " << static_cast<int>(kind);
  }
}

TEST(Model, ShrinkingKeepsWhatAFailureNeeds) {
  // A property that only these two steps, in this order and anywhere in the sequence, break.
  const auto fails = [](const std::vector<Op>& ops) {
    bool dropped = false;
    for (const Op& op : ops) {
      dropped |= op.what == Do::Drop;
      if (dropped && op.what == Do::Truncate) return true;
    }
    return false;
  };
  const auto ops = model::generate(1, 500);
  ASSERT_TRUE(fails(ops));
  const auto fewest = model::shrunk(ops, fails);
  ASSERT_EQ(fewest.size(), 2U);
  EXPECT_EQ(fewest[0].what, Do::Drop);
  EXPECT_EQ(fewest[1].what, Do::Truncate);
}

/// Says that a store was done, and does nothing.
class LosingMachine : public model::Machine {
 public:
  explicit LosingMachine(std::unique_ptr<model::Machine> inner) : inner_(std::move(inner)) {}
  uvm::Space& space() override { return inner_->space(); }
  uvm::Result<std::uint64_t> load(uvm::Gpa from) override { return inner_->load(from); }
  uvm::Status store(uvm::Gpa to, std::uint64_t /*value*/) override {
    return inner_->space().fault(to, uvm::AccessKind::Write);
  }
  uvm::Status execute(uvm::Gpa at) override { return inner_->execute(at); }
  std::optional<std::uint64_t> dma_load(uvm::Frame frame, uvm::Gpa at) override {
    return inner_->dma_load(frame, at);
  }
  bool dma_store(uvm::Frame frame, uvm::Gpa at, std::uint64_t value) override {
    return inner_->dma_store(frame, at, value);
  }

 private:
  std::unique_ptr<model::Machine> inner_;
};

class LosingBackend : public model::SimBackend {
 public:
  std::unique_ptr<model::Machine> make(const std::string& name) override {
    return std::make_unique<LosingMachine>(SimBackend::make(name));
  }
};

TEST(Model, ADifferenceIsFoundAndToldAsCode) {
  const auto make = [] { return std::make_unique<LosingBackend>(); };
  const auto ops = model::generate(7, 300);
  ASSERT_NE(model::difference(make, ops), "");
  const auto fewest = model::shrunk(
      ops, [&](const std::vector<Op>& fewer) { return !model::difference(make, fewer).empty(); });
  ASSERT_EQ(fewest.size(), 3U) << model::to_code(fewest);
  EXPECT_EQ(fewest[0].what, Do::Create);
  EXPECT_EQ(fewest[1].what, Do::Map);
  EXPECT_EQ(fewest[2].what, Do::Store);
  EXPECT_NE(model::to_code(fewest).find("{.what = Do::Store"), std::string::npos);
}

}  // namespace model_test
}  // namespace test
