#include "ept/host/device_object.h"

#include "uvm/base/range.h"

namespace ept::host {

uvm::Result<uvm::FrameRun> DeviceObject::get(const uvm::PagerRequest& request) {
  return uvm::Error(uvm::ErrorKind::NoBacking,
                    name_ + ": registers at " + uvm::to_string(request.offset) + ", and no memory",
                    "go through the bus");
}

}  // namespace ept::host
