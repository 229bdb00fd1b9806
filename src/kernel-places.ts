import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join, resolve } from 'node:path'
import { packageFolder } from './cache/index.ts'
import { kernelsHeaderMissing } from './errors.ts'

export type Variables = Readonly<Record<string, string | undefined>>

/** Where the fused kernels are: what they are built from, and what was built. */
export interface KernelPlaces {
  /** The CMake project. */
  readonly sources: string
  /** The folder of what is built. */
  readonly folder: string
  /** What ONNX Runtime loads; null where it was not built. */
  readonly library: string | null
  /** The addon that loads it into onnxruntime-node; null where it was not built. */
  readonly bridge: string | null
}

/** What is in a folder that `buildKernels` was given. */
export function findKernels(folder: string): KernelPlaces {
  const found = (name: string): string | null => {
    const path = resolve(folder, name)
    return existsSync(path) ? path : null
  }
  return {
    sources: join(packageFolder(), 'src', 'kernels'),
    folder: resolve(folder),
    library: found('libouteffhop_ort.so') ?? found('outeffhop_ort.dll'),
    bridge: found('outeffhop_node.node'),
  }
}

const ortHeader = 'onnxruntime_c_api.h'
/** Below the folder ONNX Runtime was installed or unpacked to. */
const ortFolders = ['', 'include', 'include/onnxruntime', 'include/onnxruntime/core/session']

/**
 * The folder of onnxruntime_c_api.h: `given`, else `ONNXRUNTIME_INCLUDE`, else below `ONNXRUNTIME_ROOT` or where systems have
 * it. Throws `kernels-header`.
 */
export function findOrtHeaders(given: string | undefined, env: Variables): string {
  const named = given ?? env.ONNXRUNTIME_INCLUDE
  const roots = named === undefined ? [env.ONNXRUNTIME_ROOT, '/usr', '/usr/local', '/opt/homebrew'] : [named]
  const folders = roots.flatMap((root) => (root === undefined ? [] : ortFolders.map((folder) => resolve(root, folder))))
  const found = folders.find((folder) => existsSync(join(folder, ortHeader)))
  if (found !== undefined) return found
  throw kernelsHeaderMissing(
    ortHeader,
    'Install libonnxruntime-dev (Debian 13, Ubuntu 25.04 and later), or unpack a release of ONNX Runtime, 1.16 or newer, and name ' +
      'its folder: --headers DIR, or ONNXRUNTIME_INCLUDE. Any of them serves every runtime from 1.16 on.',
  )
}

/** The folder of node_api.h: of the package node-api-headers, or of this Node; undefined where there is none. */
export function findNodeHeaders(executable: string): string | undefined {
  const folders = [join(dirname(dirname(executable)), 'include', 'node'), '/usr/include/node']
  try {
    const own = createRequire(join(resolve(''), 'package.json')).resolve('node-api-headers/package.json')
    folders.unshift(join(dirname(own), 'include'))
  } catch {
    // Most projects do not have it.
  }
  return folders.find((folder) => existsSync(join(folder, 'node_api.h')))
}

/** nvcc: `CUDACXX`, on the path, or where its installer puts it; undefined where it is nowhere. */
export function findNvcc(env: Variables): string | undefined {
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/local/cuda/bin']
  const candidates = [env.CUDACXX ?? '', ...folders.map((folder) => join(folder, 'nvcc'))]
  return candidates.find((file) => file !== '' && existsSync(file))
}
