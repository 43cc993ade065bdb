#include "uvm/extra_holders.h"

#include <array>
#include <cstddef>
#include <limits>
#include <new>

namespace uvm {
namespace {

constexpr int kBits = 9;  // of the frame number, a level
constexpr std::size_t kFanOut = 512;
constexpr int kNodeLevels = 3;  // above the leaves
constexpr std::uint64_t kFrames = std::uint64_t{1} << ((kNodeLevels + 1) * kBits);

std::size_t index_at(std::uint64_t frame, int level) {
  return static_cast<std::size_t>(frame >> (level * kBits)) % kFanOut;
}

}  // namespace

struct ExtraHolders::Node {
  std::array<std::atomic<void*>, kFanOut> links{};
};

struct ExtraHolders::Leaf {
  std::array<Count, kFanOut> counts{};
};

ExtraHolders::~ExtraHolders() {
  end(root_.load(std::memory_order_acquire), kNodeLevels);
}

void ExtraHolders::end(void* node, int level) {
  if (node == nullptr) return;
  if (level == 0) {
    delete static_cast<Leaf*>(node);
    return;
  }
  auto* const inner = static_cast<Node*>(node);
  for (const auto& link : inner->links) end(link.load(std::memory_order_acquire), level - 1);
  delete inner;
}

ExtraHolders::Count* ExtraHolders::find(std::uint64_t frame) const {
  if (frame >= kFrames) return nullptr;
  void* at = root_.load(std::memory_order_acquire);
  for (int level = kNodeLevels; level > 0 && at != nullptr; --level) {
    at = static_cast<Node*>(at)->links[index_at(frame, level)].load(std::memory_order_acquire);
  }
  return at == nullptr ? nullptr : &static_cast<Leaf*>(at)->counts[index_at(frame, 0)];
}

/// What the link leads to, made if nobody has yet. Of two who make it one wins.
template <class Made>
Made* ExtraHolders::child(std::atomic<void*>& link) {
  if (void* there = link.load(std::memory_order_acquire)) return static_cast<Made*>(there);
  auto* const made = new Made;
  void* there = nullptr;
  if (link.compare_exchange_strong(there, made, std::memory_order_acq_rel, std::memory_order_acquire)) {
    bytes_.fetch_add(sizeof(Made), std::memory_order_relaxed);
    return made;
  }
  delete made;
  return static_cast<Made*>(there);
}

ExtraHolders::Count& ExtraHolders::make(std::uint64_t frame) {
  if (frame >= kFrames) throw std::bad_alloc();
  std::atomic<void*>* link = &root_;
  for (int level = kNodeLevels; level > 0; --level) {
    link = &child<Node>(*link)->links[index_at(frame, level)];
  }
  return child<Leaf>(*link)->counts[index_at(frame, 0)];
}

void ExtraHolders::add(std::uint64_t frame) {
  Count& count = make(frame);
  std::uint32_t seen = count.load(std::memory_order_relaxed);
  do {
    if (seen == std::numeric_limits<std::uint32_t>::max()) throw std::bad_alloc();
  } while (!count.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed));
}

bool ExtraHolders::remove(std::uint64_t frame) {
  Count* const count = find(frame);
  if (count == nullptr) return false;
  // Whoever finds zero was the last, and sees what those before did with the page.
  std::uint32_t seen = count->load(std::memory_order_acquire);
  while (seen != 0) {
    if (count->compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

bool ExtraHolders::any(std::uint64_t frame) const {
  return count(frame) != 0;
}

std::uint64_t ExtraHolders::count(std::uint64_t frame) const {
  const Count* const count = find(frame);
  return count != nullptr ? count->load(std::memory_order_acquire) : 0;
}

}  // namespace uvm
