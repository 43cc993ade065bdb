#include "vmm/debug/translator.h"

#include <utility>

namespace vmm::debug {
namespace {

constexpr std::uint64_t kUserTables = 1U << 12;  // Linux's PTI_USER_PGTABLE_BIT

bool is_upper_half(const PagingState& state, std::uint64_t linear) {
  const PagingMode mode = paging_mode(state);
  return (mode == PagingMode::FourLevel || mode == PagingMode::FiveLevel) && linear >> 63 != 0;
}

}  // namespace

ReadPhysical Translator::reader() {
  return [this](uvm::Gpa gpa) -> uvm::Result<std::uint64_t> {
    std::uint64_t word = 0;
    UVMM_CHECK(memory_.read(gpa, std::as_writable_bytes(std::span(&word, 1))));
    return word;
  };
}

uvm::Result<Translation> Translator::translate_exactly(const PagingState& state, std::uint64_t linear) {
  return walk(state, linear, reader());
}

uvm::Result<Translation> Translator::translate(const PagingState& state,
                                               std::span<const std::uint64_t> others, std::uint64_t linear) {
  PagingState used = state;
  if (override_) used.cr3 = *override_;
  const std::uint64_t page = linear >> uvm::kPageShift;
  Cached& cached = cache_[(page ^ used.cr3 >> uvm::kPageShift) % cache_.size()];
  if (!cached.valid || cached.page != page || cached.state != used) {
    auto found = translate_exactly(used, linear);
    if (!found && !override_ && is_upper_half(state, linear)) {
      std::vector<std::uint64_t> roots{state.cr3 & ~kUserTables};
      roots.insert(roots.end(), others.begin(), others.end());
      if (last_kernel_cr3_) roots.push_back(*last_kernel_cr3_);
      for (auto root = roots.begin(); !found && root != roots.end(); ++root) {
        PagingState there = state;
        there.cr3 = *root;
        if (auto elsewhere = translate_exactly(there, linear)) found = std::move(elsewhere);
      }
    }
    if (!found) return found;
    found->gpa = found->gpa.page_down();
    cached = {true, used, page, *found};
  }
  Translation result = cached.translation;
  result.gpa += linear & (uvm::kPageSize - 1);
  return result;
}

void Translator::override_cr3(std::optional<std::uint64_t> cr3) {
  override_ = cr3;
  forget();
}

}  // namespace vmm::debug
