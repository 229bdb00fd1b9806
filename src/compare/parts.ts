import type { DType, Model, Value } from '../ir/index.ts'
import { attr } from '../ir/index.ts'
import { Ops, removeDead } from '../rewrite/index.ts'
import type { Segment } from './segments.ts'
import type { SharedValue } from './shared-values.ts'

/** Makes a model give out these values of its main graph, and nothing else. */
export function giveOut(model: Model, wanted: readonly { readonly name: string; readonly dtype: DType }[]): void {
  const { graph } = model
  const values = wanted.map(({ name, dtype }) => {
    const value = graph.values.get(name) as Value
    // No shape: a runtime may choose other kernels where it knows more.
    if (value.type === undefined) value.type = { kind: 'tensor', dtype, shape: undefined }
    return value
  })
  graph.setOutputs(values)
  // What comes behind them need not be run.
  removeDead([...graph.nodes()])
}

/** Makes a model give out the shapes of values of its main graph; gives the names of the outputs, in order. */
export function giveShapes(model: Model, names: readonly string[]): string[] {
  const { graph } = model
  const op = new Ops({ graph, before: undefined, name: 'outeffhop/compare', opset: model.opset })
  const shapes = names.map((name) => op.Shape(graph.values.get(name) as Value))
  graph.setOutputs(shapes)
  removeDead([...graph.nodes()])
  return shapes.map(({ name }) => name)
}

/** An input of a model in parts, and the shared value it is fed with. */
export interface FedInput {
  readonly value: SharedValue
  readonly input: string
}

/**
 * Takes the segments out of a copy of the second model: each reads what it shares from an input, which is to be fed with
 * the tensor of the first model. The inputs of the model stay, whether they are read or not.
 */
export function cutOut(copy: Model, segments: readonly Segment[]): FedInput[] {
  const { graph } = copy
  const reads = new Set(segments.flatMap((segment) => segment.reads))
  giveOut(
    copy,
    segments.map(({ value }) => ({ name: value.b, dtype: value.dtypeB })),
  )
  const [first] = graph.nodes()
  const fed = Array.from(reads, (value): FedInput => {
    const { dtypeA, dtypeB } = value
    const input = graph.newValue('outeffhop/compare/fed', { kind: 'tensor', dtype: dtypeA, shape: undefined })
    graph.addInput(input)
    const own = graph.values.get(value.b) as Value
    let given = input
    if (dtypeA !== dtypeB) {
      given = graph.newValue('outeffhop/compare/cast')
      graph.insert({ opType: 'Cast', attributes: new Map([['to', attr.int(dtypeB)]]) }, [input], [given], first)
    }
    own.replaceUsesWith(given, { keepOutputs: true })
    return { value, input: input.name }
  })
  removeDead([...graph.nodes()])
  return fed
}
