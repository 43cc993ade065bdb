#include "vmm/machine/ending.h"

#include <gtest/gtest.h>

#include "vmm/machine/power.h"

namespace vmm {
namespace ending_test {

using devices::PowerEvent;

TEST(Ending, TheFirstWordCounts) {
  int woken = 0;
  Ending ending([&woken] { ++woken; });
  EXPECT_FALSE(ending.report());
  ending.end(ExitStatus::TripleFault, "first");
  ending.end(ExitStatus::Ok, "second");
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(ending.report()->status, static_cast<int>(ExitStatus::TripleFault));
  EXPECT_EQ(ending.report()->summary, "first");
}

int status_of(PowerEvent event, DebugExitStatus style) {
  Ending ending([] {});
  Power power(ending, style);
  EXPECT_FALSE(power.pending());
  power.power(event);
  EXPECT_TRUE(power.pending());
  return ending.report()->status;
}

TEST(Power, PowerOffAndResetEndWell) {
  EXPECT_EQ(status_of({PowerEvent::Kind::PowerOff, 0}, DebugExitStatus::Qemu), 0);
  EXPECT_EQ(status_of({PowerEvent::Kind::Reset, 0}, DebugExitStatus::Plain), 0);
}

TEST(Power, ADebugExitIsQemusStatusOrThePlainValue) {
  EXPECT_EQ(status_of({PowerEvent::Kind::DebugExit, 0x10}, DebugExitStatus::Qemu), 33);
  EXPECT_EQ(status_of({PowerEvent::Kind::DebugExit, 0}, DebugExitStatus::Qemu), 1);
  EXPECT_EQ(status_of({PowerEvent::Kind::DebugExit, 7}, DebugExitStatus::Plain), 7);
  EXPECT_EQ(status_of({PowerEvent::Kind::DebugExit, 0x1234'56ff}, DebugExitStatus::Plain), 0xff);
}

}  // namespace ending_test
}  // namespace vmm
