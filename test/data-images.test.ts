import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openData } from '../src/data/index.ts'
import { dataFixtures, modelWith, refusal, samplesOf } from './support/data.ts'
import type { NpyArray } from './support/npz.ts'
import { readNpz } from './support/npz.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-images-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const declared = { size: '4x2', scale: 1, mean: [0], std: [1] }

/** A picture of 4 by 2 pixels whose channels count up. */
const counting = Uint8Array.from({ length: 24 }, (_, i) => i * 10)

async function picture(name: string): Promise<string> {
  const own = join(folder, name)
  mkdirSync(own, { recursive: true })
  await sharp(counting, { raw: { width: 4, height: 2, channels: 3 } }).toFile(join(own, 'a.png'))
  return own
}

const numbers = async (spec: string, inputs: string, image: object) => {
  const source = await openData(spec, modelWith(inputs), { image })
  return (await samplesOf(source)).map(({ feeds }) => Object.values(feeds)[0])
}

describe('images', () => {
  it('are resized, cropped and normalised by a preprocessor_config.json as the transformers library does it', async () => {
    const source = await openData(
      join(dataFixtures, 'images'),
      modelWith('float[batch, 3, height, width] pixel_values'),
    )
    const expected = readNpz(join(dataFixtures, 'pixels.npz'))
    const samples = await samplesOf(source)
    expect(samples.map(({ id }) => id)).toEqual(['gray.png', 'wave.png'])
    for (const { id, feeds } of samples) {
      const { dims, data } = expected.get(id.replace('.png', '')) as NpyArray
      expect(feeds.pixel_values?.dims).toEqual(dims)
      // Resizing rounds to whole pixels, and the two libraries may round apart: two steps of 1/255, over a deviation of 0.26.
      feeds.pixel_values?.toNumbers().forEach((value, i) => {
        expect(Math.abs(value - (data[i] as number))).toBeLessThan(2.1 / 255 / 0.26)
      })
    }
    expect(source.notes[0]).toContain('resized to a shorter side of 12 (cubic), cropped to 10x10')
    expect(source.manifest.files.map(({ name }) => name)).toEqual(['gray.png', 'wave.png', 'preprocessor_config.json'])
  })

  it('are the declared formula of their pixels, channels first', async () => {
    const image = { size: '4x2', scale: 0.1, mean: [1, 2, 3], std: [2, 4, 8] }
    const [tensor] = await numbers(await picture('nchw'), 'float[1, 3, 2, 4] x', image)
    expect(tensor?.dims).toEqual([1, 3, 2, 4])
    const channel = (c: number) => Array.from({ length: 8 }, (_, i) => (i * 3 + c - (c + 1)) / 2 ** (c + 1))
    expect(tensor?.toNumbers()).toEqual([0, 1, 2].flatMap(channel).map((x) => expect.closeTo(x, 5)))
  })

  it('keep channels last where the model has them there, and take the order of colours', async () => {
    const [tensor] = await numbers(await picture('nhwc'), 'float[batch, h, w, 3] x', { ...declared, channels: 'bgr' })
    expect(tensor?.dims).toEqual([1, 2, 4, 3])
    expect(tensor?.toNumbers().slice(0, 6)).toEqual([20, 10, 0, 50, 40, 30])
  })

  it('are bytes as they are where the input takes bytes, resized to what the model is fixed to', async () => {
    const [tensor] = await numbers(await picture('bytes'), 'uint8[1, 2, 4, 3] x', {})
    expect(tensor?.toNumbers()).toEqual([...counting])
  })

  it('become gray for one channel, as PIL does it', async () => {
    const [tensor] = await numbers(await picture('gray'), 'float[1, 1, 2, 4] x', declared)
    // round(0.299 R + 0.587 G + 0.114 B) of 0, 10, 20 and so on.
    expect(tensor?.toNumbers()).toEqual([8, 38, 68, 98, 128, 158, 188, 218])
  })

  it('follow one side in the other, and are cropped from the middle or framed in black', async () => {
    const own = await picture('sizes')
    const inputs = 'float[1, 3, h, w] x'
    expect((await numbers(own, inputs, { ...declared, size: 'x4' }))[0]?.dims).toEqual([1, 3, 4, 8])
    expect((await numbers(own, inputs, { ...declared, size: '2x' }))[0]?.dims).toEqual([1, 3, 1, 2])
    expect((await numbers(own, inputs, { ...declared, size: '6' }))[0]?.dims).toEqual([1, 3, 6, 12])
    const [middle] = await numbers(own, inputs, { ...declared, crop: '2x2' })
    expect(middle?.toNumbers().slice(0, 4)).toEqual([30, 60, 150, 180])
    const [framed] = await numbers(own, inputs, { ...declared, crop: '6x2' })
    expect(framed?.toNumbers().slice(0, 6)).toEqual([0, 0, 30, 60, 90, 0])
  })

  it('of PGM are read too, and transparency is dropped', async () => {
    const own = await picture('formats')
    writeFileSync(join(own, 'b.pgm'), Buffer.concat([Buffer.from('P5 # four\n4 2\n255\n'), counting.subarray(0, 8)]))
    await sharp(counting, { raw: { width: 3, height: 2, channels: 4 } }).toFile(join(own, 'c.png'))
    const [, pgm, alpha] = await numbers(own, 'float[1, 3, 2, w] x', { ...declared, size: 'x2' })
    expect(pgm?.toNumbers().slice(0, 8)).toEqual([...counting.subarray(0, 8)])
    expect(alpha?.dims).toEqual([1, 3, 2, 3])
  })

  it('without a declaration are refused, and what is missing is said', async () => {
    const error = await refusal(await picture('undeclared'), modelWith('float[1, 3, h, w] x'))
    expect(error).toMatchObject({
      code: 'data-image-recipe',
      exitCode: 4,
      hint: expect.stringContaining('--image-mean'),
    })
    expect(error.message).toContain('size, mean, std')
  })

  it('that are damaged are bad samples', async () => {
    const own = await picture('damaged')
    writeFileSync(join(own, 'b.png'), 'not a picture')
    const model = modelWith('float[1, 3, 2, 4] x')
    expect(await refusal(own, model, { image: declared })).toMatchObject({ code: 'data-bad-sample' })
    const source = await openData(own, model, { image: declared, onBadSample: 'skip' })
    expect(await samplesOf(source)).toHaveLength(1)
    expect(source.skipped).toMatchObject([{ id: 'b.png', index: 1 }])
  })

  it('in folders of folders are found', async () => {
    const own = await picture('nested')
    mkdirSync(join(own, 'class'))
    copyFileSync(join(own, 'a.png'), join(own, 'class', 'b.png'))
    const samples = await samplesOf(await openData(own, modelWith('float[1, 3, 2, 4] x'), { image: declared }))
    expect(samples.map(({ id }) => id)).toEqual(['a.png', join('class', 'b.png')])
  })
})
