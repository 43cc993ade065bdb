#include "vmm/machine/interrupts.h"

#include <utility>

#include "vmm/kvm/abi.h"
#include "vmm/log.h"
#include "vmm/machine/msi_events.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm {
namespace {

class KvmMsi : public devices::MsiSink {
 public:
  explicit KvmMsi(kvm::Vm& vm) : vm_(vm) {}
  uvm::Status send(std::uint64_t address, std::uint32_t data) override {
    UVMM_CHECK(vm_.signal_msi({address, data}));
    return uvm::ok();
  }

 private:
  kvm::Vm& vm_;
};

class SplitInterrupts final : public Interrupts {
 public:
  explicit SplitInterrupts(kvm::Vm& vm) : routes_(vm, {}), msi_(vm), events_(vm, routes_), io_apic_(msi_) {
    io_apic_.set_on_routes_changed([this] { tell_kvm(); });
  }

  [[nodiscard]] IrqChip kind() const override { return IrqChip::Split; }
  [[nodiscard]] devices::IrqLine& line(unsigned pin) override { return io_apic_.line(pin); }
  [[nodiscard]] devices::MsiSink& messages() override { return msi_; }
  [[nodiscard]] devices::MsiEvents& message_events() override { return events_; }
  [[nodiscard]] uvm::Status connect(Bus& bus) override {
    return bus.add(BusSpace::Mmio, "ioapic", layout::kIoApic.value(), layout::kIoApicBytes, io_apic_);
  }
  void set_on_level_end(std::function<void(unsigned pin)> callback) override {
    io_apic_.set_on_level_end(std::move(callback));
  }
  void end_of_interrupt(std::uint8_t vector) override { io_apic_.on_eoi(vector); }
  [[nodiscard]] std::string_view state_name() const override { return io_apic_.state_name(); }
  [[nodiscard]] uvm::Status save(snapshot::SectionWriter& writer) override {
    snapshot::save(writer, io_apic_);
    return uvm::ok();
  }
  [[nodiscard]] uvm::Status restore(const snapshot::SectionTable& table) override {
    return snapshot::restore(table, io_apic_);
  }

 private:
  /// KVM learns from the routes for which vectors of level-triggered pins it has to report the end.
  void tell_kvm() EXCLUDES(routing_mutex_) {
    const uvm::MutexLock lock(routing_mutex_);
    std::vector<kvm::MsiRoute> pins;
    const auto routes = io_apic_.routes();
    for (std::uint32_t pin = 0; pin < routes.size(); ++pin) {
      if (routes[pin]) pins.push_back({pin, {routes[pin]->address, routes[pin]->data}});
    }
    if (const auto done = routes_.set_pins(std::move(pins)); !done) {
      log::event(log::Level::Error, "interrupt routing refused", {{"error", done.error().text()}});
    }
  }

  MsiRoutes routes_;
  KvmMsi msi_;
  KvmMsiEvents events_;
  devices::IoApic io_apic_;
  uvm::Mutex routing_mutex_{uvm::LockRank::Bus};  // outside the I/O APIC's own
};

/// The routes that KVM's full set begins with, which setting others would take away.
std::vector<kvm::PinRoute> routes_of_chips() {
  constexpr std::uint32_t kPicPins = 8;
  static_assert(KVM_IRQCHIP_PIC_MASTER == 0 && KVM_IRQCHIP_PIC_SLAVE == 1);
  std::vector<kvm::PinRoute> pins;
  for (std::uint32_t gsi = 0; gsi < layout::kIoApicPins; ++gsi) {
    pins.push_back({gsi, KVM_IRQCHIP_IOAPIC, gsi});
    if (gsi >= 2 * kPicPins) continue;
    const std::uint32_t pic = gsi / kPicPins;
    pins.push_back({gsi, pic, gsi % kPicPins});
  }
  return pins;
}

/// PICs, I/O APIC and PIT as KVM gives them.
class KvmChips final : public devices::Stateful {
 public:
  [[nodiscard]] uvm::Status take(const kvm::Vm& vm) {
    for (std::uint32_t i = 0; i < chips_.size(); ++i) {
      UVMM_TRY(chips_[i], vm.irqchip(i));
    }
    UVMM_TRY(pit_, vm.pit());
    return uvm::ok();
  }
  [[nodiscard]] uvm::Status give(kvm::Vm& vm) const {
    for (const kvm_irqchip& chip : chips_) UVMM_CHECK(vm.set_irqchip(chip));
    return vm.set_pit(pit_);
  }
  [[nodiscard]] std::string_view state_name() const override { return "kvm-irqchip"; }
  void state(devices::StateFields& fields) override {
    for (std::uint32_t i = 0; i < chips_.size(); ++i) {
      fields.bytes(std::as_writable_bytes(std::span(&chips_[i], 1)));
      fields.require(chips_[i].chip_id == i, "chip");
    }
    fields.bytes(std::as_writable_bytes(std::span(&pit_, 1)));
  }

 private:
  std::array<kvm_irqchip, 3> chips_{};
  kvm_pit_state2 pit_{};
};

class FullInterrupts final : public Interrupts {
 public:
  explicit FullInterrupts(kvm::Vm& vm)
      : vm_(vm), routes_(vm, routes_of_chips()), msi_(vm), events_(vm, routes_) {
    for (std::uint32_t pin = 0; pin < lines_.size(); ++pin) lines_[pin] = std::make_unique<Line>(vm, pin);
  }

  [[nodiscard]] IrqChip kind() const override { return IrqChip::Full; }
  [[nodiscard]] devices::IrqLine& line(unsigned pin) override { return *lines_.at(pin); }
  [[nodiscard]] devices::MsiSink& messages() override { return msi_; }
  [[nodiscard]] devices::MsiEvents& message_events() override { return events_; }
  [[nodiscard]] uvm::Status connect(Bus& /*bus*/) override {
    return uvm::ok();
  }  // KVM answers before the bus
  void set_on_level_end(std::function<void(unsigned pin)> /*callback*/) override {}
  void end_of_interrupt(std::uint8_t /*vector*/) override {}
  [[nodiscard]] std::string_view state_name() const override { return KvmChips().state_name(); }
  [[nodiscard]] uvm::Status save(snapshot::SectionWriter& writer) override {
    KvmChips chips;
    UVMM_CHECK(chips.take(vm_));
    snapshot::save(writer, chips);
    return uvm::ok();
  }
  [[nodiscard]] uvm::Status restore(const snapshot::SectionTable& table) override {
    KvmChips chips;
    UVMM_CHECK(snapshot::restore(table, chips));
    return chips.give(vm_);
  }

 private:
  class Line final : public devices::IrqLine {
   public:
    Line(kvm::Vm& vm, std::uint32_t gsi) : vm_(vm), gsi_(gsi) {}
    void set_level(devices::Level level) override {
      const auto done =
          vm_.irq_line(gsi_, level == devices::Level::High ? kvm::Level::High : kvm::Level::Low);
      if (!done) log::event(log::Level::Error, "interrupt line refused", {{"error", done.error().text()}});
    }

   private:
    kvm::Vm& vm_;
    const std::uint32_t gsi_;
  };

  kvm::Vm& vm_;
  MsiRoutes routes_;
  KvmMsi msi_;
  KvmMsiEvents events_;
  std::array<std::unique_ptr<Line>, layout::kIoApicPins> lines_;
};

}  // namespace

uvm::Result<std::unique_ptr<Interrupts>> Interrupts::create(kvm::Vm& vm, IrqChip wanted) {
  const bool can_split = vm.check_extension(KVM_CAP_SPLIT_IRQCHIP) > 0;
  if (wanted == IrqChip::Split || (wanted == IrqChip::Auto && can_split)) {
    UVMM_CHECK(vm.create_split_irqchip());
    return std::unique_ptr<Interrupts>(std::make_unique<SplitInterrupts>(vm));
  }
  UVMM_CHECK(vm.create_full_irqchip(kvm::Pit::Yes));
  return std::unique_ptr<Interrupts>(std::make_unique<FullInterrupts>(vm));
}

}  // namespace vmm
