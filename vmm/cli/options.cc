#include "vmm/cli/options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "vmm/cli/command_words.h"
#include "vmm/cli/completion.h"
#include "vmm/cli/flag_set.h"
#include "vmm/cli/help_text.h"
#include "vmm/cli/man_page.h"
#include "vmm/cli/run_flags.h"
#include "vmm/cli/spellings.h"
#include "vmm/config/check_text.h"
#include "vmm/config/config_json.h"
#include "vmm/config/confinement_words.h"
#include "vmm/config/nearest.h"
#include "vmm/config/validate.h"
#include "vmm/config/values.h"
#include "vmm/text.h"

namespace vmm::cli {
namespace {

using namespace config;

using Words = std::span<const std::string>;

/// Every spelling of every option of `app`, for the walk before CLI11.
std::vector<Spelling> spellings_of(const CLI::App& app) {
  std::vector<Spelling> all;
  for (const CLI::Option* option : app.get_options()) {
    const std::string value = option->get_items_expected_max() > 0 ? option->get_type_name() : "";
    for (const std::string& name : option->get_lnames()) all.push_back({"--" + name, value});
    for (const std::string& name : option->get_snames()) all.push_back({"-" + name, value});
  }
  return all;
}

/// Runs CLI11 over `words`; none of its exceptions passes. True: --help was among them.
uvm::Result<bool> parse_plain(CLI::App& app, Words words) {
  std::vector<std::string> reversed(words.rbegin(), words.rend());  // CLI11 takes them from the end
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return true;
  } catch (const CLI::ParseError& failure) {
    return invalid(one_line(failure.what()), "see `" + app.get_name() + " --help`");
  }
  return false;
}

/// The same for a verb that has options only, in whatever spelling.
uvm::Result<bool> parse(CLI::App& app, Words words) {
  UVMM_TRY(const auto normal, normalize(words, spellings_of(app)));
  return parse_plain(app, normal);
}

void prepare(CLI::App& app) {
  app.set_help_flag("-h,--help", "print this text and end");
  app.get_formatter()->column_width(32);
  app.get_formatter()->label("OPTIONS", "options");
}

/// CLI11 puts two empty lines behind every group.
std::string without_double_gaps(std::string text) {
  for (auto at = text.find("\n\n\n"); at != std::string::npos; at = text.find("\n\n\n", at))
    text.erase(at, 1);
  return text;
}

/// `uvmm run`: the table of options as a CLI11 application, with a place for each value.
class RunParser {
 public:
  RunParser() {
    prepare(app_);
    app_.footer(closing_text());
    flags_.add_to(app_);
  }

  [[nodiscard]] std::string help() const { return without_double_gaps(app_.help()); }

  uvm::Result<Invocation> run(Words words) {
    UVMM_TRY(const bool wants_help, parse(app_, words));
    Invocation invocation;
    if (wants_help) {
      invocation.text = help();
      return invocation;
    }
    if (const auto* name = flags_.value_of("--builtin"); name != nullptr && *name == "list") {
      invocation.verb = Verb::ListBuiltins;
      return invocation;
    }
    UVMM_TRY(invocation.config, configuration());
    UVMM_CHECK(waits_for_start(invocation.config) ? validate_so_far(invocation.config)
                                                  : validate(invocation.config));
    invocation.verb = flags_.given("--dry-run") ? Verb::DryRun : Verb::Run;
    return invocation;
  }

 private:
  uvm::Result<MachineConfig> configuration() const {
    MachineConfig config;
    if (const std::string* path = flags_.value_of("--config")) {
      UVMM_TRY(const std::string text, read_config_file(*path));
      auto merged = merge_json(config, text);
      if (!merged) return std::move(merged).error().with_context("configuration " + *path);
      config = *std::move(merged);
    }
    // The file's kernel and what belongs to it go when a built-in guest is asked for, and the other way
    // round.
    if (flags_.given("--builtin") && !flags_.given("--kernel")) config.boot = BootSource{};
    if (flags_.given("--kernel") && !config.boot.builtin.empty()) config.boot = BootSource{};
    UVMM_CHECK(flags_.apply_to(config));
    return config;
  }

  CLI::App app_{"Runs a guest in the foreground until it powers off or resets.", "uvmm run"};
  FlagSet flags_{run_flags()};
};

uvm::Result<Invocation> parse_run(Words words) {
  return RunParser().run(words);
}

uvm::Result<Invocation> parse_doctor(Words words) {
  CLI::App app("Tells what this host can do for a guest, by trying it, and what uvmm will use.",
               "uvmm doctor");
  prepare(app);
  app.footer(
      "\nExit status: 0, or 8 without a usable /dev/kvm; with --can-boot-linux 0 for yes and 3 for no.\n");
  bool json = false;
  bool can_boot = false;
  app.add_flag("--json", json, "the findings as JSON");
  app.add_flag("--can-boot-linux", can_boot, "one line: can an unmodified Linux kernel run here?");
  UVMM_TRY(const bool wants_help, parse(app, words));
  Invocation invocation;
  if (wants_help) {
    invocation.text = without_double_gaps(app.help());
    return invocation;
  }
  if (json && can_boot)
    return invalid("--json and --can-boot-linux don't go together", "leave one of them out");
  invocation.verb = Verb::Doctor;
  if (json) invocation.doctor = DoctorOutput::Json;
  if (can_boot) invocation.doctor = DoctorOutput::CanBootLinux;
  return invocation;
}

uvm::Result<Invocation> parse_list(Words words) {
  CLI::App app("Lists the guests that are part of uvmm, for `uvmm run --builtin NAME`.",
               "uvmm list-builtins");
  prepare(app);
  UVMM_TRY(const bool wants_help, parse(app, words));
  Invocation invocation;
  if (wants_help) {
    invocation.text = without_double_gaps(app.help());
  } else {
    invocation.verb = Verb::ListBuiltins;
  }
  return invocation;
}

/// The options of one verb that speaks to a running machine.
struct RemoteParser {
  explicit RemoteParser(std::string_view verb, const char* what) : app(what, "uvmm " + std::string(verb)) {
    prepare(app);
  }
  CLI::Option* add_machine() {
    return app.add_option("MACHINE", call.machine, "its control socket, its name or its process's number")
        ->required()
        ->type_name("");
  }
  uvm::Result<Invocation> finish(Words words) {
    UVMM_TRY(const bool wants_help, parse_plain(app, words));
    Invocation invocation;
    if (wants_help) {
      invocation.text = without_double_gaps(app.help());
      return invocation;
    }
    invocation.verb = Verb::Remote;
    invocation.remote = std::move(call);
    return invocation;
  }

  CLI::App app;
  RemoteCall call;
};

uvm::Result<Invocation> parse_fork(Words words) {
  RemoteParser parser("fork",
                      "Runs copies of a running machine in this terminal; the machine itself goes on.");
  RemoteCall& call = parser.call;
  call.verb = RemoteVerb::Fork;
  call.config.name.clear();
  parser.add_machine();
  std::string console = "stdio";
  std::string debugger;
  std::string clock = "continue";
  bool paused = false;
  constexpr std::uint32_t kMostChildren = 1024;
  parser.app.add_option("-n", call.count, "how many (default: 1)")
      ->check(CLI::Range(1U, kMostChildren))
      ->type_name("N");
  parser.app.add_option("--console", console, "stdio or none (default: stdio; none for several)")
      ->type_name("WHERE");
  parser.app.add_option("--clock", clock, "continue or host: as of a restored guest (default: continue)")
      ->type_name("POLICY");
  parser.app.add_option("--control", call.config.control.socket, "the copy's control socket, or none")
      ->type_name("PATH");
  std::string seccomp(to_string(call.config.confinement.seccomp));
  std::string landlock(to_string(call.config.confinement.landlock));
  parser.app.add_option("--seccomp", seccomp, "on, log or off, as in `uvmm run`")->type_name("MODE");
  parser.app.add_option("--landlock", landlock, "on or off, as in `uvmm run`")->type_name("MODE");
  parser.app.add_option("--gdb", debugger, "where the copy listens for a debugger, as in `uvmm run`")
      ->type_name("WHERE");
  parser.app.add_option("--name", call.config.name, "the copy's name (default: its parent's)")
      ->type_name("NAME");
  parser.app.add_flag("--paused", paused, "let it wait for `uvmm resume`");
  parser.app.add_flag(
      "--ready", call.ready,
      "make all that can be made before the machine is forked, and\nwait for a line on stdin");
  FlagSet overcommit(overcommit_flags());
  overcommit.add_to(parser.app);
  UVMM_TRY(Invocation invocation, parser.finish(words));
  MachineConfig& config = invocation.remote.config;
  UVMM_CHECK(overcommit.apply_to(config));
  UVMM_TRY(config.console, parse_console(console));
  UVMM_TRY(config.clock, parse_clock(clock));
  UVMM_TRY(config.confinement.seccomp, parse_seccomp(seccomp));
  UVMM_TRY(config.confinement.landlock, parse_landlock(landlock));
  if (paused) config.control.at_start = control::AtStart::Paused;
  if (invocation.remote.count > 1 && !config.control.socket.empty() && config.control.socket != "none") {
    return invalid("several copies can't have one control socket", "leave --control or -n out");
  }
  if (invocation.remote.count > 1 && invocation.remote.ready) {
    return invalid("only one copy can be made ready", "leave --ready or -n out");
  }
  if (debugger.empty()) return invocation;
  if (invocation.remote.count > 1) {
    return invalid("several copies can't have one debugger's socket", "leave --gdb or -n out");
  }
  UVMM_TRY(config.gdb.listen, gdb::parse_listen_address(debugger));
  return invocation;
}

uvm::Result<Invocation> parse_snapshot(Words words) {
  RemoteParser parser("snapshot", "Writes a running machine into a directory; the machine goes on.");
  RemoteCall& call = parser.call;
  call.verb = RemoteVerb::Snapshot;
  std::string shown;
  auto* const info = parser.app.add_option("--info", shown,
                                           "show the snapshot in DIR and those it builds on, and write none");
  info->type_name("DIR");
  std::string collapsed;
  auto* const collapse = parser.app.add_option(
      "--collapse", collapsed, "make the snapshot in DIR stand alone; what it\nbuilds on may go then");
  collapse->excludes(info)->type_name("DIR");
  parser.add_machine()->required(false)->excludes(info)->excludes(collapse);
  parser.app.add_option("DIR", call.directory, "where; a snapshot that is there is replaced as a whole")
      ->excludes(info)
      ->excludes(collapse)
      ->type_name("");
  parser.app
      .add_option("--base", call.base,
                  "write only what differs from the snapshot in BASE,\nwhich has to stay there as it is")
      ->excludes(info)
      ->excludes(collapse)
      ->type_name("BASE");
  parser.app
      .add_flag_callback(
          "--compress", [&call] { call.packing = snapshot::Packing::Zstd; },
          "with zstd: less room and a slower restore, into memory\nthat is shared with no other clone")
      ->excludes(info)
      ->excludes(collapse);
  UVMM_TRY(Invocation invocation, parser.finish(words));
  if (invocation.verb != Verb::Remote) return invocation;
  if (!shown.empty()) {
    invocation.remote.verb = RemoteVerb::SnapshotInfo;
    invocation.remote.directory = std::move(shown);
  } else if (!collapsed.empty()) {
    invocation.remote.verb = RemoteVerb::Collapse;
    invocation.remote.directory = std::move(collapsed);
  } else if (invocation.remote.directory.empty()) {
    return invalid("a snapshot needs a machine and a directory", "write `uvmm snapshot MACHINE DIR`");
  }
  return invocation;
}

/// Verbs of the socket itself.
uvm::Result<Invocation> parse_question(std::string_view verb, Words words) {
  RemoteParser parser(verb, "Says this one word to a running machine.");
  parser.call.verb = RemoteVerb::Ask;
  parser.call.question = verb;
  parser.add_machine();
  if (verb == "checkpoint" || verb == "reset" || verb == "drop") {
    parser.app.add_option("NAME", parser.call.name, "of the checkpoint (default: one without a name)")
        ->type_name("");
  }
  return parser.finish(words);
}

uvm::Result<Invocation> parse_balloon(Words words) {
  RemoteParser parser("balloon",
                      "Shows what a running machine's balloon has, or says how much it is to have.");
  parser.call.verb = RemoteVerb::Balloon;
  parser.add_machine();
  std::string size;
  parser.app.add_option("SIZE", size, "how much the guest is to give back (default: as before)")
      ->type_name("");
  UVMM_TRY(Invocation invocation, parser.finish(words));
  if (!size.empty()) {
    UVMM_TRY(invocation.remote.bytes, config::parse_size(size));
  }
  return invocation;
}

uvm::Result<Invocation> parse_ctl(Words words) {
  CLI::App app("Asks a machine's API, which `uvmm run --api-socket SOCKET` opens.", "uvmm ctl");
  prepare(app);
  app.footer(ctl_verbs_text());
  Invocation invocation;
  bool json = false;
  app.add_flag("--json", json, "the answer as it is, for scripts");
  app.add_option("--html", invocation.ctl.html, "map: a page for a browser, written into FILE")
      ->type_name("FILE");
  app.add_option("--diff", invocation.ctl.diff,
                 "map, ui: compared with MACHINE: an API's or control socket, a name")
      ->type_name("MACHINE");
  app.add_option("--port", invocation.ctl.port,
                 "ui: a port of 127.0.0.1; the system chooses where none is given")
      ->type_name("N");
  app.add_option("SOCKET", invocation.ctl.socket, "the API's socket")->required()->type_name("");
  app.add_option("VERB", invocation.ctl.verb, "see below")->required()->type_name("");
  app.add_option("ARGUMENT", invocation.ctl.arguments, "of the verb")->type_name("");
  UVMM_TRY(const bool wants_help, parse_plain(app, words));
  if (wants_help) {
    invocation.text = without_double_gaps(app.help());
    return invocation;
  }
  invocation.verb = Verb::Ctl;
  if (json) invocation.ctl.output = CtlOutput::Json;
  return invocation;
}

uvm::Result<Invocation> parse_top(Words words) {
  CLI::App app("Shows the guests that run here, what memory they have and what they do, once a second.",
               "uvmm top");
  prepare(app);
  bool once = false;
  bool json = false;
  app.add_flag("--once", once, "one table, and the end; so it is where stdout is no terminal");
  app.add_flag("--json", json, "the same as JSON");
  UVMM_TRY(const bool wants_help, parse(app, words));
  Invocation invocation;
  if (wants_help) {
    invocation.text = without_double_gaps(app.help());
    return invocation;
  }
  invocation.verb = Verb::Top;
  if (once) invocation.top = TopOutput::Once;
  if (json) invocation.top = TopOutput::Json;
  return invocation;
}

template <RemoteVerb verb>
uvm::Result<Invocation> parse_listing(Words words) {
  RemoteParser parser(verb == RemoteVerb::Tree ? "tree" : "list", "Shows the machines that run here.");
  parser.call.verb = verb;
  return parser.finish(words);
}

Invocation show(std::string text) {
  Invocation invocation;
  invocation.text = std::move(text);
  return invocation;
}

/// What CLI11 makes of `run`, without its first lines: the overview has said that.
std::string whole_help() {
  const std::string run = RunParser().help();
  const std::size_t options = run.find("\n" + std::string(run_flags().front().group));
  return overview_text() + "\nOptions of run:\n" + (options == std::string::npos ? run : run.substr(options));
}

/// Verbs that describe the others.
uvm::Result<Invocation> parse_completion(Words words);
uvm::Result<Invocation> parse_man(Words words);

struct VerbEntry {
  std::string_view name;
  uvm::Result<Invocation> (*parse)(Words words);
};

constexpr std::array kVerbs = {
    VerbEntry{"run", parse_run},
    VerbEntry{"doctor", parse_doctor},
    VerbEntry{"list-builtins", parse_list},
    VerbEntry{"fork", parse_fork},
    VerbEntry{"snapshot", parse_snapshot},
    VerbEntry{"checkpoint", [](Words words) { return parse_question("checkpoint", words); }},
    VerbEntry{"reset", [](Words words) { return parse_question("reset", words); }},
    VerbEntry{"drop", [](Words words) { return parse_question("drop", words); }},
    VerbEntry{"pause", [](Words words) { return parse_question("pause", words); }},
    VerbEntry{"resume", [](Words words) { return parse_question("resume", words); }},
    VerbEntry{"status", [](Words words) { return parse_question("status", words); }},
    VerbEntry{"balloon", parse_balloon},
    VerbEntry{"quit", [](Words words) { return parse_question("quit", words); }},
    VerbEntry{"list", parse_listing<RemoteVerb::List>},
    VerbEntry{"tree", parse_listing<RemoteVerb::Tree>},
    VerbEntry{"completion", parse_completion},
    VerbEntry{"man", parse_man},
    VerbEntry{"ctl", parse_ctl},
    VerbEntry{"top", parse_top},
};

/// Each verb's words, out of its own help text.
std::vector<VerbWords> all_words() {
  const std::array<std::string, 1> help = {"--help"};
  std::vector<VerbWords> all;
  for (const VerbEntry& entry : kVerbs) {
    if (const auto told = entry.parse(help)) all.push_back(take_apart(entry.name, told->text));
  }
  return all;
}

uvm::Result<Invocation> parse_completion(Words words) {
  CLI::App app("Prints a completion script, to be put where the shell looks for one.", "uvmm completion");
  prepare(app);
  std::string shell;
  app.add_option("SHELL", shell, "bash, zsh or fish")->required()->type_name("");
  UVMM_TRY(const bool wants_help, parse_plain(app, words));
  if (wants_help) return show(without_double_gaps(app.help()));
  UVMM_TRY(std::string script, completion_script(shell, all_words()));
  return show(std::move(script));
}

uvm::Result<Invocation> parse_man(Words words) {
  CLI::App app("Prints the manual page, for `man -l` or a file named uvmm.1.", "uvmm man");
  prepare(app);
  UVMM_TRY(const bool wants_help, parse_plain(app, words));
  if (wants_help) return show(without_double_gaps(app.help()));
  return show(man_page(all_words(), closing_text()));
}

uvm::Error unknown_verb(const std::string& word) {
  if (word.starts_with('-')) {
    return invalid("the first word must be a verb, not " + one_line(word),
                   "write `uvmm run " + one_line(word) + " …`");
  }
  std::vector<std::string_view> names;
  names.reserve(kVerbs.size());
  for (const VerbEntry& verb : kVerbs) names.push_back(verb.name);
  return invalid("'" + one_line(word.substr(0, 80)) + "' is not a verb of uvmm",
                 "nearest: " + std::string(nearest(word, names)) + "; see `uvmm --help`");
}

}  // namespace

uvm::Result<Invocation> parse_command_line(Words words) {
  if (words.empty()) return invalid("no verb is given", "try `uvmm run -k KERNEL`, or `uvmm --help`");
  const std::string& verb = words.front();
  if (verb == "-h" || verb == "--help" || verb == "-help" || verb == "help") return show(whole_help());
  if (verb == "-V" || verb == "--version" || verb == "-version" || verb == "version")
    return show(version_text());
  for (const VerbEntry& entry : kVerbs) {
    if (entry.name == verb) return entry.parse(words.subspan(1));
  }
  return unknown_verb(verb);
}

}  // namespace vmm::cli
