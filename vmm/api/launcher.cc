#include "vmm/api/launcher.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <utility>

namespace vmm::api {
namespace {

uvm::Error too_late() {
  return {uvm::ErrorKind::Busy, "uvmm is about to end"};
}

}  // namespace

uvm::Result<Guest*> MainThread::start(Launch launch) {
  auto order = std::make_shared<Order>(Order{std::move(launch), {}});
  auto built = order->built.get_future();
  {
    const uvm::MutexLock lock(mutex_);
    if (closed_) return too_late();
    waiting_ = order;
  }
  boost::asio::post(io_, [this] {
    std::shared_ptr<Order> next;
    {
      const uvm::MutexLock lock(mutex_);
      next = std::exchange(waiting_, nullptr);
    }
    if (!next) return;
    auto guest = build_(std::move(next->launch));
    const bool runs = guest.has_value();
    next->built.set_value(std::move(guest));
    if (runs) io_.stop();
  });
  return built.get();
}

std::optional<int> MainThread::serve(const Build& build) {
  build_ = build;
  std::optional<int> signal;
  boost::asio::signal_set signals(io_, SIGTERM, SIGINT, SIGHUP);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    signal = number;
    io_.stop();
  });
  const auto idle = boost::asio::make_work_guard(io_);
  io_.run();
  close();
  return signal;
}

void MainThread::close() {
  std::shared_ptr<Order> waiting;
  {
    const uvm::MutexLock lock(mutex_);
    closed_ = true;
    waiting = std::exchange(waiting_, nullptr);
  }
  if (waiting) waiting->built.set_value(too_late());
}

}  // namespace vmm::api
