import type { Graph, Model, Tensor, Value } from '../ir/index.ts'
import { dataFiles, printType } from '../onnx/index.ts'
import { describeModel } from './describe.ts'
import type { ModelEntry } from './document.ts'
import { schema } from './document.ts'
import type { Paint } from './paint.ts'
import { alignRows, count, formatBytes } from './table.ts'

/** What `inspect --json` prints. */
export interface Inspection {
  readonly schema: typeof schema
  readonly command: 'inspect'
  readonly model: ModelEntry
  readonly producer: string
  readonly metadata: Readonly<Record<string, string>>
  /** Declared types in ONNX's textual syntax; null where there is none. */
  readonly inputs: readonly { readonly name: string; readonly type: string | null }[]
  readonly outputs: readonly { readonly name: string; readonly type: string | null }[]
  readonly graphs: number
  readonly nodes: number
  /** Nodes by operator, nested graphs and functions included, most frequent first. */
  readonly operators: Readonly<Record<string, number>>
  readonly functions: readonly string[]
  /** Initializers, wherever their data is, and tensors in Constant nodes. */
  readonly weights: { readonly count: number; readonly bytes: number }
  /** Files beside the model that hold weights; `bytes` is null for one that is not there. */
  readonly data: readonly { readonly path: string; readonly bytes: number | null }[]
}

export async function inspectModel(
  model: Model,
  options: { readonly hash?: boolean | undefined },
): Promise<Inspection> {
  const operators = countOperators(model)
  const weights = { count: 0, bytes: 0 }
  let graphs = 0
  for (const graph of model.graphs()) {
    graphs++
    for (const tensor of tensorsOf(graph)) {
      weights.count++
      weights.bytes += tensor.expectedBytes ?? 0
    }
  }
  const isFed = (value: Value) => value.initializer === undefined
  return {
    schema,
    command: 'inspect',
    model: await describeModel(model, options),
    producer: [model.producerName, model.producerVersion].filter((word) => word !== '').join(' '),
    metadata: Object.fromEntries(model.metadata),
    inputs: model.graph.inputs.filter(isFed).map(declared),
    outputs: model.graph.outputs.map(declared),
    graphs,
    nodes: Object.values(operators).reduce((sum, n) => sum + n, 0),
    operators,
    functions: model.functions.map(({ domain, name }) => `${domain}::${name}`),
    weights,
    data: dataFiles(model),
  }
}

/** Nodes by operator, nested graphs and functions included, most frequent first. */
export function countOperators(model: Model): Record<string, number> {
  const counts = new Map<string, number>()
  for (const graph of model.graphs()) {
    for (const node of graph.nodes()) counts.set(node.op, (counts.get(node.op) ?? 0) + 1)
  }
  return Object.fromEntries([...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)))
}

/** An inspection as people read it. */
export function describeInspection(inspection: Inspection, paint: Paint): string {
  const { model, producer, operators, weights, functions, metadata } = inspection
  const opsets = Object.entries(model.opsets).map(
    ([domain, version]) => `${domain === '' ? 'ai.onnx' : domain} ${version}`,
  )
  const facts = [
    ['file', `${formatBytes(model.bytes)}, IR version ${model.irVersion}, opsets ${opsets.join(', ')}`],
    ['producer', producer],
    ['weights', `${count(weights.count, 'tensor')}, ${formatBytes(weights.bytes)}`],
    ...inspection.data.map(({ path, bytes }) => [
      'data',
      bytes === null ? `${path} is missing: put it where the model is` : `${path}, ${formatBytes(bytes)}`,
    ]),
    ['nodes', `${inspection.nodes} in ${count(inspection.graphs, 'graph')}`],
    [
      'operators',
      Object.entries(operators)
        .map(([op, n]) => `${op} ${n}`)
        .join(', '),
    ],
    ['functions', functions.join(', ')],
    ...inspection.inputs.map(({ name, type }) => ['input', `${type ?? ''} ${name}`.trim()]),
    ...inspection.outputs.map(({ name, type }) => ['output', `${type ?? ''} ${name}`.trim()]),
    ...Object.entries(metadata).map(([key, value]) => ['metadata', `${key}: ${firstLine(value)}`]),
    ['sha256', model.sha256 ?? ''],
  ]
  const rows = facts
    .filter(([, text]) => text !== '')
    .map(([what = '', text = '']) => [{ text: what, paint: paint.faint }, { text }])
  return `${[paint.strong(model.path ?? 'model'), ...alignRows(rows)].join('\n')}\n`
}

function firstLine(text: string): string {
  const [line = ''] = text.split('\n')
  return line.length < text.length || line.length > 100 ? `${line.slice(0, 100)}…` : line
}

function declared(value: Value): { name: string; type: string | null } {
  return { name: value.name, type: value.type === undefined ? null : printType(value.type) }
}

function* tensorsOf(graph: Graph): Generator<Tensor> {
  for (const value of graph.values.values()) if (value.initializer) yield value.initializer
  for (const node of graph.nodes()) {
    const constant = node.opType === 'Constant' ? node.attributes.get('value') : undefined
    if (constant?.kind === 'tensor') yield constant.value
  }
}
