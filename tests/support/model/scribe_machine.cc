#include "tests/support/model/scribe_machine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "guest/programs/scribe_layout.h"
#include "tests/support/eventually.h"
#include "uvm/base/range.h"
#include "vmm/control/client.h"
#include "vmm/gdb/hex.h"

namespace test::model {
namespace {

namespace scribe = guest::programs::scribe;
using uvm::Error;
using uvm::ErrorKind;

constexpr std::chrono::seconds kPatience{60};
constexpr std::size_t kMostBytes = 0x8000;  // of one packet

Error silent() {
  return {ErrorKind::PagerIo, "the debugger's door is silent"};
}

}  // namespace

uvm::Result<Look> Look::at(const std::string& socket) {
  vmm::gdb::ListenAddress address;
  address.path = socket;
  // The last one may not have gone yet.
  for (int i = 0; i < 1000; ++i) {
    auto client = std::make_unique<RspClient>(address);
    if (!client->is_connected()) return silent();
    const auto stop = client->ask("?");
    if (stop && stop->starts_with("T")) return Look(std::move(client));
  }
  return silent();
}

Look::~Look() {
  if (client_) static_cast<void>(client_->ask("D"));
}

uvm::Status Look::read(std::uint64_t gpa, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), kMostBytes);
    const auto digits = client_->ask("m" + vmm::gdb::hex_number(gpa) + "," + vmm::gdb::hex_number(size));
    if (!digits) return silent();
    if (!vmm::gdb::decode_hex(*digits, bytes.first(size))) {
      return Error(ErrorKind::PagerIo,
                   "a debugger reads " + uvm::hex(gpa) + " and is told: " + digits->substr(0, 200));
    }
    bytes = bytes.subspan(size);
    gpa += size;
  }
  return uvm::ok();
}

uvm::Result<std::uint64_t> Look::word(std::uint64_t gpa) {
  std::uint64_t value = 0;
  UVMM_CHECK(read(gpa, std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

uvm::Status Look::set_word(std::uint64_t gpa, std::uint64_t value) {
  std::string packet = "M" + vmm::gdb::hex_number(gpa) + ",8:";
  vmm::gdb::append_hex(packet, std::as_bytes(std::span(&value, 1)));
  const auto said = client_->ask(packet);
  if (!said) return silent();
  if (*said == "OK") return uvm::ok();
  return Error(ErrorKind::PagerIo, "a debugger writes " + uvm::hex(gpa) + " and is told: " + *said);
}

uvm::Result<std::unique_ptr<ScribeMachine>> ScribeMachine::start(std::vector<std::string> words,
                                                                 const std::string& folder,
                                                                 const std::string& name) {
  const std::string path = folder + "/" + name;
  const bool is_run = words.at(1) == "run";
  words.insert(words.end(), {"--console", "none", "--control", path + ".s", "--gdb", "unix:" + path + ".g"});
  if (is_run) words.insert(words.end(), {"--pin-socket", path + ".p"});
  std::unique_ptr<ScribeMachine> machine(new ScribeMachine(words, path + ".log"));
  machine->control_ = path + ".s";
  machine->gdb_ = path + ".g";
  if (is_run) machine->pins_ = path + ".p";
  bool has_ended = false;
  const bool answers = eventually([&] {
    has_ended = machine->process_.has_ended();
    return has_ended || vmm::control::ask(machine->control_, "status");
  });
  if (answers && !has_ended) return machine;
  return Error(ErrorKind::Invalid, (has_ended ? "it has ended: " : "nobody answers: ") + machine->output());
}

ScribeMachine::~ScribeMachine() {
  kill();
}

uvm::Status ScribeMachine::ask(const std::string& verb, const std::string& name) const {
  UVMM_TRY(const std::string answer, vmm::control::ask(control_, verb, name));
  static_cast<void>(answer);
  return uvm::ok();
}

int ScribeMachine::wait() {
  return process_.wait(kPatience);
}

std::atomic_ref<std::uint64_t> ScribeMachine::Held::word(std::uint64_t index) const {
  constexpr std::uint64_t kOffset = 8 * scribe::kWordsApart * scribe::kDevice;
  const auto bytes = pin.bytes().subspan(index * scribe::kPageBytes + kOffset, sizeof(std::uint64_t));
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(bytes.data()));
}

uvm::Result<vmm::pins::RemotePin> ScribeMachine::pinned(std::uint64_t gpa, std::uint64_t bytes) {
  if (!device_) {
    UVMM_TRY(device_, vmm::pins::Client::connect(pins_, "dev"));
  }
  const auto range = uvm::GpaRange::from_size(uvm::Gpa(gpa), bytes);
  if (!range) return Error(ErrorKind::Invalid, "no range of guest memory");
  return device_->pin(*range);
}

uvm::Status ScribeMachine::pin(std::size_t place, std::uint64_t page, std::uint64_t count) {
  UVMM_TRY(auto pin, pinned(scribe::page_at(page), count * scribe::kPageBytes));
  held_.at(place) = Held{std::move(pin), page, count};
  return uvm::ok();
}

uvm::Status ScribeMachine::command(std::uint64_t gpa, std::uint64_t value) {
  UVMM_TRY(const auto pin, pinned(scribe::kControl, scribe::kPageBytes));
  const auto bytes = pin.bytes().subspan(gpa - scribe::kControl, sizeof value);
  std::atomic_ref(*reinterpret_cast<std::uint64_t*>(bytes.data())).store(value);
  return uvm::ok();
}

void ScribeMachine::leave() {
  for (auto& one : held_) one.reset();
  device_.reset();
}

}  // namespace test::model
