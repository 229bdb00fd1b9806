/** Emphasis for text that people read. */
export interface Paint {
  strong(text: string): string
  faint(text: string): string
  good(text: string): string
  warn(text: string): string
  bad(text: string): string
}

const keep = (text: string) => text
const sgr = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`

export const plain: Paint = { strong: keep, faint: keep, good: keep, warn: keep, bad: keep }

/** ANSI colours, for terminals. */
export const coloured: Paint = {
  strong: sgr(1, 22),
  faint: sgr(2, 22),
  good: sgr(32, 39),
  warn: sgr(33, 39),
  bad: sgr(31, 39),
}
