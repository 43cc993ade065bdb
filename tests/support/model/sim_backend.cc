#include "tests/support/model/sim_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

namespace test::model {

using uvm::Gpa;
using uvm::kPageSize;
using uvm::MutexLock;

namespace {

constexpr std::uint64_t kStorePages = 4096;  // room for the pages of an object that pins still hold
constexpr auto kLimits = kPages * kPageSize;

std::uint64_t word_at(std::span<const std::byte> page, std::uint64_t offset) {
  std::uint64_t value = 0;
  std::memcpy(&value, page.data() + offset, sizeof value);
  return value;
}
void put_word(std::span<std::byte> page, std::uint64_t offset, std::uint64_t value) {
  std::memcpy(page.data() + offset, &value, sizeof value);
}

/// A device works beside vCPUs.
std::atomic_ref<std::uint64_t> word_of(uvm::Frame frame, Gpa at) {
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(bytes_of(frame).data() + at.offset_in_page()));
}

class OneSimCpu : public Cpu {
 public:
  OneSimCpu(uvm::Space& space, SimMmu& mmu) : cpu_(space, mmu) {}
  [[nodiscard]] uvm::Result<std::uint64_t> load(Gpa from) override { return cpu_.load(from); }
  [[nodiscard]] uvm::Status store(Gpa to, std::uint64_t value) override { return cpu_.store(to, value); }

 private:
  SimCpu cpu_;
};

class SimMachine : public Machine {
 public:
  SimMachine(SimArena& arena, const std::string& name) : mmu_(kLimits, &arena) {
    start(uvm::Space::create(name, mmu_, *uvm::GpaRange::from_size(Gpa(0), kLimits)).value());
  }
  SimMachine(SimArena& arena, uvm::Space& parent, const std::string& name, uvm::Status& status)
      : mmu_(kLimits, &arena) {
    auto child = parent.fork(name, mmu_);
    if (child) {
      start(std::move(child).value());
    } else {
      status = std::move(child).error();
    }
  }

  [[nodiscard]] uvm::Space& space() override { return *space_; }
  [[nodiscard]] uvm::Result<std::uint64_t> load(Gpa from) override { return cpu_->load(from); }
  [[nodiscard]] uvm::Status store(Gpa to, std::uint64_t value) override { return cpu_->store(to, value); }
  [[nodiscard]] uvm::Status execute(Gpa at) override { return cpu_->execute(at); }
  [[nodiscard]] std::unique_ptr<Cpu> another_cpu() override {
    return std::make_unique<OneSimCpu>(*space_, mmu_);
  }
  [[nodiscard]] std::optional<std::uint64_t> dma_load(uvm::Frame frame, Gpa at) override {
    return word_of(frame, at).load();
  }
  [[nodiscard]] bool dma_store(uvm::Frame frame, Gpa at, std::uint64_t value) override {
    word_of(frame, at).store(value);
    return true;
  }

 private:
  void start(std::unique_ptr<uvm::Space> space) {
    space_ = std::move(space);
    cpu_.emplace(*space_, mmu_);
  }

  SimMmu mmu_;
  std::unique_ptr<uvm::Space> space_;
  std::optional<SimCpu> cpu_;
};

}  // namespace

// ---- objects --------------------------------------------------------------------------------------------

ShrinkingPager::ShrinkingPager(int object, std::uint64_t longest, uvm::Protection most)
    : store_("object" + std::to_string(object), kStorePages), longest_(longest), most_(most) {
  store_.set_writable(includes(most, uvm::Protection::Write));
  for (std::uint64_t index = 0; index < kStorePages; ++index) free_.insert(index);
  resize(kObjectPages);
  for (std::uint64_t number = 0; number < kObjectPages; ++number) {
    for (std::uint64_t word = 0; word < kWords; ++word) {
      put_word(page(number), kWordOffset[word], first_word(object, number, word));
    }
  }
}

void ShrinkingPager::resize(std::uint64_t pages) {
  const MutexLock lock(lock_);
  while (pages_.size() > pages) {
    const std::uint64_t index = pages_.back();
    pages_.pop_back();
    free_if_unused(index);
  }
  while (pages_.size() < pages) {
    const std::uint64_t index = *free_.begin();
    free_.erase(index);
    std::memset(store_.page(index).data(), 0, kPageSize);
    pages_.push_back(index);
  }
}

void ShrinkingPager::free_if_unused(std::uint64_t index) {
  if (held_.count(index) != 0 || std::count(pages_.begin(), pages_.end(), index) != 0) return;
  std::memset(store_.page(index).data(), 0xdd, kPageSize);
  free_.insert(index);
}

std::span<std::byte> ShrinkingPager::page(std::uint64_t number) {
  const MutexLock lock(lock_);
  return store_.page(pages_[number]);
}

uvm::Result<uvm::FrameRun> ShrinkingPager::get(const uvm::PagerRequest& request) {
  const MutexLock lock(lock_);
  const std::uint64_t first = request.offset.page();
  if (first >= pages_.size()) return uvm::Error(uvm::ErrorKind::EndOfObject, "past the end");
  std::uint64_t count = 1;
  const std::uint64_t most = std::min({request.pages, longest_, pages_.size() - first});
  while (count < most && pages_[first + count] == pages_[first] + count) ++count;
  return uvm::FrameRun{store_.frame(pages_[first]), count};
}

bool ShrinkingPager::hold(uvm::Frame frame) {
  const MutexLock lock(lock_);
  if (std::count(pages_.begin(), pages_.end(), frame.index) == 0) return false;
  held_.insert(frame.index);
  return true;
}

void ShrinkingPager::let_go(uvm::Frame frame) {
  const MutexLock lock(lock_);
  const auto one = held_.find(frame.index);
  ASSERT_NE(one, held_.end()) << "a page let go that nobody holds";
  held_.erase(one);
  free_if_unused(frame.index);
}

bool ShrinkingPager::discard(uvm::ObjectOffset first, std::uint64_t pages) {
  const MutexLock lock(lock_);
  for (std::uint64_t number = first.page(); number < first.page() + pages; ++number) {
    const std::uint64_t index = pages_.at(number);
    EXPECT_EQ(held_.count(index), 0U) << "a page was emptied under a pin";
    for (std::uint64_t at = 0; at < kPageSize; at += sizeof(std::uint64_t)) {
      std::atomic_ref(*reinterpret_cast<std::uint64_t*>(store_.page(index).data() + at)).store(0);
    }
  }
  return true;
}

std::uint64_t ShrinkingPager::size() const {
  const MutexLock lock(lock_);
  return pages_.size() * kPageSize;
}

// ---- the backend ----------------------------------------------------------------------------------------

SimBackend::SimBackend() {
  for (int object = 0; object < static_cast<int>(kObjects); ++object) {
    pagers_.push_back(std::make_shared<ShrinkingPager>(
        object, object == 1 ? 3 : kObjectPages,
        object == kReadOnlyObject ? uvm::Protection::ReadExecute : uvm::Protection::All));
    objects_.push_back(uvm::Object::create(pagers_.back()));
  }
}

std::unique_ptr<Machine> SimBackend::make(const std::string& name) {
  return std::make_unique<SimMachine>(arena_, name);
}

uvm::Result<std::unique_ptr<Machine>> SimBackend::fork(Machine& parent, const std::string& name) {
  uvm::Status status;
  auto child = std::make_unique<SimMachine>(arena_, parent.space(), name, status);
  if (!status) return std::move(status).error();
  return std::unique_ptr<Machine>(std::move(child));
}

std::shared_ptr<uvm::Object> SimBackend::object(int object) {
  return objects_[static_cast<std::size_t>(object)];
}

void SimBackend::truncate(int object, std::uint64_t pages) {
  const auto i = static_cast<std::size_t>(object);
  const std::uint64_t before = pagers_[i]->size() / kPageSize;
  pagers_[i]->resize(pages);
  if (pages >= before) return;
  objects_[i]->invalidate(
      *uvm::ObjectRange::from_size(uvm::ObjectOffset(pages * kPageSize), (before - pages) * kPageSize));
}

Words SimBackend::words(int object, std::uint64_t page) {
  const auto bytes = pagers_[static_cast<std::size_t>(object)]->page(page);
  return {word_at(bytes, kWordOffset[0]), word_at(bytes, kWordOffset[1])};
}

}  // namespace test::model
