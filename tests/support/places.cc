#include "tests/support/places.h"

namespace test {

std::string source_dir() {
  return UVMM_SOURCE_DIR;
}

std::string build_dir() {
  return UVMM_BUILD_DIR;
}

std::string uvmm_path() {
  return build_dir() + "/uvmm";
}

std::string asset(const std::string& name) {
  return source_dir() + "/build/guest/" + name;
}

std::string compiler() {
  return UVMM_CXX_COMPILER;
}

}  // namespace test
