// Options from the table of run_flags.h as options of one command line.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/cli/run_flags.h"
#include "vmm/machine/config.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace vmm::cli {

/// Lives at least as long as the App is used.
class FlagSet {
 public:
  explicit FlagSet(std::span<const RunFlag> flags) : flags_(flags), values_(flags.size()) {}
  FlagSet(const FlagSet&) = delete;
  FlagSet& operator=(const FlagSet&) = delete;

  void add_to(CLI::App& app);

  /// After parsing. `shown` is a flag of the set.
  [[nodiscard]] bool given(std::string_view shown) const;
  /// The last value; null: not given.
  [[nodiscard]] const std::string* value_of(std::string_view shown) const {
    return given(shown) ? &values_[index_of(shown)].back() : nullptr;
  }
  /// Puts what was given into `config`. Errors: those of the flag, which is named.
  [[nodiscard]] uvm::Status apply_to(MachineConfig& config) const;

 private:
  [[nodiscard]] std::size_t index_of(std::string_view shown) const;

  const std::span<const RunFlag> flags_;
  std::vector<std::vector<std::string>> values_;  // of the option with the same index
  std::vector<CLI::Option*> options_;
};

}  // namespace vmm::cli
