// The table of built-in guests, without running any.
#include "guest/programs/programs.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "guest/programs/builtin_info.h"

namespace programs_test {

using namespace guest::programs;

TEST(Programs, every_program_obeys_the_contract_of_its_mode) {
  for (const Program& program : all()) {
    SCOPED_TRACE(program.name);
    EXPECT_FALSE(program.image.empty());
    EXPECT_FALSE(program.summary.empty());
    const std::uint64_t place = program.mode == Mode::Real16 ? kRealEntry : kLongEntry;
    EXPECT_EQ(program.load_gpa, place);
    EXPECT_EQ(program.entry, place);
    EXPECT_LE(program.load_gpa + program.image.size(), program.min_memory);
  }
}

TEST(Programs, names_are_unique_and_found) {
  std::set<std::string> names;
  for (const Program& program : all()) {
    EXPECT_TRUE(names.emplace(program.name).second) << program.name;
    EXPECT_EQ(find(program.name), &program);
  }
  EXPECT_EQ(find("no-such-program"), nullptr);
  EXPECT_EQ(find(""), nullptr);
}

TEST(Programs, a_real_mode_program_fits_below_the_loader_data_of_long_mode) {
  const Program* program = find("hello16");
  ASSERT_NE(program, nullptr);
  EXPECT_LE(program->image.size(), kSipiGpa - kRealEntry);
}

}  // namespace programs_test
