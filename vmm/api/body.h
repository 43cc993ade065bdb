// A body that is no configuration: its members, one after the other, and nothing besides.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"

namespace vmm::api {

/// Errors are Invalid and name the member. A member that is null counts as not there.
class BodyReader {
 public:
  /// Borrows `object`. Errors: a member that is none of `known`.
  [[nodiscard]] static uvm::Result<BodyReader> of(const boost::json::value& object,
                                                  std::initializer_list<std::string_view> known);

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] uvm::Result<std::string> text(std::string_view name) const;
  [[nodiscard]] uvm::Result<std::string> text_or(std::string_view name, const std::string& otherwise) const;
  [[nodiscard]] uvm::Result<bool> truth_or(std::string_view name, bool otherwise) const;
  [[nodiscard]] uvm::Result<std::uint64_t> number(std::string_view name, std::uint64_t least,
                                                  std::uint64_t most) const;
  /// One of these words; its index.
  [[nodiscard]] uvm::Result<std::size_t> word(std::string_view name,
                                              std::initializer_list<std::string_view> words) const;
  /// An object in it.
  [[nodiscard]] uvm::Result<BodyReader> object(std::string_view name,
                                               std::initializer_list<std::string_view> known) const;
  /// The objects of a list; none where it is not there.
  [[nodiscard]] uvm::Result<std::vector<BodyReader>> objects(
      std::string_view name, std::initializer_list<std::string_view> known) const;
  /// That a member, if it is there, is null, [] or {}.
  [[nodiscard]] uvm::Status empty(std::string_view name, std::string_view why) const;

 private:
  explicit BodyReader(const boost::json::value& object) : object_(&object) {}
  [[nodiscard]] const boost::json::value* find(std::string_view name) const;

  const boost::json::value* object_;
};

}  // namespace vmm::api
