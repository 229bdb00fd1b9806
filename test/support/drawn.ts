import type { Page } from 'playwright-core'
import type { Element } from './in-page.ts'

/** What a reader of a plot sees: marks with where they are, and the labels of the axes. In units of the drawing. */
export interface Drawn {
  readonly circles: readonly (readonly Circle[])[]
  readonly rects: readonly Rect[]
  readonly lines: readonly (readonly number[])[]
  readonly texts: readonly string[]
  readonly x: readonly Tick[]
  readonly y: readonly Tick[]
}

interface Circle {
  readonly x: number
  readonly y: number
  readonly title: string
}

export interface Rect {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly fill: string
}

interface Tick {
  readonly at: number
  readonly label: string
}

/** Reads a plot out of the page as it is shown. */
export function readDrawing(page: Page, id: string): Promise<Drawn> {
  return page.locator(`figure[data-plot="${id}"] svg[role="img"]`).evaluate((node) => {
    const svg = node as unknown as Element
    const groups = [...svg.children].filter((child) => child.tagName === 'g')
    const own = (tag: string) =>
      groups.map((group) => [...group.children].filter((c) => c.tagName === tag)).filter((list) => list.length > 0)
    const number = (element: Element, name: string) => Number(element.getAttribute(name))
    const moved = (group: Element) =>
      [...group.querySelectorAll('text[transform]')].map((text) => {
        const [, x, y] = /translate\(([-\d.]+),([-\d.]+)\)/.exec(text.getAttribute('transform') ?? '') ?? []
        return { x: Number(x), y: Number(y), label: text.textContent ?? '' }
      })
    // Axes stand first: the labels of x, then those of y.
    const [x = [], y = []] = groups.map(moved).filter((labels) => labels.length > 0)
    return {
      circles: own('circle').map((list) =>
        list.map((c) => ({
          x: number(c, 'cx'),
          y: number(c, 'cy'),
          title: c.querySelector('title')?.textContent ?? '',
        })),
      ),
      rects: own('rect').flatMap((list) =>
        list.map((r) => ({
          ...{ x: number(r, 'x'), y: number(r, 'y'), width: number(r, 'width'), height: number(r, 'height') },
          fill: r.getAttribute('fill') ?? '',
        })),
      ),
      lines: own('line').map((list) => list.map((l) => number(l, 'x1'))),
      texts: own('text')
        .slice(2)
        .flat()
        .map((t) => t.textContent ?? ''),
      x: x.filter(({ label }) => label !== '').map((t) => ({ at: t.x, label: t.label })),
      y: y.filter(({ label }) => label !== '').map((t) => ({ at: t.y, label: t.label })),
    }
  })
}

/** Where an axis puts a number, by its labels alone: the line through the first and the last, on which all others lie. */
export function axisOf(ticks: readonly Tick[], scale: 'linear' | 'log'): (value: number) => number {
  const of = scale === 'log' ? Math.log10 : (x: number) => x
  const known = ticks.map(({ at, label }) => ({ at, value: of(Number(label)) }))
  const [first, last] = [known[0], known.at(-1)]
  if (!first || !last || first === last) throw new Error(`an axis with ${ticks.length} labels`)
  const slope = (last.at - first.at) / (last.value - first.value)
  const place = (value: number) => first.at + slope * (of(value) - first.value)
  for (const [i, { at }] of known.entries())
    if (Math.abs(place(Number(ticks[i]?.label)) - at) > 0.1)
      throw new Error(`label "${ticks[i]?.label}" is off its axis`)
  return place
}
