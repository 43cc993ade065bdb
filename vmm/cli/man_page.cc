#include "vmm/cli/man_page.h"

#include <sstream>

#include "version.h"

namespace vmm::cli {
namespace {

/// So that nothing in it is an order to troff.
std::string plain(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '\\') {
      out += "\\e";
    } else if (letter == '-') {
      out += "\\-";
    } else {
      out += letter;
    }
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string option(const OptionWords& words) {
  std::string names;
  for (const std::string& name : words.names) {
    names += (names.empty() ? "" : ", ") + ("\\fB" + plain(name) + "\\fR");
  }
  if (!words.value.empty()) names += " \\fI" + plain(words.value) + "\\fR";
  return ".TP\n" + names + "\n" + plain(words.help) + "\n";
}

std::string verb(const VerbWords& words) {
  std::string text = ".SS uvmm " + plain(words.name);
  for (const std::string& argument : words.arguments) text += " " + plain(argument);
  text += "\n" + plain(words.summary) + "\n";
  std::string group;
  for (const OptionWords& each : words.options) {
    const bool has_groups = words.name == "run";
    if (has_groups && each.group != group) text += ".PP\n\\fI" + plain(each.group) + "\\fR\n";
    group = each.group;
    text += option(each);
  }
  return text;
}

/// As it stands.
std::string verbatim(const std::string& text) {
  std::istringstream lines(text);
  std::string out = ".nf\n";
  for (std::string line; std::getline(lines, line);) out += plain(line) + "\n";
  return out + ".fi\n";
}

}  // namespace

std::string man_page(std::span<const VerbWords> verbs, const std::string& closing) {
  std::string text = ".TH UVMM 1 \"\" \"uvmm " UVMM_VERSION
                     "\" \"User Commands\"\n"
                     ".SH NAME\nuvmm \\- runs guests on KVM whose memory is a virtual\\-memory system\n"
                     ".SH SYNOPSIS\n.B uvmm\n.I VERB\n.RI [ OPTIONS ]\n.SH VERBS\n";
  for (const VerbWords& each : verbs) text += verb(each);
  return text + ".SH NOTES\n" + verbatim(closing);
}

}  // namespace vmm::cli
