// What somebody asks for who pins.
#pragma once

#include <memory>

#include "uvm/patience.h"
#include "uvm/pin_owner.h"
#include "uvm/pin_table.h"
#include "uvm/pmap.h"

namespace uvm {

struct PinRequest {
  std::shared_ptr<PinOwner> owner;  // not null
  PinAccess access = PinAccess::Write;
  ForkPolicy policy = ForkPolicy::Copy;
  /// Shareable: private pages come to lie where other processes can map them, before the pin is granted. From
  /// then on, until they are unmapped, all private pages of the mappings are made there, by events: the host
  /// fills no zeros and breaks no copy-on-write by itself in the pinned range any more.
  Placement placement = Placement::InPlace;
  /// Refuse: Busy, and nothing pinned, when pages have to be read in or room has to be made for them
  /// (pin_async.h).
  Patience patience = Patience::Sleep;
};

}  // namespace uvm
