import type { PlotOptions } from '@observablehq/plot'
import { plot } from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { html, Markup } from './markup.ts'
import { figure } from './numbers.ts'

export interface Drawing {
  /** What the plot is called in the page: `data-plot`. */
  readonly id: string
  /** What is to be seen, in words: all that a screen reader says of it. */
  readonly label: string
  readonly caption: Markup | string
  readonly options: PlotOptions
}

/** A plot as a figure. It has neither style sheets nor links nor scripts, and is the same in every run. */
export function drawing({ id, label, caption, options }: Drawing): Markup {
  return html`<figure data-plot="${id}"><figcaption id="${id}-caption">${caption}</figcaption>
<div class="plot" role="region" aria-labelledby="${id}-caption" tabindex="0">${drawn(options, label)}</div></figure>`
}

/** A small plot that fits any screen, as one of many. */
export function smallDrawing({ id, label, caption, options }: Drawing): Markup {
  return html`<figure data-plot="${id}"><figcaption>${caption}</figcaption>${drawn(options, label)}</figure>`
}

/** A scale for positive numbers that may be orders apart. */
export function scaleFor(values: readonly number[]): 'log' | 'linear' {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return low > 0 && high / low > 20 ? 'log' : 'linear'
}

/** Powers of ten and, where those are few, numbers between them; round numbers on a linear scale. Without a locale. */
export const tick = (x: number) => figure(x)

/** Steps of the heat maps; the page has a colour and an ink for each, light and dark. */
export const heatSteps = 8
export const heat = Array.from({ length: heatSteps }, (_, step) => `var(--heat-${step})`)
export const ink = Array.from({ length: heatSteps }, (_, step) => `var(--ink-${step})`)

function drawn(options: PlotOptions, label: string): Markup {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const svg = plot({
    ...options,
    className: 'drawn',
    document: document as unknown as NonNullable<PlotOptions['document']>,
  })
  svg.querySelector('style')?.remove()
  svg.removeAttribute('class')
  for (const element of svg.querySelectorAll('*')) round(element as unknown as Element)
  // The label is escaped here: what serializes the rest leaves < in attributes.
  return html`<svg role="img" aria-label="${label}"${new Markup(svg.outerHTML.replace('<svg', ''))}`
}

interface Element {
  getAttribute(name: string): string | null
  setAttribute(name: string, value: string): void
  removeAttribute(name: string): void
}

const geometry = ['x', 'y', 'x1', 'x2', 'y1', 'y2', 'cx', 'cy', 'r', 'width', 'height', 'd', 'transform']

/** A hundredth of a pixel is as exact as a screen shows. */
function round(element: Element): void {
  for (const name of geometry) {
    const value = element.getAttribute(name)
    if (value?.includes('.'))
      element.setAttribute(
        name,
        value.replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) => String(Number(Number(number).toFixed(2)))),
      )
  }
  // What is in a picture has no names of its own.
  element.removeAttribute('aria-label')
  element.removeAttribute('aria-hidden')
}
