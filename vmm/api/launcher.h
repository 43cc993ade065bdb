// How a machine comes to run that a request asks for.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <future>
#include <memory>
#include <optional>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/api/guest.h"
#include "vmm/machine/config.h"
#include "vmm/machine/machine_image.h"

namespace vmm::api {

/// What is to run: a configuration that is complete, and where it goes on if it does not boot.
struct Launch {
  MachineConfig config;
  std::optional<MachineImage> image;
};

/// Thread: the API's.
class Launcher {
 public:
  virtual ~Launcher() = default;
  /// Waits until the machine is built; it runs then, or is about to. Errors: as Machine::create(); it can be
  /// tried again.
  [[nodiscard]] virtual uvm::Result<Guest*> start(Launch launch) = 0;
};

/// The real one: hands what is asked for to the main thread, which builds and runs machines.
class MainThread final : public Launcher {
 public:
  /// Builds a machine; the guest lives until the process has run it.
  using Build = std::function<uvm::Result<Guest*>(Launch launch)>;

  MainThread() = default;
  ~MainThread() override { close(); }
  MainThread(const MainThread&) = delete;
  MainThread& operator=(const MainThread&) = delete;

  [[nodiscard]] uvm::Result<Guest*> start(Launch launch) override EXCLUDES(mutex_);

  /// On the main thread: builds what is asked for until a build succeeds, or a signal ends the waiting; then
  /// the signal's number. Nothing more is started from here on.
  [[nodiscard]] std::optional<int> serve(const Build& build) EXCLUDES(mutex_);

 private:
  struct Order {
    Launch launch;
    std::promise<uvm::Result<Guest*>> built;
  };
  /// Whoever waits, and whoever comes, is told that nothing starts any more.
  void close() EXCLUDES(mutex_);

  boost::asio::io_context io_{1};
  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  bool closed_ GUARDED_BY(mutex_) = false;
  std::shared_ptr<Order> waiting_ GUARDED_BY(mutex_);
  Build build_;  // the main thread only
};

}  // namespace vmm::api
