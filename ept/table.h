// The tables of one space: a radix tree of EPT entries from GPA to Leaf.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "ept/entry.h"
#include "uvm/base/range.h"

namespace ept {

/// Four levels, 48 bits of GPA. Each call uses the largest leaves that the alignment of GPA and frame allows;
/// a change of a part of a leaf splinters it, a node that became uniform again collapses into one leaf. Not
/// thread-safe. Ranges are page-aligned and below kTableLimit (the pmap checks).
class Table {
 public:
  Table();
  ~Table();
  Table(Table&& other) noexcept;
  Table& operator=(Table&&) = delete;

  /// The range translates to `first` and what follows it. `first.rights` must not be None.
  void set(uvm::GpaRange range, const Leaf& first);
  void clear(uvm::GpaRange range);
  /// Takes rights away; a leaf left without Read is cleared, and CopyOnWrite without Write becomes Exact.
  void lower(uvm::GpaRange range, uvm::Protection most);
  /// Memory for the next clear() or lower(), which need no other then; a clear() of all that was ever set
  /// needs none. Without it, and in set(), std::bad_alloc comes out, and parts of the range may have changed.
  /// False: there is no memory.
  [[nodiscard]] bool reserve() noexcept;

  struct Hit {
    Leaf leaf;               // of the page that was asked for
    std::uint64_t size = 0;  // bytes of the leaf that holds it
  };
  [[nodiscard]] std::optional<Hit> lookup(uvm::Gpa address) const;
  /// Every leaf that overlaps the range, ascending, cut to the range.
  void for_each(uvm::GpaRange range, const std::function<void(uvm::GpaRange, const Leaf&)>& visit) const;

  /// Host memory of all nodes, bytes.
  [[nodiscard]] std::uint64_t bytes() const { return (nodes_ + spares_) * uvm::kPageSize; }

 private:
  struct Node;
  [[nodiscard]] static Node* node_at(Entry entry);
  [[nodiscard]] Node* make_node();
  [[nodiscard]] Node* take_spare();
  void free_node(Node* node, int level);
  Node* descend(Entry& entry, int level);
  void set_in(Node& node, int level, std::uint64_t base, uvm::GpaRange range, const Leaf& first);
  void clear_in(Node& node, int level, std::uint64_t base, uvm::GpaRange range);
  void lower_in(Node& node, int level, std::uint64_t base, uvm::GpaRange range, uvm::Protection most);
  void visit_in(const Node& node, int level, std::uint64_t base, uvm::GpaRange range,
                const std::function<void(uvm::GpaRange, const Leaf&)>& visit) const;
  void release_child(Entry& entry, int level);
  void collapse(Entry& entry, int level);

  std::uint64_t nodes_ = 0;
  std::uint64_t spares_ = 0;
  Node* spare_ = nullptr;  // the first; its first entry is the next one
  Node* root_;
};

}  // namespace ept
