#include "vmm/virtio/blk/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "vmm/text.h"

namespace vmm::virtio::blk {
namespace {

/// At single commas; two of them are one of the text.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      words.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      words.back() += text[i++];
    } else {
      words.emplace_back();
    }
  }
  return words;
}

using Setter = uvm::Status (*)(std::string_view value, Options& options);

uvm::Status set_path(std::string_view value, Options& options) {
  if (!options.path.empty()) return not_possible(value, "a disk has one path");
  options.path = value;
  return uvm::ok();
}

uvm::Status set_id(std::string_view value, Options& options) {
  options.id = value;
  return uvm::ok();
}

uvm::Status set_serial(std::string_view value, Options& options) {
  options.serial = value;
  return uvm::ok();
}

uvm::Status set_read_only(std::string_view value, Options& options) {
  const bool yes = value.empty() || value == "on" || value == "true" || value == "yes";
  if (!yes && value != "off" && value != "false" && value != "no") return not_possible(value, "on or off");
  options.access = yes ? DiskAccess::ReadOnly : DiskAccess::ReadWrite;
  return uvm::ok();
}

uvm::Status set_read_write(std::string_view value, Options& options) {
  if (!value.empty()) return not_possible(value, "rw stands alone");
  options.access = DiskAccess::ReadWrite;
  return uvm::ok();
}

uvm::Status set_queues(std::string_view value, Options& options) {
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), options.queues);
  if (error == std::errc() && stop == value.data() + value.size() && options.queues <= kMostQueues) {
    return uvm::ok();
  }
  return not_possible(value, "1 to " + std::to_string(kMostQueues) + ", or 0: one for each vCPU");
}

uvm::Status set_flush(std::string_view value, Options& options) {
  if (value == "honoured" || value == "writeback") {
    options.flush = Flush::Honoured;
  } else if (value == "ignored" || value == "unsafe") {
    options.flush = Flush::Ignored;
  } else {
    return not_possible(value, "flush= takes honoured or ignored; the host's page cache is always used");
  }
  return uvm::ok();
}

uvm::Status set_fork(std::string_view value, Options& options) {
  if (value == "reflink") {
    options.fork = ForkCopy::Reflink;
  } else if (value == "copy") {
    options.fork = ForkCopy::Bytes;
  } else {
    return not_possible(value, "fork= takes reflink or copy");
  }
  return uvm::ok();
}

uvm::Status check_format(std::string_view value, Options& /*options*/) {
  if (value == "raw") return uvm::ok();
  return not_possible(value, "images are raw: qemu-img convert -O raw FILE NEW");
}

uvm::Status check_interface(std::string_view value, Options& /*options*/) {
  if (value == "virtio" || value == "none") return uvm::ok();
  return not_possible(value, "disks are virtio's");
}

uvm::Status check_media(std::string_view value, Options& /*options*/) {
  if (value == "disk") return uvm::ok();
  return not_possible(value, "a disk is all there is; for an ISO image, add ,ro");
}

struct Key {
  std::string_view name;
  Setter set;
  bool stands_alone = false;
};

constexpr std::array kKeys = {
    Key{"path", set_path},
    Key{"file", set_path},
    Key{"ro", set_read_only, true},
    Key{"rw", set_read_write, true},
    Key{"readonly", set_read_only, true},
    Key{"read-only", set_read_only, true},
    Key{"id", set_id},
    Key{"serial", set_serial},
    Key{"queues", set_queues},
    Key{"num_queues", set_queues},
    Key{"num-queues", set_queues},
    Key{"flush", set_flush},
    Key{"cache", set_flush},
    Key{"fork", set_fork},
    Key{"format", check_format},
    Key{"if", check_interface},
    Key{"media", check_media},
};

uvm::Status apply(std::string_view word, Options& options) {
  const std::size_t equals = word.find('=');
  const auto key = std::ranges::find(kKeys, word.substr(0, equals), &Key::name);
  if (key == kKeys.end()) {
    return not_possible(word,
                        "a disk takes ro, id=, serial=, queues=, flush= and fork=; a comma in a path is ,,");
  }
  if (equals == std::string_view::npos) {
    if (key->stands_alone) return key->set({}, options);
    return not_possible(word, "it needs a value: " + std::string(word) + "=…");
  }
  const std::string_view value = word.substr(equals + 1);
  if (value.empty()) return not_possible(word, "it needs a value");
  return key->set(value, options);
}

}  // namespace

uvm::Result<Options> parse_disk(std::string_view text) {
  Options options;
  const std::vector<std::string> words = split(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const auto* const key = std::ranges::find(kKeys, word.substr(0, word.find('=')), &Key::name);
    // A path stands first; one that looks like a key is written path=….
    if (i == 0 && (key == kKeys.end() || word.find('=') == std::string_view::npos)) {
      options.path = word;
    } else {
      UVMM_CHECK(apply(word, options));
    }
  }
  if (options.path.empty()) return not_possible(text, "name the image: --disk FILE");
  return options;
}

std::string usual_id(std::size_t index) {
  return std::string("vd") + static_cast<char>('a' + index % kMostDisks);
}

}  // namespace vmm::virtio::blk
