// The words of the command line, for those who describe it to shells and people: completion, manual page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmm::cli {

/// One option of a verb, as its help text has it.
struct OptionWords {
  std::vector<std::string> names;    // "-k", "--kernel"
  std::string value;                 // "FILE"; empty when nothing follows
  std::string help;                  // one line
  std::vector<std::string> choices;  // of the value, where the help text lists them
  std::string group;
};

struct VerbWords {
  std::string name;
  std::string summary;                 // one sentence
  std::vector<std::string> arguments;  // "MACHINE", "[DIR]"
  std::vector<OptionWords> options;
};

/// What `uvmm VERB --help` prints, taken apart: so that there is one place where options are told of.
[[nodiscard]] VerbWords take_apart(std::string_view verb, std::string_view help);

/// "on, log or off: …" → on, log, off; empty when a text does not begin so, or go on so behind a colon.
[[nodiscard]] std::vector<std::string> choices_in(const std::string& help);

}  // namespace vmm::cli
