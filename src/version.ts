import { readFileSync } from 'node:fs'

/** The version of this program. */
export function version(): string {
  // From dist/bundle as from src, package.json is the nearest one above.
  for (const up of ['../package.json', '../../package.json', '../../../package.json']) {
    try {
      return JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')).version
    } catch {}
  }
  return 'unknown'
}
