// The program around a machine: command line, configuration, exit status.
//
//   cli.h            this: from argv to exit status
//   options.h        the command line → Invocation; run_flags.h its table, spellings.h what other VMMs' users
//   type,
//                    help_text.h the prose of --help
//   config_json.h    Firecracker's JSON ↔ MachineConfig; json_member.h one key, json_text.h bytes → tree
//   values.h         sizes, counts and names, one parser for both doors; nearest.h what a mistyped one meant
//   validate.h       the last look before a machine is built
//   run_command.h    `run`; doctor_command.h, builtins_command.h the other verbs; output.h stdout and stderr
//
// Whatever a user gets wrong ends as one line, "uvmm: error: what; way out", on stderr, and a status of
// vmm::ExitStatus. The line says what is wrong, with the value that was given, where (option, key, line and
// column), and the way out: the limits, or the nearest valid name. Nothing foreign reaches the terminal raw.
//
// A user-visible word is written once: options in run_flags.cc, keys in config_json.cc, names of modes in
// values.cc. Both doors fill the same MachineConfig and pass the same validate(), so that what the command
// line refuses the file can't bring in. There are no exceptions below cli but those of the libraries, and
// these are caught where they arise; run_program() catches what is left, which is std::bad_alloc.
#pragma once

namespace vmm::cli {

/// The whole program. Returns the exit status; never throws.
[[nodiscard]] int run_program(int argc, char** argv) noexcept;

}  // namespace vmm::cli
