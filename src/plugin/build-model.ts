import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { hashOfFile, keyOf, programOf, Store } from '../cache/index.ts'
import type { LoadedEntry, Setting, ValuesOf } from '../config/index.ts'
import { configurable, convertOptions, quantizeOptions, settle } from '../config/index.ts'
import { inputFiles } from '../input-files.ts'

/** What to make, and where results are kept. */
export interface BuildRequest {
  readonly model: string
  /** The entries that hold for it, the one that goes first first. */
  readonly entries: readonly LoadedEntry[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** A folder for the finished model, inside the project: bundlers serve nothing else. */
  readonly folder: string
  readonly cache: string
}

export interface BuiltModel {
  readonly path: string
  /** When one of these changes, it has to be made again. */
  readonly inputs: readonly string[]
}

/**
 * Converts or quantizes a model, unless the same was made before from the same bytes by the same program; with samples that
 * a module gives it is made each time. The result is one file; external data is taken into it.
 */
export async function buildModel(request: BuildRequest): Promise<BuiltModel> {
  const { command, settings, options, run } = planOf(request)
  const { files: inputs, complete } = await inputFiles(request.model, options)
  const files = await Promise.all(inputs.map((path) => hashOfFile(path)))
  const key = keyOf({ program: programOf(), command, settings: Object.fromEntries(settings), files })
  const configs = request.entries.map((entry) => entry.path).filter((file) => existsSync(file))
  const path = join(request.folder, `${basename(request.model, '.onnx')}.${key.slice(0, 12)}.onnx`)
  if (!complete) await make(path)
  else if (!existsSync(path)) {
    const store = new Store(request.cache)
    const kept = await store.get(key)
    if (kept?.files.model === undefined || !placed(kept.files.model, path)) await make(path)
    // A result that cannot be kept is no less right.
    if (kept === undefined)
      await store.put(key, `${command} ${basename(request.model)}`, null, { model: path }).catch(() => {})
  }
  return { path, inputs: [...inputs, ...configs] }

  async function make(destination: string): Promise<void> {
    const work = mkdtempSync(join(tmpdir(), 'outeffhop-build-'))
    try {
      const output = join(work, basename(request.model))
      await run(output)
      place(output, destination)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }
}

/** Whether the copy was made: another process may remove what is kept at any time. */
function placed(from: string, to: string): boolean {
  try {
    place(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !existsSync(from)) return false
    throw error
  }
}

/** Copies under another name first: a build that runs at the same time sees all of the file or none. */
function place(from: string, to: string): void {
  mkdirSync(join(to, '..'), { recursive: true })
  const temporary = `${to}.${process.pid}.tmp`
  try {
    copyFileSync(from, temporary)
    renameSync(temporary, to)
  } finally {
    rmSync(temporary, { force: true })
  }
}

interface Plan {
  readonly command: 'convert' | 'quantize'
  /** Settings by name, without their origins. */
  readonly settings: ReadonlyMap<string, unknown>
  readonly options: Parameters<typeof inputFiles>[1]
  readonly run: (output: string) => Promise<unknown>
}

/** What says where a result goes means nothing here: it goes where the bundler wants it. */
const fixed: Readonly<Record<string, Setting>> = {
  'external-data': { value: 'never', origin: 'plugin' },
  overwrite: { value: true, origin: 'plugin' },
}
const meaningless = ['output', 'report', 'depfile', 'dry-run', 'stop-after', 'dump']

function planOf({ model, entries, env }: BuildRequest): Plan {
  const command = entries[0]?.command ?? 'convert'
  const settled = new Map([...settle(configurable[command], { given: {}, env, entries }), ...Object.entries(fixed)])
  for (const name of meaningless) settled.delete(name)
  const settings = new Map(Array.from(settled, ([name, { value }]) => [name, value]))
  // Every value was checked against its declaration.
  const values = Object.fromEntries(settings) as Partial<ValuesOf<never>>
  if (command === 'convert') {
    const options = convertOptions(values)
    const run = async (output: string) => (await import('../convert.ts')).convert(model, { ...options, output })
    return { command, settings, options, run }
  }
  const options = quantizeOptions(values)
  const run = async (output: string) => (await import('../quantize.ts')).quantize(model, { ...options, output })
  return { command, settings, options: { ...options, dataOptions: options }, run }
}
