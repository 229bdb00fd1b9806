import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { halfToNumber, numberToHalf } from '../../src/ir/elements.ts'
import type { Attribute, Model } from '../../src/ir/index.ts'
import { attr, dtypes, Model as ModelClass } from '../../src/ir/index.ts'
import { modelToBytes } from '../../src/onnx/index.ts'
import type { Dense } from './attention-reference.ts'
import { dense } from './attention-reference.ts'
import { random } from './random.ts'

/** A graph input of a test model with the data it is fed. Dims without a name in `shape` are declared as they are. */
export interface Feed {
  readonly dtype: 'float' | 'float16' | 'int32' | 'int64' | 'bool'
  readonly value: Dense
  /** Declared dims; symbols and numbers. */
  readonly shape: readonly (string | number)[]
}

/** A model of one operator: what goes in, and how many outputs come out (`undefined`: an output left out). */
export interface OperatorModel {
  readonly op: string
  readonly domain?: string
  readonly opset?: number
  readonly inputs: readonly (Feed | undefined)[]
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>
  readonly outputs: readonly (string | undefined)[]
}

const floats = new Set(['scale', 'softcap', 'mask_filter_value'])

/** The model; input i is called `in<i>`, an initializer where `constant` says so. */
export function operatorModel(spec: OperatorModel): Model {
  const { op, domain = '', opset = 17 } = spec
  const model = new ModelClass()
  model.irVersion = opset >= 24 ? 11 : opset >= 23 ? 10 : 8
  model.setOpset('', opset)
  if (domain !== '') model.setOpset(domain, 1)
  const { graph } = model
  graph.name = 'fused'
  const inputs = spec.inputs.map((feed, i) => {
    if (!feed) return undefined
    const value = graph.value(`in${i}`)
    value.type = { kind: 'tensor', dtype: dtypes[feed.dtype], shape: feed.shape }
    graph.addInput(value)
    return value
  })
  const outputs = spec.outputs.map((name) => (name === undefined ? undefined : graph.value(name)))
  const attributes = new Map(
    Object.entries(spec.attributes ?? {}).map(([name, value]) => [name, attributeOf(name, value)]),
  )
  while (inputs.length > 0 && inputs.at(-1) === undefined) inputs.pop()
  graph.insert({ name: 'the_attention', opType: op, domain, attributes }, inputs, outputs, undefined)
  for (const value of outputs) {
    if (!value) continue
    value.type = { kind: 'tensor', dtype: firstFloat(spec), shape: undefined }
    graph.setOutput(graph.outputs.length, value)
  }
  return model
}

function attributeOf(name: string, value: number | readonly number[]): Attribute {
  if (typeof value !== 'number') return attr.ints(value)
  return floats.has(name) ? attr.float(value) : attr.int(value)
}

function firstFloat({ inputs }: OperatorModel): number {
  return dtypes[inputs.find((feed) => feed?.dtype.startsWith('float'))?.dtype ?? 'float']
}

/** Runs a model on the feeds of an operator model in ONNX Runtime. */
export async function runModel(model: Model, spec: OperatorModel): Promise<Record<string, Dense>> {
  const session = await InferenceSession.create(modelToBytes(model), { logSeverityLevel: 4, intraOpNumThreads: 1 })
  try {
    const feeds: Record<string, OrtTensor> = {}
    for (const [i, feed] of spec.inputs.entries()) if (feed) feeds[`in${i}`] = ortTensor(feed)
    const results = await session.run(feeds)
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, toDense(tensor)]))
  } finally {
    await session.release()
  }
}

function ortTensor({ dtype, value }: Feed): OrtTensor {
  const { dims, data } = value
  switch (dtype) {
    case 'float16':
      return new OrtTensor('float16', Uint16Array.from(data, numberToHalf), dims)
    case 'int32':
      return new OrtTensor('int32', Int32Array.from(data), dims)
    case 'int64':
      return new OrtTensor(
        'int64',
        BigInt64Array.from(data, (x) => BigInt(x)),
        dims,
      )
    case 'bool':
      return new OrtTensor('bool', Uint8Array.from(data), dims)
    default:
      return new OrtTensor('float32', Float32Array.from(data), dims)
  }
}

function toDense(tensor: OrtTensor): Dense {
  const data = tensor.data as ArrayLike<number>
  return dense(tensor.dims, tensor.type === 'float16' ? Array.from(data, halfToNumber) : data)
}

/** Seeded test data: floats about N(0, 1) with a few outliers, rounded to what the type holds. */
export class TestData {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = random(seed)
  }

  uniform(): number {
    return this.#next()
  }

  normal(): number {
    const u = Math.max(this.#next(), 1e-12)
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.#next())
  }

  floats(
    dims: readonly number[],
    shape: readonly (string | number)[] = dims,
    options: { half?: boolean; spread?: number } = {},
  ): Feed {
    const { half = false, spread = 1 } = options
    const round = half ? (x: number) => halfToNumber(numberToHalf(x)) : Math.fround
    const size = dims.reduce((a, b) => a * b, 1)
    const data = Array.from({ length: size }, () => round(this.normal() * spread * (this.#next() < 0.02 ? 4 : 1)))
    return { dtype: half ? 'float16' : 'float', value: dense(dims, data), shape }
  }

  /** Zeros and ones, about a third zeros. */
  flags(dtype: 'int32' | 'bool', dims: readonly number[], shape: readonly (string | number)[] = dims): Feed {
    const size = dims.reduce((a, b) => a * b, 1)
    return {
      dtype,
      value: dense(
        dims,
        Array.from({ length: size }, () => (this.#next() < 0.35 ? 0 : 1)),
      ),
      shape,
    }
  }
}

export function integers(
  dtype: 'int32' | 'int64',
  values: readonly number[],
  shape: readonly (string | number)[],
): Feed {
  return { dtype, value: dense([values.length], values), shape }
}
