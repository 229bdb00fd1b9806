import type { Content, Markup } from './markup.ts'
import { html } from './markup.ts'
import { figure } from './numbers.ts'

export interface Column<Row> {
  readonly title: string
  /** A number is put right and sorts as one. */
  readonly of: (row: Row) => string | number | null
  /** What is shown where that is not what sorts. */
  readonly show?: (row: Row) => Content
}

export interface TableOptions<Row> {
  readonly id: string
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  /** What can be chosen to show, by column: the words of a row there. */
  readonly filter?: { readonly label: string; readonly column: number } | undefined
}

/** A table that can be sorted by every column and searched, where scripts run; a plain one where they do not. */
export function table<Row>({ id, caption, columns, rows, filter }: TableOptions<Row>): Markup {
  const isNumber = ({ of }: Column<Row>) => rows.some((row) => typeof of(row) === 'number')
  const heads = columns.map(
    (column) => html`<th scope="col"${isNumber(column) && html` class="number"`}>${column.title}</th>`,
  )
  const body = rows.map((row) => html`<tr>${columns.map((column, i) => cell(column, row, i === 0))}</tr>\n`)
  return html`${filter && filterForm(id, filter, words(columns[filter.column], rows))}
<div class="scroll" role="region" aria-labelledby="${id}-caption" tabindex="0"><table id="${id}">
<caption id="${id}-caption">${caption}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${body}</tbody></table></div>`
}

function cell<Row>({ of, show }: Column<Row>, row: Row, isFirst: boolean): Markup {
  const value = of(row)
  const shown = show ? show(row) : typeof value === 'string' ? value : figure(value)
  if (isFirst) return html`<th scope="row">${shown}</th>`
  if (typeof value === 'string') return html`<td${value.length > 30 && html` class="long"`}>${shown}</td>`
  return html`<td class="number" data-value="${value ?? ''}">${shown}</td>`
}

function words<Row>(column: Column<Row> | undefined, rows: readonly Row[]): readonly string[] {
  return [...new Set(rows.map((row) => String(column?.of(row) ?? '')))].sort()
}

/** Shown by the script that makes it work. */
function filterForm(
  id: string,
  { label, column }: { readonly label: string; readonly column: number },
  choices: readonly string[],
): Markup {
  return html`<form class="filter" data-filters="${id}" data-column="${column}" hidden>
<label>Search <input type="search" name="text" autocomplete="off"></label>
<label>${label} <select name="choice"><option value="">all</option>${choices.map(
    (choice) => html`<option>${choice}</option>`,
  )}</select></label>
<output aria-live="polite"></output>
</form>`
}
