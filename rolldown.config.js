// One file a command instead of a hundred: starting is a good part of the time a small job takes.
export default {
  input: { main: 'dist/src/cli/main.js', index: 'dist/src/index.js' },
  platform: 'node',
  external: [/^@huggingface\//, /^hyparquet/, 'onnx-proto', 'onnxruntime-node', /^protobufjs\//, 'sharp', 'yauzl'],
  output: { dir: 'dist/bundle', format: 'esm', chunkFileNames: '[name]-[hash].js' },
  logLevel: 'warn',
}
