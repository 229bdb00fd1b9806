import { describe, expect, it } from 'vitest'
import type { ModelInput } from '../src/data/inputs.ts'
import { paddedInputs, withoutPadding } from '../src/data/padding.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'

const input = (name: string, shape: ModelInput['shape']): ModelInput => ({
  ...{ name, shape },
  dtype: dtypes.int64,
  rows: undefined,
})
const text = [input('input_ids', ['batch', 'sequence']), input('attention_mask', ['batch', 'sequence'])]
const sample = (ids: number[], mask: number[]) => ({
  input_ids: Tensor.int64(ids, [1, ids.length]),
  attention_mask: Tensor.int64(mask, [1, mask.length]),
})

describe('padding', () => {
  it('is cut off all inputs that have the positions of the mask', () => {
    const padded = paddedInputs([...text, input('token_type_ids', ['batch', 'sequence'])])
    expect(padded?.inputs).toEqual(['input_ids', 'attention_mask', 'token_type_ids'])
    const feeds = { ...sample([7, 8, 9, 0, 0], [1, 0, 1, 0, 0]), token_type_ids: Tensor.int64([0, 0, 1, 0, 0], [1, 5]) }
    const cut = withoutPadding(feeds, padded ?? { mask: '', inputs: [] })
    expect(cut.input_ids?.dims).toEqual([1, 3])
    expect(cut.input_ids?.toNumbers()).toEqual([7, 8, 9])
    expect(cut.attention_mask?.toNumbers()).toEqual([1, 0, 1])
    expect(cut.token_type_ids?.toNumbers()).toEqual([0, 0, 1])
  })

  it('stays where nothing is padded, and where everything is', () => {
    const padded = paddedInputs(text)
    for (const mask of [
      [1, 1, 1],
      [0, 0, 0],
    ]) {
      const feeds = sample([1, 2, 3], mask)
      expect(padded && withoutPadding(feeds, padded)).toBe(feeds)
    }
  })

  it('stays in a model of a fixed length, without a mask, or where the length counts something else too', () => {
    expect(paddedInputs([input('input_ids', ['batch', 128]), input('attention_mask', ['batch', 128])])).toBeUndefined()
    expect(paddedInputs([input('input_ids', ['batch', 'sequence'])])).toBeUndefined()
    expect(paddedInputs([...text, input('past', ['batch', 4, 'sequence', 8])])).toBeUndefined()
  })
})
