/** What of an attention site decides whether a builder of engines makes one kernel of it. */
import type { Contraction, Site } from './attention/index.ts'
import type { DType, Node, Value } from './ir/index.ts'
import { dtypes } from './ir/index.ts'
import type { LabelledProduct, Operand } from './ops/index.ts'
import { contractedLabels, dtypeOf, Facts, labelAt, labelledProduct } from './ops/index.ts'
import type { FusionFacts, QuantizedAttention } from './targets/index.ts'

/** The facts of a site; undefined where its products are not known. */
export function fusionFactsOf(site: Site, facts = new Facts()): FusionFacts | undefined {
  if (site.verdict.kind === 'fused') return operatorFacts(site.node, facts)
  const [score] = site.scores
  const [value] = site.values
  if (!score || !value || !site.input) return undefined
  const [qk, pv] = [labelledProduct(score.node, facts), labelledProduct(value.node, facts)]
  const before = between(score.node.output(), site.nodes, facts)
  const after = between(site.output, [value.node], facts)
  return {
    spelling: 'products',
    op: site.node.op,
    dtype: dtypeOf(score.node.input(score.otherInput) as Value),
    ...sizesOf(score, value, qk, pv, facts),
    inOrder: qk && pv && isInOrder(site, score, value, qk, pv),
    before: before.ops,
    after: after.ops,
    readElsewhere: before.elsewhere ?? after.elsewhere,
    quantized: quantizedOf(score, value, after.ops, facts),
  }
}

/** One operator for all of attention, on [B, H, S, D] or, with a number of heads, [B, S, H * D]. */
function operatorFacts(node: Node, facts: Facts): FusionFacts {
  const [q, k, v] = [node.input(0), node.input(1), node.input(2)]
  const heads = node.int('num_heads') ?? node.int('q_num_heads') ?? 1
  const keyHeads = node.int('kv_num_heads') ?? heads
  const size = (value: Value | undefined, axis: number, parts: number): number | undefined => {
    const found = value && facts.size(value, axis)
    return typeof found === 'number' ? found / parts : undefined
  }
  const split = (value: Value | undefined, parts: number) =>
    size(value, -1, value && facts.rank(value) === 4 ? 1 : parts)
  return {
    spelling: 'operator',
    op: node.op,
    dtype: q && dtypeOf(q),
    headSize: split(q, heads),
    valueSize: split(v, keyHeads),
    queries: size(q, -2, 1),
    keys: size(k, -2, 1),
    batch: 'heads',
    rows: undefined,
    inOrder: true,
    before: [],
    after: [],
    readElsewhere: undefined,
    quantized: { type: 'none', parts: new Set() },
  }
}

function sizesOf(
  score: Contraction,
  value: Contraction,
  qk: LabelledProduct | undefined,
  pv: LabelledProduct | undefined,
  facts: Facts,
): Pick<FusionFacts, 'headSize' | 'valueSize' | 'queries' | 'keys' | 'batch' | 'rows'> {
  const q = operandOf(qk, score.node, score.otherInput)
  const k = operandOf(qk, score.node, score.dataInput)
  const v = operandOf(pv, value.node, value.dataInput)
  const p = operandOf(pv, value.node, value.otherInput)
  const sized = (operand: Operand | undefined, label: string | undefined): number | undefined => {
    const axis = label === undefined ? -1 : (operand?.labels.indexOf(label) ?? -1)
    const size = operand && axis >= 0 ? facts.size(operand.value, axis - operand.labels.length) : undefined
    return typeof size === 'number' ? size : undefined
  }
  const [feature] = qk ? contractedLabels(qk) : []
  const key = k && labelAt(k.labels, score.axis)
  const query = q?.labels.find((label) => label !== feature && !k?.labels.includes(label))
  const valueFeature = v?.labels.find((label) => !p?.labels.includes(label))
  const front = qk?.output.filter((label) => label !== key && label !== query)
  const merged = q !== undefined && isPutTogether(q.value, facts)
  return {
    headSize: sized(q, feature) ?? sized(k, feature),
    valueSize: sized(v, valueFeature),
    queries: sized(q, query),
    keys: sized(k, key),
    batch: front && (front.length > 1 || merged ? 'heads' : front.length === 1 ? 'one' : 'none'),
    rows: front?.length === 1 ? sized(q, front[0]) : undefined,
  }
}

function operandOf(product: LabelledProduct | undefined, node: Node, port: number): Operand | undefined {
  return product?.operands.find((operand) => operand.node === node && operand.port === port)
}

/** Whether batch and heads were two axes before a Reshape made one of them. */
function isPutTogether(value: Value, facts: Facts): boolean {
  let at: Value | undefined = value
  for (let node = at.producer; node; node = at?.producer) {
    at = node.input(0)
    if (node.op === 'Reshape') return at !== undefined && (facts.rank(at) ?? 0) >= 4
    if (!['Transpose', 'Mul', 'Div', 'Identity', 'Cast', 'DequantizeLinear', 'QuantizeLinear'].includes(node.op))
      return false
  }
  return false
}

/** (q · kᵀ) · v: scores end in queries and keys, and probabilities are the left factor of values. */
function isInOrder(
  site: Site,
  score: Contraction,
  value: Contraction,
  qk: LabelledProduct,
  pv: LabelledProduct,
): boolean {
  const k = operandOf(qk, score.node, score.dataInput)
  const key = k && labelAt(k.labels, score.axis)
  if (key === undefined || qk.output.at(-1) !== key || site.axis !== -1) return false
  const p = operandOf(pv, value.node, value.otherInput)
  return value.node.op !== 'MatMul' || (value.otherInput === 0 && p?.labels.at(-1) === contractedLabels(pv)[0])
}

/** What stands between a value and the nodes it leads to, and what else reads a value on the way. */
function between(
  from: Value | undefined,
  ends: readonly Node[],
  facts: Facts,
): { readonly ops: readonly string[]; readonly elsewhere: string | undefined } {
  const found = new Map<Node, boolean>()
  const leads = (node: Node, depth: number): boolean => {
    if (ends.includes(node)) return true
    // What is computed of a shape is no element of it.
    if (node.op === 'Shape') return false
    const known = found.get(node)
    if (known !== undefined) return known
    if (depth === 0) return false
    found.set(node, false)
    const on = node.outputs.some((value) => value?.consumers.some((reader) => leads(reader, depth - 1)))
    found.set(node, on)
    return on
  }
  const longest = 16
  const onWay = (from?.consumers ?? []).filter((node) => leads(node, longest))
  const nodes = [...found].filter(([, on]) => on).map(([node]) => node)
  const values = [from, ...nodes.flatMap((node) => node.outputs)].filter((value) => value !== undefined)
  const other = values.find(
    (value) =>
      value.outputUses > 0 ||
      value.consumers.some((reader) => reader.op !== 'Shape' && !ends.includes(reader) && !nodes.includes(reader)),
  )
  const ended = from && ends.some((end) => [...end.inputs].filter((input) => input === from).length > 0)
  if (onWay.length === 0 && !ended) return { ops: [], elsewhere: undefined }
  return { ops: nodes.map((node) => wordFor(node, facts)), elsewhere: other?.name }
}

/** The operator, or what it amounts to: a product with a number, the guard against rows without a key. */
function wordFor(node: Node, facts: Facts): string {
  const constant = (value: Value | undefined) => value !== undefined && facts.scalar(value) !== undefined
  if ((node.op === 'Mul' && node.inputs.some(constant)) || (node.op === 'Div' && constant(node.input(1))))
    return 'Scale'
  if (node.op === 'Where' && node.input(0)?.producer?.op === 'IsNaN') return 'IsNaN-Where'
  return node.op
}

function quantizedOf(
  score: Contraction,
  value: Contraction,
  after: readonly string[],
  facts: Facts,
): QuantizedAttention {
  const found = {
    queries: quantizedType(score.node.input(score.otherInput), facts),
    keys: quantizedType(score.node.input(score.dataInput), facts),
    values: quantizedType(value.node.input(value.dataInput), facts),
    probabilities: after.includes('DequantizeLinear')
      ? quantizedType(value.node.input(value.otherInput), facts)
      : undefined,
    output: isQuantizedNext(value.node.output()),
  }
  const { queries, keys, values, probabilities, output } = found
  const parts = new Set((Object.keys(found) as (keyof typeof found)[]).filter((name) => found[name]))
  // An operand alone is computed in floats again: what counts is a product whose operands both are integers.
  if (probabilities === undefined && !(queries !== undefined && keys !== undefined)) return { type: 'none', parts }
  const types = new Set([queries, keys, values, probabilities])
  const [type] = types
  if (types.size !== 1 || type === undefined) return { type: 'mixed', parts }
  if (type === dtypes.float8e4m3fn) return { type: 'float8', parts }
  return { type: type === dtypes.int8 && output ? 'int8' : 'mixed', parts }
}

/** The type an operand is dequantized from, by operators that keep what it was. */
function quantizedType(value: Value | undefined, facts: Facts): DType | undefined {
  for (let node = value?.producer; node; node = node.input(0)?.producer) {
    if (node.op === 'DequantizeLinear') return dtypeOf(node.input(0) as Value)
    if (
      !['Transpose', 'Reshape', 'Identity', 'Squeeze', 'Unsqueeze'].includes(node.op) &&
      wordFor(node, facts) !== 'Scale'
    )
      return undefined
  }
  return undefined
}

/** Whether a value is quantized by all that read it, behind operators that only move elements. */
function isQuantizedNext(value: Value | undefined): boolean {
  const [reader, ...more] = value?.consumers.filter((node) => node.op !== 'Shape') ?? []
  if (!reader || more.length > 0 || (value?.outputUses ?? 0) > 0) return false
  if (reader.op === 'QuantizeLinear') return true
  return (reader.op === 'Transpose' || reader.op === 'Reshape') && isQuantizedNext(reader.output())
}
