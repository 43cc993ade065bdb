// `uvmm ctl SOCKET VERB`: a machine's API from the command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmm::cli {

/// For people, or for scripts.
enum class CtlOutput : std::uint8_t { Table, Json };

struct CtlCall {
  std::string socket;
  std::string verb;
  std::vector<std::string> arguments;
  CtlOutput output = CtlOutput::Table;
  std::string html;  // map: the page that is written; empty: none
  std::string diff;  // map, ui: the guest to compare with (an API's or control socket, a name); empty: none
  std::uint16_t port = 0;  // ui: of 127.0.0.1; 0: the system chooses
};

/// "status", "config", …, each with its line of help, for `uvmm ctl --help`.
[[nodiscard]] std::string ctl_verbs_text();

/// Returns the exit status; an error is one line on stderr.
[[nodiscard]] int ctl_command(const CtlCall& call);

}  // namespace vmm::cli
