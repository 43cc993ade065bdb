#include "tests/support/model/runner.h"

#include <gtest/gtest.h>

#include "uvm/access.h"

namespace test::model {

using uvm::AccessKind;
using uvm::Gpa;
using uvm::kPageSize;
using uvm::Status;

namespace {

/// How often everything is compared, in steps.
constexpr std::size_t kCheckAllEvery = 200;
/// Bytes; far more than a space and its pins have, so that only Do::Evict moves pages out.
constexpr std::uint64_t kLimit = std::uint64_t{64} << 20;

std::string named(const std::optional<uvm::ErrorKind>& kind) {
  return kind ? std::string(to_string(*kind)) : "success";
}

std::string place(std::size_t space, std::uint64_t page, std::uint64_t word) {
  return "space " + std::to_string(space) + ", page " + std::to_string(page) + ", word " +
         std::to_string(word);
}

}  // namespace

Runner::~Runner() {
  for (auto& pin : pins_) pin.reset();
  for (auto& machine : machines_) machine.reset();
}

std::optional<std::string> Runner::run(const std::vector<Op>& ops) {
  for (std::size_t i = 0; i < ops.size(); ++i) {
    step(ops[i]);
    probe(ops[i].probe);
    if (i % kCheckAllEvery == kCheckAllEvery - 1) check_all();
    if (!failure_ && ::testing::Test::HasFailure()) fail("the backend reports a failure");
    if (failure_) return "step " + std::to_string(i) + ": " + to_code(ops[i]) + "\n  " + *failure_;
  }
  check_all();
  if (failure_) return "after the last step:\n  " + *failure_;
  return std::nullopt;
}

void Runner::fail(const std::string& what) {
  if (!failure_) failure_ = what;
}

Gpa Runner::at(std::uint64_t page, std::uint64_t word) const {
  return backend_.base() + (page * kPageSize + kWordOffset[word]);
}

uvm::GpaRange Runner::range(const Op& op) const {
  return *uvm::GpaRange::from_size(at(op.first), op.count * kPageSize);
}

// ---- steps ----------------------------------------------------------------------------------------------

bool Runner::is_left_out(const Op& op) const {
  if (model_.expect(op).is_void) return true;
  if (op.what == Do::Limit && backend_.swap() == nullptr) return true;
  return op.what == Do::Truncate && !backend_.pages_survive_truncation() &&
         model_.has_private_pages_over(op.object, op.count);
}

void Runner::step(const Op& op) {
  if (is_left_out(op)) return;
  if (op.what == Do::Pin && model_.has_pin(op.pin)) {
    pins_[op.pin].reset();
    model_.done({.what = Do::Unpin, .pin = op.pin});
  }
  if (op.what == Do::Fork) step({.what = Do::Destroy, .space = op.child});
  if (op.what == Do::Dma) return transfer(op);
  const Expected expected = model_.expect(op);
  compare(op, perform(op), expected);
}

void Runner::compare(const Op& op, const Status& status, const Expected& expected) {
  std::optional<uvm::ErrorKind> kind;
  if (!status) kind = status.error().kind();
  const bool is_right = kind == expected.error || (kind && kind == expected.or_error);
  if (!is_right) {
    return fail("answered " + named(kind) + ", expected " + named(expected.error) +
                (status ? std::string() : ": " + status.error().text()));
  }
  if (status) {
    model_.done(op);
    ++done_[static_cast<std::size_t>(op.what)];
  } else {
    model_.refused(op);
    ++refused_[static_cast<std::size_t>(op.what)];
  }
}

Status Runner::perform(const Op& op) {
  switch (op.what) {
    case Do::Create:
      machines_[op.space] = backend_.make("space" + std::to_string(op.space));
      return uvm::ok();
    case Do::Destroy:
      for (std::size_t pin = 0; pin < kPins; ++pin) {
        if (model_.has_pin(pin) && model_.space_of_pin(pin) == op.space) pins_[pin].reset();
      }
      machines_[op.space].reset();
      return uvm::ok();
    case Do::Map:
      return perform_map(op);
    case Do::Unmap:
      return space(op).unmap(range(op));
    case Do::Protect:
      return space(op).protect(range(op), op.protection);
    case Do::Inherit:
      return space(op).inherit(range(op), op.inherit);
    case Do::Advise:
      return space(op).advise(range(op), op.advice);
    case Do::Load:
      return perform_load(op);
    case Do::Store:
      return machines_[op.space]->store(at(op.first, op.word), op.value);
    case Do::Execute:
      return machines_[op.space]->execute(at(op.first));
    case Do::Read:
    case Do::Write:
      return perform_access(op);
    case Do::Peek:
    case Do::Poke:
      return perform_debugger(op);
    case Do::Reshare:
      return perform_reshare(op);
    case Do::Fault:
      return space(op).fault(at(op.first), op.access, op.fault);
    case Do::Pin:
      return perform_pin(op);
    case Do::Unpin:
      pins_[op.pin].reset();
      return uvm::ok();
    case Do::Fork:
      return perform_fork(op);
    case Do::Drop:
      space(op).drop_translations();
      return uvm::ok();
    case Do::Truncate:
      backend_.truncate(op.object, op.count);
      return uvm::ok();
    case Do::Dma:
      return uvm::ok();
    default:
      return perform_to_all(op);
  }
}

Status Runner::perform_map(const Op& op) {
  uvm::MapRequest request;
  request.range = range(op);
  request.protection = op.protection;
  request.max_protection = op.max_protection;
  request.sharing = op.sharing;
  request.inherit = op.inherit;
  request.advice = op.advice;
  request.overlap = op.overlap;
  request.name = op.object < 0 ? "ram" : "object";
  if (op.object >= 0) {
    request.object = backend_.object(op.object);
    request.offset = uvm::ObjectOffset(op.object_page * kPageSize);
  }
  return space(op).map(request);
}

Status Runner::perform_load(const Op& op) {
  UVMM_TRY(const std::uint64_t seen, machines_[op.space]->load(at(op.first, op.word)));
  if (!model_.expect(op).error) {
    expect_word(place(op.space, op.first, op.word), seen, model_.words(op.space, op.first)[op.word]);
  }
  return uvm::ok();
}

Status Runner::perform_access(const Op& op) {
  const Gpa address = at(op.first, op.word);
  if (op.what == Do::Write) return uvm::Access::write_value(space(op), address, op.value);
  UVMM_TRY(const auto seen, uvm::Access::read_value<std::uint64_t>(space(op), address));
  if (model_.expect(op).error) return uvm::ok();
  expect_word(place(op.space, op.first, op.word), seen, model_.words(op.space, op.first)[op.word]);
  // A host may make private what it shows, where it could have done so at any time: the simulated one does.
  if (space(op).pmap().harvest_page(at(op.first))) model_.make_private(op.space, op.first);
  return uvm::ok();
}

Status Runner::perform_debugger(const Op& op) {
  const Gpa address = at(op.first, op.word);
  std::uint64_t value = op.value;
  if (op.what == Do::Poke) {
    return uvm::Access::write(space(op), address, std::as_bytes(std::span(&value, 1)),
                              {uvm::AccessRights::Maximum, op.shared_writes});
  }
  UVMM_CHECK(
      uvm::Access::read(space(op), address, std::as_writable_bytes(std::span(&value, 1)), uvm::kDebugger));
  if (!model_.expect(op).error) {
    expect_word(place(op.space, op.first, op.word), value, model_.words(op.space, op.first)[op.word]);
  }
  return uvm::ok();
}

Status Runner::perform_reshare(const Op& op) {
  UVMM_TRY(const auto reshared, space(op).reshare(at(op.first)));
  if (reshared == uvm::Reshared::Kept) return uvm::ok();
  if (!model_.is_as_below(op.space, op.first))
    fail("a private page was dropped that is not as it was before");
  model_.drop_own(op.space, op.first);
  return uvm::ok();
}

Status Runner::perform_pin(const Op& op) {
  UVMM_TRY(pins_[op.pin], uvm::Pin::create(space(op), range(op), op.pin_access, owner_, op.policy));
  return uvm::ok();
}

Status Runner::perform_fork(const Op& op) {
  UVMM_TRY(machines_[op.child], backend_.fork(*machines_[op.space], "space" + std::to_string(op.child)));
  return uvm::ok();
}

Status Runner::perform_to_all(const Op& op) {
  if (op.what == Do::Limit) return space(op).set_limit({kLimit, backend_.swap(), {}});
  if (op.what == Do::Evict) return perform_evict(op);
  if (op.what == Do::WireAll) return space(op).wire_all(op.scope, owner_, op.policy);
  if (op.what == Do::Extract) return perform_extract(op);
  if (op.what == Do::Discard) return perform_discard(op);
  space(op).unwire_all();
  return uvm::ok();
}

Status Runner::perform_evict(const Op& op) {
  UVMM_CHECK(space(op).reclaim(op.count * kPageSize));
  for (std::uint64_t page = 0; page < kPages; ++page) {
    const bool is_pinned = model_.pins_of_page(op.space, page) != 0;
    if (is_pinned && space(op).swapped(uvm::GpaRange::page_of(at(page))) != 0)
      fail(place(op.space, page, 0) + " is pinned and in swap");
  }
  return uvm::ok();
}

Status Runner::perform_extract(const Op& op) {
  return space(op).extract({range(op), at(op.to), op.protection, "extracted"}, machines_[op.child]->space());
}

Status Runner::perform_discard(const Op& op) {
  UVMM_TRY(const uvm::Discarded discarded, space(op).discard(range(op)));
  const std::uint64_t expected = model_.discarded(op) * kPageSize;
  if (discarded.given_back != expected || discarded.kept != range(op).size() - expected) {
    fail("gave " + std::to_string(discarded.given_back) + " bytes back and kept " +
         std::to_string(discarded.kept) + ", expected " + std::to_string(expected));
  }
  return uvm::ok();
}

// ---- devices --------------------------------------------------------------------------------------------

bool Runner::can_transfer(std::size_t pin, std::uint64_t index) const {
  const std::size_t space = model_.space_of_pin(pin);
  const std::uint64_t page = model_.first_of_pin(pin) + index;
  if (backend_.pages_survive_truncation()) return true;
  // There a device works through the window, as far as the guest may, and loses what the file loses.
  return model_.may_write(space, page) && model_.shows(space, page, model_.frames_of_pin(pin)[index]);
}

void Runner::transfer(const Op& op) {
  const std::uint64_t index = op.first % model_.frames_of_pin(op.pin).size();
  if (!can_transfer(op.pin, index)) return;
  const Gpa address = at(model_.first_of_pin(op.pin) + index, op.word);
  Machine& machine = *machines_[model_.space_of_pin(op.pin)];
  if (!machine.dma_store(pins_[op.pin]->frame_at(address), address, op.value)) return;
  model_.done(op);
  ++done_[static_cast<std::size_t>(Do::Dma)];
}

void Runner::check_pins() {
  for (std::size_t pin = 0; pin < kPins; ++pin) {
    if (!model_.has_pin(pin)) continue;
    const std::size_t space = model_.space_of_pin(pin);
    const auto& frames = model_.frames_of_pin(pin);
    for (std::uint64_t i = 0; i < frames.size(); ++i) {
      if (!can_transfer(pin, i)) continue;
      const std::uint64_t page = model_.first_of_pin(pin) + i;
      if (machines_[space]->space().pin_count(at(page)) != model_.pins_of_page(space, page)) {
        fail("pins of " + place(space, page, 0) + " are miscounted");
      }
      for (std::uint64_t word = 0; word < kWords; ++word) {
        const auto seen = machines_[space]->dma_load(pins_[pin]->frame_at(at(page)), at(page, word));
        if (seen)
          expect_word("pin " + std::to_string(pin) + " of " + place(space, page, word), *seen,
                      (*frames[i])[word]);
      }
    }
  }
}

// ---- looking --------------------------------------------------------------------------------------------

void Runner::expect_word(const std::string& place, std::uint64_t seen, std::uint64_t expected) {
  if (seen != expected) fail(place + " is " + uvm::hex(seen) + ", expected " + uvm::hex(expected));
}

void Runner::check_page(std::size_t space, std::uint64_t page) {
  const auto expected = model_.error(space, page, AccessKind::Read);
  for (std::uint64_t word = 0; word < kWords; ++word) {
    const auto seen = machines_[space]->load(at(page, word));
    std::optional<uvm::ErrorKind> kind;
    if (!seen) kind = seen.error().kind();
    if (kind != expected) {
      return fail("a load from " + place(space, page, word) + " answers " + named(kind) + ", expected " +
                  named(expected));
    }
    if (seen) expect_word(place(space, page, word), *seen, model_.words(space, page)[word]);
  }
}

void Runner::probe(std::uint64_t page) {
  for (std::size_t space = 0; space < kSpaces && !failure_; ++space) {
    if (model_.has_space(space)) check_page(space, page);
  }
  if (!failure_) check_pins();
}

void Runner::check_objects() {
  for (std::size_t i = 0; i < kObjects; ++i) {
    const int object = static_cast<int>(i);
    for (std::uint64_t page = 0; page < model_.object(object).size(); ++page) {
      if (backend_.words(object, page) != *model_.object(object)[page]) {
        fail("object " + std::to_string(i) + ", page " + std::to_string(page) + " has other bytes");
      }
    }
  }
}

void Runner::check_all() {
  for (std::uint64_t page = 0; page < kPages && !failure_; ++page) probe(page);
  if (!failure_) check_objects();
}

}  // namespace test::model
