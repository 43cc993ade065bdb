// What somebody who mistyped a name most likely meant.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace vmm::config {

/// Steps (insert, delete, replace a byte, swap two neighbours) that lead from one word to the other; case and
/// '-' against '_' cost nothing, because that isn't what a person got wrong.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, where an abbreviation counts as one step; among equals one that begins
/// like it, then the first. Empty only when there are no candidates. Words longer than 64 bytes are compared
/// by their beginning.
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// "a, b or c", for messages.
[[nodiscard]] std::string alternatives(std::span<const std::string_view> words);

}  // namespace vmm::config
