#include "uvm/base/lock.h"

#include <gtest/gtest.h>

namespace uvm {
namespace lock_test {

TEST(LockTest, InwardIsFine) {
  SharedMutex map(LockRank::Map);
  Mutex amap(LockRank::Amap);
  Mutex pmap(LockRank::Pmap);
  const SharedLock a(map);
  const MutexLock b(amap);
  const MutexLock c(pmap);
}

TEST(LockTest, ReleasedRanksCanBeTakenAgain) {
  Mutex outer(LockRank::Map);
  Mutex inner(LockRank::Pmap);
  { const MutexLock a(inner); }
  const MutexLock b(outer);
  const MutexLock c(inner);
}

// The rules are checked through the functions, so that builds without assertions test them as well.
TEST(LockDeathTest, OutwardAborts) {
  EXPECT_DEATH(
      {
        lock_order::acquired(LockRank::Pmap);
        lock_order::acquired(LockRank::Map);
      },
      "lock order: taking rank 40; this thread holds: 70");
}

TEST(LockDeathTest, EqualRankAborts) {
  EXPECT_DEATH(
      {
        lock_order::acquired(LockRank::Amap);
        lock_order::acquired(LockRank::Amap);
      },
      "lock order");
}

TEST(LockDeathTest, ReleaseOfWhatIsNotHeldAborts) {
  EXPECT_DEATH(lock_order::released(LockRank::Leaf), "not held");
}

}  // namespace lock_test
}  // namespace uvm
