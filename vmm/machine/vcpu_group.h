// The vCPUs of a machine as threads: start, pause, resume, stop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {

/// Whether a vCPU goes back into the guest after an exit.
enum class Next : std::uint8_t { Continue, EndMachine };

/// What the group asks about every exit. Called on the vCPU's own thread, several at once.
class ExitHandler {
 public:
  virtual ~ExitHandler() = default;
  /// `exit` points into the vCPU's run page: answer it in place.
  [[nodiscard]] virtual Next handle(kvm::Vcpu& vcpu, kvm::Exit& exit) = 0;
  /// KVM_RUN itself failed; the machine ends.
  virtual void failed(const kvm::Vcpu& vcpu, const uvm::Error& error) = 0;
  /// A vCPU ended the machine, or failed; told once for each vCPU that does, before its thread ends.
  virtual void ended() = 0;
  /// The vCPU is about to park: the last chance to finish what an exit left half done (registers are read
  /// while it is parked).
  [[nodiscard]] virtual Next parking(kvm::Vcpu&) { return Next::Continue; }
  /// The last thread has left the guest because of a pause. On the thread of that vCPU, without a lock; a
  /// pause that found nobody in the guest tells it by its answer instead.
  virtual void all_parked() {}
};

/// Whether a vCPU follows resume().
enum class Hold : std::uint8_t { Released, Held };

/// Owns the vCPUs and one thread each. Paused means: no thread is inside KVM_RUN or a handler, and none will
/// enter it until resume(). A guest with kvmclock is told of a long one, whose time its clocks have counted.
/// Pauses nest. Besides, single vCPUs can be held: they stay parked when the pause ends. Thread: start, stop
/// and the destructor on the owner's thread; pause, begin_pause, hold and resume on any thread; only
/// begin_pause on a vCPU's.
class VcpuGroup {
 public:
  VcpuGroup(std::vector<std::unique_ptr<kvm::Vcpu>> vcpus, ExitHandler& handler);
  ~VcpuGroup();
  VcpuGroup(const VcpuGroup&) = delete;
  VcpuGroup& operator=(const VcpuGroup&) = delete;

  [[nodiscard]] uvm::Status start();
  /// Returns when every vCPU is parked, or has ended. A vCPU asleep in the kernel on a page that is being
  /// brought in is kicked like the others, so whoever pauses must not hold a lock that bringing it in needs.
  void pause() EXCLUDES(mutex_);
  /// Begins a pause and does not wait. True: nobody was in the guest, so all is parked already and
  /// ExitHandler::all_parked() will not be called. Ended by one resume(), like pause().
  [[nodiscard]] bool begin_pause() EXCLUDES(mutex_);
  void resume() EXCLUDES(mutex_);
  /// Whether a pause is in effect and has reached everybody.
  [[nodiscard]] bool all_parked() EXCLUDES(mutex_);
  /// Only while the caller keeps the group paused.
  void hold(std::size_t index, Hold hold) EXCLUDES(mutex_);
  /// Ends all threads and waits for them. Twice is harmless.
  void stop() EXCLUDES(mutex_);

  [[nodiscard]] std::size_t size() const { return vcpus_.size(); }
  [[nodiscard]] kvm::Vcpu& vcpu(std::size_t index) { return *vcpus_[index]; }

 private:
  struct Seat {
    Hold hold = Hold::Released;
    bool parked = false;  // or ended: not in the guest, nor on the way there
    std::thread::id thread;
    std::condition_variable_any may_go;
  };
  void loop(kvm::Vcpu& vcpu);
  /// Parks while paused or held. False: the thread has to end.
  [[nodiscard]] bool may_run(kvm::Vcpu& vcpu) EXCLUDES(mutex_);
  [[nodiscard]] bool parked_locked(const kvm::Vcpu& vcpu) const REQUIRES(mutex_);
  /// One thread fewer in the guest; tells when it was the last that a pause waits for.
  void leave(const kvm::Vcpu& vcpu) EXCLUDES(mutex_);
  void set_attention_locked() REQUIRES(mutex_);
  void kick_running_locked() REQUIRES(mutex_);
  /// Those whose wait is over.
  void wake_locked() REQUIRES(mutex_);

  const std::vector<std::unique_ptr<kvm::Vcpu>> vcpus_;
  ExitHandler& handler_;
  std::vector<std::thread> threads_;

  /// Set while anybody wants the threads out of the guest; lets the run loop skip the mutex.
  std::atomic<bool> attention_{false};
  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::condition_variable_any changed_;  // running_ has
  int pauses_ GUARDED_BY(mutex_) = 0;
  std::vector<Seat> seats_ GUARDED_BY(mutex_);  // of each vCPU
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::size_t running_ GUARDED_BY(mutex_) = 0;  // threads that may be inside KVM_RUN or a handler
};

/// Keeps a group paused while it lives.
class VcpuPause {
 public:
  explicit VcpuPause(VcpuGroup& group) : group_(group) { group_.pause(); }
  ~VcpuPause() { group_.resume(); }
  VcpuPause(const VcpuPause&) = delete;
  VcpuPause& operator=(const VcpuPause&) = delete;

 private:
  VcpuGroup& group_;
};

}  // namespace vmm
