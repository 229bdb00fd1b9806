import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'headless_shell']
const folders = [...(process.env.PATH ?? '').split(delimiter), '/Applications/Google Chrome.app/Contents/MacOS']

/** A Chromium that is installed: what `OUTEFFHOP_BROWSER` names, or one on the path. Undefined, and said, where there is none. */
export function installedBrowser(): string | undefined {
  const named = process.env.OUTEFFHOP_BROWSER
  const candidates = named ? [named] : folders.flatMap((folder) => names.map((name) => join(folder, name)))
  const found = candidates.find((path) => existsSync(path))
  if (found === undefined)
    console.log('skipped: the report in a browser; no Chromium is installed, nor named by OUTEFFHOP_BROWSER')
  return found
}
