#include "vmm/debug/mapped_ranges.h"

#include <utility>

namespace vmm::debug {
namespace {

constexpr std::uint64_t kAddressMask = 0x000f'ffff'ffff'f000;
constexpr unsigned kIndexBits = 9;

class Collector {
 public:
  Collector(const ReadPhysical& read, Merge merge, std::size_t most, unsigned canonical_bits)
      : read_(read), merge_(merge), most_(most), canonical_bits_(canonical_bits) {}

  void table(std::uint64_t gpa, unsigned shift, std::uint64_t linear, MappedRange rights, unsigned entries) {
    for (std::uint64_t i = 0; i < entries && ranges_.size() <= most_; ++i) {
      const auto entry = read_(uvm::Gpa(gpa + 8 * i));
      if (!entry || (*entry & 1) == 0) continue;
      MappedRange below = rights;
      below.user = below.user && (*entry & 4) != 0;
      below.writable = below.writable && (*entry & 2) != 0;
      below.begin = canonical(linear | i << shift);
      below.bytes = std::uint64_t{1} << shift;
      const bool leaf = shift == 12 || (shift <= 30 && (*entry & 0x80) != 0);
      if (leaf) {
        below.gpa = *entry & kAddressMask & ~(below.bytes - 1);
        add(below);
      } else {
        table(*entry & kAddressMask, shift - kIndexBits, linear | i << shift, below, 512);
      }
    }
  }
  std::vector<MappedRange> take() {
    if (ranges_.size() > most_) ranges_.resize(most_);
    return std::move(ranges_);
  }

 private:
  std::uint64_t canonical(std::uint64_t linear) const {
    const unsigned unused = 64 - canonical_bits_;
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(linear << unused) >> unused);
  }
  void add(const MappedRange& leaf) {
    if (!ranges_.empty()) {
      MappedRange& last = ranges_.back();
      const bool next = last.begin + last.bytes == leaf.begin && last.user == leaf.user &&
                        last.writable == leaf.writable &&
                        (merge_ == Merge::SameRights || last.gpa + last.bytes == leaf.gpa);
      if (next) {
        last.bytes += leaf.bytes;
        return;
      }
    }
    ranges_.push_back(leaf);
  }

  const ReadPhysical& read_;
  const Merge merge_;
  const std::size_t most_;
  const unsigned canonical_bits_;
  std::vector<MappedRange> ranges_;
};

}  // namespace

std::vector<MappedRange> mapped_ranges(const PagingState& state, const ReadPhysical& read, Merge merge,
                                       std::size_t most) {
  const MappedRange all{0, 0, 0, true, true};
  switch (paging_mode(state)) {
    case PagingMode::None:
    case PagingMode::Bits32:
      return {};
    case PagingMode::Pae: {
      // The four top entries carry no rights; their RW and U/S bits read as zero.
      Collector collector(read, merge, most, 64);
      for (std::uint64_t i = 0; i < 4; ++i) {
        const auto entry = read(uvm::Gpa((state.cr3 & 0xffff'ffe0) + 8 * i));
        if (entry && (*entry & 1) != 0) collector.table(*entry & kAddressMask, 21, i << 30, all, 512);
      }
      return collector.take();
    }
    case PagingMode::FourLevel: {
      Collector collector(read, merge, most, 48);
      collector.table(state.cr3 & kAddressMask, 39, 0, all, 512);
      return collector.take();
    }
    case PagingMode::FiveLevel: {
      Collector collector(read, merge, most, 57);
      collector.table(state.cr3 & kAddressMask, 48, 0, all, 512);
      return collector.take();
    }
  }
  return {};
}

}  // namespace vmm::debug
