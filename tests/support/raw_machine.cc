#include "tests/support/raw_machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "guest/programs/builtin_info.h"

namespace test_support {

using guest::programs::BuiltinInfo;
using guest::programs::Mode;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;
using vmm::kvm::Direction;
using vmm::kvm::Exit;
using vmm::kvm::IoExit;
using vmm::kvm::MemSlot;
using vmm::kvm::System;
using vmm::kvm::Vcpu;
using vmm::kvm::Vm;

namespace {

constexpr std::uint64_t kTables = 0x1000;  // PML4, PDPT, four directories
constexpr std::uint64_t kPage = uvm::kPageSize;

std::vector<kvm_cpuid_entry2> cpuid_of(std::vector<kvm_cpuid_entry2> entries, std::uint32_t id) {
  for (kvm_cpuid_entry2& entry : entries) {
    if (entry.function == 1) entry.ebx = (entry.ebx & 0x00ff'ffff) | id << 24;
    if (entry.function == 0xb || entry.function == 0x1f) entry.edx = id;
  }
  return entries;
}

}  // namespace

kvm_segment flat_segment(std::uint16_t selector, std::uint8_t type) {
  kvm_segment segment{};
  segment.limit = 0xffff'ffff;
  segment.selector = selector;
  segment.type = type;
  segment.present = 1;
  segment.s = 1;
  segment.g = 1;
  segment.db = 1;
  segment.dpl = selector & 3;
  return segment;
}

Result<std::unique_ptr<RawMachine>> RawMachine::create(const Options& options) {
  UVMM_TRY(System system, System::open());
  UVMM_TRY(Vm vm, Vm::create(system));
  std::unique_ptr<RawMachine> machine(new RawMachine(options, std::move(vm)));
  UVMM_CHECK(machine->build(system));
  return machine;
}

Status RawMachine::build(const System& system) {
  UVMM_CHECK(vmm::kvm::install_kick_handler());
  UVMM_CHECK(map_memory());
  UVMM_CHECK(vm_.create_split_irqchip());
  UVMM_TRY(const auto cpuid, system.supported_cpuid());
  for (std::uint32_t id = 0; id < options_.vcpus; ++id) {
    UVMM_TRY(auto vcpu, vm_.create_vcpu(id));
    UVMM_CHECK(vcpu->set_cpuid(cpuid_of(cpuid, id)));
    vcpus_.push_back(std::move(vcpu));
  }
  return uvm::ok();
}

Status RawMachine::map_memory() {
  if (options_.backing != nullptr) {
    memory_ = options_.backing;
  } else {
    void* memory = ::mmap(nullptr, options_.memory, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return Error::from_errno(errno, "mapping guest memory");
    memory_ = static_cast<std::byte*>(memory);
  }
  MemSlot::Spec spec{};
  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0), options_.memory);
  spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(memory_));
  UVMM_TRY(MemSlot slot, MemSlot::create(vm_, spec));
  slots_.push_back(std::move(slot));
  return uvm::ok();
}

RawMachine::~RawMachine() {
  vcpus_.clear();
  slots_.clear();
  if (memory_ != nullptr && options_.backing == nullptr) ::munmap(memory_, options_.memory);
}

void RawMachine::write_loader_tables() {
  const auto table = [this](std::uint64_t i) {
    return reinterpret_cast<std::uint64_t*>(memory_ + kTables + i * kPage);
  };
  table(0)[0] = (kTables + kPage) | 3;
  for (std::uint64_t gib = 0; gib < 4; ++gib) {
    table(1)[gib] = (kTables + (2 + gib) * kPage) | 3;
    for (std::uint64_t i = 0; i < 512; ++i) table(2 + gib)[i] = gib << 30 | i << 21 | 0x83;
  }
}

Status RawMachine::enter_long_mode(std::uint64_t entry) {
  write_loader_tables();
  UVMM_TRY(kvm_sregs sregs, vcpus_.front()->sregs());
  kvm_segment code = flat_segment(0x08, 11);
  code.db = 0;
  code.l = 1;
  const kvm_segment data = flat_segment(0x10, 3);
  sregs.cs = code;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
  sregs.cr0 = 0x8000'0031;  // PG, NE, ET, PE
  sregs.cr3 = kTables;
  sregs.cr4 = 0x20;    // PAE
  sregs.efer = 0x500;  // LMA, LME
  UVMM_CHECK(vcpus_.front()->set_sregs(sregs));
  kvm_regs regs{};
  regs.rip = entry;
  regs.rflags = 2;
  regs.rsp = 0x7000;
  regs.rdi = guest::programs::kInfoGpa;
  return vcpus_.front()->set_regs(regs);
}

Status RawMachine::enter_real_mode(std::uint64_t entry) {
  UVMM_TRY(kvm_sregs sregs, vcpus_.front()->sregs());
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  UVMM_CHECK(vcpus_.front()->set_sregs(sregs));
  kvm_regs regs{};
  regs.rip = entry;
  regs.rflags = 2;
  regs.rsp = 0x7000;
  return vcpus_.front()->set_regs(regs);
}

Status RawMachine::load(const guest::programs::Program& program, std::string_view arguments) {
  if (program.min_memory > options_.memory || arguments.size() >= BuiltinInfo::kMaxArguments) {
    return Error(ErrorKind::Invalid, "program " + std::string(program.name) + " does not fit");
  }
  std::memcpy(memory_ + program.load_gpa, program.image.data(), program.image.size());
  if (program.mode == Mode::Real16) return enter_real_mode(program.entry);
  BuiltinInfo info{};
  info.magic = BuiltinInfo::kMagic;
  info.vcpus = options_.vcpus;
  info.ranges = 1;
  info.ram[0] = {0, options_.memory};
  std::copy(arguments.begin(), arguments.end(), info.arguments);
  std::memcpy(memory_ + guest::programs::kInfoGpa, &info, sizeof(info));
  return enter_long_mode(program.entry);
}

Status RawMachine::load_code(std::span<const std::uint8_t> code, std::uint64_t gpa) {
  std::memcpy(memory_ + gpa, code.data(), code.size());
  return enter_long_mode(gpa);
}

End RawMachine::run() {
  std::vector<std::thread> threads;
  threads.reserve(vcpus_.size());
  for (auto& vcpu : vcpus_) threads.emplace_back([this, &vcpu] { loop(*vcpu); });
  for (std::thread& thread : threads) thread.join();
  return end_;
}

void RawMachine::stop() {
  end(End::Stopped);
}

std::string RawMachine::serial() const {
  uvm::MutexLock lock(mutex_);
  return serial_;
}

void RawMachine::loop(Vcpu& vcpu) {
  while (!ended_.load()) {
    Result<Exit> exit = vcpu.run();
    if (!exit) return end(End::Failed, exit.error().text());
    handle(*exit);
  }
}

void RawMachine::handle(Exit& exit) {
  std::visit(
      vmm::kvm::Overloaded{
          [this](const IoExit& io) { handle(io); },
          [](const vmm::kvm::MmioExit& mmio) {
            if (mmio.direction == Direction::In) std::memset(mmio.data.data(), 0xff, mmio.data.size());
          },
          [this, &exit](const vmm::kvm::ShutdownExit&) { end(End::TripleFault, to_string(exit)); },
          [this, &exit](const vmm::kvm::InternalErrorExit&) { end(End::InternalError, to_string(exit)); },
          [](const vmm::kvm::IntrExit&) {},
          [this, &exit](const auto&) { end(End::Failed, to_string(exit)); },
      },
      exit);
}

void RawMachine::handle(const IoExit& io) {
  if (io.direction == Direction::In) {
    std::memset(io.data.data(), io.port == guest::programs::kSerialPort + 5 ? 0x60 : 0xff, io.data.size());
    return;
  }
  for (std::size_t at = 0; at + io.size <= io.data.size(); at += io.size) {
    std::uint32_t value = 0;
    std::memcpy(&value, io.data.data() + at, io.size);
    out(io.port, value);
  }
}

void RawMachine::out(std::uint16_t port, std::uint32_t value) {
  if (port == guest::programs::kSerialPort) {
    uvm::MutexLock lock(mutex_);
    serial_ += static_cast<char>(value);
    return;
  }
  if (port == guest::programs::kExitPort) {
    status_ = value;
    end(End::ExitPort);
  }
  if (port == 0x604 && (value & 0x2000) != 0) end(End::PowerOff);
  if (port == 0x64 && value == 0xfe) end(End::Reset);
}

void RawMachine::end(End how, std::string detail) {
  {
    uvm::MutexLock lock(mutex_);
    if (decided_) return;
    decided_ = true;
    end_ = how;
    detail_ = std::move(detail);
  }
  ended_.store(true);
  for (auto& vcpu : vcpus_) vcpu->kick();
}

}  // namespace test_support
