import type { Patch } from '../../wire/index.ts'
import { stringField } from '../../wire/index.ts'

/** Brings a single text field up to date. An empty text is the same as none. */
export function patchText(patch: Patch, number: number, now: string, text: (index: number) => string): void {
  const last = [...patch.indices(number)].at(-1)
  if (now === (last === undefined ? '' : text(last))) return
  patch.single(number, now === '' ? undefined : stringField(number, now))
}

/** Brings a list of texts up to date, one by one. */
export function patchTexts(
  patch: Patch,
  number: number,
  texts: readonly string[],
  text: (index: number) => string,
): void {
  const slots = [...patch.indices(number)]
  for (const [i, now] of texts.entries()) {
    const slot = slots[i]
    if (slot === undefined) patch.add(number, stringField(number, now))
    else if (text(slot) !== now) patch.replace(slot, stringField(number, now))
  }
  for (const slot of slots.slice(texts.length)) patch.replace(slot)
}
