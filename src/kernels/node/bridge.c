/*
 * A bridge for onnxruntime-node, which cannot load operators: after load(path), every session of the process has those of the
 * library. Linux only.
 *
 * All versions of the runtime's function table are one static table. Its two functions that create a session are replaced by
 * ours, which first give the options the libraries. The table is that of the process: worker threads share it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <node_api.h>
#include <onnxruntime_c_api.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/** ONNX Runtime 1.16. */
enum { kApi = 16, kMostLibraries = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const OrtApi* api;
static char* libraries[kMostLibraries];
static int library_count;

static OrtStatus*(ORT_API_CALL* create)(const OrtEnv*, const ORTCHAR_T*, const OrtSessionOptions*, OrtSession**);
static OrtStatus*(ORT_API_CALL* create_from_array)(const OrtEnv*, const void*, size_t, const OrtSessionOptions*, OrtSession**);

static OrtStatus* add_libraries(const OrtSessionOptions* options) {
  OrtStatus* status = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < library_count && !status; i++)
    status = api->RegisterCustomOpsLibrary_V2((OrtSessionOptions*)options, libraries[i]);
  pthread_mutex_unlock(&lock);
  return status;
}

static OrtStatus* ORT_API_CALL create_with_libraries(const OrtEnv* env, const ORTCHAR_T* path, const OrtSessionOptions* options,
                                                     OrtSession** session) {
  OrtStatus* status = add_libraries(options);
  return status ? status : create(env, path, options, session);
}

static OrtStatus* ORT_API_CALL create_from_array_with_libraries(const OrtEnv* env, const void* bytes, size_t count,
                                                                const OrtSessionOptions* options, OrtSession** session) {
  OrtStatus* status = add_libraries(options);
  return status ? status : create_from_array(env, bytes, count, options, session);
}

/** Writes into the table, whose page may be one that is only read. It stays writable: what else is on it may need that. */
static int replace(const void* entry, const void* function) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)entry & ~(page - 1);
  if (mprotect((void*)first, page, PROT_READ | PROT_WRITE) != 0) return 0;
  memcpy((void*)(uintptr_t)entry, &function, sizeof function);
  return 1;
}

/** Finds the runtime this process has loaded and puts our functions into its table; an error text where that cannot be. */
static const char* take_over(void) {
  if (api) return NULL;
  void* runtime = dlopen("libonnxruntime.so.1", RTLD_NOW | RTLD_NOLOAD);
  const OrtApiBase* (*base)(void) = NULL;
  if (runtime) *(void**)&base = dlsym(runtime, "OrtGetApiBase");
  if (!base) return "no ONNX Runtime is loaded: load onnxruntime-node first";
  const OrtApi* found = base()->GetApi(kApi);
  if (!found) return "the loaded ONNX Runtime is older than 1.16";
  create = found->CreateSession;
  create_from_array = found->CreateSessionFromArray;
  api = found;
  if (replace(&found->CreateSession, (const void*)create_with_libraries) &&
      replace(&found->CreateSessionFromArray, (const void*)create_from_array_with_libraries))
    return NULL;
  api = NULL;
  return "the function table of ONNX Runtime cannot be written to";
}

/** Adds the library, once; an error text where it cannot be. */
static const char* add_library(const char* path) {
  static char text[512];
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return snprintf(text, sizeof text, "%s", dlerror()), text;
  if (!dlsym(library, "RegisterCustomOps")) return "the library has no RegisterCustomOps: it is none of operators";
  for (int i = 0; i < library_count; i++)
    if (strcmp(libraries[i], path) == 0) return NULL;
  if (library_count == kMostLibraries) return "too many libraries";
  const char* error = take_over();
  if (!error) libraries[library_count++] = strdup(path);
  return error;
}

/** load(path): every session from now on has the operators of the library. */
static napi_value load(napi_env env, napi_callback_info info) {
  napi_value given[1], nothing;
  size_t count = 1, length = 0;
  char path[4096];
  napi_get_undefined(env, &nothing);
  napi_get_cb_info(env, info, &count, given, NULL, NULL);
  if (count < 1 || napi_get_value_string_utf8(env, given[0], path, sizeof path, &length) != napi_ok || !strchr(path, '/')) {
    napi_throw_type_error(env, NULL, "load(path) takes the path of a library, with a slash in it");
    return nothing;
  }
  pthread_mutex_lock(&lock);
  const char* error = add_library(path);
  char text[512];
  if (error) snprintf(text, sizeof text, "%s", error);
  pthread_mutex_unlock(&lock);
  if (error) napi_throw_error(env, NULL, text);
  return nothing;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "load", NAPI_AUTO_LENGTH, load, NULL, &function);
  napi_set_named_property(env, exports, "load", function);
  return exports;
}
