import { bug } from '../errors.ts'
import type { Attribute, DType, Graph, Node, ValueType } from '../ir/index.ts'
import { attr, dtypes, Tensor, type Value } from '../ir/index.ts'
import { functionOf } from '../ops/index.ts'

/** Where built nodes go, and what they are called. */
export interface Place {
  readonly graph: Graph
  /** New nodes stand before this node; at the end of the graph when undefined. */
  readonly before: Node | undefined
  /** Prefix of the names of new nodes and values, usually the name of the node they stand for. */
  readonly name: string
  /**
   * Default-domain opset the nodes must be valid in. Inside a function they are valid in the opset of the model too, in which
   * ONNX Runtime reads a body, whatever the function says.
   */
  readonly opset: number
}

type Input = Value | undefined

/** The number the standard gives to attributes that hold a float. */
const floatAttribute = 1

/**
 * A typed vocabulary of ONNX operators: each method inserts a node and returns its first output.
 *
 * Where an operator changed between opsets 7 and 26 (axes as attribute or input, pads, clip bounds) the form of the
 * place's opset is emitted. Constants become initializers of the outermost graph that sees the place, one per content.
 */
export class Ops {
  readonly place: Place
  readonly #opsets: readonly number[]

  constructor(place: Place) {
    this.place = place
    const model = functionOf(place.graph) ? place.graph.model : undefined
    this.#opsets = model ? [place.opset, model.opset] : [place.opset]
  }

  /** Whether what came with an opset is there in every opset of the place; `undefined` when only in one of them. */
  has(opset: number): boolean | undefined {
    const since = this.#opsets.map((own) => own >= opset)
    return since.every(Boolean) ? true : since.some(Boolean) ? undefined : false
  }

  Add = (a: Value, b: Value) => this.#node('Add', [a, b])
  And = (a: Value, b: Value) => this.#node('And', [a, b])
  Cast = (x: Value, to: DType) => this.#node('Cast', [x], { to: attr.int(to) })
  /** From opset 15 on. */
  CastLike = (x: Value, like: Value) => this.#node('CastLike', [x, like])
  Concat = (xs: readonly Value[], axis: number) => this.#node('Concat', xs, { axis: attr.int(axis) })
  ConstantOfShape = (shape: Value, value: Tensor) =>
    this.#node('ConstantOfShape', [shape], { value: attr.tensor(value) })
  /** `(x - zeroPoint) * scale`; per channel of `axis` from opset 13 on, when the scale is a vector. */
  DequantizeLinear = (x: Value, scale: Value, zeroPoint: Value, axis?: number) =>
    this.#node('DequantizeLinear', [x, scale, zeroPoint], axis === undefined ? {} : { axis: attr.int(axis) })
  Div = (a: Value, b: Value) => this.#node('Div', [a, b])
  /** u8 integers, their scale and their zero point, by the range of x when the model runs. */
  DynamicQuantizeLinear = (x: Value) => this.#insert('DynamicQuantizeLinear', [x], {}, 3) as [Value, Value, Value]
  Equal = (a: Value, b: Value) => this.#node('Equal', [a, b])
  Exp = (x: Value) => this.#node('Exp', [x])
  Expand = (x: Value, shape: Value) => this.#node('Expand', [x, shape])
  Gather = (x: Value, indices: Value, axis: number) => this.#node('Gather', [x, indices], { axis: attr.int(axis) })
  Greater = (a: Value, b: Value) => this.#node('Greater', [a, b])
  Identity = (x: Value) => this.#node('Identity', [x])
  Less = (a: Value, b: Value) => this.#node('Less', [a, b])
  Log = (x: Value) => this.#node('Log', [x])
  MatMul = (a: Value, b: Value) => this.#node('MatMul', [a, b])
  MatMulInteger = (a: Value, b: Value, aZeroPoint: Value) => this.#node('MatMulInteger', [a, b, aZeroPoint])
  /** Elementwise maximum of two; broadcasts from opset 8 on. */
  Max = (a: Value, b: Value) => this.#node('Max', [a, b])
  Min = (a: Value, b: Value) => this.#node('Min', [a, b])
  Mul = (a: Value, b: Value) => this.#node('Mul', [a, b])
  Neg = (x: Value) => this.#node('Neg', [x])
  NonZero = (x: Value) => this.#node('NonZero', [x])
  Not = (x: Value) => this.#node('Not', [x])
  Or = (a: Value, b: Value) => this.#node('Or', [a, b])
  QuantizeLinear = (x: Value, scale: Value, zeroPoint: Value) => this.#node('QuantizeLinear', [x, scale, zeroPoint])
  Range = (start: Value, limit: Value, delta: Value) => this.#node('Range', [start, limit, delta])
  Relu = (x: Value) => this.#node('Relu', [x])
  Reshape = (x: Value, shape: Value) => this.#node('Reshape', [x, shape])
  Shape = (x: Value) => this.#node('Shape', [x])
  Sqrt = (x: Value) => this.#node('Sqrt', [x])
  Sub = (a: Value, b: Value) => this.#node('Sub', [a, b])
  Tanh = (x: Value) => this.#node('Tanh', [x])
  Tile = (x: Value, repeats: Value) => this.#node('Tile', [x, repeats])
  Transpose = (x: Value, perm: readonly number[]) => this.#node('Transpose', [x], { perm: attr.ints(perm) })
  Where = (condition: Value, a: Value, b: Value) => this.#node('Where', [condition, a, b])

  /** A constant that is an attribute of the function the place is in. */
  FloatOf = (attribute: string) => this.#node('Constant', [], { value_float: attr.ref(attribute, floatAttribute) })

  /** The parts of `x` along an axis. Negative axes are legal from opset 11 on. */
  Split(x: Value, sizes: readonly number[], axis: number): Value[] {
    const along = { axis: attr.int(axis) }
    return this.place.opset >= 13
      ? this.#insert('Split', [x, this.ints(sizes)], along, sizes.length)
      : this.#insert('Split', [x], { ...along, split: attr.ints(sizes) }, sizes.length)
  }

  /** Softmax over one axis. Before opset 13 only the last axis can be one axis, and the caller passes the rank. */
  Softmax(x: Value, axis: number, rank: number | undefined): Value {
    if (this.place.opset >= 13) return this.#node('Softmax', [x], { axis: attr.int(axis) })
    if (axis !== -1 || rank === undefined) throw bug('Softmax before opset 13 needs the last axis and a known rank')
    return this.#node('Softmax', [x], { axis: attr.int(rank - 1) })
  }

  /** The maximum over one axis, which stays with length 1. */
  ReduceMax(x: Value, axis: number): Value {
    const maximum = this.#reduce('ReduceMax', x, [axis], true)
    return maximum ?? (this.#insert('TopK', [x, this.ints([1])], { axis: attr.int(axis) }, 2)[0] as Value)
  }

  /** The sum over one axis, which stays with length 1. */
  ReduceSum(x: Value, axis: number): Value {
    const sum = this.#reduce('ReduceSum', x, [axis], true)
    if (sum) return sum
    const sums = this.#node('CumSum', [x, this.scalar(axis, dtypes.int64)])
    return this.Slice(sums, [-1], [Number.MAX_SAFE_INTEGER], [axis])
  }

  /** A reduction over several axes, outside of functions. */
  Reduce(kind: 'Max' | 'Mean' | 'Min' | 'Sum', x: Value, axes: readonly number[], keepdims: boolean): Value {
    const reduced = this.#reduce(`Reduce${kind}`, x, axes, keepdims)
    if (!reduced) throw bug(`Reduce${kind} has no spelling in two opsets at once`)
    return reduced
  }

  Unsqueeze(x: Value, axes: readonly number[]): Value {
    return this.#withAxes('Unsqueeze', x, axes)
  }

  Squeeze(x: Value, axes: readonly number[]): Value {
    return this.#withAxes('Squeeze', x, axes)
  }

  /** Zero-based half-open slices; `ends` may be negative or the largest int64-safe number for "to the end". */
  Slice(x: Value, starts: readonly number[], ends: readonly number[], axes: readonly number[]): Value {
    if (this.place.opset < 10)
      return this.#node('Slice', [x], { starts: attr.ints(starts), ends: attr.ints(ends), axes: attr.ints(axes) })
    return this.#node('Slice', [x, this.ints(starts), this.ints(ends), this.ints(axes)])
  }

  /** A slice of a vector between bounds that are computed; from opset 10 on. */
  SliceVector = (x: Value, start: Value, end: Value) => this.#node('Slice', [x, start, end, this.ints([0])])

  /** Constant padding; `pads` holds the begins of all axes, then the ends. `value` is 0 when left out. */
  Pad(x: Value, pads: readonly number[], value = 0, dtype?: DType | undefined): Value {
    if (this.place.opset < 11)
      return this.#node('Pad', [x], { mode: attr.string('constant'), pads: attr.ints(pads), value: attr.float(value) })
    const fill = value === 0 ? undefined : this.like(x, dtype, [], [value])
    return this.#node('Pad', fill ? [x, this.ints(pads), fill] : [x, this.ints(pads)], {
      mode: attr.string('constant'),
    })
  }

  /** A constant 1-D int64 tensor. */
  ints(values: readonly number[]): Value {
    return this.constant(Tensor.int64(values))
  }

  /** A constant of rank 0. */
  scalar(value: number, dtype: DType): Value {
    return this.constant(Tensor.scalar(dtype, value))
  }

  /** A constant of the element type of `x`, also where that is not known before the model runs (float before opset 15). */
  like(x: Value, dtype: DType | undefined, dims: readonly number[], numbers: readonly number[]): Value {
    const constant = this.constant(Tensor.of(dtype ?? dtypes.float, dims, numbers))
    return dtype === undefined && this.has(15) ? this.CastLike(constant, x) : constant
  }

  /** An initializer with these contents: one that was made before where there is one, else a new one of the tensor's name. */
  constant(tensor: Tensor): Value {
    return constantIn(this.place.graph.outermost(), tensor)
  }

  /** Declares the type of a built value. */
  typed(value: Value, type: ValueType): Value {
    value.type = type
    return value
  }

  /** `undefined` where no spelling is valid in every opset of the place. */
  #reduce(opType: string, x: Value, axes: readonly number[], keepdims: boolean): Value | undefined {
    const keep = { keepdims: attr.int(keepdims ? 1 : 0) }
    const asInput = this.has(opType === 'ReduceSum' ? 13 : 18)
    if (asInput === undefined) return undefined
    return asInput
      ? this.#node(opType, [x, this.ints(axes)], keep)
      : this.#node(opType, [x], { axes: attr.ints(axes), ...keep })
  }

  #withAxes(opType: string, x: Value, axes: readonly number[]): Value {
    return this.place.opset >= 13
      ? this.#node(opType, [x, this.ints(axes)])
      : this.#node(opType, [x], { axes: attr.ints(axes) })
  }

  #node(opType: string, inputs: readonly Input[], attributes: Readonly<Record<string, Attribute>> = {}): Value {
    return this.#insert(opType, inputs, attributes, 1)[0] as Value
  }

  #insert(
    opType: string,
    inputs: readonly Input[],
    attributes: Readonly<Record<string, Attribute>>,
    outputs: number,
  ): Value[] {
    const { graph, before, name } = this.place
    const label = `${name}/${opType}`
    const values = Array.from({ length: outputs }, (_, i) => graph.newValue(i === 0 ? label : `${label}_out${i}`))
    graph.insert(
      { name: values[0]?.name ?? label, opType, attributes: new Map(Object.entries(attributes)) },
      inputs,
      values,
      before,
    )
    return values
  }
}

/** Constants made by the builder, by content, per graph they live in. */
const pools = new WeakMap<Graph, Map<string, Value>>()

/** A constant of a graph with these contents: one that was made before where there is one, and that is still the same. */
export function constantIn(graph: Graph, tensor: Tensor): Value {
  const pool = pools.get(graph) ?? new Map<string, Value>()
  pools.set(graph, pool)
  const key = contentKey(tensor)
  const known = key === undefined ? undefined : pool.get(key)
  if (known && graph.values.get(known.name) === known && contentKey(tensorOf(known)) === key) return known
  const value = takesInitializers(graph)
    ? graph.addInitializer(tensor.name || constantName, tensor)
    : constantNode(graph, tensor)
  if (key !== undefined) pool.set(key, value)
  return value
}

/** Type, dims and bytes of a small tensor. */
function contentKey(tensor: Tensor | undefined): string | undefined {
  const size = tensor?.payload?.byteLength ?? 0
  if (!tensor?.payload || size > 4096) return undefined
  return `${tensor.dtype}/${tensor.dims.join()}/${Buffer.from(tensor.payload.read(0, size)).toString('base64')}`
}

function tensorOf({ initializer, producer }: Value): Tensor | undefined {
  const held = producer?.attributes.get('value')
  return initializer ?? (held?.kind === 'tensor' ? held.value : undefined)
}

const constantName = 'outeffhop/constant'

/** Function bodies have no initializers, and before IR version 4 every initializer had to be a graph input too. */
function takesInitializers(graph: Graph): boolean {
  const model = graph.model
  return model !== undefined && model.graph === graph && model.irVersion >= 4
}

function constantNode(graph: Graph, tensor: Tensor): Value {
  const value = graph.newValue(tensor.name || constantName)
  const [first] = graph.nodes()
  graph.insert(
    { name: value.name, opType: 'Constant', attributes: new Map([['value', attr.tensor(tensor)]]) },
    [],
    [value],
    first,
  )
  return value
}
