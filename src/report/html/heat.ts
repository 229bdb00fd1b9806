import type { Markup } from './markup.ts'
import { html } from './markup.ts'
import { figure } from './numbers.ts'
import { heatSteps } from './plot.ts'

/** Limits between the steps of a heat map: a step has the same ratio everywhere. */
export function ratioLimits(values: readonly number[]): readonly number[] {
  const positive = values.filter((x) => x > 0)
  if (positive.length === 0) return limitsBetween(1, 2)
  const low = positive.reduce((a, b) => Math.min(a, b))
  const high = positive.reduce((a, b) => Math.max(a, b))
  return limitsBetween(low, high > low ? high : 2 * low)
}

function limitsBetween(low: number, high: number): readonly number[] {
  return Array.from({ length: heatSteps - 1 }, (_, i) => low * (high / low) ** ((i + 1) / heatSteps))
}

/** The step of a number: how many limits it has reached. */
export function stepOf(x: number, limits: readonly number[]): number {
  return limits.filter((limit) => x >= limit).length
}

/** What the colours stand for; `order` is that of the steps. */
export function heatKey(limits: readonly number[]): Markup {
  const first = limits[0] as number
  const words = [`below ${figure(first)}`, ...limits.map((limit) => `from ${figure(limit)}`)]
  return html`<ul class="key">${words.map(
    (word, step) => html`<li><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14"
fill="var(--heat-${step})" stroke="var(--line)"/></svg>${word}</li>`,
  )}</ul>`
}
