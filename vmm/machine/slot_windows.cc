#include "vmm/machine/slot_windows.h"

#include <utility>

#include "vmm/kvm/memslot.h"

namespace vmm {
namespace {

/// Those below are RAM's (GuestMemory::attach()).
constexpr std::uint32_t kFirstSlot = 64;

}  // namespace

class SlotWindows::Window final : public vfio::GuestWindow {
 public:
  Window(SlotWindows& owner, kvm::MemSlot slot) : owner_(owner), slot_(std::move(slot)) {}
  ~Window() override {
    (void)slot_.remove();
    owner_.give_back(slot_.spec().slot);
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

 private:
  SlotWindows& owner_;
  kvm::MemSlot slot_;
};

std::uint32_t SlotWindows::take_number() {
  const uvm::MutexLock lock(mutex_);
  std::uint32_t number = kFirstSlot;
  while (!numbers_.insert(number).second) ++number;
  return number;
}

void SlotWindows::give_back(std::uint32_t number) {
  const uvm::MutexLock lock(mutex_);
  numbers_.erase(number);
}

uvm::Result<std::unique_ptr<vfio::GuestWindow>> SlotWindows::show(uvm::GpaRange range,
                                                                  std::span<std::byte> bytes) {
  kvm::MemSlot::Spec spec{};
  spec.slot = take_number();
  spec.gpa = range;
  spec.hva = uvm::Hva(reinterpret_cast<std::uintptr_t>(bytes.data()));
  auto slot = kvm::MemSlot::create(vm_, spec);
  if (!slot) {
    give_back(spec.slot);
    return std::move(slot).error();
  }
  return std::unique_ptr<vfio::GuestWindow>(std::make_unique<Window>(*this, *std::move(slot)));
}

}  // namespace vmm
