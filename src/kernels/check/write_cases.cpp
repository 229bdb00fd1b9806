// Writes the data of the cases for hosts in other languages: write_cases CASES FOLDER
// FOLDER/NAME.{q,k,v,bias,sink,lengths,wanted} are dense little-endian float32 (lengths int32); what a case has not is not written.
// Keys and values behind a key length are NaN there as well.
#include <cstdio>
#include <fstream>

#include "cases.hpp"

using namespace outeffhop::check;

namespace {

template <class T>
void write(const std::string& path, const std::vector<T>& values) {
  if (values.empty()) return;
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * sizeof(T)));
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return std::fprintf(stderr, "usage: write_cases CASES FOLDER\n"), 2;
  for (const Case& row : read_cases(words[1])) {
    const std::string path = std::string(words[2]) + "/" + row.name + ".";
    const Inputs inputs = make_inputs(row);
    const Dense dense = densify(inputs);
    write(path + "q", dense.q);
    write(path + "k", dense.k);
    write(path + "v", dense.v);
    write(path + "bias", dense.bias);
    write(path + "sink", inputs.sink);
    write(path + "lengths", inputs.key_lengths);
    write(path + "wanted", wanted(inputs, dense));
  }
}
