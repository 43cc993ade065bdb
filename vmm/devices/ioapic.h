// 82093AA-compatible I/O APIC, MMIO 0xfec00000, for a KVM whose local APICs are in the kernel and whose I/O
// APIC is not ("split irqchip").
//
// A pin's entry in the redirection table says which message its interrupt becomes; delivery is that message,
// sent through MsiSink. An edge pin sends one at each rise of its line. A rise while masked goes out when the
// mask is lifted, if the line is still up by then (the data sheet would lose it; a device that holds its line
// until it is served would then hang). A level pin sends one, marks it with remote IRR, and sends no other
// until the local APIC reports the end of that vector: then, if the line is still up, it sends again.
//
// The end of an interrupt comes from KVM (an exit), which has to know for which vectors it shall report one.
// It finds that out from its GSI routing, hence routes() and the callback: the machine gives KVM one MSI
// route a pin. A masked pin keeps its route: the end of what is in flight must still be reported, and a guest
// masks often while KVM's routing is slow to change.
//
// Polarity is stored and ignored, for lines are logical. Version 0x20: the EOI register at 0x40 works too.
// Source: Intel 82093AA data sheet; ICH9 data sheet, 13.5.8 (EOI register); Linux' __eoi_ioapic_pin for the
// trick of old kernels, which clear remote IRR by turning a pin to edge and back.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

class IoApic final : public BusDevice, public Stateful {
 public:
  static constexpr std::uint64_t kBytes = 0x1000;
  static constexpr unsigned kPins = 24;
  static constexpr std::uint64_t kSelectOffset = 0x00;
  static constexpr std::uint64_t kWindowOffset = 0x10;
  static constexpr std::uint64_t kEoiOffset = 0x40;

  /// What a pin's interrupt becomes, as KVM_IRQ_ROUTING_MSI takes it.
  struct Route {
    std::uint64_t address = 0;
    std::uint32_t data = 0;
    friend bool operator==(const Route&, const Route&) = default;
  };
  using Routes = std::array<std::optional<Route>, kPins>;

  /// `msi` must outlive the device.
  explicit IoApic(MsiSink& msi);

  /// Before the first access. Called on a vCPU thread without a lock, after routes() has changed; two calls
  /// may overlap, so whoever applies routes() serialises reading them with applying them.
  void set_on_routes_changed(std::function<void()> callback) { on_routes_changed_ = std::move(callback); }

  /// Before the first access. Called on a vCPU thread without a lock, when the guest has ended what a level
  /// pin's message began and before the pin sends another: its device may lower the line first, for to it
  /// nobody has served anything until now.
  void set_on_level_end(std::function<void(unsigned pin)> callback) { on_level_end_ = std::move(callback); }

  /// Pin 0-23; a larger number is a bug in the machine and aborts. Lines live as long as the device.
  [[nodiscard]] IrqLine& line(unsigned pin);
  /// By pin; nullopt: never unmasked since reset, or a delivery mode without a message (ExtINT).
  [[nodiscard]] Routes routes() const;
  /// Any thread: a local APIC has ended `vector` (KVM_EXIT_IOAPIC_EOI).
  void on_eoi(std::uint8_t vector);

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  /// Masks every pin; lines keep their level, for they belong to their devices. Does not call back.
  void reset();
  /// Lines too; restore it before the devices that drive them. Calls back when restored.
  [[nodiscard]] std::string_view state_name() const override { return "ioapic"; }
  void state(StateFields& fields) override;
  /// Messages the sink refused.
  [[nodiscard]] std::uint64_t delivery_failures() const { return failures_; }

 private:
  class Line final : public IrqLine {
   public:
    void set_level(Level level) override { owner->set_pin(pin, level); }
    IoApic* owner = nullptr;
    unsigned pin = 0;
  };
  struct Pin {
    std::uint64_t entry = 0;  // the redirection entry as the guest reads it, remote IRR included
    Level level = Level::Low;
    bool edge_pending = false;    // rose, still up, message not yet sent
    std::uint8_t in_service = 0;  // vector of the message that remote IRR stands for
    std::optional<Route> route;
    unsigned publishing = 0;  // threads that are telling the machine about the route; holds messages back
  };
  /// Messages decided under the lock, sent after it.
  struct Outbox {
    std::array<Route, kPins> messages;
    std::size_t count = 0;
  };

  void set_pin(unsigned pin, Level level);
  /// Sends what the pin's state calls for, if anything.
  void serve_locked(Pin& pin, Outbox& outbox) REQUIRES(mutex_);
  [[nodiscard]] static bool is_served(const Pin& pin, std::uint8_t vector);
  void end_locked(std::uint8_t vector, Outbox& outbox) REQUIRES(mutex_);
  /// Calls back for each level pin that `vector` serves.
  void tell_ends(std::uint8_t vector) EXCLUDES(mutex_);
  void write_window(std::uint32_t value);
  /// Returns the pin whose route has changed and is now to be published, or null.
  [[nodiscard]] Pin* write_entry_locked(unsigned index, std::uint32_t value, Outbox& outbox) REQUIRES(mutex_);
  [[nodiscard]] std::uint32_t read_window_locked() const REQUIRES(mutex_);
  void send(const Outbox& outbox);
  static void pin_state(Pin& pin, StateFields& fields);

  MsiSink& msi_;
  std::function<void()> on_routes_changed_;
  std::function<void(unsigned pin)> on_level_end_;
  std::array<Line, kPins> lines_;
  std::atomic<std::uint64_t> failures_{0};
  mutable uvm::Mutex mutex_{uvm::LockRank::Interrupt};
  std::uint8_t select_ GUARDED_BY(mutex_) = 0;
  std::uint8_t id_ GUARDED_BY(mutex_) = 0;
  std::array<Pin, kPins> pins_ GUARDED_BY(mutex_);
};

}  // namespace vmm::devices
