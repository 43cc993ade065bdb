#include "vmm/cli/flag_set.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace vmm::cli {

void FlagSet::add_to(CLI::App& app) {
  for (std::size_t i = 0; i < flags_.size(); ++i) {
    const RunFlag& flag = flags_[i];
    CLI::Option* option = nullptr;
    if (std::string_view(flag.value).empty()) {
      option = app.add_flag(flag.names, flag.help);
    } else {
      option = app.add_option(flag.names, values_[i], flag.help)->type_name(flag.value);
      option->multi_option_policy(flag.repeat == Repeat::All ? CLI::MultiOptionPolicy::TakeAll
                                                             : CLI::MultiOptionPolicy::TakeLast);
      option->expected(1)->allow_extra_args(false);
    }
    options_.push_back(option->group(flag.group));
  }
}

bool FlagSet::given(std::string_view shown) const {
  return options_[index_of(shown)]->count() > 0;
}

std::size_t FlagSet::index_of(std::string_view shown) const {
  std::size_t i = 0;
  while (flags_[i].shown != shown) ++i;
  return i;
}

uvm::Status FlagSet::apply_to(MachineConfig& config) const {
  for (std::size_t i = 0; i < flags_.size(); ++i) {
    const RunFlag& flag = flags_[i];
    if (options_[i]->count() == 0 || flag.apply == nullptr) continue;
    // A flag without a value is applied once, with none.
    const std::vector<std::string> none(1);
    for (const std::string& value : values_[i].empty() ? none : values_[i]) {
      if (auto applied = flag.apply(value, config); !applied) {
        return std::move(applied).error().with_context(flag.shown);
      }
    }
  }
  return uvm::ok();
}

}  // namespace vmm::cli
