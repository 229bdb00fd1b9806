import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/** Creates a folder and those around it. Node's own recursive mkdir never returns where nothing can be created, as in /proc. */
export function createFolder(path: string): void {
  if (existsSync(path)) return
  if (dirname(path) !== path) createFolder(dirname(path))
  try {
    mkdirSync(path)
  } catch (error) {
    // Somebody else was as quick.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
