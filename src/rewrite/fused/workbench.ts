import type { DType, Graph, Node, Value } from '../../ir/index.ts'
import { dtypes, Tensor } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import { opsetOf } from '../opset.ts'

/** An axis of a value, counted from the end. */
export interface AxisAt {
  readonly value: Value
  readonly axis: number
}

/** Sizes, positions and masks of a model that several operators need and that are built once in a graph. */
export class SharedValues {
  readonly #known = new Map<Graph, Map<string, Value>>()

  /** The value of that key in the graph; built, before the place of the caller, when it is the first who asks. */
  once(graph: Graph, key: string, build: () => Value): Value {
    const known = this.#known.get(graph) ?? new Map<string, Value>()
    this.#known.set(graph, known)
    const found = known.get(key)
    if (found) return found
    const built = build()
    known.set(key, built)
    return built
  }
}

/** Builds what stands in the place of one fused attention operator. */
export class Workbench {
  readonly op: Ops
  readonly facts: Facts
  /** Element type of queries, keys and values. */
  readonly dtype: DType
  readonly #graph: Graph
  readonly #shared: SharedValues

  constructor(node: Node, dtype: DType, facts: Facts, shared: SharedValues) {
    const opset = opsetOf(node.graph)
    const name = node.name === '' ? (node.output()?.name ?? node.opType) : node.name
    this.op = new Ops({ graph: node.graph, before: node, name, opset })
    this.facts = facts
    this.dtype = dtype
    this.#graph = node.graph
    this.#shared = shared
  }

  /** The same bench with another node in the place of the first. */
  before(node: Node): Workbench {
    return new Workbench(node, this.dtype, this.facts, this.#shared)
  }

  once(key: string, build: () => Value): Value {
    return this.#shared.once(this.#graph, key, build)
  }

  /** A constant number of the element type; what the type cannot hold becomes its largest finite number. */
  number(value: number): Value {
    const limit = lowest(this.dtype)
    return this.op.scalar(Number.isFinite(value) ? Math.max(value, limit) : value, this.dtype)
  }

  /** Name of the size of an axis: equal where the sizes are equal. */
  sizeName({ value, axis }: AxisAt): string {
    return String(this.facts.size(value, axis) ?? `${value.name}[${axis}]`)
  }

  /** Size of an axis as an int64 vector of one element. */
  length(at: AxisAt): Value {
    const size = this.facts.size(at.value, at.axis)
    if (typeof size === 'number') return this.op.ints([size])
    return this.once(`length ${this.sizeName(at)}`, () => {
      const end = at.axis === -1 ? Number.MAX_SAFE_INTEGER : at.axis + 1
      return this.op.Slice(this.op.Shape(at.value), [at.axis], [end], [0])
    })
  }

  /** 0, 1, 2, … along an axis, int64. */
  positions(at: AxisAt): Value {
    return this.once(`positions ${this.sizeName(at)}`, () => this.count(this.length(at)))
  }

  /** 0, 1, …, n - 1 for an int64 vector of one element n. */
  count(length: Value): Value {
    const { op } = this
    if (op.place.opset >= 11) {
      const scalar = (n: number): Value => op.constant(Tensor.scalar(dtypes.int64, n))
      return op.Range(scalar(0), op.Squeeze(length, [0]), scalar(1))
    }
    const ones = op.ConstantOfShape(length, Tensor.int64([1]))
    return op.Squeeze(op.NonZero(ones), [0])
  }

  /** [B, S, H*D] as [B, H, S, D]. */
  splitHeads(x: Value, heads: number): Value {
    return this.op.Transpose(this.op.Reshape(x, this.op.ints([0, 0, heads, -1])), [0, 2, 1, 3])
  }

  /** [B, H, S, D] as [B, S, H*D]. */
  mergeHeads(x: Value): Value {
    return this.op.Reshape(this.op.Transpose(x, [0, 2, 1, 3]), this.op.ints([0, 0, -1]))
  }
}

/** The lowest finite number of a float type. */
export function lowest(dtype: DType): number {
  if (dtype === dtypes.float16) return -65504
  if (dtype === dtypes.bfloat16) return -3.3895313892515355e38
  return dtype === dtypes.double ? -Number.MAX_VALUE : -3.4028234663852886e38
}
