#include "tests/support/model/generator.h"

#include <algorithm>
#include <random>

namespace test::model {
namespace {

using uvm::Inherit;
using uvm::Protection;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Op next() {
    Op op;
    op.what = some_kind();
    op.space = below(kSpaces);
    op.child = below(kSpaces);
    op.pin = below(kPins);
    op.probe = below(kPages);
    op.first = below(kPages);
    op.count = 1 + below(std::min<std::uint64_t>(below(4) == 0 ? kPages : 6, kPages - op.first));
    op.word = below(kWords);
    op.value = below(8) == 0 ? 0 : random_() >> 16;
    op.object = static_cast<int>(below(kObjects + 1)) - 1;
    op.object_page = below(kObjectPages);
    op.to = below(kPages);
    fill_rights(op);
    adapt(op);
    return stripped(op);
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  Do some_kind() {
    struct Weight {
      Do what;
      std::uint64_t weight;
    };
    constexpr Weight kWeights[] = {
        {Do::Store, 26},    {Do::Load, 10},   {Do::Write, 8},    {Do::Read, 6},    {Do::Map, 12},
        {Do::Unmap, 4},     {Do::Protect, 6}, {Do::Inherit, 5},  {Do::Advise, 2},  {Do::Execute, 2},
        {Do::Fault, 5},     {Do::Pin, 8},     {Do::Unpin, 5},    {Do::Dma, 12},    {Do::Fork, 3},
        {Do::Drop, 5},      {Do::Create, 5},  {Do::Truncate, 3}, {Do::Destroy, 1}, {Do::Peek, 4},
        {Do::Poke, 6},      {Do::Reshare, 3}, {Do::Limit, 2},    {Do::Evict, 6},   {Do::WireAll, 2},
        {Do::UnwireAll, 6}, {Do::Extract, 9}, {Do::Discard, 9},
    };
    std::uint64_t sum = 0;
    for (const Weight& one : kWeights) sum += one.weight;
    std::uint64_t at = below(sum);
    for (const Weight& one : kWeights) {
      if (at < one.weight) return one.what;
      at -= one.weight;
    }
    return Do::Drop;
  }

  Protection some_protection() {
    constexpr Protection kSome[] = {Protection::None,      Protection::Read, Protection::ReadExecute,
                                    Protection::ReadWrite, Protection::All,  Protection::All,
                                    Protection::All,       Protection::All};
    return kSome[below(std::size(kSome))];
  }

  void fill_rights(Op& op) {
    constexpr Inherit kInherits[] = {Inherit::Share, Inherit::Share, Inherit::Copy, Inherit::Copy,
                                     Inherit::Copy,  Inherit::Copy,  Inherit::None, Inherit::Zero};
    op.protection = some_protection();
    op.inherit = kInherits[below(std::size(kInherits))];
    op.sharing = below(3) == 0 ? uvm::Sharing::Shared : uvm::Sharing::Private;
    op.advice = below(4) == 0 ? uvm::Advice::Random : uvm::Advice::Normal;
    op.overlap = below(4) != 0 ? uvm::Overlap::Replace : uvm::Overlap::Refuse;
    op.access = below(2) == 0 ? uvm::AccessKind::Read : uvm::AccessKind::Execute;
    op.fault = static_cast<uvm::FaultKind>(below(3));
    op.shared_writes = below(2) == 0 ? uvm::SharedWrites::Refuse : uvm::SharedWrites::Allow;
    op.pin_access = below(3) == 0 ? uvm::PinAccess::Read : uvm::PinAccess::Write;
    op.policy = below(12) == 0 ? static_cast<uvm::ForkPolicy>(below(3)) : uvm::ForkPolicy::Copy;
    op.scope = static_cast<uvm::WireScope>(below(3));
  }

  /// What makes a step likely to mean something.
  void adapt(Op& op) {
    if (op.what == Do::Map) {
      if (below(2) == 0) op.count = kPages;
      op.max_protection = op.protection | some_protection();
      if (op.object >= 0 && below(4) != 0) {
        op.object_page = below(2) == 0 ? 0 : op.object_page;
        op.count = std::min(op.count, kObjectPages - op.object_page);
      }
      // Copies of writable shared mappings are refused, and one of them in a space forbids all its forks.
      if (op.object >= 0 && op.sharing == uvm::Sharing::Shared) {
        op.inherit = below(16) == 0 ? Inherit::Copy : Inherit::Share;
        if (op.object == kReadOnlyObject && below(8) != 0) {
          op.max_protection = op.protection = Protection::ReadExecute;
        }
      }
    }
    if (op.what == Do::Inherit && below(2) == 0) op.inherit = Inherit::Share;
    if (op.what == Do::Truncate) {
      op.object = static_cast<int>(below(kReadOnlyObject));
      op.count = below(4) == 0 ? below(kObjectPages) : kObjectPages;
    }
    // Where many things happen: stores and pins meet there.
    if (below(2) == 0) op.first = op.first % 8;
    if (op.what == Do::Map && below(3) != 0) op.first = 0;
    op.count = std::min(op.count, kPages - op.first);
    if (op.what != Do::Map && op.what != Do::Truncate && below(2) == 0)
      op.count = 1 + below(std::min<std::uint64_t>(op.count, 3));
    if (op.what == Do::Evict && below(2) == 0) op.count = kPages;
    if (op.what == Do::Extract) adapt_extract(op);
    op.to = std::min(op.to, kPages - op.count);
  }

  void adapt_extract(Op& op) {
    // Mostly a little, to where nothing is yet: the upper pages.
    op.count = std::min<std::uint64_t>(op.count, 1 + below(3));
    if (below(2) == 0) op.to = kPages - op.count - below(4);
    if (below(4) != 0) op.protection = Protection::Read;
  }

  /// Only what the kind of step looks at, so that it reads well.
  static Op stripped(const Op& op) {
    Op bare{.what = op.what, .space = op.space, .probe = op.probe};
    switch (op.what) {
      case Do::Create:
      case Do::Destroy:
      case Do::Drop:
      case Do::Limit:
      case Do::UnwireAll:
        return bare;
      case Do::Evict:
        bare.count = op.count;
        return bare;
      case Do::WireAll:
        bare.policy = op.policy;
        bare.scope = op.scope;
        return bare;
      case Do::Truncate:
        return {.what = op.what, .count = op.count, .object = op.object, .probe = op.probe};
      case Do::Unpin:
        return {.what = op.what, .pin = op.pin, .probe = op.probe};
      case Do::Fork:
        bare.child = op.child;
        return bare;
      case Do::Dma:
        return {.what = op.what,
                .pin = op.pin,
                .first = op.first,
                .word = op.word,
                .value = op.value,
                .probe = op.probe};
      case Do::Load:
      case Do::Read:
      case Do::Peek:
      case Do::Store:
      case Do::Write:
      case Do::Poke:
        bare.first = op.first;
        bare.word = op.word;
        if (op.what == Do::Store || op.what == Do::Write || op.what == Do::Poke) bare.value = op.value;
        if (op.what == Do::Poke) bare.shared_writes = op.shared_writes;
        return bare;
      case Do::Execute:
      case Do::Reshare:
      case Do::Fault:
        bare.first = op.first;
        if (op.what == Do::Fault) bare.access = op.access;
        if (op.what == Do::Fault) bare.fault = op.fault;
        return bare;
      default:
        return with_range(op, bare);
    }
  }

  static Op with_range(const Op& op, Op bare) {
    bare.first = op.first;
    bare.count = op.count;
    if (op.what == Do::Pin) {
      bare.pin = op.pin;
      bare.pin_access = op.pin_access;
      bare.policy = op.policy;
    }
    if (op.what == Do::Extract) {
      bare.child = op.child;
      bare.to = op.to;
    }
    if (op.what == Do::Map || op.what == Do::Protect || op.what == Do::Extract)
      bare.protection = op.protection;
    if (op.what == Do::Map || op.what == Do::Inherit) bare.inherit = op.inherit;
    if (op.what == Do::Map || op.what == Do::Advise) bare.advice = op.advice;
    if (op.what == Do::Map) {
      bare.object = op.object;
      if (op.object >= 0) bare.object_page = op.object_page;
      bare.max_protection = op.max_protection;
      bare.sharing = op.sharing;
      bare.overlap = op.overlap;
    }
    return bare;
  }

  std::mt19937_64 random_;
};

}  // namespace

std::vector<Op> generate(std::uint64_t seed, std::size_t steps) {
  Generator generator(seed);
  std::vector<Op> ops;
  ops.reserve(steps);
  ops.push_back({.what = Do::Create});
  while (ops.size() < steps) ops.push_back(generator.next());
  return ops;
}

}  // namespace test::model
