import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the code that runs: the bundle, or a folder of the sources. */
export const codeFolder: string = dirname(fileURLToPath(import.meta.url))

/** The nearest folder above that has a package.json. */
export function packageFolder(): string {
  let folder = codeFolder
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

/** The version of this package. */
export function versionOf(): string {
  return JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')).version
}
