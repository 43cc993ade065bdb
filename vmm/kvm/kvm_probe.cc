// The probe's KVM part: capabilities the kernel states, and what a throw-away VM shows of them.
#include <algorithm>
#include <array>
#include <optional>

#include "vmm/kvm/abi.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/probe_parts.h"
#include "vmm/kvm/trial_vm.h"

namespace vmm::kvm {

namespace {

constexpr const char* kKvmArea = "kvm";

// mov %eax, kDevice: "the code got here".
constexpr std::array<std::uint8_t, 7> kReport{0x89, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00};
// cmpxchg16b kData; then kReport. Every 64-bit processor has it, KVM's emulator has not.
constexpr std::array<std::uint8_t, 16> kCompareExchange{0x48, 0x0f, 0xc7, 0x0c, 0x25, 0x00, 0x90, 0x00,
                                                        0x00, 0x89, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00};
// mov %eax, kForbidden; then kReport.
constexpr std::array<std::uint8_t, 14> kForbiddenStore{0x89, 0x04, 0x25, 0x00, 0xb0, 0x00, 0x00,
                                                       0x89, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00};

const MmioExit* as_mmio(const uvm::Result<Exit>& exit, std::uint32_t gpa) {
  if (!exit) return nullptr;
  const auto* mmio = std::get_if<MmioExit>(&*exit);
  return mmio != nullptr && mmio->gpa.value() == gpa ? mmio : nullptr;
}

std::string text_of(const uvm::Result<Exit>& exit) {
  return exit ? to_string(*exit) : exit.error().text();
}

/// Short when it is the emulator that gave up, the case with a name; otherwise what came instead.
std::string supervisor_trial(const uvm::Result<Exit>& exit) {
  if (as_mmio(exit, TrialVm::kDevice) != nullptr) return "yes";
  const bool emulated = exit && std::holds_alternative<InternalErrorExit>(*exit);
  return emulated ? "KVM emulates it, without CMPXCHG16B" : "a trial ended with: " + text_of(exit);
}

/// How a store to inaccessible host memory ends in one ring.
std::string fault_channel(TrialVm& trial, Ring ring) {
  const auto exit = trial.execute(ring, kForbiddenStore);
  if (as_mmio(exit, TrialVm::kForbidden) != nullptr) return "as a device access";
  if (exit) {
    if (const auto* fault = std::get_if<MemoryFaultExit>(&*exit)) {
      return fault->info ? "with its address" : "without address";
    }
  }
  return text_of(exit);
}

void probe_faults(Report& report, TrialVm& trial) {
  const std::string supervisor = fault_channel(trial, Ring::Supervisor);
  const std::string user = fault_channel(trial, Ring::User);
  const bool told = supervisor == "with its address" && user == supervisor;
  add(report, kKvmArea, "inaccessible host page", told, "CPL 0 " + supervisor + ", CPL 3 " + user,
      {"not needed: faults are resolved inside KVM_RUN",
       "never used as a fault channel: faults are resolved inside KVM_RUN"});
}

void probe_prefault(Report& report, TrialVm& trial) {
  bool works = false;
  std::string value = "no vCPU";
  if (auto vcpu = trial.fresh_vcpu(Ring::Supervisor)) {
    abi::PreFaultMemory request{};
    request.size = uvm::kPageSize;
    works = call((*vcpu)->fd(), abi::kPreFaultMemory, &request) == 0;
    value = works ? "works" : "refused (errno " + std::to_string(errno) + ")";
  }
  add(report, kKvmArea, "pre-fault of stage 2", works, std::move(value),
      {"start-up may map pages ahead of the guest", "pages are mapped at their first touch"});
}

std::uint32_t address_bits(const std::vector<kvm_cpuid_entry2>& cpuid) {
  for (const kvm_cpuid_entry2& leaf : cpuid) {
    if (leaf.function != 0x8000'0008) continue;
    const std::uint32_t guest = leaf.eax >> 16 & 0xff;  // GuestPhysAddrSize, 0 where it is not told
    return guest != 0 ? guest : leaf.eax & 0xff;
  }
  return 36;
}

void add_limits(Report& report, const System& system, const Vm& vm) {
  const std::string recommended = std::to_string(vm.check_extension(KVM_CAP_NR_VCPUS));
  add(report, kKvmArea, "vCPUs a VM",
      std::to_string(vm.check_extension(KVM_CAP_MAX_VCPUS)) + " (" + recommended + " recommended)",
      Verdict::Yes, "limit of -c");
  add(report, kKvmArea, "memory slots", std::to_string(vm.check_extension(KVM_CAP_NR_MEMSLOTS)), Verdict::Yes,
      "uvmm needs a few");
  if (const auto cpuid = system.supported_cpuid()) {
    add(report, kKvmArea, "guest-physical bits", std::to_string(address_bits(*cpuid)), Verdict::Yes,
        "limit of -m and of device addresses");
  }
}

void add_interrupts(Report& report, const System& system, const Vm& vm) {
  const bool split = vm.check_extension(KVM_CAP_SPLIT_IRQCHIP) != 0;
  const bool full = vm.check_extension(KVM_CAP_IRQCHIP) != 0;
  add(report, kKvmArea, "split irqchip", split, split ? "yes" : "no",
      {"used: VMs start and end fastest",
       full ? "the full in-kernel irqchip is used" : "no interrupts, no SMP",
       full ? Verdict::Degraded : Verdict::No});
  const int x2apic = vm.check_extension(KVM_CAP_X2APIC_API);
  add(report, kKvmArea, "x2APIC ids", x2apic != 0, x2apic != 0 ? "32 bits" : "8 bits",
      {"more than 254 vCPUs possible", "at most 254 vCPUs"});
  // Not a bit of the supported CPUID, because it depends on the irqchip.
  const bool deadline = system.check_extension(KVM_CAP_TSC_DEADLINE_TIMER) != 0;
  add(report, kKvmArea, "TSC deadline timer", deadline, deadline ? "yes" : "no",
      {"offered to guests", "guests use the APIC timer"});
  const bool scaling = system.check_extension(KVM_CAP_TSC_CONTROL) != 0;
  add(report, kKvmArea, "TSC scaling", scaling, scaling ? "yes" : "no",
      {"guests keep their TSC rate when moved", "guests see the host's TSC rate"});
  const bool irqfd = vm.check_extension(KVM_CAP_IRQFD) != 0;
  const bool doorbell = vm.check_extension(KVM_CAP_IOEVENTFD) != 0;
  add(report, kKvmArea, "irqfd and ioeventfd", irqfd && doorbell, irqfd && doorbell ? "yes" : "no",
      {"used for devices", "devices go through vCPU exits"});
}

void add_memory(Report& report, const Vm& vm) {
  const bool read_only = vm.check_extension(KVM_CAP_READONLY_MEM) != 0;
  add(report, kKvmArea, "read-only slots", read_only, read_only ? "yes" : "no",
      {"used for ROM", "ROM is writable by the guest"});
  const int ring = std::max(vm.check_extension(KVM_CAP_DIRTY_LOG_RING),
                            vm.check_extension(KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
  add(report, kKvmArea, "dirty ring", ring != 0, ring != 0 ? std::to_string(ring) + " bytes" : "no",
      {"available for small resets", "dirty pages are found by scanning"});
  const bool informs = vm.check_extension(abi::kCapMemoryFaultInfo) != 0;
  add(report, kKvmArea, "memory fault info", informs, informs ? "claimed" : "no",
      {"informational: what counts is the trial below", "see the trial below"});
}

void add_vcpu(Report& report, const Vm& vm) {
  const bool sync = (static_cast<unsigned>(vm.check_extension(KVM_CAP_SYNC_REGS)) & KVM_SYNC_X86_REGS) != 0;
  add(report, kKvmArea, "registers in the run page", sync, sync ? "yes" : "no",
      {"used: no ioctl to look at registers", "one ioctl for each look at the registers"});
  const bool immediate = vm.check_extension(KVM_CAP_IMMEDIATE_EXIT) != 0;
  add(report, kKvmArea, "immediate exit", immediate, immediate ? "yes" : "no",
      {"used to pause without a race", "a pause may come one exit late", Verdict::No});
}

}  // namespace

void probe_kvm(Report& report, Depth depth) {
  const auto system = System::open();
  if (!system) {
    return add(report, kKvmArea, "/dev/kvm", system.error().text(), Verdict::No, "no guest can run");
  }
  auto trial = TrialVm::create(*system);
  if (!trial) {
    return add(report, kKvmArea, "create a VM", trial.error().text(), Verdict::No, "no guest can run");
  }
  report.backend = Backend::Unknown;
  const auto native = (*trial)->execute(Ring::Supervisor, kCompareExchange);
  report.native_supervisor = as_mmio(native, TrialVm::kDevice) != nullptr;
  report.supervisor_trial = supervisor_trial(native);
  if (depth == Depth::BootOnly) return;

  add(report, kKvmArea, "API version", std::to_string(abi::kApiVersion), Verdict::Yes, "the one uvmm speaks");
  add(report, kKvmArea, "CPL 0 on the processor", report.native_supervisor, report.supervisor_trial,
      {"kernels run at full speed", "kernel mode is emulated, about 1 us an instruction", Verdict::No});
  const auto user = (*trial)->execute(Ring::User, kReport);
  const bool user_works = as_mmio(user, TrialVm::kDevice) != nullptr;
  add(report, kKvmArea, "CPL 3 in long mode", user_works, user_works ? "yes" : text_of(user),
      {"built-in guests work there", "built-in guests do not work", Verdict::No});
  add_limits(report, *system, (*trial)->vm());
  add_interrupts(report, *system, (*trial)->vm());
  add_vcpu(report, (*trial)->vm());
  add_memory(report, (*trial)->vm());
  probe_faults(report, **trial);
  probe_prefault(report, **trial);
  probe_debug(report, **trial);
}

}  // namespace vmm::kvm
