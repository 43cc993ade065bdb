// Does the steps of a sequence to a backend and to the reference model, and compares.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/model/backend.h"
#include "tests/support/model/op.h"
#include "tests/support/model/reference.h"
#include "uvm/pin.h"

namespace test::model {

class Runner {
 public:
  explicit Runner(Backend& backend) : backend_(backend) {}
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// All steps, and at the end a look at everything. Returns what differs first, with the step.
  [[nodiscard]] std::optional<std::string> run(const std::vector<Op>& ops);
  /// How many steps of a kind were done so far, as opposed to refused or left out; how many were refused.
  [[nodiscard]] std::size_t done(Do what) const { return done_[static_cast<std::size_t>(what)]; }
  [[nodiscard]] std::size_t refused(Do what) const { return refused_[static_cast<std::size_t>(what)]; }

 private:
  void step(const Op& op);
  [[nodiscard]] uvm::Status perform(const Op& op);
  [[nodiscard]] uvm::Status perform_map(const Op& op);
  [[nodiscard]] uvm::Status perform_load(const Op& op);
  [[nodiscard]] uvm::Status perform_access(const Op& op);
  [[nodiscard]] uvm::Status perform_debugger(const Op& op);
  [[nodiscard]] uvm::Status perform_reshare(const Op& op);
  [[nodiscard]] uvm::Status perform_pin(const Op& op);
  [[nodiscard]] uvm::Status perform_fork(const Op& op);
  [[nodiscard]] uvm::Status perform_to_all(const Op& op);
  [[nodiscard]] uvm::Status perform_evict(const Op& op);
  [[nodiscard]] uvm::Status perform_extract(const Op& op);
  [[nodiscard]] uvm::Status perform_discard(const Op& op);
  void transfer(const Op& op);
  [[nodiscard]] bool is_left_out(const Op& op) const;
  void compare(const Op& op, const uvm::Status& status, const Expected& expected);

  /// After every step: one page of each space, and what the pins hold. After all: every page and object.
  void probe(std::uint64_t page);
  void check_page(std::size_t space, std::uint64_t page);
  void check_pins();
  void check_objects();
  void check_all();
  void expect_word(const std::string& place, std::uint64_t seen, std::uint64_t expected);
  void fail(const std::string& what);

  [[nodiscard]] uvm::Gpa at(std::uint64_t page, std::uint64_t word = 0) const;
  [[nodiscard]] uvm::GpaRange range(const Op& op) const;
  [[nodiscard]] uvm::Space& space(const Op& op) { return machines_[op.space]->space(); }
  [[nodiscard]] bool can_transfer(std::size_t pin, std::uint64_t index) const;

  Backend& backend_;
  Reference model_;
  std::array<std::unique_ptr<Machine>, kSpaces> machines_;
  std::array<std::optional<uvm::Pin>, kPins> pins_;
  std::shared_ptr<uvm::PinOwner> owner_ = uvm::PinOwner::create("device");
  std::optional<std::string> failure_;
  std::array<std::size_t, kKinds> done_{};
  std::array<std::size_t, kKinds> refused_{};
};

}  // namespace test::model
