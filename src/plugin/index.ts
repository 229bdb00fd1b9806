/**
 * A plugin for bundlers: `import url from './model.onnx?outeffhop'` gives the URL of the converted model.
 *
 * ```js
 * // vite.config.js
 * import outeffhop from 'outeffhop-convert/plugin'
 * export default { plugins: [outeffhop.vite({ quantize: 'int8-dynamic' })] }
 * ```
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import type { UnpluginContextMeta, UnpluginInstance, UnpluginOptions } from 'unplugin'
import { createUnplugin } from 'unplugin'
import { cacheFolder } from '../cache/index.ts'
import type { ConvertEntry, LoadedEntry, QuantizeEntry } from '../config/index.ts'
import { entryOf, findConfig, loadConfig } from '../config/index.ts'
import { ConvertError } from '../errors.ts'
import { buildModel } from './build-model.ts'

/**
 * Settings of every model that is imported, as in a config file: they go before those of the config file and after the
 * environment. `config` names the config file, or `false` for none; by default it is looked for from the working folder up.
 */
export type PluginOptions = (ConvertEntry | QuantizeEntry) & { readonly config?: string | false | undefined }

const query = '?outeffhop'

const factory = (options: PluginOptions | undefined, meta: UnpluginContextMeta): UnpluginOptions => {
  const { config, ...own } = options ?? {}
  let root = process.cwd()
  return {
    name: 'outeffhop-convert',
    enforce: 'pre',
    resolveId(source, importer) {
      if (!source.endsWith(query)) return null
      return `${locate(source.slice(0, -query.length), importer, root)}${query}`
    },
    loadInclude: (id) => id.endsWith(query),
    async load(id) {
      const model = id.slice(0, -query.length)
      this.addWatchFile(model)
      const entries = await entriesFor(model, own, config, root)
      const folder = join(root, 'node_modules/.cache/outeffhop-convert')
      const request = { model, entries, env: process.env, folder, cache: cacheFolder(process.env) }
      const { path, inputs } = await buildModel(request).catch((error: unknown) => {
        throw inOnePiece(error)
      })
      for (const input of inputs) this.addWatchFile(resolve(input))
      // Of rollup and its kin, emitFile gives the name of a reference.
      return moduleFor(path, meta.framework, (asset) => this.emitFile(asset) as unknown as string)
    },
    vite: {
      configResolved(resolved) {
        root = resolved.root
      },
    },
    webpack(compiler) {
      root = compiler.context
    },
    rspack(compiler) {
      root = compiler.context
    },
    esbuild: {
      config(given) {
        root = given.absWorkingDir ?? root
        given.loader = { '.onnx': 'file', ...given.loader }
      },
    },
  }
}

const plugin: UnpluginInstance<PluginOptions | undefined, false> = createUnplugin(factory)

export default plugin

/** The file an import names: from the importing file, or from the root where it begins with a slash. */
function locate(file: string, importer: string | undefined, root: string): string {
  if (isAbsolute(file)) return existsSync(file) ? file : join(root, file)
  return resolve(importer === undefined ? root : dirname(importer), file)
}

/** The plugin's own settings, then the entry of the config file. */
async function entriesFor(
  model: string,
  { command = 'convert', model: _, ...settings }: ConvertEntry | QuantizeEntry,
  config: string | false | undefined,
  root: string,
): Promise<LoadedEntry[]> {
  const own = { command, model: undefined, settings, path: join(root, 'plugin'), called: 'the options of the plugin' }
  const path = config === false ? undefined : (config ?? findConfig(root))
  const found = path === undefined ? undefined : entryOf(model, command, await loadConfig(resolve(root, path)))
  return found === undefined ? [own] : [own, found]
}

/** A bundler shows the message of an error, and not its hint. */
function inOnePiece(error: unknown): unknown {
  if (!(error instanceof ConvertError) || error.hint === undefined) return error
  return new Error(`${error.message}. ${error.hint}`, { cause: error })
}

interface Asset {
  readonly type: 'asset'
  readonly name: string
  readonly source: Uint8Array
}

/** The module whose default export is the URL of a file, as each bundler is asked for one. */
function moduleFor(path: string, framework: string, emit: (asset: Asset) => string): string {
  // Windows has backslashes, which no specifier has.
  const file = JSON.stringify(path.replaceAll('\\', '/'))
  switch (framework) {
    case 'vite':
      return `export { default } from ${file.slice(0, -1)}?url&no-inline"`
    case 'rollup':
    case 'rolldown':
      return `export default import.meta.ROLLUP_FILE_URL_${emit({ type: 'asset', name: basename(path), source: readFileSync(path) })}`
    case 'webpack':
    case 'rspack':
    case 'rsbuild':
      return `export default new URL(${file}, import.meta.url).href`
    default:
      return `export { default } from ${file}`
  }
}
