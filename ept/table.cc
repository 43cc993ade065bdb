#include "ept/table.h"

#include <algorithm>
#include <new>
#include <utility>

namespace ept {
namespace {

/// The part of `range` that entry `index` of a node at `base` covers.
uvm::GpaRange slice(std::uint64_t base, int level, std::uint64_t index) {
  return uvm::GpaRange::from_size(uvm::Gpa(base + index * span_of(level)), span_of(level))
      .value_or(uvm::GpaRange());
}

/// Nodes that a change of rights inside the range can need: at each border a leaf of 1 GiB becomes one of
/// 2 MiB, and that becomes pages.
constexpr std::uint64_t kMostSplintered = 4;

struct Indices {
  std::uint64_t first;
  std::uint64_t last;
};

/// Entries of a node at `base` that `range` (which overlaps it) touches.
Indices touched(std::uint64_t base, int level, uvm::GpaRange range) {
  const std::uint64_t span = span_of(level);
  const std::uint64_t begin = std::max(base, range.begin().value());
  const std::uint64_t last = std::min(base + span * kEntriesPerNode, range.end().value()) - 1;
  return {(begin - base) / span, (last - base) / span};
}

/// `first` translates range.begin(); what translates `at`?
Leaf leaf_at(const Leaf& first, uvm::GpaRange range, uvm::Gpa at) {
  return first.advanced((at - range.begin()) >> uvm::kPageShift);
}

bool fits(const Leaf& leaf, int level) {
  if (level > kTopLeafLevel) return false;
  return !leaf.frame || *leaf.frame % (span_of(level) >> uvm::kPageShift) == 0;
}

/// What `leaf` becomes when rights are taken away; nullopt: nothing.
std::optional<Leaf> lowered(Leaf leaf, uvm::Protection most) {
  leaf.rights = leaf.rights & most;
  if (!uvm::includes(leaf.rights, uvm::Protection::Read)) return std::nullopt;
  if (leaf.fill == uvm::Fill::CopyOnWrite && !uvm::includes(leaf.rights, uvm::Protection::Write)) {
    leaf.fill = uvm::Fill::Exact;
  }
  return leaf;
}

}  // namespace

struct alignas(uvm::kPageSize) Table::Node {
  std::array<Entry, kEntriesPerNode> entries;
};

Table::Node* Table::node_at(Entry entry) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an entry is one word of pointer and flags
  return reinterpret_cast<Node*>(entry.address());
}

Table::Node* Table::make_node() {
  Node* node = new (std::nothrow) Node();
  if (node == nullptr) node = take_spare();
  if (node == nullptr) throw std::bad_alloc();
  ++nodes_;
  return node;
}

Table::Node* Table::take_spare() {
  if (spares_ == 0) return nullptr;
  Node* const node = spare_;
  spare_ = node_at(std::exchange(node->entries.front(), Entry()));
  --spares_;
  return node;
}

bool Table::reserve() noexcept {
  for (; spares_ < kMostSplintered; ++spares_) {
    Node* const node = new (std::nothrow) Node();
    if (node == nullptr) return false;
    node->entries.front() = Entry::node(reinterpret_cast<std::uint64_t>(spare_));
    spare_ = node;
  }
  return true;
}

Table::Table() : root_(make_node()) {}

Table::Table(Table&& other) noexcept
    : nodes_(std::exchange(other.nodes_, 0)),
      spares_(std::exchange(other.spares_, 0)),
      spare_(std::exchange(other.spare_, nullptr)),
      root_(std::exchange(other.root_, nullptr)) {}

Table::~Table() {
  if (root_ != nullptr) free_node(root_, kLevels);
  while (const Node* const spare = take_spare()) delete spare;
}

void Table::free_node(Node* node, int level) {
  if (level > 1) {
    for (const Entry entry : node->entries) {
      if (entry.present() && !entry.is_leaf(level)) free_node(node_at(entry), level - 1);
    }
  }
  --nodes_;
  delete node;
}

void Table::release_child(Entry& entry, int level) {
  if (entry.present() && !entry.is_leaf(level)) free_node(node_at(entry), level - 1);
  entry = Entry();
}

/// The node below `entry`, made when there is none; a leaf is splintered into one that says the same.
Table::Node* Table::descend(Entry& entry, int level) {
  if (entry.present() && !entry.is_leaf(level)) return node_at(entry);
  Node* const node = make_node();
  if (entry.is_leaf(level)) {
    const Leaf leaf = entry.decoded();
    const std::uint64_t step = span_of(level - 1) >> uvm::kPageShift;
    for (std::uint64_t i = 0; i < kEntriesPerNode; ++i) {
      node->entries[i] = Entry::leaf(leaf.advanced(i * step), level - 1);
    }
  }
  entry = Entry::node(reinterpret_cast<std::uint64_t>(node));
  return node;
}

/// Replaces a node whose entries continue each other by one leaf, and an empty one by nothing.
void Table::collapse(Entry& entry, int level) {
  const Node& node = *node_at(entry);
  const int below = level - 1;
  const Entry first = node.entries.front();
  const Entry last = node.entries.back();
  if (!first.present() && !last.present()) {
    const bool empty =
        std::none_of(node.entries.begin(), node.entries.end(), [](Entry e) { return e.present(); });
    if (empty) release_child(entry, level);
    return;
  }
  if (!first.is_leaf(below) || !last.is_leaf(below)) return;
  const Leaf leaf = first.decoded();
  if (!fits(leaf, level)) return;
  const std::uint64_t step = span_of(below) >> uvm::kPageShift;
  // The last entry first: a node that is being filled in order is told apart without a look at the rest.
  for (std::uint64_t i = kEntriesPerNode - 1; i > 0; --i) {
    if (node.entries[i] != Entry::leaf(leaf.advanced(i * step), below)) return;
  }
  release_child(entry, level);
  entry = Entry::leaf(leaf, level);
}

void Table::set(uvm::GpaRange range, const Leaf& first) {
  if (!range.empty()) set_in(*root_, kLevels, 0, range, first);
}

void Table::set_in(Node& node, int level, std::uint64_t base, uvm::GpaRange range, const Leaf& first) {
  const auto [begin, last] = touched(base, level, range);
  for (std::uint64_t i = begin; i <= last; ++i) {
    Entry& entry = node.entries[i];
    const uvm::GpaRange covered = slice(base, level, i);
    if (range.contains(covered)) {
      const Leaf leaf = leaf_at(first, range, covered.begin());
      if (fits(leaf, level)) {
        release_child(entry, level);
        entry = Entry::leaf(leaf, level);
        continue;
      }
    }
    set_in(*descend(entry, level), level - 1, covered.begin().value(), range, first);
    collapse(entry, level);
  }
}

void Table::clear(uvm::GpaRange range) {
  if (!range.empty()) clear_in(*root_, kLevels, 0, range);
}

void Table::clear_in(Node& node, int level, std::uint64_t base, uvm::GpaRange range) {
  const auto [begin, last] = touched(base, level, range);
  for (std::uint64_t i = begin; i <= last; ++i) {
    Entry& entry = node.entries[i];
    if (!entry.present()) continue;
    const uvm::GpaRange covered = slice(base, level, i);
    if (range.contains(covered)) {
      release_child(entry, level);
      continue;
    }
    clear_in(*descend(entry, level), level - 1, covered.begin().value(), range);
    collapse(entry, level);
  }
}

void Table::lower(uvm::GpaRange range, uvm::Protection most) {
  if (!range.empty()) lower_in(*root_, kLevels, 0, range, most);
}

void Table::lower_in(Node& node, int level, std::uint64_t base, uvm::GpaRange range, uvm::Protection most) {
  const auto [begin, last] = touched(base, level, range);
  for (std::uint64_t i = begin; i <= last; ++i) {
    Entry& entry = node.entries[i];
    if (!entry.present()) continue;
    const uvm::GpaRange covered = slice(base, level, i);
    if (entry.is_leaf(level)) {
      const Leaf leaf = entry.decoded();
      const auto less = lowered(leaf, most);
      if (less == leaf) continue;
      if (range.contains(covered)) {
        entry = less ? Entry::leaf(*less, level) : Entry();
        continue;
      }
    }
    lower_in(*descend(entry, level), level - 1, covered.begin().value(), range, most);
    collapse(entry, level);
  }
}

std::optional<Table::Hit> Table::lookup(uvm::Gpa address) const {
  if (address.value() >= kTableLimit) return std::nullopt;
  const Node* node = root_;
  for (int level = kLevels; level >= 1; --level) {
    const std::uint64_t span = span_of(level);
    const Entry entry = node->entries[address.value() / span % kEntriesPerNode];
    if (!entry.present()) return std::nullopt;
    if (entry.is_leaf(level)) {
      const std::uint64_t inside = (address.value() & (span - 1)) >> uvm::kPageShift;
      return Hit{entry.decoded().advanced(inside), span};
    }
    node = node_at(entry);
  }
  return std::nullopt;
}

void Table::for_each(uvm::GpaRange range,
                     const std::function<void(uvm::GpaRange, const Leaf&)>& visit) const {
  if (!range.empty()) visit_in(*root_, kLevels, 0, range, visit);
}

void Table::visit_in(const Node& node, int level, std::uint64_t base, uvm::GpaRange range,
                     const std::function<void(uvm::GpaRange, const Leaf&)>& visit) const {
  const auto [begin, last] = touched(base, level, range);
  for (std::uint64_t i = begin; i <= last; ++i) {
    const Entry entry = node.entries[i];
    if (!entry.present()) continue;
    const uvm::GpaRange covered = slice(base, level, i);
    if (!entry.is_leaf(level)) {
      visit_in(*node_at(entry), level - 1, covered.begin().value(), range, visit);
      continue;
    }
    const uvm::GpaRange part = covered.intersection(range);
    visit(part, entry.decoded().advanced((part.begin() - covered.begin()) >> uvm::kPageShift));
  }
}

}  // namespace ept
