/**
 * How one more element at one end of an axis passes each operator: what the element holds behind it, on which axes of which
 * outputs, and what has to change at the node. An operator without a rule ends the growth with a reason.
 */
import type { Node, Value } from '../../ir/index.ts'
import { Tensor } from '../../ir/index.ts'
import type { Facts, Size } from '../../ops/index.ts'
import { keepsDims, recordOf, reducedAxes, sliceBounds } from '../../ops/index.ts'
import type { Ops } from '../ops.ts'
import type { Softmax1Sink } from '../softmax1-node.ts'
import type { Columns, Fit } from './column.ts'
import { fitOf, oneHot } from './column.ts'

/** What the new element holds: known numbers (one, or one a head); `undefined` is any finite number. */
export type Content = readonly number[] | undefined

/** Changes a node; `ops` builds before it. */
export type Edit = (ops: Ops, columns: Columns) => void

export interface Passage {
  readonly outputs: readonly { readonly port: number; readonly axis: number }[]
  readonly content: Content
  readonly edits: readonly Edit[]
  /** An operand as large as the scores that is padded for this node alone. */
  readonly copy?: Value | undefined
}

export interface Question {
  readonly node: Node
  /** Grown inputs by index. */
  readonly grown: ReadonlyMap<number, { readonly axis: number; readonly content: Content }>
  /** The first of them. */
  readonly port: number
  readonly axis: number
  readonly content: Content
  /** Whether the number in the element counts: it becomes a logit. Behind the softmax anything finite will do. */
  readonly exact: boolean
  /** The sink this node shall put into the element, when it is the one that does. */
  readonly sink: Softmax1Sink | undefined
  /** Number of keys before. */
  readonly keys: Size | undefined
  readonly columns: Columns
}

type Answer = Passage | string
type Rule = (q: Question) => Answer

/** The passage of the element through a node, or why there is none. */
export function passageThrough(q: Question): Answer {
  const rule = rules[q.node.op]
  return rule ? rule(q) : `${describe(q.node)} reads what grows`
}

export function describe(node: Node): string {
  return `${node.op} "${node.label}"`
}

const unary =
  (f: (x: number) => number): Rule =>
  (q) => ({ outputs: everyOutput(q.node, q.axis), content: q.content?.map(f), edits: [] })
const same = unary((x) => x)
/** Finite for finite numbers, and no logit. */
const weight: Rule = (q) => ({ ...(same(q) as Passage), content: undefined })

const rules: Readonly<Record<string, Rule>> = {
  Abs: unary(Math.abs),
  Add: elementwise(
    (a, b) => a + b,
    () => 0,
  ),
  And: elementwise(undefined, () => 0),
  Cast: same,
  CastLike: (q) => (q.port === 0 ? same(q) : 'a type is taken from what grows'),
  Clip: clip,
  Concat: concat,
  Div: (q) => (dividesByZero(q) ? `${describe(q.node)} may divide by 0 in the new column` : quotient(q)),
  Dropout: (q) => (q.node.output(1)?.isUsed ? `the mask of ${describe(q.node)} is used` : first(q)),
  Equal: elementwise(undefined, () => 0),
  Expand: (q) => reshaped(q, 1),
  Flatten: layout,
  Gather: layout,
  Greater: elementwise(undefined, () => 0),
  GreaterOrEqual: elementwise(undefined, () => 0),
  Identity: same,
  IsInf: weight,
  IsNaN: weight,
  Less: elementwise(undefined, () => 0),
  LessOrEqual: elementwise(undefined, () => 0),
  Max: elementwise(Math.max, (q) => q.content?.[0] ?? 0),
  Min: elementwise(Math.min, (q) => q.content?.[0] ?? 0),
  // A value that is multiplied in (as the first half of a sum of products) gets a zero row.
  Mul: (q) => (q.exact ? product(q) : weighted(q)),
  Neg: unary((x) => -x),
  Not: weight,
  Or: elementwise(undefined, () => 0),
  ReduceMean: reduce,
  ReduceSum: reduce,
  Relu: unary((x) => Math.max(0, x)),
  Reshape: (q) => reshaped(q, 0),
  Sigmoid: weight,
  Slice: slice,
  Split: split,
  Squeeze: layout,
  Sub: elementwise(
    (a, b) => a - b,
    () => 0,
  ),
  Sum: elementwise(
    (a, b) => a + b,
    () => 0,
  ),
  Tanh: unary(Math.tanh),
  Transpose: layout,
  Unsqueeze: layout,
  Where: where,
}

const product = elementwise(
  (a, b) => a * b,
  () => 1,
)
const weighted = elementwise(
  (a, b) => a * b,
  () => 0,
)
const quotient = elementwise(
  (a, b) => a / b,
  () => 1,
)

function everyOutput(node: Node, axis: number): { port: number; axis: number }[] {
  return node.outputs.flatMap((value, port) => (value ? [{ port, axis }] : []))
}

function first(q: Question): Passage {
  return { outputs: [{ port: 0, axis: q.axis }], content: q.content, edits: [] }
}

/** Operands that were not grown, with how they stand to the key axis. */
function others(q: Question): { port: number; value: Value; fit: Fit }[] {
  return q.node.inputs.flatMap((value, port) =>
    value && !q.grown.has(port) ? [{ port, value, fit: fitOf(value, q.axis, q.keys, q.columns.facts) }] : [],
  )
}

/** Gives an operand a column. */
function column({ node, axis, keys: size, ...q }: Question, port: number, fill: number | Softmax1Sink, fit: Fit): Edit {
  const value = node.input(q.port) as Value
  return (ops, columns) =>
    node.setInput(port, columns.with(node.input(port) as Value, axis, fill, fit, { value, axis, size }, ops))
}

/**
 * Broadcasting arithmetic. Operands that have the key axis get `neutral` in their column. `f` computes what the element holds;
 * without it, or with an operand whose number is not known, it holds something finite.
 */
function elementwise(f: ((a: number, b: number) => number) | undefined, neutral: (q: Question) => number): Rule {
  return (q) => {
    const contents = new Map<number, Content>([...q.grown].map(([port, grown]) => [port, grown.content]))
    const edits: Edit[] = []
    let placed = false
    let copy: Value | undefined
    for (const { port, value, fit } of others(q)) {
      if (fit === 'broadcasts') {
        contents.set(port, onlyNumber(q.columns.facts.numbers(value)))
        continue
      }
      const sink: Softmax1Sink | undefined = placed ? undefined : q.sink
      const fill = sink ? offset(q, sink, port) : neutral(q)
      if (fill === undefined) return `${describe(q.node)} cannot carry the sink`
      const objection = refusal(q, value, fill)
      if (objection) return objection
      placed ||= sink !== undefined
      contents.set(port, typeof fill === 'number' ? [fill] : fill.values)
      edits.push(column(q, port, fill, fit))
      copy ??= isCopy(value, q) ? value : undefined
    }
    if (q.sink && !placed) return `${describe(q.node)} has no operand to carry the sink`
    const content =
      f &&
      combine(
        [...contents].sort(([a], [b]) => a - b).map(([, c]) => c),
        f,
        q.node.op,
      )
    return { outputs: [{ port: 0, axis: q.axis }], content, edits, copy }
  }
}

function onlyNumber(numbers: readonly number[] | undefined): Content {
  return numbers?.every((x) => x === numbers[0]) ? numbers.slice(0, 1) : undefined
}

/** What an added operand must hold so that the element becomes the sink: additions only, and to one known number. */
function offset(q: Question, sink: Softmax1Sink, port: number): number | Softmax1Sink | undefined {
  const adds = q.node.op === 'Add' || q.node.op === 'Sum' || (q.node.op === 'Sub' && port === 1)
  const [held, ...more] = q.content ?? []
  if (!adds || held === undefined || more.length > 0) return undefined
  const sign = q.node.op === 'Sub' ? -1 : 1
  return shifted(sink, (s) => sign * (s - held))
}

function shifted(sink: Softmax1Sink, f: (s: number) => number): number | Softmax1Sink {
  return sink.heads ? { ...sink, values: sink.values.map(f) } : f(sink.values[0] as number)
}

function refusal(q: Question, operand: Value, fill: number | Softmax1Sink): string | undefined {
  if (typeof fill !== 'number' && !isSmall(operand, q)) return `"${operand.name}" would be copied for every head`
  if (typeof fill !== 'number' && fill.heads?.merged) return `"${operand.name}" would be copied for every head`
  return q.columns.objection(operand, fill)
}

/** One row for all queries: repeating it for every head costs nothing beside the scores. */
function isSmall(operand: Value, q: Question): boolean {
  const rank = q.columns.facts.rank(operand) ?? 0
  return (
    q.axis === -1 && (rank < 2 || q.columns.facts.size(operand, -2) === 1) && q.columns.facts.size(operand, -3) === 1
  )
}

/** Computed for this node alone, and of the size of the scores: padding it costs as much as padding the scores. */
function isCopy(operand: Value, q: Question): boolean {
  const { facts } = q.columns
  const scores = facts.shape(q.node.input(q.port) as Value)
  const shape = facts.shape(operand)
  if (!scores || !shape || operand.consumers.length > 1 || facts.isConstant(operand)) return false
  return scores.every((size, i) => size === 1 || (shape[i - scores.length + shape.length] ?? 1) !== 1)
}

/** A divisor that grew must be known not to be 0 there. */
function dividesByZero({ grown }: Question): boolean {
  return grown.has(1) && !(grown.has(0) && grown.get(1)?.content?.every((x) => x !== 0))
}

/** The numbers of an operation over operands whose numbers are one, one a head, or not known. */
function combine(contents: readonly Content[], f: (a: number, b: number) => number, op: string): Content {
  const isZero = (c: Content): boolean => c?.every((x) => x === 0) ?? false
  if (op === 'Mul' && contents.some(isZero)) return [0]
  if (op === 'Div' && isZero(contents[0])) return [0]
  return contents.reduce((a, b) => {
    if (!a || !b || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return undefined
    return Array.from({ length: Math.max(a.length, b.length) }, (_, i) =>
      f(a[a.length === 1 ? 0 : i] as number, b[b.length === 1 ? 0 : i] as number),
    )
  })
}

/** The condition picks the branch that grew. The other branch may carry the sink instead, and is picked then. */
function where(q: Question): Answer {
  const { facts } = q.columns
  const edits: Edit[] = []
  const branch = q.grown.has(1) ? 1 : q.grown.has(2) ? 2 : undefined
  const picked = q.sink && branch ? 3 - branch : branch
  if (q.grown.has(0) && q.exact) return `${describe(q.node)} chooses by what grows`
  let settled = q.grown.has(1) && q.grown.has(2) && sameNumbers(q.grown.get(1)?.content, q.grown.get(2)?.content)
  for (const { port, value, fit } of others(q)) {
    if (port === 0) {
      if (fit === 'broadcasts') continue
      const fill = picked === 1 ? 1 : 0
      const objection = q.columns.objection(value, fill)
      if (objection) return objection
      edits.push(column(q, 0, fill, fit))
      settled = true
    } else if (q.sink) {
      const fill = shifted(q.sink, (s) => s)
      const single = facts.shape(value)?.every((size) => size === 1) ?? false
      if (fit !== 'spans' && !single) return `${describe(q.node)} cannot carry the sink`
      const objection = single ? q.columns.objection(value, fill) : refusal(q, value, fill)
      if (objection || (single && q.sink.heads?.merged)) return objection ?? `${describe(q.node)} cannot carry the sink`
      edits.push(column(q, port, fill, fit))
    } else if (fit !== 'broadcasts') {
      const objection = q.columns.objection(value, 0)
      if (objection) return objection
      edits.push(column(q, port, 0, fit))
    }
  }
  if (q.sink && !settled) return `${describe(q.node)} cannot carry the sink`
  const content = q.sink ? q.sink.values : settled && picked ? q.grown.get(picked)?.content : undefined
  return { outputs: [{ port: 0, axis: q.axis }], content, edits }
}

function sameNumbers(a: Content, b: Content): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((x, i) => x === b[i])
}

function clip(q: Question): Answer {
  const { node, content } = q
  const { facts } = q.columns
  const low = node.input(1) ? facts.scalar(node.input(1)) : (facts.float(node, 'min') ?? Number.NEGATIVE_INFINITY)
  const high = node.input(2) ? facts.scalar(node.input(2)) : (facts.float(node, 'max') ?? Number.POSITIVE_INFINITY)
  const known =
    low === undefined || high === undefined ? undefined : content?.map((x) => Math.min(high, Math.max(low, x)))
  return { outputs: [{ port: 0, axis: q.axis }], content: known, edits: [] }
}

/** Operators that move elements and name no size of the axis. */
function layout(q: Question): Answer {
  const { node, port, axis } = q
  const { facts } = q.columns
  const places = recordOf(node)?.axes?.forward(node, port, axis, facts) ?? []
  if (places.length === 0 || places.some((place) => !place.exact)) return `the key axis is lost in ${describe(node)}`
  const input = node.input(port) as Value
  const along = node.op === 'Gather' ? gatherAxis(node, input, facts) : undefined
  if (node.op === 'Gather' && (along === undefined || along === axis)) return `${describe(node)} picks keys`
  return {
    outputs: places.map(({ port: output, axis: at }) => ({ port: output, axis: at })),
    content: q.content,
    edits: [],
  }
}

function gatherAxis(node: Node, input: Value, facts: Facts): number | undefined {
  const axis = facts.int(node, 'axis') ?? 0
  const rank = facts.rank(input)
  return axis < 0 ? axis : rank === undefined ? undefined : axis - rank
}

/** Reshape and Expand name sizes: the entry of the key axis grows by one, unless it is `neutral`, copies or is inferred. */
function reshaped(q: Question, neutral: 0 | 1): Answer {
  const { node } = q
  const moved = layout(q)
  if (typeof moved === 'string' || q.port !== 0) return moved
  const shape = node.input(1)
  const place = moved.outputs[0]
  if (!shape || !place) return `the shape of ${describe(node)} is an attribute`
  const entries = q.columns.facts.content(shape)
  const length = entries?.length ?? q.columns.facts.rank(node.output() as Value)
  if (length === undefined) return `the shape of ${describe(node)} is not known`
  const index = length + place.axis
  const entry = entries?.[index]
  if (index < 0 || entry === -1 || entry === neutral) return moved
  if (entries === undefined && neutral === 0) return `the shape of ${describe(node)} is not known`
  return { ...moved, edits: [(ops) => node.setInput(1, grownShape(shape, entries, length, index, neutral, ops))] }
}

function grownShape(
  shape: Value,
  entries: readonly Size[] | undefined,
  length: number,
  index: number,
  neutral: number,
  ops: Ops,
): Value {
  if (entries?.every((entry) => typeof entry === 'number'))
    return ops.constant(Tensor.int64(entries.map((entry, i) => (i === index ? entry + 1 : entry))))
  const one = oneHot(length, index - length, ops)
  if (entries) return ops.Add(shape, one)
  // An entry that is 1 at run time is repeated, and needs no change.
  const named = ops.Cast(ops.Greater(shape, ops.ints([neutral])), 7)
  return ops.Add(shape, ops.Mul(one, named))
}

/** The new element stays at its end when the cut takes that end of the axis. */
function slice(q: Question): Answer {
  const { node, axis } = q
  const { facts } = q.columns
  const rank = facts.rank(node.input(0) as Value)
  const bounds = sliceBounds(node, facts)
  if (!bounds || q.port !== 0) return `${describe(node)} may cut off keys`
  for (const { axis: named, start, end, step } of bounds) {
    const at = named < 0 ? named : rank === undefined ? undefined : named - rank
    if (at === undefined) return `${describe(node)} may cut off keys`
    if (at !== axis) continue
    // A start that is not known may be negative, and counts from the end then.
    const toEnd = typeof end === 'number' && end >= 2 ** 31 - 1
    const from = q.columns.edge === 'start' ? start === 0 : typeof start === 'number' && start >= 0
    const whole = toEnd && step === 1 && from
    if (!whole) return `${describe(node)} cuts off keys`
  }
  return first(q)
}

function concat(q: Question): Answer {
  const { node, axis } = q
  const { facts } = q.columns
  const named = facts.int(node, 'axis') ?? 0
  const rank = facts.rank(node.input(q.port) as Value)
  const along = named < 0 ? named : rank === undefined ? undefined : named - rank
  if (along === undefined) return `${describe(node)} joins an axis that cannot be told`
  if (along === axis) {
    const outermost = q.columns.edge === 'start' ? 0 : node.inputs.length - 1
    return q.grown.size === 1 && q.grown.has(outermost)
      ? first(q)
      : `${describe(node)} puts other keys beyond the grown ones`
  }
  const [held, ...more] = [...q.grown.values()].map((grown) => grown.content)
  if (q.grown.size < node.inputs.length) return `${describe(node)} joins what grows with what does not`
  const content = more.every((other) => sameNumbers(held, other)) ? held : undefined
  return { outputs: [{ port: 0, axis }], content, edits: [] }
}

/** A cut of the key axis into parts: the outermost part gets the new element. */
function split(q: Question): Answer {
  const { node, axis } = q
  const { facts } = q.columns
  const named = facts.int(node, 'axis') ?? 0
  const input = node.input(0) as Value
  const rank = facts.rank(input)
  const along = named < 0 ? named : rank === undefined ? undefined : named - rank
  if (along === undefined) return `${describe(node)} cuts an axis that cannot be told`
  if (along !== axis) return { outputs: everyOutput(node, axis), content: q.content, edits: [] }
  const parts = node.outputs.length
  const outermost = q.columns.edge === 'start' ? 0 : parts - 1
  if (!node.output(outermost)) return `${describe(node)} drops keys`
  const whole = facts.size(input, axis)
  const even = typeof whole === 'number' && whole % parts === 0 ? node.outputs.map(() => whole / parts) : undefined
  const sizes = facts.ints(node, 'split') ?? facts.content(node.input(1)) ?? (node.input(1) ? undefined : even)
  if (!sizes) return `the parts of ${describe(node)} are not known`
  return {
    outputs: [{ port: outermost, axis }],
    content: q.content,
    edits: [(ops) => resize(node, sizes, outermost, ops)],
  }
}

function resize(node: Node, sizes: readonly Size[], grown: number, ops: Ops): void {
  const numbers = sizes.every((size) => typeof size === 'number')
    ? sizes.map((size, i) => (i === grown ? size + 1 : size))
    : undefined
  if (ops.place.opset < 13 && numbers) {
    node.setAttribute('split', { kind: 'ints', value: numbers })
    return
  }
  node.setAttribute('num_outputs', undefined)
  const given = node.input(1)
  node.setInput(
    1,
    numbers ? ops.ints(numbers) : ops.Add(given as Value, oneHot(sizes.length, grown - sizes.length, ops)),
  )
}

/** Sums over other axes keep a 0; a sum over the key axis itself ends there when the new element adds nothing. */
function reduce(q: Question): Answer {
  const { node, axis, content } = q
  const axes = reducedAxes(node, q.columns.facts)
  if (!axes || q.port !== 0) return `${describe(node)} reduces axes that cannot be told`
  const zero = content?.every((x) => x === 0) ?? false
  if (axes.includes(axis)) {
    if (node.op !== 'ReduceSum' || !zero) return `${describe(node)} reduces over the keys`
    return { outputs: [], content, edits: [] }
  }
  const at = keepsDims(node, q.columns.facts) ? axis : axis + axes.filter((a) => a > axis).length
  return {
    outputs: [{ port: 0, axis: at }],
    content: zero || (node.op === 'ReduceMean' && content) ? content : undefined,
    edits: [],
  }
}
