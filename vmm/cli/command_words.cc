#include "vmm/cli/command_words.h"

#include <regex>
#include <sstream>

namespace vmm::cli {
namespace {

/// "  -m,--memory,--mem SIZE     RAM, with K, M …" without what only a person looks at.
bool read_option(const std::string& line, OptionWords& option) {
  static const std::regex form(
      R"(^  (-[^ ]*)(?: ([^ ]+))?(?: REQUIRED)?(?: \.\.\.)?(?: Excludes: .*)?(?:  +(.*))?$)");
  std::smatch match;
  if (!std::regex_match(line, match, form)) return false;
  std::istringstream names(match[1]);
  for (std::string name; std::getline(names, name, ',');) option.names.push_back(name);
  option.value = match[2];
  option.help = match[3];
  return true;
}

void finish(OptionWords& option) {
  option.choices = option.value.empty() ? std::vector<std::string>() : choices_in(option.help);
}

/// "Usage: uvmm fork [options] MACHINE [DIR]" → MACHINE, [DIR]
std::vector<std::string> arguments_in(const std::string& line) {
  std::istringstream words(line);
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) {
    static const std::regex form(R"(\[?[A-Z]+\]?)");
    if (std::regex_match(word, form)) arguments.push_back(word);
  }
  return arguments;
}

}  // namespace

std::vector<std::string> choices_in(const std::string& help) {
  static const std::regex form(R"((?:^|: )((?:[a-z0-9-]+, )*[a-z0-9-]+ or [a-z0-9-]+)\b)");
  std::smatch match;
  std::vector<std::string> choices;
  if (!std::regex_search(help, match, form)) return choices;
  const std::string list = match[1];
  static const std::regex between(", | or ");
  for (std::sregex_token_iterator each(list.begin(), list.end(), between, -1);
       each != std::sregex_token_iterator(); ++each) {
    choices.push_back(*each);
  }
  return choices;
}

VerbWords take_apart(std::string_view verb, std::string_view help) {
  VerbWords words;
  words.name = verb;
  std::istringstream lines{std::string(help)};
  std::string group;
  for (std::string line; std::getline(lines, line);) {
    if (words.summary.empty()) words.summary = line;
    if (line.starts_with("Usage: ")) words.arguments = arguments_in(line);
    if (!line.empty() && line.front() != ' ' && line.ends_with(':')) group = line.substr(0, line.size() - 1);
    OptionWords option;
    if (read_option(line, option)) {
      option.group = group;
      words.options.push_back(std::move(option));
    } else if (!words.options.empty() && line.starts_with("      ")) {
      OptionWords& last = words.options.back();
      last.help += (last.help.empty() ? "" : " ") + line.substr(line.find_first_not_of(' '));
    } else if (words.options.empty() == false && line.starts_with("Exit status")) {
      break;
    }
  }
  for (OptionWords& option : words.options) finish(option);
  return words;
}

}  // namespace vmm::cli
