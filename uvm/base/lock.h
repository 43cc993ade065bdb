// Locks that state what they protect: clang's thread-safety attributes for "held", a run-time rank for order.
//
// Attributes catch access without the lock at compile time, but not an inversion whose first lock is the
// caller's. So every lock has a rank, and a build with assertions keeps each thread's ranks in order: a lock
// may only be taken when its rank is above all that the thread holds. The one list of ranks is LockRank,
// outermost first. Locks of equal rank (two spaces of a fork) may be taken together only through a helper
// that orders them by address.
#pragma once

#include <sanitizer/tsan_interface.h>

#include <functional>
#include <mutex>
#include <shared_mutex>

#include "uvm/base/sanitizers.h"

#if defined(__clang__)
#define UVMM_ATTRIBUTE(x) __attribute__((x))
#else
#define UVMM_ATTRIBUTE(x)
#endif
#define CAPABILITY(x) UVMM_ATTRIBUTE(capability(x))
#define SCOPED_CAPABILITY UVMM_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(x) UVMM_ATTRIBUTE(guarded_by(x))
#define PT_GUARDED_BY(x) UVMM_ATTRIBUTE(pt_guarded_by(x))
#define REQUIRES(...) UVMM_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) UVMM_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE(...) UVMM_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) UVMM_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) UVMM_ATTRIBUTE(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) UVMM_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...) UVMM_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#define EXCLUDES(...) UVMM_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define RETURN_CAPABILITY(x) UVMM_ATTRIBUTE(lock_returned(x))
#define NO_THREAD_SAFETY_ANALYSIS UVMM_ATTRIBUTE(no_thread_safety_analysis)

namespace uvm {

/// Outermost first. Values leave room for what later work inserts.
enum class LockRank : int {
  Machine = 10,    // a machine's life: run, pause, end
  Bus = 20,        // device registry of a machine
  Device = 30,     // one device's registers
  Map = 40,        // entries of a space
  Amap = 50,       // slots of an amap and the anons in them
  Object = 60,     // pages and reverse map of an object
  Page = 65,       // identity and wiring of a page
  Pmap = 70,       // tables of one space
  PvList = 80,     // reverse maps of a store
  Window = 90,     // host mappings of a window
  Interrupt = 95,  // interrupt controllers and lines
  Leaf = 100,      // takes nothing further while held
};

namespace lock_order {
/// Aborts with both ranks named when `rank` is not above everything the calling thread holds.
void acquired(LockRank rank);
/// The same for the second of two locks of one rank.
void acquired_second(LockRank rank);
void released(LockRank rank);
}  // namespace lock_order

#if defined(_GLIBCXX_ASSERTIONS) || defined(UVMM_LOCK_ORDER)
inline constexpr bool kCheckLockOrder = true;
#else
inline constexpr bool kCheckLockOrder = false;
#endif

/// Of a lock that ends. The standard's locks end without a call that ThreadSanitizer would see, which then
/// takes the next lock at this address for the same one and reports orders that nobody used.
inline void forget_lock(void* native) {
  if constexpr (kThreadSanitized) __tsan_mutex_destroy(native, 0);
}

class CAPABILITY("mutex") Mutex {
 public:
  explicit Mutex(LockRank rank) : rank_(rank) {}
  ~Mutex() { forget_lock(&mutex_); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() ACQUIRE() {
    if constexpr (kCheckLockOrder) lock_order::acquired(rank_);
    mutex_.lock();
  }
  void unlock() RELEASE() {
    mutex_.unlock();
    if constexpr (kCheckLockOrder) lock_order::released(rank_);
  }
  /// For std::condition_variable_any only: `cv.wait(lock)` needs a BasicLockable, which this is.
  [[nodiscard]] LockRank rank() const { return rank_; }

 private:
  std::mutex mutex_;
  const LockRank rank_;
};

class CAPABILITY("mutex") SharedMutex {
 public:
  explicit SharedMutex(LockRank rank) : rank_(rank) {}
  ~SharedMutex() { forget_lock(&mutex_); }
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() ACQUIRE() {
    if constexpr (kCheckLockOrder) lock_order::acquired(rank_);
    mutex_.lock();
  }
  void unlock() RELEASE() {
    mutex_.unlock();
    if constexpr (kCheckLockOrder) lock_order::released(rank_);
  }
  /// While the thread holds one other lock of this rank; for ExclusivePair.
  void lock_second() ACQUIRE() {
    if constexpr (kCheckLockOrder) lock_order::acquired_second(rank_);
    mutex_.lock();
  }
  void lock_shared() ACQUIRE_SHARED() {
    if constexpr (kCheckLockOrder) lock_order::acquired(rank_);
    mutex_.lock_shared();
  }
  void unlock_shared() RELEASE_SHARED() {
    mutex_.unlock_shared();
    if constexpr (kCheckLockOrder) lock_order::released(rank_);
  }

 private:
  std::shared_mutex mutex_;
  const LockRank rank_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class SCOPED_CAPABILITY ExclusiveLock {
 public:
  explicit ExclusiveLock(SharedMutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~ExclusiveLock() RELEASE() { mutex_.unlock(); }
  ExclusiveLock(const ExclusiveLock&) = delete;
  ExclusiveLock& operator=(const ExclusiveLock&) = delete;

 private:
  SharedMutex& mutex_;
};

/// Two locks of one rank, taken in the order of their addresses. They must not be the same.
class SCOPED_CAPABILITY ExclusivePair {
 public:
  ExclusivePair(SharedMutex& a, SharedMutex& b) ACQUIRE(a, b)
      : first_(std::less<>()(&a, &b) ? a : b), second_(&first_ == &a ? b : a) {
    lock();
  }
  ~ExclusivePair() RELEASE() NO_THREAD_SAFETY_ANALYSIS {
    second_.unlock();
    first_.unlock();
  }
  ExclusivePair(const ExclusivePair&) = delete;
  ExclusivePair& operator=(const ExclusivePair&) = delete;

 private:
  void lock() NO_THREAD_SAFETY_ANALYSIS {
    first_.lock();
    second_.lock_second();
  }

  SharedMutex& first_;
  SharedMutex& second_;
};

class SCOPED_CAPABILITY SharedLock {
 public:
  explicit SharedLock(SharedMutex& mutex) ACQUIRE_SHARED(mutex) : mutex_(mutex) { mutex_.lock_shared(); }
  ~SharedLock() RELEASE_GENERIC() { mutex_.unlock_shared(); }
  SharedLock(const SharedLock&) = delete;
  SharedLock& operator=(const SharedLock&) = delete;

 private:
  SharedMutex& mutex_;
};

}  // namespace uvm
