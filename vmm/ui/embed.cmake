# Writes OUTPUT, a C++ file with the page's files of FOLDER.
set(functions "")
function(embed name)
  set(text "")
  foreach(file ${ARGN})
    file(READ ${FOLDER}/${file} part HEX)
    string(APPEND text "${part}")
  endforeach()
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${text}")
  string(REGEX REPLACE "('....','....','....','....','....','....','....','....','....','....',)" "\\1\n" bytes "${bytes}")
  set(functions "${functions}
std::string_view page_${name}() {
  static constexpr char kText[] = {
${bytes}};
  return {kText, sizeof kText};
}
" PARENT_SCOPE)
endfunction()
embed(html page.html)
embed(style page.css)
embed(script guest.js draw.js words.js follow.js)
file(WRITE ${OUTPUT} "#include \"vmm/ui/template.h\"

namespace vmm::ui {
${functions}
}  // namespace vmm::ui
")
