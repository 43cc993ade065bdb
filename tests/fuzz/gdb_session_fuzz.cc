// A whole session over an empty machine: whatever a client sends, every packet is answered in form, and the
// machine is left when the connection is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/gdb/session.h"

namespace {

using namespace vmm::gdb;

void require(bool condition) {
  if (!condition) std::abort();
}

class Discard : public Wire {
 public:
  void send(std::string_view bytes) override { require(bytes.size() <= kPacketSize + 16); }
  [[nodiscard]] bool congested() const override { return false; }
  [[nodiscard]] bool cancelled() override { return false; }
};

/// One page at 0; everything else isn't there.
class EmptyMachine : public Target {
 public:
  static constexpr std::size_t kPage = 4096;

  uvm::Result<StopEvent> attach(StopListener& listener) override {
    require(listener_ == nullptr);
    listener_ = &listener;
    stopped_ = true;
    return StopEvent{};
  }
  void detach(AfterDetach /*after*/) override { listener_ = nullptr; }
  void kill() override {}
  uvm::Status resume(std::span<const ThreadAction> actions) override {
    require(stopped_ && listener_ != nullptr && !actions.empty());
    stopped_ = false;
    return uvm::ok();
  }
  void interrupt() override {
    if (!stopped_) pending_ = StopEvent{};
  }
  void set_step_flags(StepFlags /*flags*/) override {}
  std::vector<ThreadInfo> threads() override { return {{{1, 1}, "a"}, {{1, 2}, "b"}}; }
  std::string thread_state(ThreadId thread) override { return "of " + std::to_string(thread.tid); }
  XsaveLayout xsave_layout() override { return {}; }
  uvm::Status read_registers(ThreadId thread, RegisterGroups /*groups*/, RegisterFile& /*file*/) override {
    require(stopped_ && thread.tid >= 1 && thread.tid <= 2);
    return uvm::ok();
  }
  uvm::Status write_registers(ThreadId thread, RegisterGroups /*groups*/,
                              const RegisterFile& /*file*/) override {
    require(stopped_ && thread.tid >= 1 && thread.tid <= 2);
    return uvm::ok();
  }
  uvm::Result<std::size_t> read_memory(AddressSpace /*space*/, std::uint64_t address,
                                       std::span<std::byte> to) override {
    require(stopped_ && listener_ != nullptr);
    if (address >= kPage) return uvm::Error(uvm::ErrorKind::NoMapping, "nothing there");
    return std::min<std::size_t>(to.size(), kPage - address);
  }
  uvm::Status write_memory(AddressSpace /*space*/, std::uint64_t /*address*/,
                           std::span<const std::byte> /*from*/) override {
    require(stopped_ && listener_ != nullptr);
    return uvm::ok();
  }
  uvm::Result<MemoryRegion> memory_region(AddressSpace /*space*/, std::uint64_t /*address*/) override {
    return MemoryRegion{};
  }
  uvm::Status insert_breakpoint(AddressSpace /*space*/, const Breakpoint& /*breakpoint*/) override {
    return uvm::ok();
  }
  uvm::Status remove_breakpoint(AddressSpace /*space*/, const Breakpoint& /*breakpoint*/) override {
    return uvm::ok();
  }
  uvm::Status monitor(ThreadId /*thread*/, std::string_view line, const TextSink& out) override {
    out(line);
    return uvm::ok();
  }
  std::optional<std::uint64_t> kernel_text() override { return std::nullopt; }

  void deliver(Session& session) {
    if (!pending_ || listener_ == nullptr) return;
    const StopEvent event = *pending_;
    pending_.reset();
    stopped_ = true;
    session.stopped(event);
  }
  [[nodiscard]] bool is_attached() const { return listener_ != nullptr; }

 private:
  StopListener* listener_ = nullptr;
  bool stopped_ = false;
  std::optional<StopEvent> pending_;
};

class Nobody : public StopListener {
 public:
  void stopped(const StopEvent& /*event*/) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Lines are packets, so that the fuzzer need not find checksums; a 0x03 in front interrupts.
  std::string_view lines(reinterpret_cast<const char*>(data), size);
  EmptyMachine machine;
  Nobody listener;
  Discard wire;
  {
    Session session(machine, listener, wire, OnKill::Kill);
    while (!lines.empty()) {
      const std::size_t end = std::min(lines.find('\n'), lines.size());
      std::string_view line = lines.substr(0, end);
      lines.remove_prefix(std::min(end + 1, lines.size()));
      if (line.starts_with('\x03')) {
        session.receive("\x03");
        line.remove_prefix(1);
      }
      session.receive(framed(line));
      machine.deliver(session);
    }
  }
  require(!machine.is_attached());
  return 0;
}
