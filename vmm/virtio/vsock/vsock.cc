#include "vmm/virtio/vsock/vsock.h"

#include <utility>

#include "vmm/log.h"

namespace vmm::virtio::vsock {

uvm::Result<std::unique_ptr<SocketDevice>> create(const Options& options, uvm::Space& space, Origin origin) {
  std::optional<Listener> listener;
  if (origin != Origin::Forked) {
    auto opened = listen_at(options.socket);
    if (opened) {
      listener.emplace(*std::move(opened));
    } else if (origin == Origin::New) {
      return std::move(opened).error();
    } else {
      log::event(log::Level::Warning, "vsock goes on without its socket",
                 {{"error", opened.error().text()}, {"way_out", "restore it with --vsock CID,PATH"}});
    }
  }
  return std::make_unique<SocketDevice>(SocketDevice::Setup{space, options.cid, std::move(listener)});
}

}  // namespace vmm::virtio::vsock
