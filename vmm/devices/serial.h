// A 16550A UART whose wire is infinitely fast and never loses a byte.
//
// Output. A byte written to THR goes to the ByteSink at once, so the transmitter looks empty again before the
// guest can ask. When the sink is full the byte waits in the 16-byte transmit FIFO, LSR says "not empty" and
// no THRE interrupt comes: back-pressure as a real UART has it, until sink_ready(). Linux polls LSR for 10
// 000 rounds (10 ms on hardware) and then writes whatever happens; so a poll of a stalled transmitter, and a
// write into a full FIFO, wait a little (SerialOptions) on the vCPU thread. A byte is lost only when a guest
// writes into a full FIFO and the host's reader has not moved for that long; it is counted.
//
// Input. offer_input() takes what fits in a bounded queue. A real wire would deliver while the guest's driver
// is still probing, and the driver's "empty the receiver" would eat the first characters of a script on
// stdin. This wire waits: bytes show in RBR and LSR only while somebody listens, which is when the receive
// interrupt is enabled, or when LSR has been read kPollsToListen times in a row with nothing in between, as a
// guest without interrupts does. For the same reason "clear receive FIFO" does not throw host bytes away.
//
// Loopback (MCR bit 4) has its own 16-byte FIFO that overruns as the chip's does: Linux measures its depth.
// Source: PC16550D data sheet, and the probes of Linux' drivers/tty/serial/8250/8250_port.c (autoconfig,
// size_fifo, serial8250_do_startup). OUT2 does not gate the interrupt; guests that forget it still work.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>

#include "uvm/base/lock.h"
#include "vmm/devices/byte_queue.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

struct SerialOptions {
  std::size_t input_capacity = 4096;              // bytes of host input that may wait for the guest
  std::chrono::microseconds poll_wait{1000};      // an LSR read with output stalled waits this long at most
  std::chrono::microseconds write_wait{100'000};  // so does a THR write with the transmit FIFO full
};

struct SerialCounters {
  std::uint64_t output_bytes = 0;  // handed to the sink
  std::uint64_t output_lost = 0;   // written into a full FIFO, see above
  std::uint64_t input_bytes = 0;   // read by the guest
};

class Serial final : public BusDevice, public Stateful {
 public:
  static constexpr std::uint64_t kPorts = 8;
  static constexpr std::size_t kFifoBytes = 16;
  static constexpr unsigned kPollsToListen = 16;

  /// Both must outlive the device.
  Serial(IrqLine& irq, ByteSink& sink, SerialOptions options = {});

  /// Before the first access. Called without a lock, on a vCPU thread, once after each offer_input() that
  /// took less than it was given, when at least half of the queue is free.
  void set_on_input_space(std::function<void()> callback) { on_input_space_ = std::move(callback); }

  /// Any thread. Takes a prefix of `bytes`, returns its length.
  [[nodiscard]] std::size_t offer_input(std::span<const std::byte> bytes);
  /// Any thread: the sink has room again.
  void sink_ready();
  /// Nothing waits in the transmit FIFO. After the vCPUs have stopped: the output is complete.
  [[nodiscard]] bool output_idle() const;

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  void reset();
  [[nodiscard]] SerialCounters counters() const;
  /// Bytes of the host that wait for the guest stay with the host; those the guest has sent go along.
  [[nodiscard]] std::string_view state_name() const override { return "serial"; }
  void state(StateFields& fields) override;

 private:
  [[nodiscard]] std::uint8_t read_register(std::uint64_t offset);
  void write_register(std::uint64_t offset, std::uint8_t value);

  std::uint8_t read_data_locked() REQUIRES(mutex_);
  std::uint8_t read_iir_locked() REQUIRES(mutex_);
  std::uint8_t read_lsr_locked() REQUIRES(mutex_);
  std::uint8_t read_msr_locked() REQUIRES(mutex_);
  void transmit_locked(std::uint8_t value) REQUIRES(mutex_);
  void write_ier_locked(std::uint8_t value) REQUIRES(mutex_);
  void write_fcr_locked(std::uint8_t value) REQUIRES(mutex_);
  void write_mcr_locked(std::uint8_t value) REQUIRES(mutex_);
  /// Hands on what waits; empty afterwards means a THRE interrupt.
  void flush_locked() REQUIRES(mutex_);
  /// Until the transmit FIFO holds `at_most` bytes, or `limit` has passed; gives up the lock meanwhile.
  void wait_for_output_locked(std::chrono::microseconds limit, std::size_t at_most) REQUIRES(mutex_);
  void update_irq_locked() REQUIRES(mutex_);

  [[nodiscard]] bool loopback_locked() const REQUIRES(mutex_);
  [[nodiscard]] bool listening_locked() const REQUIRES(mutex_);
  [[nodiscard]] std::size_t readable_locked() const REQUIRES(mutex_);
  [[nodiscard]] std::uint8_t modem_lines_locked() const REQUIRES(mutex_);
  [[nodiscard]] std::uint8_t interrupt_cause_locked() const REQUIRES(mutex_);

  IrqLine& irq_;
  ByteSink& sink_;
  const SerialOptions options_;
  std::function<void()> on_input_space_;

  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  std::condition_variable_any drained_;  // bytes have left the transmit FIFO
  std::uint8_t ier_ GUARDED_BY(mutex_) = 0;
  std::uint8_t fcr_ GUARDED_BY(mutex_) = 0;
  std::uint8_t lcr_ GUARDED_BY(mutex_) = 0;
  std::uint8_t mcr_ GUARDED_BY(mutex_) = 0;
  std::uint8_t scratch_ GUARDED_BY(mutex_) = 0;
  std::uint16_t divisor_ GUARDED_BY(mutex_) = 0;
  std::uint8_t modem_delta_ GUARDED_BY(mutex_) = 0;  // MSR bits 0-3
  bool overrun_ GUARDED_BY(mutex_) = false;          // LSR.OE
  bool thre_pending_ GUARDED_BY(mutex_) = false;     // THRE interrupt not yet acknowledged
  bool input_refused_ GUARDED_BY(mutex_) = false;    // offer_input() took less than given
  unsigned idle_polls_ GUARDED_BY(mutex_) = 0;       // LSR reads in a row
  Level irq_level_ GUARDED_BY(mutex_) = Level::Low;
  ByteQueue input_ GUARDED_BY(mutex_);
  ByteQueue loop_ GUARDED_BY(mutex_);
  ByteQueue output_ GUARDED_BY(mutex_);
  SerialCounters counters_ GUARDED_BY(mutex_);
};

}  // namespace vmm::devices
