#include "ept/frame_codec.h"

#include <string>

namespace ept {
namespace {

constexpr int kIndexBits = 28;

}  // namespace

uvm::Result<std::uint64_t> FrameCodec::encode(uvm::Frame first, std::uint64_t pages) {
  if (first.store == own_) return kOwnBit | first.index;
  if (first.index >= kIndexLimit || pages > kIndexLimit - first.index) {
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      std::string(first.store->name()) + ": page " + std::to_string(first.index) + "+" +
                          std::to_string(pages) + " is beyond the first TiB",
                      "split the object");
  }
  if (const auto known = numbers_.find(first.store); known != numbers_.end()) {
    return known->second << kIndexBits | first.index;
  }
  const bool is_reused = !free_.empty();
  const std::uint64_t number = is_reused ? free_.back() : stores_.size();
  if (number == kStores) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      std::string(first.store->name()) + ": this space maps pages of " +
                          std::to_string(kStores) + " objects already",
                      "unmap some of them");
  }
  if (!is_reused) {
    // What can fail comes before the change; collect() needs no memory then.
    free_.reserve(number + 1);
    stores_.reserve(number + 1);
  }
  numbers_.emplace(first.store, number);
  if (is_reused) {
    free_.pop_back();
    stores_[number] = first.store;
  } else {
    stores_.push_back(first.store);
  }
  return number << kIndexBits | first.index;
}

uvm::Frame FrameCodec::decode(std::uint64_t number) const {
  if ((number & kOwnBit) != 0) return {own_, number & ~kOwnBit};
  return {stores_[number >> kIndexBits], number & (kIndexLimit - 1)};
}

void FrameCodec::collect(const std::vector<bool>& in_use) {
  for (std::uint64_t number = 0; number < stores_.size(); ++number) {
    if (stores_[number] == nullptr || (number < in_use.size() && in_use[number])) continue;
    numbers_.erase(stores_[number]);
    stores_[number] = nullptr;
    free_.push_back(number);
  }
}

std::optional<std::uint64_t> FrameCodec::store_of(std::uint64_t number) {
  if ((number & kOwnBit) != 0) return std::nullopt;
  return number >> kIndexBits;
}

std::uint64_t FrameCodec::bytes() const {
  constexpr std::uint64_t kEach = 64;  // a hash node, and the slots of the two vectors
  return stores_.size() * kEach;
}

}  // namespace ept
