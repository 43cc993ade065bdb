// The reference model: what each space must read at each address, with plain arrays and no cleverness.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/protection.h"

namespace test {

using PageBytes = std::array<std::byte, uvm::kPageSize>;

/// The private page of a mapping at one address, if it has one; two spaces that share it hold the same cell.
struct ModelCell {
  std::unique_ptr<PageBytes> bytes;
};

struct ModelPage {
  uvm::Protection protection = uvm::Protection::All;
  uvm::Protection max_protection = uvm::Protection::All;
  uvm::Sharing sharing = uvm::Sharing::Private;
  uvm::Inherit inherit = uvm::Inherit::Copy;
  int object = -1;  // -1: zeros
  std::uint64_t object_page = 0;
  std::shared_ptr<ModelCell> cell = std::make_shared<ModelCell>();
};

using ModelObject = std::vector<PageBytes>;

class ModelSpace {
 public:
  explicit ModelSpace(std::vector<ModelObject>& objects) : objects_(&objects) {}

  /// What an access of that kind to a page gives: nothing, or the kind of error.
  [[nodiscard]] std::optional<uvm::ErrorKind> error(std::uint64_t page, uvm::AccessKind access) const {
    const auto found = pages.find(page);
    if (found == pages.end()) return uvm::ErrorKind::NoMapping;
    if (!includes(found->second.protection, needed(access))) return uvm::ErrorKind::Protection;
    const ModelPage& mapped = found->second;
    const bool is_own = mapped.cell->bytes != nullptr;
    if (mapped.object >= 0 && !is_own && mapped.object_page >= object_of(mapped).size()) {
      return uvm::ErrorKind::EndOfObject;
    }
    return std::nullopt;
  }

  /// The bytes a mapped page shows.
  [[nodiscard]] const PageBytes& bytes(std::uint64_t page) const {
    static const PageBytes zeros{};
    const ModelPage& mapped = pages.at(page);
    if (mapped.cell->bytes) return *mapped.cell->bytes;
    return mapped.object >= 0 ? object_of(mapped)[mapped.object_page] : zeros;
  }

  /// Where a write to the page goes.
  [[nodiscard]] PageBytes& writable(std::uint64_t page) {
    ModelPage& mapped = pages.at(page);
    if (mapped.object >= 0 && mapped.sharing == uvm::Sharing::Shared) {
      return object_of(mapped)[mapped.object_page];
    }
    if (!mapped.cell->bytes) mapped.cell->bytes = std::make_unique<PageBytes>(bytes(page));
    return *mapped.cell->bytes;
  }

  std::map<std::uint64_t, ModelPage> pages;

 private:
  [[nodiscard]] ModelObject& object_of(const ModelPage& mapped) const {
    return (*objects_)[static_cast<std::size_t>(mapped.object)];
  }
  std::vector<ModelObject>* objects_;
};

}  // namespace test
