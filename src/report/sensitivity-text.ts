import type { Paint } from './paint.ts'
import type { SensitivityDocument } from './sensitivity.ts'
import { alignRows, count } from './table.ts'

/** Products that are offered for pasting: most of what is lost is lost in few of them. */
const pasted = 5

/** A sensitivity as people read it: every product by what it costs, and the flags that leave the worst in float. */
export function summarizeSensitivity({ model, products, samples, recipe }: SensitivityDocument, paint: Paint): string {
  const total = products.reduce((sum, { noise }) => sum + (noise ?? 0), 0)
  const rows = alignRows(
    products.map(({ node, op, noise, sqnrDb }) => [
      { text: sqnrDb === null ? '?' : `${sqnrDb.toFixed(1)} dB` },
      { text: noise === null || total === 0 ? '' : `${((100 * noise) / total).toFixed(1)} %`, paint: paint.faint },
      { text: node },
      { text: op, paint: paint.faint },
    ]),
  )
  const heading = `${paint.strong(model.path ?? 'model')}  ${count(products.length, 'product')}, each quantized alone (${recipe}), on ${count(samples, 'sample')}`
  const flags = products.slice(0, pasted).map(({ node }) => `--keep-float '${node.replaceAll("'", "'\\''")}'`)
  return `${[heading, '', ...rows, '', 'The worst in float:', `  ${flags.join(' ')}`].join('\n')}\n`
}
