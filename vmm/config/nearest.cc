#include "vmm/config/nearest.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace vmm::config {
namespace {

constexpr std::size_t kLongestWord = 64;  // bytes; keeps the cost of a hostile word small

char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '_' ? '-' : c;
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  std::size_t length = 0;
  while (length < a.size() && length < b.size() && folded(a[length]) == folded(b[length])) ++length;
  return length;
}

/// Three letters at least, dashes not counted: `--cmd` means `--cmdline`, `-c` could mean anything.
bool is_abbreviation(std::string_view word, std::string_view candidate) {
  const std::size_t letters = word.size() - std::min(word.find_first_not_of('-'), word.size());
  return letters >= 3 && common_prefix(word, candidate) == word.size();
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, kLongestWord);
  b = b.substr(0, kLongestWord);
  // Optimal string alignment, three rows at a time.
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(previous);
    previous.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (folded(a[i - 1]) == folded(b[j - 1]) ? 0 : 1);
      row[j] = std::min({replaced, previous[j] + 1, row[j - 1] + 1});
      const bool swapped =
          i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (candidates.empty()) return {};
  const auto key = [word](std::string_view candidate) {
    const std::size_t distance = edit_distance(word, candidate);
    return std::make_tuple(is_abbreviation(word, candidate) ? std::min<std::size_t>(distance, 1) : distance,
                           kLongestWord - std::min(common_prefix(word, candidate), kLongestWord));
  };
  return *std::ranges::min_element(candidates, {}, key);
}

std::string alternatives(std::span<const std::string_view> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace vmm::config
