#include "vmm/devices/serial.h"

#include "vmm/devices/registers.h"

namespace vmm::devices {

namespace {

// Register offsets; 0 and 1 are the divisor while LCR.DLAB is set.
constexpr std::uint64_t kData = 0;
constexpr std::uint64_t kInterruptEnable = 1;
constexpr std::uint64_t kInterruptIdOrFifo = 2;
constexpr std::uint64_t kLineControl = 3;
constexpr std::uint64_t kModemControl = 4;
constexpr std::uint64_t kLineStatus = 5;
constexpr std::uint64_t kModemStatus = 6;
constexpr std::uint64_t kScratch = 7;

constexpr std::uint8_t kIerReceive = 0x01;
constexpr std::uint8_t kIerTransmit = 0x02;
constexpr std::uint8_t kIerLineStatus = 0x04;
constexpr std::uint8_t kIerModem = 0x08;
constexpr std::uint8_t kIerMask = 0x0f;

constexpr std::uint8_t kCauseModem = 0x00;
constexpr std::uint8_t kCauseNone = 0x01;
constexpr std::uint8_t kCauseTransmit = 0x02;
constexpr std::uint8_t kCauseReceive = 0x04;
constexpr std::uint8_t kCauseLineStatus = 0x06;
constexpr std::uint8_t kCauseTimeout = 0x0c;
constexpr std::uint8_t kIirFifoEnabled = 0xc0;

constexpr std::uint8_t kFcrEnable = 0x01;
constexpr std::uint8_t kFcrClearReceive = 0x02;
constexpr std::uint8_t kFcrStored = 0xc9;  // trigger level, DMA mode, enable; the clear bits fall back

constexpr std::uint8_t kLcrDivisor = 0x80;
constexpr std::uint8_t kMcrLoopback = 0x10;
constexpr std::uint8_t kMcrMask = 0x1f;

constexpr std::uint8_t kLsrDataReady = 0x01;
constexpr std::uint8_t kLsrOverrun = 0x02;
constexpr std::uint8_t kLsrTransmitterEmpty = 0x60;  // THRE and TEMT

constexpr std::uint8_t kMsrCts = 0x10;
constexpr std::uint8_t kMsrDsr = 0x20;
constexpr std::uint8_t kMsrRing = 0x40;
constexpr std::uint8_t kMsrCarrier = 0x80;

std::size_t trigger_level(std::uint8_t fcr) {
  static constexpr std::array<std::uint8_t, 4> kLevels{1, 4, 8, 14};
  return (fcr & kFcrEnable) != 0 ? kLevels[fcr >> 6] : 1;
}

}  // namespace

Serial::Serial(IrqLine& irq, ByteSink& sink, SerialOptions options)
    : irq_(irq),
      sink_(sink),
      options_(options),
      input_(options.input_capacity),
      loop_(kFifoBytes),
      output_(kFifoBytes) {}

void Serial::read(std::uint64_t offset, std::span<std::byte> data) {
  for (std::byte& byte : data) byte = std::byte{read_register(offset++)};
}

void Serial::write(std::uint64_t offset, std::span<const std::byte> data) {
  for (const std::byte byte : data) write_register(offset++, std::to_integer<std::uint8_t>(byte));
}

std::uint8_t Serial::read_register(std::uint64_t offset) {
  std::uint8_t value = 0xff;
  bool has_space = false;
  {
    uvm::MutexLock lock(mutex_);
    const bool divisor = (lcr_ & kLcrDivisor) != 0;
    // Reading data goes on with what the polls began: a guest without interrupts takes a burst in one go.
    if (offset != kLineStatus && offset != kData) idle_polls_ = 0;
    switch (offset) {
      case kData:
        value = divisor ? static_cast<std::uint8_t>(divisor_) : read_data_locked();
        break;
      case kInterruptEnable:
        value = divisor ? static_cast<std::uint8_t>(divisor_ >> 8) : ier_;
        break;
      case kInterruptIdOrFifo:
        value = read_iir_locked();
        break;
      case kLineControl:
        value = lcr_;
        break;
      case kModemControl:
        value = mcr_;
        break;
      case kLineStatus:
        value = read_lsr_locked();
        break;
      case kModemStatus:
        value = read_msr_locked();
        break;
      case kScratch:
        value = scratch_;
        break;
      default:
        break;
    }
    update_irq_locked();
    if (input_refused_ && input_.space() >= input_.capacity() / 2) {
      input_refused_ = false;
      has_space = true;
    }
  }
  if (has_space && on_input_space_) on_input_space_();
  return value;
}

void Serial::write_register(std::uint64_t offset, std::uint8_t value) {
  uvm::MutexLock lock(mutex_);
  const bool divisor = (lcr_ & kLcrDivisor) != 0;
  idle_polls_ = 0;
  switch (offset) {
    case kData:
      if (divisor) {
        divisor_ = static_cast<std::uint16_t>((divisor_ & 0xff00) | value);
      } else {
        transmit_locked(value);
      }
      break;
    case kInterruptEnable:
      if (divisor) {
        divisor_ = static_cast<std::uint16_t>((divisor_ & 0x00ff) | value << 8);
      } else {
        write_ier_locked(value);
      }
      break;
    case kInterruptIdOrFifo:
      write_fcr_locked(value);
      break;
    case kLineControl:
      lcr_ = value;
      break;
    case kModemControl:
      write_mcr_locked(value);
      break;
    case kScratch:
      scratch_ = value;
      break;
    default:  // LSR and MSR are for reading
      break;
  }
  update_irq_locked();
}

std::uint8_t Serial::read_data_locked() {
  ByteQueue& queue = loopback_locked() ? loop_ : input_;
  if (readable_locked() == 0) return 0;
  const auto byte = std::to_integer<std::uint8_t>(queue.front().front());
  queue.pop(1);
  if (!loopback_locked()) ++counters_.input_bytes;
  return byte;
}

std::uint8_t Serial::read_iir_locked() {
  const std::uint8_t cause = interrupt_cause_locked();
  if (cause == kCauseTransmit) thre_pending_ = false;
  return static_cast<std::uint8_t>(cause | ((fcr_ & kFcrEnable) != 0 ? kIirFifoEnabled : 0));
}

std::uint8_t Serial::read_lsr_locked() {
  if (!loopback_locked() && !output_.empty()) wait_for_output_locked(options_.poll_wait, 0);
  const bool idle = loopback_locked() || output_.empty();
  if (idle && idle_polls_ < kPollsToListen) ++idle_polls_;
  unsigned value = idle ? kLsrTransmitterEmpty : 0;
  if (readable_locked() != 0) value |= kLsrDataReady;
  if (overrun_) value |= kLsrOverrun;
  overrun_ = false;
  return static_cast<std::uint8_t>(value);
}

std::uint8_t Serial::read_msr_locked() {
  const auto value = static_cast<std::uint8_t>(modem_lines_locked() | modem_delta_);
  modem_delta_ = 0;
  return value;
}

void Serial::transmit_locked(std::uint8_t value) {
  const std::byte byte{value};
  if (loopback_locked()) {
    if (!loop_.push(byte)) overrun_ = true;
    thre_pending_ = true;
    return;
  }
  if (output_.full()) wait_for_output_locked(options_.write_wait, kFifoBytes - 1);
  if (!output_.push(byte)) {
    ++counters_.output_lost;
    return;
  }
  thre_pending_ = false;
  // With older bytes waiting the sink is full, and will say when it is not.
  if (output_.size() == 1) flush_locked();
}

void Serial::write_ier_locked(std::uint8_t value) {
  value &= kIerMask;
  const bool transmit_enabled = (value & kIerTransmit) != 0 && (ier_ & kIerTransmit) == 0;
  // Turning the interrupt on with an empty transmitter raises it at once; drivers start sending with that.
  if (transmit_enabled && (loopback_locked() || output_.empty())) thre_pending_ = true;
  ier_ = value;
}

void Serial::write_fcr_locked(std::uint8_t value) {
  const bool toggled = ((value ^ fcr_) & kFcrEnable) != 0;
  if (toggled || (value & kFcrClearReceive) != 0) loop_.clear();
  fcr_ = value & kFcrStored;
}

void Serial::write_mcr_locked(std::uint8_t value) {
  const std::uint8_t before = modem_lines_locked();
  if (loopback_locked() && (value & kMcrLoopback) == 0) loop_.clear();
  mcr_ = value & kMcrMask;
  const std::uint8_t after = modem_lines_locked();
  const auto changed = static_cast<std::uint8_t>(before ^ after);
  // The ring indicator reports only its trailing edge.
  modem_delta_ |= (changed & (kMsrCts | kMsrDsr | kMsrCarrier)) >> 4;
  modem_delta_ |= (changed & before & kMsrRing) >> 4;
}

void Serial::flush_locked() {
  while (!output_.empty()) {
    const std::span<const std::byte> front = output_.front();
    const std::size_t taken = sink_.offer(front);
    counters_.output_bytes += taken;
    output_.pop(taken);
    if (taken < front.size()) return;
  }
  thre_pending_ = true;
}

void Serial::wait_for_output_locked(std::chrono::microseconds limit, std::size_t at_most) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (output_.size() > at_most) {
    if (drained_.wait_until(mutex_, deadline) == std::cv_status::timeout) return;
  }
}

void Serial::update_irq_locked() {
  const Level level = interrupt_cause_locked() == kCauseNone ? Level::Low : Level::High;
  if (level == irq_level_) return;
  irq_level_ = level;
  irq_.set_level(level);
}

bool Serial::loopback_locked() const {
  return (mcr_ & kMcrLoopback) != 0;
}

bool Serial::listening_locked() const {
  return (ier_ & kIerReceive) != 0 || idle_polls_ >= kPollsToListen;
}

std::size_t Serial::readable_locked() const {
  if (loopback_locked()) return loop_.size();
  return listening_locked() ? input_.size() : 0;
}

std::uint8_t Serial::modem_lines_locked() const {
  if (!loopback_locked()) return kMsrCts | kMsrDsr | kMsrCarrier;
  unsigned lines = 0;
  if ((mcr_ & 0x01) != 0) lines |= kMsrDsr;      // DTR
  if ((mcr_ & 0x02) != 0) lines |= kMsrCts;      // RTS
  if ((mcr_ & 0x04) != 0) lines |= kMsrRing;     // OUT1
  if ((mcr_ & 0x08) != 0) lines |= kMsrCarrier;  // OUT2
  return static_cast<std::uint8_t>(lines);
}

std::uint8_t Serial::interrupt_cause_locked() const {
  if ((ier_ & kIerLineStatus) != 0 && overrun_) return kCauseLineStatus;
  if ((ier_ & kIerReceive) != 0 && readable_locked() != 0) {
    // Below the trigger level a chip waits four character times; on this wire nothing more is coming.
    return readable_locked() >= trigger_level(fcr_) ? kCauseReceive : kCauseTimeout;
  }
  if ((ier_ & kIerTransmit) != 0 && thre_pending_) return kCauseTransmit;
  if ((ier_ & kIerModem) != 0 && modem_delta_ != 0) return kCauseModem;
  return kCauseNone;
}

std::size_t Serial::offer_input(std::span<const std::byte> bytes) {
  uvm::MutexLock lock(mutex_);
  const std::size_t taken = input_.push(bytes);
  if (taken < bytes.size()) input_refused_ = true;
  update_irq_locked();
  return taken;
}

void Serial::sink_ready() {
  uvm::MutexLock lock(mutex_);
  if (output_.empty()) return;
  flush_locked();
  drained_.notify_all();
  update_irq_locked();
}

bool Serial::output_idle() const {
  uvm::MutexLock lock(mutex_);
  return output_.empty();
}

void Serial::reset() {
  uvm::MutexLock lock(mutex_);
  ier_ = fcr_ = lcr_ = mcr_ = scratch_ = modem_delta_ = 0;
  divisor_ = 0;
  overrun_ = thre_pending_ = false;
  idle_polls_ = 0;
  loop_.clear();
  update_irq_locked();
}

void Serial::state(StateFields& fields) {
  uvm::MutexLock lock(mutex_);
  for (std::uint8_t* const one : {&ier_, &fcr_, &lcr_, &mcr_, &scratch_, &modem_delta_}) fields.field(*one);
  fields.field(divisor_);
  fields.field(overrun_);
  fields.field(thre_pending_);
  fields.field(idle_polls_);
  loop_.state(fields);
  output_.state(fields);
  if (!fields.restoring()) return;
  // The sink is another one, which has refused nothing yet; and the host's bytes are others.
  flush_locked();
  update_irq_locked();
  irq_.set_level(irq_level_);
}

SerialCounters Serial::counters() const {
  uvm::MutexLock lock(mutex_);
  return counters_;
}

}  // namespace vmm::devices
