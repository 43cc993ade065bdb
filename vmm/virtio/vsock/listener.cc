#include "vmm/virtio/vsock/listener.h"

#include <sys/socket.h>

#include <cerrno>

namespace vmm::virtio::vsock {
namespace {

constexpr std::string_view kWhat = "vsock's socket ";

}  // namespace

uvm::Result<Listener> listen_at(const std::string& path) {
  return Listener::open(path, pins::SocketKind::Stream, kWhat);
}

uvm::Result<Fd> connect_to(const std::string& path) {
  UVMM_TRY(const sockaddr_un address, pins::local_address(path, kWhat));
  Fd fd = pins::new_socket(pins::SocketKind::Stream, pins::SocketCalls::Return);
  const std::string where = std::string(kWhat) + path;
  if (!fd) return uvm::Error::from_errno(errno, where + ": socket");
  // At once or not at all: the device's thread does not wait.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno == EAGAIN) return uvm::Error(uvm::ErrorKind::Busy, where + " is full");
  return uvm::Error::from_errno(errno, where + ": connect");
}

}  // namespace vmm::virtio::vsock
