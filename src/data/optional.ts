import { dataPackageMissing } from '../errors.ts'

/** Loads a package that only some data needs. Throws `data-package` with the command to install it. */
export async function loadPackage<T>(name: string, what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    throw dataPackageMissing(name, what, error)
  }
}
