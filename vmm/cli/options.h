// The command line of uvmm: every word a user can give it, and what they come to.
//
// One table (run_flags.h) holds the options of `run`: names, group, value, help text and what the value does
// to a configuration. The help text, the list of valid names for mistyped ones and the parser all come from
// it. Order of precedence, field by field: defaults, --config FILE, options. A kernel on the command line
// replaces a built-in guest of the file and the other way round; the file's initrd and arguments go with what
// they belong to.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "uvm/base/error.h"
#include "vmm/cli/ctl_command.h"
#include "vmm/cli/remote_command.h"
#include "vmm/cli/top_command.h"
#include "vmm/machine/config.h"

namespace vmm::cli {

enum class Verb : std::uint8_t {
  Run,           // config
  DryRun,        // config, printed
  Doctor,        // doctor
  ListBuiltins,  //
  Remote,        // remote
  Ctl,           // ctl
  Top,           // top
  ShowText,      // text: help or version
};

enum class DoctorOutput : std::uint8_t { Table, Json, CanBootLinux };

/// What one command line asks for.
struct Invocation {
  Verb verb = Verb::ShowText;
  MachineConfig config;  // validated
  DoctorOutput doctor = DoctorOutput::Table;
  RemoteCall remote;
  CtlCall ctl;
  TopOutput top = TopOutput::Live;
  std::string text;
};

/// `words` are argv without the program's name. Reads the file that --config names; else touches nothing.
/// Errors are one line and mean ExitStatus::BadInput.
[[nodiscard]] uvm::Result<Invocation> parse_command_line(std::span<const std::string> words);

}  // namespace vmm::cli
