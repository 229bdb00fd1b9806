import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

type Variables = Readonly<Record<string, string | undefined>>

/**
 * Where results are kept: `OUTEFFHOP_CACHE_DIR`, else where the platform has such things: `$XDG_CACHE_HOME` or `~/.cache`,
 * `~/Library/Caches`, `%LOCALAPPDATA%`.
 */
export function cacheFolder(env: Variables, platform: string = process.platform, home: string = homedir()): string {
  const { OUTEFFHOP_CACHE_DIR: own = '', XDG_CACHE_HOME: xdg = '', LOCALAPPDATA: local = '' } = env
  if (own !== '') return own
  if (platform === 'win32') return join(local === '' ? join(home, 'AppData', 'Local') : local, name, 'Cache')
  if (platform === 'darwin') return join(home, 'Library', 'Caches', name)
  // The specification of XDG has relative paths ignored.
  return join(isAbsolute(xdg) ? xdg : join(home, '.cache'), name)
}

const name = 'outeffhop-convert'
