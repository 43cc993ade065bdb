#include "vmm/cli/cli.h"

int main(int argc, char** argv) {
  return vmm::cli::run_program(argc, argv);
}
