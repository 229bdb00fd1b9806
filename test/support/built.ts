import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const bin = join(root, 'bin/outeffhop-convert.js')

/** Builds `dist` when it is missing or older than the sources: `bin` runs what is built. */
export function ensureBuilt(): void {
  const built = statSync(join(root, 'dist/bundle/index.js'), { throwIfNoEntry: false })
  const newest = Math.max(...['src', 'passes'].flatMap((folder) => times(join(root, folder))))
  if (built && built.mtimeMs > newest) return
  const build = spawnSync('npm', ['run', 'build'], { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' })
  if (build.status !== 0) throw new Error(`the build failed:\n${build.stdout}${build.stderr}`)
}

function times(folder: string): number[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? times(path) : [statSync(path).mtimeMs]
  })
}
