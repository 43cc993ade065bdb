# Writes OUTPUT with the version and the commit of SOURCE; leaves the file alone when nothing changed.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"#pragma once
#define UVMM_VERSION \"${VERSION}\"
#define UVMM_COMMIT \"${commit}\"
")
