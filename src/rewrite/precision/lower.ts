import type { DType, Graph, Model, Node, Value } from '../../ir/index.ts'
import { attr, dtypes, mapElements, Tensor } from '../../ir/index.ts'
import { constantTensor, dtypeOf } from '../../ops/index.ts'
import { dropUnread } from '../constants.ts'
import { constantIn, Ops } from '../ops.ts'
import { opsetOf } from '../opset.ts'
import type { Role, Wide } from './roles.ts'
import { needsSingle, roleOf } from './roles.ts'

/** Largest finite number of a type of half precision; what is larger is brought down to it, so that -3.4e38 hides a key still. */
const largest: ReadonlyMap<DType, number> = new Map([
  [dtypes.float16, 65504],
  [dtypes.bfloat16, 3.3895313892515355e38],
])

/**
 * Lowers everything a model computes in single precision to `dtype` (float16 or bfloat16), with casts where operators stay in
 * single precision. Graph inputs and outputs keep their types. Gives the number of nodes that compute in `dtype`.
 */
export function lowerToHalf(model: Model, dtype: DType): number {
  const plan = new Plan(model, dtype)
  const lowered = plan.nodes.filter(({ node }) => plan.isLowered(node)).length
  if (lowered === 0) return 0
  for (const { graph, node } of plan.nodes) plan.rewire(graph, node)
  for (const graph of model.graphs()) plan.finish(graph, graph === model.graph)
  return lowered
}

class Plan {
  readonly nodes: readonly { readonly graph: Graph; readonly node: Node }[]
  readonly #dtype: DType
  readonly #floats = new Set<Value>()
  readonly #wide = new Map<Value, Wide>()
  readonly #roles = new Map<Node, Role>()
  /** Values that may hold numbers beyond the range of the type. */
  readonly #large = new Set<Value>()
  readonly #made = new Map<Graph, Map<Value, Value>>()

  constructor(model: Model, dtype: DType) {
    this.#dtype = dtype
    this.nodes = [...model.graphs()].flatMap((graph) => [...graph.nodes()].map((node) => ({ graph, node })))
    for (const graph of model.graphs())
      for (const value of graph.values.values()) if (dtypeOf(value) === dtypes.float) this.#floats.add(value)
    for (const value of model.graph.inputs) if (this.#floats.has(value)) this.#wide.set(value, 'edge')
    const local = new Set(model.functions.map((fn) => `${fn.domain}::${fn.name}`))
    for (const { graph, node } of this.nodes) this.#decide(node, opsetOf(graph), local)
  }

  isLowered(node: Node): boolean {
    return (
      node.op !== 'Cast' &&
      !this.#roles.get(node)?.wide &&
      node.outputs.some((value) => value && this.#floats.has(value))
    )
  }

  #decide(node: Node, opset: number, local: ReadonlySet<string>): void {
    const role = roleOf(node, opset, local.has(`${node.domain}::${node.opType}`), (value) => this.#wide.get(value))
    this.#roles.set(node, role)
    if (!role.wide || role.gives === undefined) return
    const isLarge = node.inputs.some((value) => value && (this.#large.has(value) || this.#holdsLarge(value)))
    for (const value of node.outputs) {
      if (!value || !this.#floats.has(value)) continue
      this.#wide.set(value, role.gives)
      if (isLarge) this.#large.add(value)
    }
  }

  #holdsLarge(value: Value): boolean {
    const tensor = this.#floats.has(value) ? constantTensor(value) : undefined
    if (tensor === undefined || tensor.size > 64) return false
    return tensor.toNumbers().some((x) => Number.isFinite(x) && Math.abs(x) > (largest.get(this.#dtype) as number))
  }

  /** Gives a node every input in the precision it computes in. */
  rewire(graph: Graph, node: Node): void {
    const role = this.#roles.get(node) as Role
    for (const [port, value] of node.inputs.entries()) {
      if (!value || !this.#floats.has(value)) continue
      if (node.op === 'Cast' && this.#wide.has(value)) continue
      if (!needsSingle(node, port, role)) this.#take(node, port, this.#narrow(value, graph))
      else if (!this.#wide.has(value) && constantTensor(value) === undefined)
        this.#take(node, port, this.#single(value, graph))
    }
    if (!role.wide) this.#lowerAttributes(node)
    if (!role.wide) for (const value of node.outputs) if (value && this.#floats.has(value)) this.#retype(value)
  }

  #take(node: Node, port: number, value: Value): void {
    const old = node.input(port)
    node.setInput(port, value)
    if (old && constantTensor(old) !== undefined) dropUnread(old)
  }

  /** A value in half precision, for readers in a graph. */
  #narrow(value: Value, graph: Graph): Value {
    const constant = constantTensor(value)
    if (constant !== undefined) return this.#once(value, value.graph.outermost(), () => this.#constant(value, constant))
    if (!this.#wide.has(value)) return value
    return this.#once(value, graph, () => {
      const ops = this.#behind(value, graph)
      const limit = largest.get(this.#dtype) as number
      const bound = (x: number) => ops.constant(Tensor.scalar(dtypes.float, x))
      const within = this.#large.has(value) ? ops.Min(ops.Max(value, bound(-limit)), bound(limit)) : value
      return ops.Cast(within, this.#dtype)
    })
  }

  /** A value of half precision in single precision, for readers in a graph. */
  #single(value: Value, graph: Graph): Value {
    return this.#once(value, graph, () => this.#behind(value, graph).Cast(value, dtypes.float))
  }

  #constant(value: Value, tensor: Tensor): Value {
    const limit = largest.get(this.#dtype) as number
    const bounded = (x: number) => (Number.isFinite(x) ? Math.min(limit, Math.max(-limit, x)) : x)
    const lowered = mapElements(tensor, bounded, this.#dtype)
    return constantIn(value.graph.outermost(), lowered.named(`${value.name}/half`))
  }

  #once(value: Value, graph: Graph, make: () => Value): Value {
    const made = this.#made.get(graph) ?? new Map<Value, Value>()
    this.#made.set(graph, made)
    const known = made.get(value) ?? make()
    made.set(value, known)
    return known
  }

  /** Builds right behind where a value is made; at the start of the graph for one that comes from outside. */
  #behind(value: Value, graph: Graph): Ops {
    const { producer } = value
    const own = producer?.graph === graph
    const before = own ? producer.next : graph.nodes().next().value
    return new Ops({ graph, before: before ?? undefined, name: value.name, opset: opsetOf(graph) })
  }

  #lowerAttributes(node: Node): void {
    const to = { Cast: 'to', EyeLike: 'dtype', RandomNormal: 'dtype', RandomUniform: 'dtype' }[node.op]
    if (to !== undefined && (node.int(to) ?? dtypes.float) === dtypes.float)
      node.setAttribute(to, attr.int(this.#dtype))
    if (node.op !== 'ConstantOfShape') return
    const fill = node.attributes.get('value')
    if (fill?.kind === 'tensor' && fill.value.dtype !== dtypes.float) return
    const zero = Tensor.of(dtypes.float, [1], [0])
    const limit = largest.get(this.#dtype) as number
    const bounded = (x: number) => Math.min(limit, Math.max(-limit, x))
    const lowered = mapElements(fill?.kind === 'tensor' ? fill.value : zero, bounded, this.#dtype)
    node.setAttribute('value', attr.tensor(lowered))
  }

  #retype(value: Value): void {
    const { type } = value
    if (type?.kind === 'tensor') value.type = { ...type, dtype: this.#dtype }
  }

  /** Outputs of the model are in single precision as they were, those of nested graphs and functions in half precision. */
  finish(graph: Graph, isMain: boolean): void {
    if (!isMain) for (const value of graph.inputs) if (this.#floats.has(value)) this.#retype(value)
    for (const [index, value] of graph.outputs.entries()) {
      if (!this.#floats.has(value)) continue
      if (!isMain) graph.setOutput(index, this.#narrow(value, graph))
      else if (!this.#wide.has(value) && value.producer) this.#keepOutput(value, value.producer)
    }
  }

  #keepOutput(value: Value, producer: Node): void {
    const { graph } = producer
    const inner = graph.newValue(`${value.name}/half`, value.type)
    producer.setOutput(producer.outputs.indexOf(value), inner)
    value.replaceUsesWith(inner, { keepOutputs: true })
    if (value.type?.kind === 'tensor') value.type = { ...value.type, dtype: dtypes.float }
    const name = `${value.name}/single`
    const attributes = new Map([['to', attr.int(dtypes.float)]])
    graph.insert({ name, opType: 'Cast', attributes }, [inner], [value], producer.next)
  }
}
