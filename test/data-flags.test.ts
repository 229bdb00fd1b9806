import { describe, expect, it } from 'vitest'
import yargs from 'yargs'
import { dataFlags, dataRequest, shardFlag } from '../src/config/data-flags.ts'
import { ConvertError } from '../src/errors.ts'

function request(...argv: string[]) {
  return dataRequest(
    yargs(argv)
      .options({ ...dataFlags, ...shardFlag })
      .exitProcess(false)
      .parseSync(),
  )
}

function refused(...argv: string[]): string {
  try {
    request(...argv)
  } catch (error) {
    if (error instanceof ConvertError && error.code === 'usage') return error.message
  }
  throw new Error('nothing was refused')
}

describe('data flags', () => {
  it('say where the data is and how it is read', () => {
    const words = '--data d --samples 9 --seed 4 --on-bad-sample skip --tokenizer t.json --text-field s --max-length 64'
    expect(request(...words.split(' '), '--shard', '2/5')).toEqual({
      spec: 'd',
      options: expect.objectContaining({
        samples: 9,
        seed: 4,
        onBadSample: 'skip',
        tokenizer: 't.json',
        textField: 's',
        maxLength: 64,
        shard: { index: 2, count: 5 },
      }),
    })
  })

  it('say how images are made into inputs', () => {
    const words =
      '--data d --image-size 256 --image-crop 224x200 --image-mean 0.5,0.4,0.3 --image-std 1 --image-layout nhwc'
    expect(request(...words.split(' '), '--image-channels', 'bgr', '--image-scale', '1')?.options.image).toEqual({
      config: undefined,
      size: '256',
      crop: '224x200',
      scale: 1,
      mean: [0.5, 0.4, 0.3],
      std: [1],
      layout: 'nhwc',
      channels: 'bgr',
    })
  })

  it('make nothing up unless asked to', () => {
    expect(request()).toBeUndefined()
    expect(request('--synthetic', '--samples', '3')).toMatchObject({
      spec: undefined,
      options: { synthetic: true, samples: 3 },
    })
  })

  it('that mean nothing are refused', () => {
    expect(refused('--samples', '3')).toContain('--samples is about data')
    expect(refused('--data', 'd', '--synthetic')).toContain('exclude each other')
    expect(refused('--data', 'd', '--image-mean', '1,x')).toContain('--image-mean "1,x"')
    expect(refused('--data', 'd', '--shard', '0.5')).toContain('--shard "0.5"')
  })
})
