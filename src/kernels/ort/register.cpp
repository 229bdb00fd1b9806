// RegisterCustomOps: what ONNX Runtime calls when a session loads this library.
#include <cstdlib>
#include <cstring>
#include <deque>

#include "op.hpp"

namespace outeffhop::ort {

const OrtApi* api = nullptr;
OrtStatus*(ORT_API_CALL* parallel_for)(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*) = nullptr;

namespace {

const Definition definitions[] = {
    {"HopfieldAttention", 3, 5, 4, attention_kernel},
    {"HopfieldSoftmax1", 1, 2, 1, softmax1_kernel},
};

/** "1.21.0" is 21. */
int minor_version(const OrtApiBase* base) {
  const char* point = std::strchr(base->GetVersionString(), '.');
  return point ? std::atoi(point + 1) : 0;
}

void fill(OrtCustomOpDomain* domain) {
  static std::deque<Op> ops;
  for (const Definition& definition : definitions)
    for (const bool on_device : {false, true}) {
      if (on_device && !OUTEFFHOP_WITH_CUDA) continue;
      for (const outeffhop_type type : {OUTEFFHOP_FLOAT32, OUTEFFHOP_FLOAT16, OUTEFFHOP_BFLOAT16})
        check(api->CustomOpDomain_Add(domain, &ops.emplace_back(definition, type, on_device)));
    }
}

/** The same for all sessions, and never freed: sessions may outlive anything here. */
OrtCustomOpDomain* domain_of_all() {
  static OrtCustomOpDomain* const domain = [] {
    OrtCustomOpDomain* made = nullptr;
    check(api->CreateCustomOpDomain("outeffhop", &made));
    fill(made);
    return made;
  }();
  return domain;
}

}  // namespace
}  // namespace outeffhop::ort

extern "C" OUTEFFHOP_API OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  using namespace outeffhop::ort;
  const OrtApi* found = base->GetApi(kApi);
  // Without functions there is no way to make a status: the runtime says by itself that it does not know the operators.
  if (!found) return nullptr;
  api = found;
#if ORT_API_VERSION >= 17
  if (minor_version(base) >= 17) parallel_for = base->GetApi(17)->KernelContext_ParallelFor;
#endif
  return guarded([=] { check(api->AddCustomOpDomain(options, domain_of_all())); });
}
