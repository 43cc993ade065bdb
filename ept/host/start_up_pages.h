// What only the start of a machine's process has needed of the process's memory.
#pragma once

namespace ept::host {

/// Gives back pages of program and libraries, of which a machine that runs needs few: reading options,
/// configurations and images is most of the code. Whoever needs one again gets it out of the page cache.
/// Nothing while a debugger traces this process: its breakpoints would go too. Any thread, at any time.
void drop_start_up_pages();

}  // namespace ept::host
