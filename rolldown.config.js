/**
 * The help yargs lays out is plain text. The widths of emoji that it would count otherwise take regular expressions that
 * are compiled at every start, whatever the command: 25 of 120 ms.
 */
const plainWidth = {
  name: 'plain-width',
  resolveId: (id) => (id === 'string-width' ? `\0${id}` : undefined),
  load: (id) =>
    id === '\0string-width'
      ? `import { stripVTControlCharacters } from 'node:util'
         export default (text) => stripVTControlCharacters(text).length`
      : undefined,
}

// One file a command instead of a hundred: starting is a good part of the time a small job takes.
export default {
  input: { main: 'dist/src/cli/main.js', index: 'dist/src/index.js', plugin: 'dist/src/plugin/index.js' },
  platform: 'node',
  external: [
    /^@huggingface\//,
    /^hyparquet/,
    'jiti',
    'onnx-proto',
    'onnxruntime-node',
    /^protobufjs\//,
    'sharp',
    'unplugin',
    'yauzl',
  ],
  plugins: [plainWidth],
  output: { dir: 'dist/bundle', format: 'esm', chunkFileNames: '[name]-[hash].js' },
  logLevel: 'warn',
}
