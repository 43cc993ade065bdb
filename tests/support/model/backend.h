// What the spaces of a random test run on: a simulated MMU, this host's memory, or virtual machines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/fake_swap.h"
#include "tests/support/model/reference.h"
#include "uvm/object.h"
#include "uvm/space.h"

namespace test::model {

/// One more vCPU of a machine. Each is used by one thread; it goes before the machine does.
class Cpu {
 public:
  Cpu() = default;
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;
  virtual ~Cpu() = default;
  /// Of an aligned word, atomically. Errors: the fault's.
  [[nodiscard]] virtual uvm::Result<std::uint64_t> load(uvm::Gpa from) = 0;
  [[nodiscard]] virtual uvm::Status store(uvm::Gpa to, std::uint64_t value) = 0;
};

/// One space and whoever executes instructions in it. Used by one thread, but for another_cpu().
class Machine {
 public:
  Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  virtual ~Machine() = default;

  [[nodiscard]] virtual uvm::Space& space() = 0;
  /// A guest's instructions on an aligned word. Errors: the fault's.
  [[nodiscard]] virtual uvm::Result<std::uint64_t> load(uvm::Gpa from) = 0;
  [[nodiscard]] virtual uvm::Status store(uvm::Gpa to, std::uint64_t value) = 0;
  [[nodiscard]] virtual uvm::Status execute(uvm::Gpa at) = 0;

  /// A vCPU for another thread; null where this backend has but one. Its accesses must be allowed, or else
  /// only where the host tells of no events.
  [[nodiscard]] virtual std::unique_ptr<Cpu> another_cpu() { return nullptr; }

  /// A device that has pinned `frame`, which this space shows at `at`: nullopt or false where this host gives
  /// it no way there now.
  [[nodiscard]] virtual std::optional<std::uint64_t> dma_load(uvm::Frame frame, uvm::Gpa at) = 0;
  [[nodiscard]] virtual bool dma_store(uvm::Frame frame, uvm::Gpa at, std::uint64_t value) = 0;
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Where page 0 of every space is.
  [[nodiscard]] virtual uvm::Gpa base() const { return uvm::Gpa(0); }
  [[nodiscard]] virtual std::unique_ptr<Machine> make(const std::string& name) = 0;
  [[nodiscard]] virtual uvm::Result<std::unique_ptr<Machine>> fork(Machine& parent,
                                                                   const std::string& name) = 0;

  /// Where the pages of spaces under a memory limit go; null: this host cannot do it. Outlives the machines.
  [[nodiscard]] virtual uvm::Swap* swap() { return &swap_; }

  /// Objects [0, kObjects), of kObjectPages pages with first_word() in them; kReadOnlyObject is one that no
  /// shared mapping may write.
  [[nodiscard]] virtual std::shared_ptr<uvm::Object> object(int object) = 0;
  /// Also tells those who map it (Object::invalidate).
  virtual void truncate(int object, std::uint64_t pages) = 0;
  /// What the object holds, asked without any space.
  [[nodiscard]] virtual Words words(int object, std::uint64_t page) = 0;

  /// Whether private copies of an object's pages, and pages that a pin holds, survive the object's getting
  /// shorter. A host file's do not: the kernel takes them away itself.
  [[nodiscard]] virtual bool pages_survive_truncation() const { return true; }

 private:
  FakeSwap swap_;
};

}  // namespace test::model
