import type { Environment } from './report/index.ts'
import { installedRuntime } from './runtime/index.ts'
import { version } from './version.ts'

/** What this program runs in. */
export function surroundings(): Environment {
  const { platform, arch, versions } = process
  return {
    tool: version(),
    runtime: installedRuntime() ?? null,
    node: versions.node,
    platform: `${platform} ${arch}`,
  }
}
