/** An option of a pass, declared once: the CLI flag, its help and the default are derived from it. */
export type Option =
  | { readonly kind: 'flag'; readonly default: boolean; readonly describe: string }
  | { readonly kind: 'number'; readonly default: number; readonly describe: string }
  | {
      readonly kind: 'choice'
      readonly default: string | undefined
      readonly choices: readonly string[]
      readonly describe: string
    }

export type OptionSet = Readonly<Record<string, Option>>

/** The values a pass sees for its declared options. */
export type OptionValues<O extends OptionSet> = {
  readonly [K in keyof O]: O[K] extends { kind: 'flag' }
    ? boolean
    : O[K] extends { kind: 'number' }
      ? number
      : string | undefined
}
