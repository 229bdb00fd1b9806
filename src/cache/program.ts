import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, sep } from 'node:path'
import { installedRuntime } from '../runtime/index.ts'
import { codeFolder, packageFolder, versionOf } from './package.ts'

/** What a result depends on besides its inputs. */
export interface Program {
  readonly version: string
  /** sha256 of the code that runs: two builds of one version may differ. */
  readonly code: string
  /** Of onnxruntime-node; null where it is not installed. */
  readonly runtime: string | null
  readonly platform: string
  /** The last bits of sums, and whether INT8 products saturate, are those of a processor. */
  readonly processor: string
}

/** This program, on this machine. */
export function programOf(): Program {
  known ??= {
    version: versionOf(),
    code: codeHash(),
    runtime: installedRuntime() ?? null,
    platform: `${process.platform}-${process.arch}`,
    processor: cpus()[0]?.model ?? '',
  }
  return known
}

let known: Program | undefined

/** Of the bundle where that runs, else of the sources. */
function codeHash(): string {
  const root = packageFolder()
  const isBuilt = codeFolder.startsWith(join(root, 'dist') + sep)
  const folders = isBuilt ? [codeFolder] : ['src', 'passes'].map((name) => join(root, name))
  const digest = createHash('sha256')
  for (const file of folders.flatMap(codeIn)) digest.update(file).update(readFileSync(join(root, file)))
  return digest.digest('hex')

  function codeIn(folder: string): string[] {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[cm]?[jt]s$/.test(name))
      .map((name) => join(folder, name).slice(root.length + 1))
      .sort()
  }
}
