// A scribe (guest/programs/scribe.cc) in a process of its own, `uvmm run` or `uvmm fork`, and the doors to
// its memory.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/model/process_step.h"
#include "tests/support/rsp_client.h"
#include "uvm/base/error.h"
#include "vmm/pin_client/client.h"

namespace test::model {

/// A debugger that is there: the guest stands still. Its end lets the guest go.
class Look {
 public:
  /// Errors: PagerIo (nobody answers).
  [[nodiscard]] static uvm::Result<Look> at(const std::string& socket);
  ~Look();
  Look(Look&&) = default;
  Look& operator=(Look&&) = delete;

  [[nodiscard]] uvm::Status read(std::uint64_t gpa, std::span<std::byte> bytes);
  [[nodiscard]] uvm::Result<std::uint64_t> word(std::uint64_t gpa);
  [[nodiscard]] uvm::Status set_word(std::uint64_t gpa, std::uint64_t value);

 private:
  explicit Look(std::unique_ptr<RspClient> client) : client_(std::move(client)) {}
  std::unique_ptr<RspClient> client_;
};

/// Killed by its destructor. Not thread-safe.
class ScribeMachine {
 public:
  /// What a device has pinned, and writes to.
  struct Held {
    vmm::pins::RemotePin pin;
    std::uint64_t page = 0;
    std::uint64_t count = 0;
    /// The device's word of its page number `index`.
    [[nodiscard]] std::atomic_ref<std::uint64_t> word(std::uint64_t index) const;
  };

  /// Returns when it answers. `words` are program, verb and options but for its doors, which are files in
  /// `folder` that begin with `name`. Only `run` has a door for devices. Errors: Invalid (it has ended: what
  /// it said).
  [[nodiscard]] static uvm::Result<std::unique_ptr<ScribeMachine>> start(std::vector<std::string> words,
                                                                         const std::string& folder,
                                                                         const std::string& name);
  ~ScribeMachine();
  ScribeMachine(const ScribeMachine&) = delete;
  ScribeMachine& operator=(const ScribeMachine&) = delete;

  [[nodiscard]] const std::string& control() const { return control_; }
  [[nodiscard]] bool has_pins() const { return !pins_.empty(); }
  [[nodiscard]] uvm::Status ask(const std::string& verb, const std::string& name = {}) const;
  [[nodiscard]] uvm::Result<Look> look() const { return Look::at(gdb_); }
  [[nodiscard]] std::string output() const { return process_.output(); }
  void kill() { process_.kill_at_once(); }
  /// Its status after it was told to end.
  [[nodiscard]] int wait();

  /// A device's pins, by place; the device comes with the first one and stays until it leaves.
  [[nodiscard]] std::array<std::optional<Held>, kDevices>& held() { return held_; }
  [[nodiscard]] uvm::Status pin(std::size_t place, std::uint64_t page, std::uint64_t count);
  void leave();
  /// Writes a word of the guest's control page, by a pin that ends at once.
  [[nodiscard]] uvm::Status command(std::uint64_t gpa, std::uint64_t value);

 private:
  [[nodiscard]] uvm::Result<vmm::pins::RemotePin> pinned(std::uint64_t gpa, std::uint64_t bytes);

  ScribeMachine(const std::vector<std::string>& words, const std::string& log) : process_(words, log) {}
  BackgroundProcess process_;
  std::string control_;
  std::string gdb_;
  std::string pins_;
  std::optional<vmm::pins::Client> device_;
  std::array<std::optional<Held>, kDevices> held_;
};

}  // namespace test::model
