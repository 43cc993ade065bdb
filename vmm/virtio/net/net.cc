#include "vmm/virtio/net/net.h"

#include <utility>

#include "vmm/log.h"
#include "vmm/virtio/net/passt.h"
#include "vmm/virtio/net/tap.h"

namespace vmm::virtio::net {
namespace {

bool is_of_its_own(const Options& options) {
  return options.back_end == BackEnd::Passt && options.passt_socket.empty();
}

uvm::Result<std::unique_ptr<Link>> open_link(const Options& options) {
  if (options.back_end == BackEnd::Tap) {
    UVMM_TRY(auto tap, Tap::open(options.tap));
    return std::unique_ptr<Link>(std::move(tap));
  }
  UVMM_TRY(auto passt, options.passt_socket.empty() ? Passt::start() : Passt::connect(options.passt_socket));
  return std::unique_ptr<Link>(std::move(passt));
}

/// Null: none, and the machine goes on.
uvm::Result<std::unique_ptr<Link>> find_link(const Options& options, Origin origin) {
  if (origin == Origin::Forked && !is_of_its_own(options)) return std::unique_ptr<Link>();
  auto link = open_link(options);
  if (link || origin == Origin::New) return link;
  log::event(log::Level::Warning, "network interface goes on without a link",
             {{"interface", options.id},
              {"error", link.error().text()},
              {"way_out", "restore it with --net …,id=" + options.id}});
  return std::unique_ptr<Link>();
}

}  // namespace

uvm::Result<std::unique_ptr<Interface>> create(const Options& options, const std::string& machine,
                                               uvm::Space& space, Origin origin) {
  auto link = find_link(options, origin);
  if (!link) return std::move(link).error().with_context("network interface " + options.id);
  // The tap interface's name is in it: two machines without names of their own may share a bridge.
  const MacAddress mac = options.mac.value_or(make_mac(machine + "/" + options.id + "/" + options.tap));
  const LinkKind kind = options.back_end == BackEnd::Tap ? Tap::kKind : Passt::kKind;
  return std::make_unique<Interface>(Interface::Setup{options.id, mac, space, *std::move(link), kind});
}

}  // namespace vmm::virtio::net
