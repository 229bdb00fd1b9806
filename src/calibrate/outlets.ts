import type { Graph, ModelFunction, Value } from '../ir/index.ts'
import { attr, dtypes, Node, Tensor } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { functionOf } from '../ops/index.ts'
import { Ops, opsetOf } from '../rewrite/index.ts'

/** Numbers that a graph makes, where they have arrived in the main graph. */
export interface Outlet {
  /** A vector: what every run of the graph gave, one after the other. */
  readonly value: Value
  /** The calls of functions that lead to the graph, the outermost first; empty where it is in no function. */
  readonly calls: readonly Node[]
}

/**
 * Why numbers that are made in a graph cannot be brought to the main graph; undefined where they can. The reason goes on a
 * sentence about what makes them.
 */
export function closedIn(graph: Graph, facts: Facts, varies = false): string | undefined {
  const { owner } = graph
  if (owner instanceof Node) {
    if (owner.domain !== '' || !['If', 'Loop', 'Scan'].includes(owner.opType))
      return `is in a graph of the operator ${owner.op}, which gives nothing of it out`
    if (owner.opType !== 'Scan') return closedIn(owner.graph, facts, true)
    if (varies)
      return `is in a branch or loop inside of the Scan "${owner.label}", whose steps have to give the same sizes`
    return opsetOf(owner.graph) < 9 ? 'is in a Scan of opset 8' : closedIn(owner.graph, facts, varies)
  }
  const fn = functionOf(graph)
  if (!fn) return undefined
  const calls = facts.callers(fn).filter((call) => isReached(call.graph, facts))
  if (calls.length === 0) return `is in the function "${fn.name}", which nothing calls`
  return calls.map((call) => closedIn(call.graph, facts, varies)).find((reason) => reason !== undefined)
}

/** Whether the main graph leads there: a function may be called by one that nothing calls. */
function isReached(graph: Graph, facts: Facts): boolean {
  const fn = functionOf(graph)
  return fn === undefined || facts.callers(fn).some((call) => isReached(call.graph, facts))
}

/**
 * Brings a vector of floats to the main graph: a branch gives one more output, beside which the other branch has an empty
 * one, a Loop carries what it has so far, a Scan stacks what is of one size, a function has one more output at each of its
 * calls. What is closed in, by {@link closedIn}, is not for here.
 */
export function bringOut(value: Value, facts: Facts): readonly Outlet[] {
  const { graph } = value
  const { owner } = graph
  if (owner instanceof Node) {
    if (owner.opType === 'If') return bringOut(outOfBranch(value, owner), facts)
    return bringOut(owner.opType === 'Loop' ? outOfLoop(value, owner) : outOfScan(value, owner), facts)
  }
  const fn = functionOf(graph)
  return fn ? outOfFunction(value, fn, facts) : [{ value, calls: [] }]
}

function outOfBranch(value: Value, node: Node): Value {
  const index = value.graph.outputs.length
  for (const branch of node.subgraphs)
    branch.setOutput(index, branch === value.graph ? typed(value) : nothingIn(branch))
  return addOutput(node, index, value.name)
}

/** A branch gives out values of its own only. */
function nothingIn(graph: Graph): Value {
  const value = typed(graph.newValue('outeffhop/nothing'))
  graph.insert(
    { name: value.name, opType: 'Constant', attributes: new Map([['value', attr.tensor(empty())]]) },
    [],
    [value],
    undefined,
  )
  return value
}

function outOfLoop(value: Value, node: Node): Value {
  const body = value.graph
  const carried = body.inputs.length - 2
  const state = typed(body.newValue(`${value.name}/so_far`))
  body.addInput(state)
  const sum = typed(opsAtEnd(body).Concat([state, value], 0))
  body.setOutputs(body.outputs.toSpliced(1 + carried, 0, sum))
  node.setInput(2 + carried, opsAtEnd(node.graph).constant(empty()))
  const outputs = [...node.outputs]
  for (const [i] of outputs.entries()) if (i >= carried) node.setOutput(i, undefined)
  for (const [i, output] of outputs.entries()) if (i >= carried) node.setOutput(i + 1, output)
  return addOutput(node, carried, value.name)
}

function outOfScan(value: Value, node: Node): Value {
  const index = value.graph.outputs.length
  value.graph.setOutput(index, typed(value))
  for (const name of ['scan_output_axes', 'scan_output_directions']) {
    const given = node.ints(name)
    if (given) node.setAttribute(name, attr.ints([...given, 0]))
  }
  const op = opsAtEnd(node.graph)
  return op.Reshape(addOutput(node, index, value.name), op.ints([-1]))
}

function outOfFunction(value: Value, fn: ModelFunction, facts: Facts): readonly Outlet[] {
  const index = fn.body.outputs.length
  fn.body.setOutput(index, value)
  return facts.callers(fn).flatMap((call) =>
    bringOut(addOutput(call, index, value.name), facts).map((outlet) => ({
      ...outlet,
      calls: [...outlet.calls, call],
    })),
  )
}

function addOutput(node: Node, index: number, name: string): Value {
  const value = typed(node.graph.newValue(name))
  node.setOutput(index, value)
  return value
}

function typed(value: Value): Value {
  value.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
  return value
}

function empty(): Tensor {
  return Tensor.of(dtypes.float, [0], [])
}

/** Builds at the end of a graph. */
export function opsAtEnd(graph: Graph): Ops {
  return new Ops({ graph, before: undefined, name: 'outeffhop/calibrate', opset: opsetOf(graph) })
}
