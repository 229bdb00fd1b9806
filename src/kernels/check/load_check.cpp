// Whether a library of operators can be loaded here: load_check LIBRARY. Exit code 0: it can; 1: it cannot, and why.
#include <dlfcn.h>

#include <cstdio>

int main(int count, char** words) {
  if (count != 2) return std::fprintf(stderr, "usage: load_check LIBRARY\n"), 2;
  void* library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return std::printf("%s\n", dlerror()), 1;
  if (!dlsym(library, "RegisterCustomOps")) return std::printf("%s has no RegisterCustomOps\n", words[1]), 1;
  std::printf("%s can be loaded\n", words[1]);
  return 0;
}
