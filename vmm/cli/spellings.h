// What fingers type, before CLI11 sees it: the spellings of QEMU, kvmtool, Cloud Hypervisor and Firecracker,
// and a clear answer to the options that uvmm doesn't have.
//
// CLI11 reads `-append x` as `-a ppend`, and would complain about the wrong thing. So the words are walked
// once with the list of options at hand: `--name=value` is taken apart, QEMU's single-dash words become ours,
// options of others that ask for what uvmm always does (`-enable-kvm`, `-no-reboot`) are dropped, and
// everything unknown is refused here, with the nearest valid option.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"

namespace vmm::cli {

/// One spelling of an option: "-m" or "--memory".
struct Spelling {
  std::string name;
  std::string value;  // what follows it, "SIZE"; empty when nothing does
};

/// `words` (after the verb) with each option in a spelling of `known`, its value as the next word. Kind
/// Invalid for an option that isn't known, a value that is missing or too much, and any other stray word.
[[nodiscard]] uvm::Result<std::vector<std::string>> normalize(std::span<const std::string> words,
                                                              std::span<const Spelling> known);

}  // namespace vmm::cli
