import { expect, it } from 'vitest'
import { labelsOf } from '../src/report/html/labels.ts'

const layers = [0, 1].flatMap((i) => [
  `/m/encoder/layer.${i}/attention/self/Reshape_3_output_0`,
  `/m/encoder/layer.${i}/attention/output/LayerNorm/LayerNormalization_output_0`,
  `/m/encoder/layer.${i}/intermediate/intermediate_act_fn/Mul_1_output_0`,
  `/m/encoder/layer.${i}/output/LayerNorm/LayerNormalization_output_0`,
])

it('long names keep what tells them apart, in a width that fits', () => {
  const labels = labelsOf(['/m/embeddings/LayerNorm/LayerNormalization_output_0', ...layers])
  expect(labels.slice(0, 5)).toEqual([
    'embeddings/…/LayerNormalization',
    'layer.0/attention/self/Reshape_3',
    'layer.0/attention/output/…',
    'layer.0/…/Mul_1',
    'layer.0/output/…',
  ])
  expect(new Set(labels).size).toBe(9)
  expect(labels.filter((label) => label.length > 34)).toEqual([])
})

it('short names stay as they are, and a single one is never empty', () => {
  expect(labelsOf(['p2o.Add.7', 'p2o.Add.15'])).toEqual(['p2o.Add.7', 'p2o.Add.15'])
  expect(labelsOf(['/a/b/c'])).toEqual(['/a/b/c'])
  expect(labelsOf(['same', 'same'])).toEqual(['same', 'same (2)'])
  expect(labelsOf(['x'.repeat(100)])).toEqual([`${'x'.repeat(17)}…${'x'.repeat(16)}`])
  expect(labelsOf([])).toEqual([])
})
