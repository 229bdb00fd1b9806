import type { DataOptions, Shard } from '../data/index.ts'
import { usage } from '../errors.ts'
import type { ValuesOf } from './flag.ts'
import { grouped } from './flag.ts'

const text = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const
const file = (describe: string) => ({ type: 'string', requiresArg: true, path: true, describe }) as const
const number = (describe: string) => ({ type: 'number', requiresArg: true, describe }) as const

/** The data that calibration, quantization and comparison run on: the same flags for every command. */
export const dataFlags = {
  ...grouped('Data:', {
    data: file('.npz, .npy, .jsonl, .txt, .parquet, .safetensors, a .js module, a folder of them or of images'),
    synthetic: { type: 'boolean', describe: 'Make inputs up; only to try things out, and said in every report' },
    samples: number('Take a subset of N samples; default all of them (16 synthetic ones)'),
    seed: number('Which subset, and which synthetic inputs; default 0'),
    'on-bad-sample': {
      type: 'string',
      choices: ['stop', 'skip'],
      requiresArg: true,
      describe: 'NaN, another shape, broken files: stop (default) or skip',
    },
    tokenizer: file('The tokenizer.json for text; default: the one beside the text'),
    'text-field': text('The field or column with the text; default text'),
    'max-length': number('Most tokens of a text; default: what tokenizer and model say'),
  }),
  ...grouped('Images:', {
    'image-config': file('A preprocessor_config.json; default: the one beside the images'),
    'image-size': text('WIDTHxHEIGHT, one number for the shorter side, xHEIGHT or WIDTHx'),
    'image-crop': text('WIDTHxHEIGHT or one number for both, from the middle'),
    'image-scale': number('What pixels are multiplied by; default 1/255'),
    'image-mean': text('Mean of the channels after scaling: 0.485,0.456,0.406'),
    'image-std': text('Deviation of the channels: 0.229,0.224,0.225'),
    'image-layout': {
      type: 'string',
      choices: ['nchw', 'nhwc'],
      requiresArg: true,
      describe: 'Order of the axes; default: what the model says, else nchw',
    },
    'image-channels': {
      type: 'string',
      choices: ['rgb', 'bgr', 'gray'],
      requiresArg: true,
      describe: 'Order of the colours; default rgb, or gray for one channel',
    },
  }),
} as const

/** Which part of the data to take. */
export const shardFlag = grouped('Data:', {
  shard: text('Take part I of N of the samples: I/N'),
})

/** What the flags above are parsed to. */
type DataArguments = Partial<ValuesOf<typeof dataFlags & typeof shardFlag>>

/** What to hand to `openData`. */
export interface DataRequest {
  readonly spec: string | undefined
  readonly options: DataOptions
}

/**
 * The data the flags ask for; `undefined` when they ask for none. Throws `usage` where a flag says how to read data that
 * is not given, and where a value means nothing.
 */
export function dataRequest(flags: DataArguments, signal?: AbortSignal): DataRequest | undefined {
  if (flags.data === undefined && !flags.synthetic) {
    const names = Object.keys({ ...dataFlags, ...shardFlag })
    const idle = names.find((name) => flags[name as keyof DataArguments] !== undefined && name !== 'synthetic')
    if (idle !== undefined) throw usage(`--${idle} is about data, and there is none`, 'Name it with --data SOURCE.')
    return undefined
  }
  if (flags.data !== undefined && flags.synthetic) throw usage('--synthetic and --data exclude each other')
  return { spec: flags.data, options: optionsOf(flags, signal) }
}

function optionsOf(flags: DataArguments, signal: AbortSignal | undefined): DataOptions {
  const { samples, seed, tokenizer, synthetic } = flags
  return {
    ...{ samples, seed, tokenizer, synthetic, signal },
    onBadSample: flags['on-bad-sample'],
    textField: flags['text-field'],
    maxLength: flags['max-length'],
    shard: flags.shard === undefined ? undefined : parseShard(flags.shard),
    image: {
      config: flags['image-config'],
      size: flags['image-size'],
      crop: flags['image-crop'],
      scale: flags['image-scale'],
      mean: numbers('image-mean', flags['image-mean']),
      std: numbers('image-std', flags['image-std']),
      layout: flags['image-layout'],
      channels: flags['image-channels'],
    },
  }
}

function numbers(flag: string, list: string | undefined): number[] | undefined {
  if (list === undefined) return undefined
  const values = list.split(',').map((item) => (item.trim() === '' ? Number.NaN : Number(item)))
  if (values.every(Number.isFinite)) return values
  throw usage(`--${flag} "${list}" is not a list of numbers`, 'Write them with commas: 0.485,0.456,0.406.')
}

function parseShard(words: string): Shard {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(words) ?? []
  if (index === undefined) throw usage(`--shard "${words}" is no part`, 'Write I/N: 1/4 is the first of four.')
  return { index: Number(index), count: Number(count) }
}
