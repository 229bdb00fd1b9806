import { versionOf } from './cache/package.ts'
import type { Environment } from './report/index.ts'
import { installedRuntime } from './runtime/index.ts'

/** What this program runs in. */
export function surroundings(): Environment {
  const { platform, arch, versions } = process
  return {
    tool: versionOf(),
    runtime: installedRuntime() ?? null,
    node: versions.node,
    platform: `${platform} ${arch}`,
  }
}
