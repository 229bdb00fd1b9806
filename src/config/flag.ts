/**
 * A setting, declared once: the flag of the command line (`--max-change`), the key of a config file (`maxChange`), the
 * environment variable (`OUTEFFHOP_MAX_CHANGE`), the line of the help and the entry of the JSON Schema come from it.
 */
export interface Flag {
  readonly type?: 'string' | 'number' | 'boolean'
  /** May be given several times; a list in a config file. */
  readonly array?: boolean
  readonly choices?: readonly string[]
  readonly alias?: string | readonly string[]
  readonly describe?: string
  readonly requiresArg?: boolean
  readonly group?: string
  readonly hidden?: boolean
  /** On by itself: the help describes how it is turned off, `--no-NAME`. */
  readonly onByDefault?: boolean
  /** A file or folder: in a config file it is relative to the folder of that file. `or-name`: where there is such a file. */
  readonly path?: boolean | 'or-name'
}

export type FlagTable = Readonly<Record<string, Flag>>

type One<F extends Flag> = F extends { readonly choices: readonly (infer C)[] }
  ? C
  : F extends { readonly type: 'boolean' }
    ? boolean
    : F extends { readonly type: 'number' }
      ? number
      : string

type ValueOf<F extends Flag> = F extends { readonly array: true } ? readonly One<F>[] : One<F>

/** What a table of flags is parsed to, by their names as they are written. */
export type ValuesOf<F extends FlagTable> = { readonly [name in keyof F]: ValueOf<F[name]> | undefined }

type CamelCase<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<CamelCase<B>>}` : S

/** The same as keys of a config file. */
export type SettingsOf<F extends FlagTable> = {
  readonly [name in keyof F & string as CamelCase<name>]?: ValueOf<F[name]> | undefined
}

/** `max-change` as a key: `maxChange`. */
export function keyOf(flag: string): string {
  return flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** `max-change` as an environment variable: `OUTEFFHOP_MAX_CHANGE`. */
export function variableOf(flag: string): string {
  return `OUTEFFHOP_${flag.toUpperCase().replaceAll('-', '_')}`
}

/** Flags that stand together in the help. */
export function grouped<const F extends FlagTable>(group: string, flags: F): F {
  return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, { ...flag, group }])) as F
}
