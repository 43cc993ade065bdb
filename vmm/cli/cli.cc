#include "vmm/cli/cli.h"

#include <exception>
#include <new>
#include <string>
#include <vector>

#include "vmm/cli/builtins_command.h"
#include "vmm/cli/ctl_command.h"
#include "vmm/cli/doctor_command.h"
#include "vmm/cli/options.h"
#include "vmm/cli/output.h"
#include "vmm/cli/remote_command.h"
#include "vmm/cli/run_command.h"
#include "vmm/cli/top_command.h"

namespace vmm::cli {
namespace {

int dispatch(const Invocation& invocation) {
  switch (invocation.verb) {
    case Verb::Run:
      return run_command(invocation.config);
    case Verb::DryRun:
      return dry_run_command(invocation.config);
    case Verb::Doctor:
      return doctor_command(invocation.doctor);
    case Verb::ListBuiltins:
      return list_builtins_command();
    case Verb::Remote:
      return remote_command(invocation.remote);
    case Verb::Ctl:
      return ctl_command(invocation.ctl);
    case Verb::Top:
      return top_command(invocation.top);
    case Verb::ShowText:
      return static_cast<int>(print(invocation.text));
  }
  return static_cast<int>(ExitStatus::Internal);
}

}  // namespace

int run_program(int argc, char** argv) noexcept try {
  ensure_standard_descriptors();
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  const auto invocation = parse_command_line(words);
  if (!invocation) {
    print_error(invocation.error().text());
    return static_cast<int>(ExitStatus::BadInput);
  }
  return dispatch(*invocation);
} catch (const std::bad_alloc&) {
  print_error("out of memory");
  return static_cast<int>(ExitStatus::Internal);
} catch (const std::exception& failure) {
  print_error(failure.what());
  return static_cast<int>(ExitStatus::Internal);
} catch (...) {
  print_error("an unknown exception");
  return static_cast<int>(ExitStatus::Internal);
}

}  // namespace vmm::cli
