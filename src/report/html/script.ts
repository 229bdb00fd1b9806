/** What runs in the page: tables that can be sorted and searched. It stands in the page itself, and its hash in the policy. */
export const script = `'use strict'
const sorts = { ascending: 1, descending: -1 }

for (const table of document.querySelectorAll('table')) {
  const heads = [...table.querySelectorAll('thead th')]
  heads.forEach((head, column) => {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = head.textContent
    head.replaceChildren(button)
    button.addEventListener('click', () => {
      const order = head.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending'
      for (const other of heads) other.removeAttribute('aria-sort')
      head.setAttribute('aria-sort', order)
      sort(table.tBodies[0], column, sorts[order])
    })
  })
}

function sort(body, column, sign) {
  const rows = [...body.rows].map((row) => [row, keyOf(row.cells[column])])
  rows.sort(([, a], [, b]) => sign * compare(a, b))
  body.append(...rows.map(([row]) => row))
}

function keyOf(cell) {
  const { value } = cell.dataset
  if (value === undefined) return cell.textContent
  return value === '' ? -Infinity : Number(value)
}

function compare(a, b) {
  if (typeof a === 'string') return a.localeCompare(b, 'en', { numeric: true })
  return a === b ? 0 : a < b ? -1 : 1
}

for (const form of document.querySelectorAll('form.filter')) {
  const rows = [...document.getElementById(form.dataset.filters).tBodies[0].rows]
  const column = Number(form.dataset.column)
  const update = () => {
    const text = form.elements.text.value.trim().toLowerCase()
    const choice = form.elements.choice.value
    let shown = 0
    for (const row of rows) {
      const chosen = choice === '' || row.cells[column].textContent === choice
      row.hidden = !(chosen && row.textContent.toLowerCase().includes(text))
      if (!row.hidden) shown++
    }
    form.querySelector('output').textContent = shown + ' of ' + rows.length + ' shown'
  }
  form.addEventListener('input', update)
  form.addEventListener('submit', (event) => event.preventDefault())
  form.hidden = false
  update()
}
`
