#include "vmm/cli/completion.h"

#include <algorithm>
#include <array>

namespace vmm::cli {
namespace {

/// What a value is, for whoever completes it.
enum class ValueKind { Words, Files, Free };

ValueKind kind_of(const OptionWords& option) {
  if (!option.choices.empty()) return ValueKind::Words;
  constexpr std::array kPaths = {"FILE", "PATH", "DIR", "BASE", "SOCKET"};
  return std::ranges::find(kPaths, option.value) != kPaths.end() ? ValueKind::Files : ValueKind::Free;
}

template <class Range>
std::string joined(const Range& words, std::string_view between) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : std::string(between)) + std::string(word);
  return text;
}

/// In single quotes.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char letter : text) out += letter == '\'' ? "'\\''" : std::string(1, letter);
  return out + "'";
}

std::string without(std::string text, std::string_view letters) {
  std::erase_if(text, [letters](char letter) { return letters.find(letter) != std::string_view::npos; });
  return text;
}

bool takes_machine(const VerbWords& verb) {
  return std::ranges::any_of(
      verb.arguments, [](const std::string& word) { return word.find("MACHINE") != std::string::npos; });
}

std::string names_of(std::span<const VerbWords> verbs) {
  std::vector<std::string> names;
  for (const VerbWords& verb : verbs) names.push_back(verb.name);
  return joined(names, " ");
}

constexpr std::string_view kMachines = R"(uvmm list 2>/dev/null | awk 'NR > 1 { print $1 "-" $2 }')";

/// The cases of one verb: what follows an option, else which options there are.
std::string bash_verb(const VerbWords& verb) {
  std::string values;
  std::vector<std::string> all;
  for (const OptionWords& option : verb.options) {
    all.insert(all.end(), option.names.begin(), option.names.end());
    if (option.value.empty()) continue;
    values += "        " + joined(option.names, "|") + ") ";
    switch (kind_of(option)) {
      case ValueKind::Words:
        values += "words=" + quoted(joined(option.choices, " "));
        break;
      case ValueKind::Files:
        values += "files=1";
        break;
      case ValueKind::Free:
        values += "return";
        break;
    }
    values += " ;;\n";
  }
  const std::string machines = takes_machine(verb) ? "$(" + std::string(kMachines) + ")" : "";
  return "    " + verb.name + ")\n      case $before in\n" + values + "        *) words=\"" +
         joined(all, " ") + (machines.empty() ? "" : " " + machines) + "\" ;;\n      esac ;;\n";
}

std::string bash(std::span<const VerbWords> verbs) {
  std::string text =
      "# bash completion of uvmm; made by `uvmm completion bash`.\n"
      "_uvmm() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words= files=\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W '" +
      names_of(verbs) +
      " --help --version' -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${COMP_WORDS[1]} in\n";
  for (const VerbWords& verb : verbs) text += bash_verb(verb);
  return text +
         "    *) return ;;\n"
         "  esac\n"
         "  if [ -n \"$files\" ]; then\n"
         "    compopt -o filenames 2>/dev/null\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  fi\n"
         "}\n"
         "complete -F _uvmm uvmm\n";
}

std::string zsh_option(const OptionWords& option) {
  const std::string help = without(option.help, "[]:'`");
  std::string all;
  for (const std::string& name : option.names) {
    std::string spec = "*" + name + "[" + help + "]";
    if (!option.value.empty()) {
      spec += ":" + option.value + ":";
      if (kind_of(option) == ValueKind::Files) spec += "_files";
      if (kind_of(option) == ValueKind::Words) spec += "(" + joined(option.choices, " ") + ")";
    }
    all += " \\\n        " + quoted(spec);
  }
  return all;
}

std::string zsh(std::span<const VerbWords> verbs) {
  std::string text =
      "#compdef uvmm\n# made by `uvmm completion zsh`\n_uvmm() {\n  local -a verbs machines\n  verbs=(\n";
  for (const VerbWords& verb : verbs) {
    text += "    " + quoted(verb.name + ":" + without(verb.summary, ":")) + "\n";
  }
  text +=
      "  )\n  if (( CURRENT == 2 )); then\n    _describe verb verbs\n    return\n  fi\n"
      "  local verb=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n";
  for (const VerbWords& verb : verbs) {
    text += "    " + verb.name + ")\n";
    if (takes_machine(verb)) text += "      machines=($(" + std::string(kMachines) + "))\n";
    text += "      _arguments";
    for (const OptionWords& option : verb.options) text += zsh_option(option);
    if (takes_machine(verb)) text += " \\\n        '*:machine:($machines)'";
    text += " ;;\n";
  }
  return text + "  esac\n}\n_uvmm \"$@\"\n";
}

std::string fish(std::span<const VerbWords> verbs) {
  std::string text = "# fish completion of uvmm; made by `uvmm completion fish`.\ncomplete -c uvmm -f\n";
  for (const VerbWords& verb : verbs) {
    text +=
        "complete -c uvmm -n __fish_use_subcommand -a " + verb.name + " -d " + quoted(verb.summary) + "\n";
    const std::string within = "complete -c uvmm -n '__fish_seen_subcommand_from " + verb.name + "'";
    if (takes_machine(verb)) text += within + " -a " + quoted("(" + std::string(kMachines) + ")") + "\n";
    for (const OptionWords& option : verb.options) {
      text += within;
      for (const std::string& name : option.names) {
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (kind_of(option) == ValueKind::Files) text += " -r -F";
      if (kind_of(option) == ValueKind::Words) text += " -x -a " + quoted(joined(option.choices, " "));
      if (kind_of(option) == ValueKind::Free && !option.value.empty()) text += " -x";
      text += " -d " + quoted(option.help) + "\n";
    }
  }
  return text;
}

}  // namespace

uvm::Result<std::string> completion_script(std::string_view shell, std::span<const VerbWords> verbs) {
  if (shell == "bash") return bash(verbs);
  if (shell == "zsh") return zsh(verbs);
  if (shell == "fish") return fish(verbs);
  return uvm::Error(uvm::ErrorKind::Invalid, "there is no completion for that shell",
                    "say bash, zsh or fish");
}

}  // namespace vmm::cli
