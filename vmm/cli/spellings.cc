#include "vmm/cli/spellings.h"

#include <algorithm>
#include <array>
#include <optional>

#include "vmm/config/check_text.h"
#include "vmm/config/nearest.h"
#include "vmm/text.h"

namespace vmm::cli {
namespace {

using namespace config;

using Words = std::vector<std::string>;

struct Rewrite {
  std::string_view from;
  std::string_view to;  // empty: dropped, uvmm does it anyway
};

// Only exact words; QEMU takes one dash and two.
constexpr std::array kRewrites = {
    Rewrite{"-kernel", "--kernel"},   Rewrite{"-initrd", "--initrd"}, Rewrite{"-append", "--cmdline"},
    Rewrite{"-smp", "--cpus"},        Rewrite{"-name", "--name"},     Rewrite{"-nographic", "--nographic"},
    Rewrite{"-enable-kvm", ""},       Rewrite{"--enable-kvm", ""},    Rewrite{"-no-reboot", ""},
    Rewrite{"--no-reboot", ""},       Rewrite{"-help", "--help"},     Rewrite{"-version", "--version"},
    Rewrite{"-config", "--config"},   Rewrite{"-cpus", "--cpus"},     Rewrite{"-memory", "--memory"},
    Rewrite{"-cmdline", "--cmdline"}, Rewrite{"-gdb", "--gdb"},       Rewrite{"-drive", "--disk"},
    Rewrite{"-disk", "--disk"},       Rewrite{"-hda", "--disk"},
};

struct Foreign {
  std::string_view name;  // without dashes; any number of them
  std::string_view answer;
};

constexpr std::string_view kDisk = "nearest: --disk FILE, with ,ro for one that is only read";
constexpr std::string_view kNetwork = "nearest: --net tap=NAME or --net passt";
constexpr std::string_view kNoSocket = "uvmm has Firecracker's API; nearest: --api-socket PATH";
constexpr std::string_view kNoDevice = "uvmm has a fixed set of devices";
constexpr std::string_view kConsole = "nearest: --console stdio or --console none";
constexpr std::string_view kMachine = "uvmm has one machine type; nearest: --irqchip, --memory-backing";
constexpr std::string_view kAlwaysKvm = "uvmm always uses KVM; leave it out";
constexpr std::string_view kSnapshot = "nearest: --restore DIR";

constexpr std::array kForeign = {
    Foreign{"M", kMachine},
    Foreign{"machine", kMachine},
    Foreign{"accel", kAlwaysKvm},
    Foreign{"cpu", "the guest sees the host's processor; nearest: --cpus N"},
    Foreign{"hdb", kDisk},
    Foreign{"cdrom", kDisk},
    Foreign{"blockdev", kDisk},
    Foreign{"netdev", kNetwork},
    Foreign{"nic", kNetwork},
    Foreign{"network", kNetwork},
    Foreign{"n", kNetwork},
    Foreign{"device", kNoDevice},
    Foreign{"vga", kNoDevice},
    Foreign{"balloon", kNoDevice},
    Foreign{"rng", kNoDevice},
    Foreign{"fs", kNoDevice},
    Foreign{"9p", kNoDevice},
    Foreign{"bios", "uvmm starts kernels directly; nearest: --kernel FILE"},
    Foreign{"firmware", "uvmm starts kernels directly; nearest: --kernel FILE"},
    Foreign{"serial", kConsole},
    Foreign{"chardev", kConsole},
    Foreign{"display", kConsole},
    Foreign{"monitor", kConsole},
    Foreign{"qmp", kNoSocket},
    Foreign{"no-api", "there is no API without --api-socket; leave it out"},
    Foreign{"hugepages", "nearest: --huge-pages auto"},
    Foreign{"hugetlbfs", "nearest: --huge-pages auto"},
    Foreign{"object", "nearest: --memory-backing shared"},
    Foreign{"mem-path", "nearest: --memory-backing shared"},
    Foreign{"incoming", kSnapshot},
    Foreign{"loadvm", kSnapshot},
    Foreign{"snapshot", kSnapshot},
    Foreign{"daemonize", "uvmm runs in the foreground; put it behind systemd-run or &"},
};

std::string shown(std::string_view word) {
  constexpr std::size_t kShown = 80;  // bytes of a foreign word that a message repeats
  return "'" + one_line(word.substr(0, kShown)) + (word.size() > kShown ? "…'" : "'");
}

bool is_option(std::string_view word) {
  return word.size() > 1 && word.front() == '-';
}

const Spelling* find(std::span<const Spelling> known, std::string_view name) {
  const auto found = std::ranges::find(known, name, &Spelling::name);
  return found == known.end() ? nullptr : &*found;
}

const Rewrite* find_rewrite(std::string_view word) {
  const auto* found = std::ranges::find(kRewrites, word, &Rewrite::from);
  return found == kRewrites.end() ? nullptr : found;
}

uvm::Error unknown(std::string_view word, std::span<const Spelling> known) {
  const std::string what = shown(word) + " is not an option of uvmm";
  std::string_view bare = word;
  while (bare.starts_with('-')) bare.remove_prefix(1);
  const auto* foreign = std::ranges::find(kForeign, bare, &Foreign::name);
  if (foreign != kForeign.end()) return invalid(what, std::string(foreign->answer));
  std::vector<std::string_view> names;
  for (const Spelling& each : known) {
    if (each.name.starts_with("--")) names.emplace_back(each.name);
  }
  // One dash or two is not what makes a word near.
  const std::string likely = "--" + std::string(bare);
  return invalid(what, "nearest: " + std::string(nearest(likely, names)));
}

uvm::Error stray(std::string_view word) {
  return invalid("unexpected word " + shown(word),
                 "a kernel is given with --kernel FILE, and a value with spaces needs quotes");
}

/// "-m2G" → "-m" and "2G"; only where the rest can't be the rest of a mistyped long option.
std::optional<std::pair<std::string, std::string>> split_glued(std::string_view word,
                                                               std::span<const Spelling> known) {
  if (word.size() < 3 || word[1] == '-') return std::nullopt;
  const Spelling* option = find(known, word.substr(0, 2));
  constexpr std::string_view kStarts = "0123456789/.~";
  if (option == nullptr || option->value.empty() || kStarts.find(word[2]) == std::string_view::npos) {
    return std::nullopt;
  }
  return std::pair(std::string(word.substr(0, 2)), std::string(word.substr(2)));
}

/// "--name=value" → both; also of QEMU's words ("-append=x" isn't QEMU's, but clear).
std::pair<std::string, std::optional<std::string>> split_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos || !word.starts_with("--")) return {std::string(word), std::nullopt};
  return {std::string(word.substr(0, equals)), std::string(word.substr(equals + 1))};
}

/// The walk: one option and its value a step.
class Walk {
 public:
  Walk(std::span<const std::string> words, std::span<const Spelling> known) : words_(words), known_(known) {}

  uvm::Result<Words> run() {
    while (!words_.empty()) UVMM_CHECK(step());
    return std::move(out_);
  }

 private:
  uvm::Status step() {
    const std::string& word = words_.front();
    words_ = words_.subspan(1);
    if (!is_option(word)) return stray(word);
    if (const auto glued = split_glued(word, known_)) return emit(glued->first, glued->second);
    auto [name, value] = split_assignment(word);
    if (const Rewrite* rewrite = find_rewrite(name)) {
      if (rewrite->to.empty()) return uvm::ok();
      name = rewrite->to;
    }
    return emit(name, std::move(value));
  }

  uvm::Status emit(const std::string& name, std::optional<std::string> value) {
    const Spelling* option = find(known_, name);
    if (option == nullptr) return unknown(name, known_);
    if (option->value.empty()) {
      if (value) return invalid(shown(name) + " takes no value", "leave out '=" + one_line(*value) + "'");
      out_.push_back(name);
      return uvm::ok();
    }
    if (!value) {
      UVMM_TRY(value, next_value(*option));
    }
    out_.push_back(name);
    out_.push_back(*std::move(value));
    return uvm::ok();
  }

  uvm::Result<std::string> next_value(const Spelling& option) {
    const std::string what = shown(option.name) + " needs a value, " + option.value;
    if (words_.empty()) return invalid(what, "put it behind the option");
    const std::string& next = words_.front();
    const bool is_other_option = find(known_, next) != nullptr || find_rewrite(next) != nullptr;
    if (is_other_option) {
      return invalid(what + ", and " + shown(next) + " is an option itself",
                     "if the value is meant, put it behind a long option and '='");
    }
    words_ = words_.subspan(1);
    return next;
  }

  std::span<const std::string> words_;
  std::span<const Spelling> known_;
  Words out_;
};

}  // namespace

uvm::Result<Words> normalize(std::span<const std::string> words, std::span<const Spelling> known) {
  return Walk(words, known).run();
}

}  // namespace vmm::cli
