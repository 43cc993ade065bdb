#include "tests/support/model/op.h"

#include <array>

#include "uvm/base/range.h"

namespace test::model {
namespace {

constexpr const char* kDoNames[] = {
    "Create",  "Destroy",  "Map",   "Unmap", "Protect", "Inherit",   "Advise",  "Load",   "Store", "Execute",
    "Read",    "Write",    "Fault", "Pin",   "Unpin",   "Dma",       "Fork",    "Drop",   "Peek",  "Poke",
    "Reshare", "Truncate", "Limit", "Evict", "WireAll", "UnwireAll", "Discard", "Extract"};
constexpr const char* kProtectionNames[] = {
    "None", "Read", "Write", "ReadWrite", "Execute", "ReadExecute", "Write | uvm::Protection::Execute",
    "All"};

template <class E>
std::size_t index_of(E value) {
  return static_cast<std::size_t>(value);
}

/// Collects the fields that are not what they are by default.
class Fields {
 public:
  void number(const char* name, std::uint64_t value, std::uint64_t usual) {
    if (value != usual) add(name, value < 1000 ? std::to_string(value) : uvm::hex(value));
  }
  void name(const char* field, const char* type, const char* value, bool is_usual) {
    if (!is_usual) add(field, std::string(type) + "::" + value);
  }
  template <class E, std::size_t N>
  void name(const char* field, const char* type, const char* const (&names)[N], E value, E usual) {
    name(field, type, names[index_of(value)], value == usual);
  }
  void add(const char* name, const std::string& value) {
    if (!text_.empty()) text_ += ", ";
    text_ += std::string(".") + name + " = " + value;
  }
  [[nodiscard]] std::string text() const { return "{" + text_ + "},"; }

 private:
  std::string text_;
};

}  // namespace

std::string to_code(const Op& op) {
  static constexpr const char* kSharing[] = {"Private", "Shared"};
  static constexpr const char* kInherit[] = {"None", "Share", "Copy", "Zero"};
  static constexpr const char* kAdvice[] = {"Normal", "Random", "Sequential"};
  static constexpr const char* kOverlap[] = {"Refuse", "Replace"};
  static constexpr const char* kAccess[] = {"Read", "Write", "Execute"};
  static constexpr const char* kFault[] = {"Plain", "Wire", "WireMax"};
  static constexpr const char* kReach[] = {"Refuse", "Allow"};
  static constexpr const char* kScope[] = {"Current", "Future", "Both"};
  static constexpr const char* kPolicy[] = {"Copy", "Quiesce", "Refuse"};
  const Op usual;
  Fields fields;
  fields.add("what", std::string("Do::") + kDoNames[index_of(op.what)]);
  fields.number("space", op.space, usual.space);
  fields.number("child", op.child, usual.child);
  fields.number("pin", op.pin, usual.pin);
  fields.number("first", op.first, usual.first);
  fields.number("count", op.count, usual.count);
  fields.number("word", op.word, usual.word);
  fields.number("value", op.value, usual.value);
  if (op.object != usual.object) fields.add("object", std::to_string(op.object));
  fields.number("object_page", op.object_page, usual.object_page);
  fields.number("to", op.to, usual.to);
  fields.name("protection", "uvm::Protection", kProtectionNames, op.protection, usual.protection);
  fields.name("max_protection", "uvm::Protection", kProtectionNames, op.max_protection, usual.max_protection);
  fields.name("sharing", "uvm::Sharing", kSharing, op.sharing, usual.sharing);
  fields.name("inherit", "uvm::Inherit", kInherit, op.inherit, usual.inherit);
  fields.name("advice", "uvm::Advice", kAdvice, op.advice, usual.advice);
  fields.name("overlap", "uvm::Overlap", kOverlap, op.overlap, usual.overlap);
  fields.name("access", "uvm::AccessKind", kAccess, op.access, usual.access);
  fields.name("fault", "uvm::FaultKind", kFault, op.fault, usual.fault);
  fields.name("pin_access", "uvm::PinAccess", kAccess, op.pin_access, usual.pin_access);
  fields.name("policy", "uvm::ForkPolicy", kPolicy, op.policy, usual.policy);
  fields.name("scope", "uvm::WireScope", kScope, op.scope, usual.scope);
  fields.name("shared_writes", "uvm::SharedWrites", kReach, op.shared_writes, usual.shared_writes);
  fields.number("probe", op.probe, usual.probe);
  return fields.text();
}

std::string to_code(const std::vector<Op>& ops) {
  std::string text;
  for (const Op& op : ops) text += "      " + to_code(op) + "\n";
  return text;
}

}  // namespace test::model
