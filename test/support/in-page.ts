/** What tests touch of a document; the types of a browser would be those of all sources otherwise. */
export interface Element {
  readonly tagName: string
  readonly children: Iterable<Element>
  readonly textContent: string | null
  readonly dataset: Readonly<Record<string, string>>
  readonly cells: readonly Element[]
  readonly scrollWidth: number
  readonly clientWidth: number
  hidden: boolean
  open: boolean
  src: string
  getAttribute(name: string): string | null
  querySelector(selector: string): Element | null
  querySelectorAll(selector: string): Iterable<Element>
}

/** What `globalThis` is in a page. */
export interface InPage {
  readonly document: Element & {
    readonly activeElement: Element
    readonly documentElement: Element
    readonly body: { append(...elements: { textContent: string | null }[]): void }
    createElement(name: string): { src: string; textContent: string | null }
  }
  readonly ran?: boolean
  getComputedStyle(element: Element): { fill: string; outlineStyle: string; outlineWidth: string }
  fetch(address: string): Promise<unknown>
  readonly axe: { run(): Promise<{ violations: readonly Finding[]; passes: readonly Finding[] }> }
}

interface Finding {
  readonly id: string
  readonly nodes: readonly { readonly html: string }[]
}
