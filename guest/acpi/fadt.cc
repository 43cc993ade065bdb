#include "guest/acpi/fadt.h"

#include "guest/acpi/table.h"
#include "guest/byte_writer.h"

namespace guest::acpi {
namespace {

constexpr std::uint8_t kFadtRevision = 6;
constexpr std::uint8_t kMinorRevision = 3;
constexpr std::uint8_t kProfileEnterpriseServer = 4;

// IAPC_BOOT_ARCH
constexpr std::uint16_t kLegacyDevices = 1 << 0;  // there is a serial port to look for
constexpr std::uint16_t kHas8042 = 1 << 1;
constexpr std::uint16_t kNoVga = 1 << 2;

// Feature flags
constexpr std::uint32_t kWbinvd = 1 << 0;
constexpr std::uint32_t kC1OnAll = 1 << 2;
constexpr std::uint32_t kNoFixedSleepButton = 1 << 5;  // PWR_BUTTON (bit 4) is 0: the power button is fixed
constexpr std::uint32_t kNoFixedRtcWake = 1 << 6;
constexpr std::uint32_t kTimer32 = 1 << 8;
constexpr std::uint32_t kResetRegister = 1 << 10;
constexpr std::uint32_t kHeadless = 1 << 12;

constexpr std::uint16_t kNoC2 = 0xfff;  // more than 100 us
constexpr std::uint16_t kNoC3 = 0xfff;  // more than 1000 us

constexpr std::uint8_t kEventBytes = 4;
constexpr std::uint8_t kControlBytes = 2;
constexpr std::uint8_t kTimerBytes = 4;
constexpr std::uint16_t kControlOffset = 4;
constexpr std::uint16_t kTimerOffset = 8;

/// What follows the header, table 5-33.
struct [[gnu::packed]] FadtBody {
  std::uint32_t firmware_ctrl;
  std::uint32_t dsdt;
  std::uint8_t reserved_44;
  std::uint8_t profile;
  std::uint16_t sci_int;
  std::uint32_t smi_cmd;
  std::uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
  std::uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
  std::uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base, cst_cnt;
  std::uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
  std::uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
  std::uint16_t iapc_boot_arch;
  std::uint8_t reserved_111;
  std::uint32_t flags;
  GenericAddress reset_reg;
  std::uint8_t reset_value;
  std::uint16_t arm_boot_arch;
  std::uint8_t minor_revision;
  std::uint64_t x_firmware_ctrl, x_dsdt;
  GenericAddress x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0, x_gpe1;
  GenericAddress sleep_control, sleep_status;
  std::uint64_t hypervisor_vendor;
};
static_assert(kHeaderBytes + offsetof(FadtBody, pm1a_evt) == 56);
static_assert(kHeaderBytes + offsetof(FadtBody, p_lvl2_lat) == 96);
static_assert(kHeaderBytes + offsetof(FadtBody, iapc_boot_arch) == 109);
static_assert(kHeaderBytes + offsetof(FadtBody, reset_reg) == 116);
static_assert(kHeaderBytes + offsetof(FadtBody, x_pm1a_evt) == 148);
static_assert(kHeaderBytes + sizeof(FadtBody) == 276);

/// Ports twice, as 32-bit field and as generic address; the interpreter complains when they differ.
void set_pm_block(FadtBody& fadt, const PmBlock& pm) {
  const auto control = static_cast<std::uint16_t>(pm.io_base + kControlOffset);
  const auto timer = static_cast<std::uint16_t>(pm.io_base + kTimerOffset);
  fadt.sci_int = pm.sci_irq;
  fadt.pm1a_evt = pm.io_base;
  fadt.pm1a_cnt = control;
  fadt.pm_tmr = timer;
  fadt.pm1_evt_len = kEventBytes;
  fadt.pm1_cnt_len = kControlBytes;
  fadt.pm_tmr_len = kTimerBytes;
  fadt.x_pm1a_evt = GenericAddress::io(pm.io_base, kEventBytes);
  fadt.x_pm1a_evt.access_size = 2;  // status and enable are 16-bit registers
  fadt.x_pm1a_cnt = GenericAddress::io(control, kControlBytes);
  fadt.x_pm_tmr = GenericAddress::io(timer, kTimerBytes);
}

}  // namespace

std::vector<std::byte> make_fadt(const AcpiConfig& config, uvm::Gpa facs, uvm::Gpa dsdt) {
  FadtBody fadt{};
  fadt.firmware_ctrl = static_cast<std::uint32_t>(facs.value());  // then X_FIRMWARE_CTRL has to be 0
  fadt.dsdt = static_cast<std::uint32_t>(dsdt.value());
  fadt.x_dsdt = dsdt.value();
  fadt.profile = kProfileEnterpriseServer;
  set_pm_block(fadt, config.pm);
  fadt.p_lvl2_lat = kNoC2;
  fadt.p_lvl3_lat = kNoC3;
  fadt.century = config.rtc_century;
  fadt.iapc_boot_arch = kLegacyDevices | kNoVga;
  if (config.keyboard == KeyboardController::Present) {
    fadt.iapc_boot_arch = static_cast<std::uint16_t>(fadt.iapc_boot_arch | kHas8042);
  }
  fadt.flags =
      kWbinvd | kC1OnAll | kNoFixedSleepButton | kNoFixedRtcWake | kTimer32 | kResetRegister | kHeadless;
  fadt.reset_reg = GenericAddress::io(config.reset.port, 1);
  fadt.reset_value = config.reset.value;
  fadt.minor_revision = kMinorRevision;
  return make_table("FACP", kFadtRevision, to_bytes(fadt));
}

std::vector<std::byte> make_facs() {
  constexpr std::uint8_t kVersion = 2;
  ByteWriter facs;
  facs.text("FACS").u32(64).zeros(24).u8(kVersion).zeros(31);
  return facs.take();
}

}  // namespace guest::acpi
