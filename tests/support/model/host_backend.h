// Random sequences on this host's memory, without KVM: a uvm::Space over an ept::Pmap, and a thread that
// touches the window as a vCPU would.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ept/host/file_object.h"
#include "ept/pmap.h"
#include "tests/ept/ept_support.h"
#include "tests/support/model/backend.h"

namespace test::model {

/// A memfd that can be cut and grown. Thread-safe.
class ShrinkingObject : public ept::host::Backing {
 public:
  ShrinkingObject(int object, std::uint64_t longest);
  void resize(std::uint64_t pages);
  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] bool discard(uvm::ObjectOffset first, std::uint64_t pages) override;
  [[nodiscard]] std::uint64_t size() const override { return pages_.load() * uvm::kPageSize; }
  [[nodiscard]] uvm::Protection max_protection() const override { return uvm::Protection::All; }
  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  const std::string name_;
  const std::uint64_t longest_;
  std::atomic<std::uint64_t> pages_{0};
};

class Dropper;

/// The vCPU is the calling thread: it loads and stores in the window. What the host cannot turn into an event
/// is a signal here; both end in Space::fault.
class HostMachine : public Machine {
 public:
  explicit HostMachine(std::unique_ptr<ept::Pmap> pmap) : pmap_(std::move(pmap)) {}
  ~HostMachine() override;
  /// Before anything else is called. `dropper` (null: none) learns of the space and outlives the machine.
  void start(std::unique_ptr<uvm::Space> space, Dropper* dropper);

  [[nodiscard]] uvm::Space& space() override { return *space_; }
  [[nodiscard]] ept::Pmap& pmap() { return *pmap_; }
  [[nodiscard]] uvm::Result<std::uint64_t> load(uvm::Gpa from) override;
  [[nodiscard]] uvm::Status store(uvm::Gpa to, std::uint64_t value) override;
  /// Asks the space: this host's memory does not tell execution from reading.
  [[nodiscard]] uvm::Status execute(uvm::Gpa at) override {
    return space_->fault(at, uvm::AccessKind::Execute);
  }
  [[nodiscard]] std::unique_ptr<Cpu> another_cpu() override;
  [[nodiscard]] std::optional<std::uint64_t> dma_load(uvm::Frame frame, uvm::Gpa at) override;
  [[nodiscard]] bool dma_store(uvm::Frame frame, uvm::Gpa at, std::uint64_t value) override;

 protected:
  /// An event of this page could not be resolved: whoever waits for it has to be told. Called by the event
  /// thread.
  virtual void refuse(uvm::Gpa page);
  /// What the vCPU is about to access and what it stopped to access: an event of that page is its own.
  void begin_touch(uvm::Gpa at) { touching_ = at.page_down().value(); }
  void end_touch() { touching_ = ~std::uint64_t{0}; }
  [[nodiscard]] bool is_touching(uvm::Gpa page) const { return touching_.load() == page.value(); }
  /// Nobody else uses the machine any more. The first thing that a derived destructor does.
  void stop();

 private:
  [[nodiscard]] uvm::Status touch(uvm::Gpa at, uvm::AccessKind access, std::uint64_t& value);

  std::unique_ptr<ept::Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
  Dropper* dropper_ = nullptr;                              // has the space on its list
  std::unique_ptr<ept::test::Handler> events_;              // null: accesses without translation are signals
  std::atomic<std::uint64_t> touching_{~std::uint64_t{0}};  // GPA of the page
  std::atomic<pthread_t> toucher_{};
};

/// Another thread drops all translations of one space after another, at random moments (property P0).
class Dropper {
 public:
  Dropper();
  ~Dropper();
  Dropper(const Dropper&) = delete;
  Dropper& operator=(const Dropper&) = delete;
  void add(uvm::Space& space);
  /// When it returns nobody drops translations of that space.
  void remove(uvm::Space& space);

 private:
  void loop();

  std::mutex mutex_;
  std::vector<uvm::Space*> spaces_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

enum class Drops : std::uint8_t { WhenAsked, AtRandomMoments };

class HostBackend : public Backend {
 public:
  HostBackend(ept::Events events, Drops drops);
  ~HostBackend() override;

  [[nodiscard]] std::unique_ptr<Machine> make(const std::string& name) override;
  [[nodiscard]] uvm::Result<std::unique_ptr<Machine>> fork(Machine& parent, const std::string& name) override;
  [[nodiscard]] std::shared_ptr<uvm::Object> object(int object) override;
  void truncate(int object, std::uint64_t pages) override;
  [[nodiscard]] Words words(int object, std::uint64_t page) override;
  [[nodiscard]] bool pages_survive_truncation() const override { return false; }
  /// A limit needs events.
  [[nodiscard]] uvm::Swap* swap() override;

 protected:
  /// A machine over a pmap of its own, not started.
  [[nodiscard]] virtual std::unique_ptr<HostMachine> bare_machine();
  [[nodiscard]] std::unique_ptr<ept::Pmap> make_pmap() const;
  [[nodiscard]] uvm::GpaRange covered() const;

 private:
  [[nodiscard]] std::unique_ptr<Machine> started(std::unique_ptr<HostMachine> machine,
                                                 std::unique_ptr<uvm::Space> space);

  const ept::Events events_;
  std::vector<std::shared_ptr<ShrinkingObject>> shrinking_;
  std::shared_ptr<ept::host::FileObject> file_;
  std::vector<std::shared_ptr<uvm::Object>> objects_;
  std::unique_ptr<Dropper> dropper_;  // null: nobody does it
};

}  // namespace test::model
