#include "tests/support/model/host_backend.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <utility>

#include "ept/host/memfd.h"
#include "tests/support/model/touch.h"
#include "uvm/base/sanitizers.h"

namespace test::model {

using ept::host::FileObject;
using uvm::AccessKind;
using uvm::Gpa;
using uvm::kPageSize;
using uvm::Status;

namespace {

std::vector<std::byte> first_bytes(int object) {
  std::vector<std::byte> bytes(kObjectPages * kPageSize);
  for (std::uint64_t page = 0; page < kObjectPages; ++page) {
    for (std::uint64_t word = 0; word < kWords; ++word) {
      const std::uint64_t value = first_word(object, page, word);
      std::memcpy(bytes.data() + page * kPageSize + kWordOffset[word], &value, sizeof value);
    }
  }
  return bytes;
}

void write_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  ASSERT_EQ(::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
            static_cast<ssize_t>(bytes.size()));
}

/// Another thread that touches the window, where it may.
class WindowCpu : public Cpu {
 public:
  WindowCpu(uvm::Space& space, ept::Pmap& pmap) : space_(space), pmap_(pmap) {}
  [[nodiscard]] uvm::Result<std::uint64_t> load(Gpa from) override {
    std::uint64_t value = 0;
    while (touch_load(word(from), value) != Touched::Done) UVMM_CHECK(space_.fault(from, AccessKind::Read));
    return value;
  }
  [[nodiscard]] Status store(Gpa to, std::uint64_t value) override {
    while (touch_store(word(to), value) != Touched::Done) UVMM_CHECK(space_.fault(to, AccessKind::Write));
    return uvm::ok();
  }

 private:
  std::uint64_t* word(Gpa at) {
    return reinterpret_cast<std::uint64_t*>(pmap_.bytes(*uvm::GpaRange::from_size(at, 8)).data());
  }
  uvm::Space& space_;
  ept::Pmap& pmap_;
};

std::shared_ptr<FileObject> read_only_file() {
  std::string path = ::testing::TempDir() + "uvmm-model-XXXXXX";
  const ept::host::UniqueFd file(::mkstemp(path.data()));
  EXPECT_TRUE(file.valid()) << path;
  write_all(file.get(), first_bytes(kReadOnlyObject), 0);
  auto object = FileObject::open(path);
  ::unlink(path.c_str());
  EXPECT_TRUE(object) << object.error().text();
  return std::move(object).value();
}

}  // namespace

// ---- objects --------------------------------------------------------------------------------------------

ShrinkingObject::ShrinkingObject(int object, std::uint64_t longest)
    : Backing(ept::host::make_memfd("model", 0).value(), ept::host::BackingKind::Memory),
      name_("object" + std::to_string(object)),
      longest_(longest) {
  resize(kObjectPages);
  write_all(fd(), first_bytes(object), 0);
}

void ShrinkingObject::resize(std::uint64_t pages) {
  pages_ = pages;
  EXPECT_EQ(::ftruncate(fd(), static_cast<off_t>(pages * kPageSize)), 0);
}

uvm::Result<uvm::FrameRun> ShrinkingObject::get(const uvm::PagerRequest& request) {
  const std::uint64_t first = request.offset.page();
  const std::uint64_t pages = pages_;
  if (first >= pages) return uvm::Error(uvm::ErrorKind::EndOfObject, name_ + ": past the end");
  return uvm::FrameRun{{this, first}, std::min({request.pages, longest_, pages - first})};
}

bool ShrinkingObject::discard(uvm::ObjectOffset first, std::uint64_t pages) {
  return ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first.value()),
                     static_cast<off_t>(pages * kPageSize)) == 0;
}

// ---- a machine ------------------------------------------------------------------------------------------

void HostMachine::start(std::unique_ptr<uvm::Space> space, Dropper* dropper) {
  space_ = std::move(space);
  if (pmap_->events() != nullptr) {
    events_ = std::make_unique<ept::test::Handler>(*pmap_, [this](const ept::StageTwoEvent& event) {
      if (space_->fault(event.address, event.access)) return;
      refuse(event.address.page_down());
      pmap_->wake(event.address.page_down());
    });
  }
  dropper_ = dropper;
  if (dropper_ != nullptr) dropper_->add(*space_);
}

void HostMachine::stop() {
  if (dropper_ != nullptr) dropper_->remove(*space_);
  dropper_ = nullptr;
  events_.reset();
}

HostMachine::~HostMachine() {
  stop();
}

void HostMachine::refuse(Gpa page) {
  if (is_touching(page)) refuse_touch(toucher_.load());
}

Status HostMachine::touch(Gpa at, AccessKind access, std::uint64_t& value) {
  auto* const word = reinterpret_cast<std::uint64_t*>(pmap_->bytes(*uvm::GpaRange::from_size(at, 8)).data());
  toucher_ = ::pthread_self();
  while (true) {
    // ThreadSanitizer holds back signals of other threads, so that a refusal would not get here.
    if (uvm::kThreadSanitized) UVMM_CHECK(space_->fault(at, access));
    begin_touch(at);
    const Touched touched = access == AccessKind::Write ? touch_store(word, value) : touch_load(word, value);
    end_touch();
    if (touched == Touched::Done) return uvm::ok();
    // A refusal may be an old one. A page that only an event could have brought is brought here.
    UVMM_CHECK(space_->fault(at, access));
  }
}

uvm::Result<std::uint64_t> HostMachine::load(Gpa from) {
  std::uint64_t value = 0;
  UVMM_CHECK(touch(from, AccessKind::Read, value));
  return value;
}

Status HostMachine::store(Gpa to, std::uint64_t value) {
  return touch(to, AccessKind::Write, value);
}

std::unique_ptr<Cpu> HostMachine::another_cpu() {
  return std::make_unique<WindowCpu>(*space_, *pmap_);
}

std::optional<std::uint64_t> HostMachine::dma_load(uvm::Frame frame, Gpa at) {
  std::array<std::byte, kPageSize> page{};
  const auto* backing = dynamic_cast<const ept::host::Backing*>(frame.store);
  const Status status =
      backing != nullptr ? backing->read_page(frame.index, page) : pmap_->read_private(at.page_down(), page);
  EXPECT_TRUE(status) << status.error().text();
  std::uint64_t value = 0;
  std::memcpy(&value, page.data() + at.offset_in_page(), sizeof value);
  return value;
}

bool HostMachine::dma_store(uvm::Frame frame, Gpa at, std::uint64_t value) {
  const auto* backing = dynamic_cast<const ept::host::Backing*>(frame.store);
  if (backing == nullptr) return static_cast<bool>(store(at, value));
  write_all(backing->fd(), std::as_bytes(std::span(&value, 1)),
            frame.index * kPageSize + at.offset_in_page());
  return true;
}

// ---- property P0 ----------------------------------------------------------------------------------------

Dropper::Dropper() : thread_([this] { loop(); }) {}

Dropper::~Dropper() {
  over_ = true;
  thread_.join();
}

void Dropper::add(uvm::Space& space) {
  const std::lock_guard lock(mutex_);
  spaces_.push_back(&space);
}

void Dropper::remove(uvm::Space& space) {
  const std::lock_guard lock(mutex_);
  spaces_.erase(std::remove(spaces_.begin(), spaces_.end(), &space), spaces_.end());
}

void Dropper::loop() {
  std::mt19937_64 random(1);
  while (!over_) {
    {
      const std::lock_guard lock(mutex_);
      if (!spaces_.empty()) spaces_[random() % spaces_.size()]->drop_translations();
    }
    ::usleep(static_cast<useconds_t>(random() % 2000));
  }
}

// ---- the backend ----------------------------------------------------------------------------------------

HostBackend::HostBackend(ept::Events events, Drops drops) : events_(events), file_(read_only_file()) {
  shrinking_ = {std::make_shared<ShrinkingObject>(0, kObjectPages), std::make_shared<ShrinkingObject>(1, 3)};
  for (const auto& object : shrinking_) objects_.push_back(uvm::Object::create(object));
  objects_.push_back(uvm::Object::create(file_));
  if (drops == Drops::AtRandomMoments) dropper_ = std::make_unique<Dropper>();
}

HostBackend::~HostBackend() = default;

uvm::GpaRange HostBackend::covered() const {
  return *uvm::GpaRange::from_size(base(), kPages * kPageSize);
}

std::unique_ptr<ept::Pmap> HostBackend::make_pmap() const {
  return ept::test::make_pmap(covered(), events_);
}

std::unique_ptr<HostMachine> HostBackend::bare_machine() {
  return std::make_unique<HostMachine>(make_pmap());
}

std::unique_ptr<Machine> HostBackend::started(std::unique_ptr<HostMachine> machine,
                                              std::unique_ptr<uvm::Space> space) {
  machine->start(std::move(space), dropper_.get());
  return machine;
}

std::unique_ptr<Machine> HostBackend::make(const std::string& name) {
  auto machine = bare_machine();
  auto space = uvm::Space::create(name, machine->pmap(), covered()).value();
  return started(std::move(machine), std::move(space));
}

uvm::Result<std::unique_ptr<Machine>> HostBackend::fork(Machine& parent, const std::string& name) {
  auto machine = bare_machine();
  UVMM_TRY(auto space, parent.space().fork(name, machine->pmap()));
  return started(std::move(machine), std::move(space));
}

uvm::Swap* HostBackend::swap() {
  return events_ == ept::Events::Never ? nullptr : Backend::swap();
}

std::shared_ptr<uvm::Object> HostBackend::object(int object) {
  return objects_[static_cast<std::size_t>(object)];
}

void HostBackend::truncate(int object, std::uint64_t pages) {
  const auto i = static_cast<std::size_t>(object);
  const std::uint64_t before = shrinking_[i]->size() / kPageSize;
  shrinking_[i]->resize(pages);
  if (pages >= before) return;
  objects_[i]->invalidate(
      *uvm::ObjectRange::from_size(uvm::ObjectOffset(pages * kPageSize), (before - pages) * kPageSize));
}

Words HostBackend::words(int object, std::uint64_t page) {
  std::array<std::byte, kPageSize> bytes{};
  const ept::host::Backing& backing = object == kReadOnlyObject
                                          ? static_cast<const ept::host::Backing&>(*file_)
                                          : *shrinking_[static_cast<std::size_t>(object)];
  EXPECT_TRUE(backing.read_page(page, bytes));
  Words words{};
  for (std::uint64_t word = 0; word < kWords; ++word) {
    std::memcpy(&words[word], bytes.data() + kWordOffset[word], sizeof words[word]);
  }
  return words;
}

}  // namespace test::model
