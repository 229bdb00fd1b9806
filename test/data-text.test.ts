import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openData } from '../src/data/index.ts'
import { openTokenizer } from '../src/data/tokenizer.ts'
import { contentOf, dataFixtures, modelWith, refusal, samplesOf } from './support/data.ts'
import { pythonWith, runPython } from './support/python.ts'

const tokenizer = join(dataFixtures, 'tokenizer.json')
/** As the tokenizers library of Python has them, without padding. */
const encodings: { text: string; text_pair: string | null; ids: number[]; types: number[] }[] = JSON.parse(
  readFileSync(join(dataFixtures, 'tokens.json'), 'utf8'),
)
const all = 'int64[batch, seq] input_ids, int64[batch, seq] attention_mask, int64[batch, seq] token_type_ids'
const textModel = (inputs = all, rows = 23) => modelWith(inputs, rows)

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-text-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function written(name: string, content: string): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

describe('text', () => {
  it.each(encodings.map((e) => [`${e.text} | ${e.text_pair}`, e] as const))(
    'tokens of "%s" are cut and framed as the Python library does it',
    async (_, { text, text_pair: pair, ids, types }) => {
      expect((await openTokenizer(tokenizer)).encode(text, pair ?? undefined, 9)).toEqual({ ids, types })
    },
  )

  it('a line a sample: mask and token types are made, and that is said', async () => {
    const path = written('lines.txt', 'the cat\n\na dog sat on the mat\n')
    const content = await contentOf(path, textModel(), { tokenizer })
    expect(content).toEqual([
      {
        input_ids: [
          [1, 4],
          [2, 5, 7, 3],
        ],
        attention_mask: [
          [1, 4],
          [1, 1, 1, 1],
        ],
        token_type_ids: [
          [1, 4],
          [0, 0, 0, 0],
        ],
      },
      expect.objectContaining({
        input_ids: [
          [1, 8],
          [2, 6, 8, 9, 11, 5, 10, 3],
        ],
      }),
    ])
    const { notes, manifest } = await openData(path, textModel(), { tokenizer })
    expect(notes).toEqual([
      'made from the text: "input_ids" (tokens), "attention_mask" (1 for tokens, 0 for padding), "token_type_ids" (the text of a pair, 0 for the first)',
      'texts are cut to 9 tokens, as the tokenizer says',
      'texts are not padded to 9 tokens as the tokenizer does: the model takes any length',
    ])
    expect(manifest).toMatchObject({ kind: 'text', preparation: { field: 'text', maxLength: 9, paddedTo: null } })
    expect(manifest.files.map(({ name }) => name)).toEqual(['lines.txt', expect.stringContaining('tokenizer.json')])
  })

  it('a model of a fixed length gets padding, with a mask that says so', async () => {
    const model = textModel('int32[1, 6] ids, float[1, 6] mask, int32[1, 6] position_ids')
    const path = written('fixed.txt', 'the cat\nthe cat sat on the mat')
    expect(await contentOf(path, model, { tokenizer })).toEqual([
      {
        ids: [
          [1, 6],
          [2, 5, 7, 3, 0, 0],
        ],
        mask: [
          [1, 6],
          [1, 1, 1, 1, 0, 0],
        ],
        position_ids: [
          [1, 6],
          [0, 1, 2, 3, 4, 5],
        ],
      },
      {
        ids: [
          [1, 6],
          [2, 5, 7, 9, 11, 3],
        ],
        mask: [
          [1, 6],
          [1, 1, 1, 1, 1, 1],
        ],
        position_ids: [
          [1, 6],
          [0, 1, 2, 3, 4, 5],
        ],
      },
    ])
    const { notes } = await openData(path, model, { tokenizer })
    expect(notes.join('\n')).toContain('texts are padded to 6 tokens, the length the model is fixed to')
  })

  it('JSONL gives texts and pairs by their fields, and a tokenizer beside the file is found', async () => {
    copyFileSync(tokenizer, join(folder, 'tokenizer.json'))
    const path = written('pairs.jsonl', '{"text": "a cat", "text_pair": "the dogs", "label": 1}\n{"text": "the mat"}')
    expect(await contentOf(path, textModel())).toEqual([
      expect.objectContaining({
        token_type_ids: [
          [1, 8],
          [0, 0, 0, 0, 1, 1, 1, 1],
        ],
      }),
      expect.objectContaining({
        input_ids: [
          [1, 4],
          [2, 5, 10, 3],
        ],
      }),
    ])
    rmSync(join(folder, 'tokenizer.json'))
    const other = written('other.jsonl', '{"sentence": "a cat"}')
    expect(await contentOf(other, textModel(), { tokenizer, textField: 'sentence', maxLength: 3 })).toEqual([
      expect.objectContaining({
        input_ids: [
          [1, 3],
          [2, 6, 3],
        ],
      }),
    ])
  })

  it('Parquet gives the texts of a column', async () => {
    const path = join(dataFixtures, 'texts.parquet')
    expect(await contentOf(path, modelWith('int64[batch, seq] input_ids', 23), { tokenizer })).toEqual([
      {
        input_ids: [
          [1, 4],
          [2, 5, 7, 3],
        ],
      },
      {
        input_ids: [
          [1, 5],
          [2, 6, 8, 9, 3],
        ],
      },
    ])
  })

  it('a decoder gets empty caches, and that is said', async () => {
    const caches = 'float[batch, 2, past, 8] past_key_values.0.key, bool[1] use_cache_branch'
    const inputs = `int64[batch, seq] input_ids, ${caches.replace('past_key_values.0.key', '"past_key_values.0.key"')}`
    const path = written('decoder.txt', 'the cat')
    expect(await contentOf(path, textModel(inputs), { tokenizer })).toEqual([
      {
        input_ids: [
          [1, 4],
          [2, 5, 7, 3],
        ],
        'past_key_values.0.key': [[1, 2, 0, 8], []],
        use_cache_branch: [[1], [0]],
      },
    ])
    const { notes } = await openData(path, textModel(inputs), { tokenizer })
    expect(notes).toContain('1 key and value caches are empty: every text is a beginning')
  })

  it('a line with U+2028 stays one, and a byte order mark is no token', async () => {
    const path = written('separators.txt', '\uFEFFthe\u2028cat\r\na dog')
    expect((await samplesOf(await openData(path, textModel(), { tokenizer }))).map(({ id }) => id)).toEqual([
      'separators.txt:1',
      'separators.txt:2',
    ])
  })

  it('without a tokenizer is refused with the flag that names one', async () => {
    const error = await refusal(written('alone.txt', 'the cat'), textModel())
    expect(error).toMatchObject({
      code: 'data-tokenizer',
      exitCode: 4,
      hint: expect.stringContaining('--tokenizer FILE'),
    })
  })

  it.each([22, 47])('the tokenizer of another model is refused: a table of %i rows for 23 tokens', async (rows) => {
    const error = await refusal(written('foreign.txt', 'the cat'), textModel(all, rows), { tokenizer })
    expect(error).toMatchObject({ code: 'data-tokenizer-mismatch', exitCode: 4 })
    expect(error.message).toContain(`it has 23 tokens, and the table behind "input_ids" ${rows} rows`)
  })

  it('a table that was rounded up is no other model', async () => {
    expect(await contentOf(written('rounded.txt', 'the cat'), textModel(all, 32), { tokenizer })).toHaveLength(1)
  })

  it('a file that is no tokenizer is refused', async () => {
    const broken = written('broken.json', '{"model": 1}')
    const error = await refusal(written('b.txt', 'the cat'), textModel(), { tokenizer: broken })
    expect(error).toMatchObject({ code: 'data-tokenizer-damaged', exitCode: 4 })
  })

  it('inputs that no text gives are named', async () => {
    const error = await refusal(written('c.txt', 'the cat'), textModel(`${all}, float[batch, 3, 8, 8] pixel_values`), {
      tokenizer,
    })
    expect(error).toMatchObject({ code: 'data-input-missing', exitCode: 4 })
    expect(error.message).toMatch(/pixel_values +float \[batch, 3, 8, 8\] +text/)
  })

  it('agrees with the Python library on a tokenizer of its own making', () => {
    const python = pythonWith('tokenizers')
    if (python === undefined) return
    const program = `
import json, sys
from tokenizers import Tokenizer
request = json.load(sys.stdin)
tokenizer = Tokenizer.from_file(request["path"])
tokenizer.no_padding()
json.dump([tokenizer.encode(text, pair).ids for text, pair in request["texts"]], sys.stdout)`
    const texts = encodings.map(({ text, text_pair }) => [text, text_pair])
    expect(runPython(python, program, { path: tokenizer, texts })).toEqual(encodings.map(({ ids }) => ids))
  })
})
