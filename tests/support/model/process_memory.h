// What the memory of a scribe (guest/programs/scribe.cc) holds: a model of one machine at one moment.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "guest/programs/scribe_layout.h"

namespace test::model {

/// A plain value: a fork, a checkpoint and a snapshot are copies of it.
class ProcessMemory {
 public:
  using Writer = guest::programs::scribe::Writer;

  /// Where the guest is to come to. While it is on the way, its words are known by the step that it has done.
  [[nodiscard]] std::uint64_t target() const { return target_; }
  void set_target(std::uint64_t step) { target_ = step; }

  /// A word of the device's or the debugger's.
  void set(Writer writer, std::uint64_t page, std::uint64_t value) {
    words_[{writer, page}] = {value, value};
  }
  /// One that was being raised up to `value` at that moment.
  void set_up_to(Writer writer, std::uint64_t page, std::uint64_t value) {
    words_[{writer, page}].high = value;
  }

  /// Compares a page's bytes, 512 words, with what they can be when the guest has done step `done`; a value
  /// that was open is known from here on. What is wrong, if anything is.
  [[nodiscard]] std::optional<std::string> compare(std::uint64_t page, const std::uint64_t* words,
                                                   std::uint64_t done);
  /// The guest's sum of all pages at its target; nothing while a word is open.
  [[nodiscard]] std::optional<std::uint64_t> sum() const;

 private:
  struct Span {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
  };
  [[nodiscard]] Span span(Writer writer, std::uint64_t page) const;

  std::uint64_t target_ = 0;
  std::map<std::pair<Writer, std::uint64_t>, Span> words_;  // zeros are left out
};

/// The last step up to `done` in which the guest wrote the page; 0: none.
[[nodiscard]] std::uint64_t last_step_of(std::uint64_t page, std::uint64_t done);

}  // namespace test::model
