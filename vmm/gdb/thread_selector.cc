#include "vmm/gdb/thread_selector.h"

#include <limits>

namespace vmm::gdb {
namespace {

std::optional<std::int64_t> scan_id(Scanner& scanner) {
  if (scanner.take("-1")) return ThreadSelector::kAll;
  const auto number = scanner.number();
  if (!number || *number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

}  // namespace

std::optional<ThreadSelector> scan_thread(Scanner& scanner) {
  ThreadSelector selector;
  if (!scanner.take('p')) {
    const auto tid = scan_id(scanner);
    if (!tid) return std::nullopt;
    selector.tid = *tid;
    return selector;
  }
  const auto pid = scan_id(scanner);
  if (!pid) return std::nullopt;
  selector.pid = *pid;
  selector.tid = ThreadSelector::kAll;  // `p1` alone: all of its threads
  if (!scanner.take('.')) return selector;
  const auto tid = scan_id(scanner);
  // One thread of all processes is nonsense.
  if (!tid || (selector.pid == ThreadSelector::kAll && *tid != ThreadSelector::kAll)) return std::nullopt;
  selector.tid = *tid;
  return selector;
}

std::string format_thread(ThreadId id, ThreadForm form) {
  const std::string tid = hex_number(id.tid);
  return form == ThreadForm::Plain ? tid : "p" + hex_number(id.pid) + "." + tid;
}

}  // namespace vmm::gdb
