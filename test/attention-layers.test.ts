import { expect, it } from 'vitest'
import { findSites } from '../src/attention/index.ts'
import { modelOf, verdictOf } from './support/attention-text.ts'

/** Three calls of one layer, each fed by the one before, with no types in between; `end` makes its result of `c`. */
function stacked(end: string): string {
  return `<ir_version: 10, opset_import: ["" : 17, "local" : 1]>
    g (float[B, S, 16] x, float[16, 16] w) => (float y) {
      a = local.Layer (x, w)
      b = local.Layer (a, w)
      y = local.Layer (b, w)
    }
    <opset_import: ["" : 17], domain: "local">
    Layer (h, w) => (o) {
      first = Constant <value_ints = [0]> ()
      q = MatMul (h, w)
      s = Einsum <equation = "...id,...jd->...ij"> (q, h)
      p = Softmax <axis = 2> (s)
      c = MatMul (p, q)
      ${end}
    }`
}

const verdicts = (text: string): string[] => findSites(modelOf(text)).map(verdictOf)

it('the rank of what a layer takes is told by the first call where later calls take what it gives', () => {
  expect(verdicts(stacked('o = Add (c, h)'))).toEqual(['attention'])
})

it('the rank stays unknown where a layer does not give what it takes', () => {
  expect(verdicts(stacked('o = Unsqueeze (c, first)'))).toEqual(['review:axis-unknown'])
  const [site] = findSites(modelOf(stacked('o = Unsqueeze (c, first)')))
  expect(site?.verdict.message).toMatch(/the function .*Layer/)
})
