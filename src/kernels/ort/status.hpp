// Errors of ONNX Runtime's C functions as exceptions inside, and as statuses where the runtime calls us.
#pragma once
#include <onnxruntime_c_api.h>

#include <exception>
#include <string>

namespace outeffhop::ort {

/** The functions of the runtime that registered us, of the version `kApi`; set once, before anything else runs. */
extern const OrtApi* api;

/** The oldest API whose functions we call: ONNX Runtime 1.16. */
constexpr uint32_t kApi = 16;

/** What goes back to the runtime as a status. */
struct Failure : std::exception {
  explicit Failure(std::string text) : text(std::move(text)) {}
  const char* what() const noexcept override { return text.c_str(); }
  std::string text;
};

inline void check(OrtStatus* status) {
  if (!status) return;
  const std::string text = api->GetErrorMessage(status);
  api->ReleaseStatus(status);
  throw Failure(text);
}

/** Runs `work` and turns what it throws into a status. */
template <class Work>
OrtStatus* guarded(Work work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    return api->CreateStatus(ORT_FAIL, error.what());
  }
}

}  // namespace outeffhop::ort
