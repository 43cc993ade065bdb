// The reference model's idea of what a guest has done with.
#include <algorithm>

#include "tests/support/model/reference.h"

namespace test::model {

using uvm::Protection;

bool Reference::is_shown_elsewhere(const Page& page) const {
  const auto shows_it = [&](const Page& other) {
    if (&other == &page) return false;
    if (page.has_layer()) return other.cell == page.cell;
    return other.object == page.object && other.object_page == page.object_page;
  };
  return std::any_of(spaces_.begin(), spaces_.end(), [&](const std::optional<Space>& space) {
    return space && std::any_of(space->begin(), space->end(),
                                [&](const auto& entry) { return shows_it(entry.second); });
  });
}

bool Reference::can_discard(std::size_t space, std::uint64_t number) const {
  const auto found = spaces_[space]->find(number);
  if (found == spaces_[space]->end() || pins_of_page(space, number) != 0) return false;
  const Page& page = found->second;
  if (!includes(page.protection, Protection::Write) || is_shown_elsewhere(page)) return false;
  return page.has_layer() || page.object_page < object(page.object).size();
}

std::uint64_t Reference::discarded(const Op& op) const {
  std::uint64_t pages = 0;
  for (std::uint64_t i = 0; i < op.count; ++i) pages += can_discard(op.space, op.first + i) ? 1U : 0U;
  return pages;
}

void Reference::discard(const Op& op) {
  for (std::uint64_t number = op.first; number < op.first + op.count; ++number) {
    if (!can_discard(op.space, number)) continue;
    const Page& page = spaces_[op.space]->at(number);
    if (page.has_layer()) {
      page.cell->own.reset();
    } else {
      *object(page.object)[page.object_page] = Words{};
    }
  }
}

}  // namespace test::model
