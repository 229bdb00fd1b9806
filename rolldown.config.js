import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

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

/** The licences of what is bundled, beside the bundle. */
const licences = {
  name: 'licences',
  generateBundle(_, bundle) {
    const modules = Object.values(bundle).flatMap((chunk) => chunk.moduleIds ?? [])
    const folders = new Set(modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id) ?? []))
    const texts = [...folders].sort().map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file))
      return `${name} ${version} (${license})\n\n${file ? readFileSync(join(folder, file), 'utf8').trim() : ''}\n`
    })
    this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: texts.join(`\n${'-'.repeat(80)}\n\n`) })
  },
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
  plugins: [plainWidth, licences],
  output: { dir: 'dist/bundle', format: 'esm', chunkFileNames: '[name]-[hash].js' },
  logLevel: 'warn',
}
