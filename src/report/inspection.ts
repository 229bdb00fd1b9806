import type { Model, Value } from '../ir/index.ts'
import { printType } from '../onnx/text/index.ts'
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
}

export async function inspectModel(model: Model, options: { readonly hash?: boolean | undefined }): Promise<Inspection> {
  const operators = new Map<string, number>()
  const weights = { count: 0, bytes: 0 }
  let graphs = 0
  for (const graph of model.graphs()) {
    graphs++
    for (const node of graph.nodes()) operators.set(node.op, (operators.get(node.op) ?? 0) + 1)
    for (const tensor of tensorsOf(graph)) {
      weights.count++
      weights.bytes += tensor.expectedBytes ?? 0
    }
  }
  const sorted = [...operators].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
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
    nodes: sorted.reduce((sum, [, n]) => sum + n, 0),
    operators: Object.fromEntries(sorted),
    functions: model.functions.map(({ domain, name }) => `${domain}::${name}`),
    weights,
  }
}
