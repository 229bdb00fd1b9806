import type { Model, Value } from '../../src/ir/index.ts'
import { attr, dtypes, Graph, Tensor } from '../../src/ir/index.ts'

/** Where the nodes of a model can be put. */
export const places = ['a branch', 'a loop', 'a function'] as const
export type Place = (typeof places)[number]

/**
 * Moves all nodes of the main graph into a branch of an If (taken where the new input `inside` is true), a Loop of two steps,
 * or a function that is called twice. Weights stay where they are, or become inputs of the function.
 */
export function moveInto(model: Model, place: Place): void {
  const body = new Graph()
  body.name = 'body'
  const inputs = place === 'a function' ? inputsOf(model) : []
  const outputs = move(model.graph, body, inputs)
  if (place === 'a branch') intoBranch(model, body, outputs)
  else if (place === 'a loop') intoLoop(model, body, outputs)
  else intoFunction(model, body, inputs, outputs)
}

function inputsOf({ graph }: Model): Value[] {
  return [...graph.values.values()].filter(({ initializer, isInput }) => initializer !== undefined || isInput)
}

/** The outputs of the graph in their new place. Values of `given` become inputs of the body, all others from outside are seen. */
function move(graph: Graph, body: Graph, given: readonly Value[]): Value[] {
  const moved = new Map<Value, Value>()
  for (const value of given) {
    const input = body.value(value.name)
    body.addInput(input)
    moved.set(value, input)
  }
  const outputs = graph.outputs.map((output) => ({ output, name: `${output.name}/inside` }))
  for (const node of graph.nodes()) {
    const inside = node.outputs.map((value) => {
      if (!value) return undefined
      const own = body.value(`${value.name}/inside`)
      if (value.type) own.type = value.type
      moved.set(value, own)
      return own
    })
    const { name, opType, domain, attributes } = node
    const inputs = node.inputs.map((value) => value && (moved.get(value) ?? value))
    body.insert({ name, opType, domain, attributes }, inputs, inside, undefined)
  }
  for (const node of [...graph.nodes()].toReversed()) graph.remove(node)
  return outputs.map(({ output, name }) => moved.get(output) ?? body.value(name))
}

function intoBranch({ graph }: Model, body: Graph, outputs: readonly Value[]): void {
  body.setOutputs(outputs)
  const other = new Graph()
  other.name = 'other'
  const nothing = outputs.map((value) => {
    const output = other.value(`${value.name}/not`)
    const zeros = attr.tensor(Tensor.of(dtypes.float, [1], [0]))
    other.insert({ opType: 'Constant', attributes: new Map([['value', zeros]]) }, [], [output], undefined)
    output.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
    return output
  })
  other.setOutputs(nothing)
  const inside = graph.value('inside')
  inside.type = { kind: 'tensor', dtype: dtypes.bool, shape: [] }
  graph.addInput(inside)
  const attributes = new Map([
    ['then_branch', attr.graph(body)],
    ['else_branch', attr.graph(other)],
  ])
  graph.insert({ name: '/if', opType: 'If', attributes, subgraphs: [body, other] }, [inside], results(graph), undefined)
}

function intoLoop({ graph }: Model, body: Graph, outputs: readonly Value[]): void {
  for (const [name, dtype] of [
    ['step', dtypes.int64],
    ['go', dtypes.bool],
  ] as const) {
    const input = body.value(name)
    input.type = { kind: 'tensor', dtype, shape: [] }
    body.addInput(input)
  }
  const again = body.value('again')
  again.type = { kind: 'tensor', dtype: dtypes.bool, shape: [] }
  body.insert({ opType: 'Identity' }, [body.value('go')], [again], undefined)
  body.setOutputs([again, ...outputs])
  const steps = graph.addInitializer('steps', Tensor.scalar(dtypes.int64, 2))
  const attributes = new Map([['body', attr.graph(body)]])
  graph.insert(
    { name: '/loop', opType: 'Loop', attributes, subgraphs: [body] },
    [steps, undefined],
    results(graph),
    undefined,
  )
}

function intoFunction(model: Model, body: Graph, inputs: readonly Value[], outputs: readonly Value[]): void {
  body.setOutputs(outputs)
  const { graph } = model
  model.setOpset('local', 1)
  model.addFunction({
    ...{ domain: 'local', name: 'Whole', overload: '', attributes: [], defaults: new Map() },
    ...{ opsetImports: new Map([['', model.opset]]), body },
  })
  const call = (name: string, given: readonly Value[]) =>
    graph.insert({ name, opType: 'Whole', domain: 'local' }, inputs, given, undefined)
  const first = results(graph)
  call('/first', first)
  const second = first.map(({ name, type }) => graph.newValue(`${name}/again`, type))
  call('/second', second)
  graph.setOutputs([...first, ...second])
}

/** The outputs of the graph, whose shapes are not what they were. */
function results(graph: Graph): Value[] {
  return graph.outputs.map((value) => {
    value.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
    return value
  })
}
