#include "tests/support/fake_pager.h"

#include <algorithm>
#include <utility>

#include "tests/support/patterns.h"

namespace test {

FakePager::FakePager(std::string name, std::uint64_t bytes, std::uint64_t seed, uvm::Protection most)
    : store_(std::move(name), (bytes + uvm::kPageSize - 1) / uvm::kPageSize), bytes_(bytes), most_(most) {
  if (seed == 0) return;
  for (std::uint64_t i = 0; i < store_.pages(); ++i) fill_pattern(store_.page(i), seed + i);
}

void FakePager::fail_page(std::uint64_t page, uvm::ErrorKind kind) {
  failure_ = kind;
  failing_page_ = page;
}

uvm::Result<uvm::FrameRun> FakePager::get(const uvm::PagerRequest& request) {
  ++gets_;
  if (request.access == uvm::AccessKind::Write) ++writes_asked_;
  if (hook_) hook_(request);
  const std::uint64_t first = request.offset.page();
  const std::uint64_t pages = (bytes_ + uvm::kPageSize - 1) / uvm::kPageSize;
  if (first >= pages) return uvm::Error(uvm::ErrorKind::EndOfObject, "past the end");
  const std::uint64_t failing = failing_page_;
  if (first == failing) return uvm::Error(failure_, "injected failure");
  std::uint64_t count = std::min({request.pages, pages - first, longest_.load()});
  if (failing > first) count = std::min(count, failing - first);
  return uvm::FrameRun{store_.frame(first), count};
}

}  // namespace test
