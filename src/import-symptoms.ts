/** What of a model a parser of engines refuses or reads otherwise, by the traps of its target. */
import type { Model, Node, Value } from './ir/index.ts'
import { dtypeName, dtypes } from './ir/index.ts'
import type { Facts } from './ops/index.ts'
import { dtypeOf } from './ops/index.ts'
import type { BuildFacts, ImportSymptom, ImportTrap } from './targets/index.ts'

/** A trap that a model is in: the nodes, or the values, each with what they are. */
export interface TrapHit {
  readonly trap: ImportTrap
  readonly kind: 'node' | 'value'
  readonly name: string
  /** The operator and the types that matter, or the type of the value. */
  readonly what: string
}

/** Every node and value that is in one of the traps, in the order of the graphs. */
export function trapHits(model: Model, { traps, contributed }: BuildFacts, facts: Facts): readonly TrapHit[] {
  const local = new Set(model.functions.map((fn) => `${fn.domain}::${fn.name}`))
  return [...model.graphs()].flatMap((graph) => {
    const nodes = [...graph.nodes()].filter((node) => !local.has(`${node.domain}::${node.opType}`))
    return traps.flatMap((trap) => [
      ...nodes.flatMap((node) => {
        const what = isAbout(trap, node, contributed) ? nodeSymptoms[trap.symptom]?.(node, trap, facts) : undefined
        return what === undefined ? [] : [{ trap, kind: 'node' as const, name: node.label, what }]
      }),
      ...[...graph.values.values()].flatMap((value) => {
        const what = valueSymptoms[trap.symptom]?.(value, trap, facts)
        return what === undefined ? [] : [{ trap, kind: 'value' as const, name: value.name, what }]
      }),
    ])
  })
}

function isAbout({ ops, symptom }: ImportTrap, node: Node, contributed: readonly string[]): boolean {
  const about = symptom === 'undocumented' ? contributed : ops
  return about === undefined || about.includes(node.op)
}

type NodeSymptom = (node: Node, trap: ImportTrap, facts: Facts) => string | undefined
type ValueSymptom = (value: Value, trap: ImportTrap, facts: Facts) => string | undefined

const quantizers = new Set(['QuantizeLinear', 'DequantizeLinear'])

/** What is wrong with a node, in a word or two; undefined where nothing is. */
const nodeSymptoms: Readonly<Partial<Record<ImportSymptom, NodeSymptom>>> = {
  'input-type': (node, { types = [] }) => {
    const found = node.inputs.flatMap((value) => (value && dtypeOf(value)) ?? []).find((dtype) => types.includes(dtype))
    return found === undefined ? undefined : `${node.op} on ${dtypeName(found)}`
  },
  'zero-point': (node, _, facts) => {
    if (!quantizers.has(node.op)) return undefined
    const zero = node.input(2)
    // Zero points of float8 and float4 are +0 by the standard.
    if (zero === undefined || !integers.has(dtypeOf(zero) ?? 0)) return undefined
    const numbers = facts.numbers(zero) ?? zero.initializer?.toNumbers()
    return numbers?.some((n) => n !== 0) ? node.op : undefined
  },
  'quantized-type': (node, { types = [] }) => {
    const dtype = quantizers.has(node.op) ? storedType(node) : undefined
    return dtype !== undefined && types.includes(dtype) ? `${node.op} of ${dtypeName(dtype)}` : undefined
  },
  'scale-not-positive': (node) => {
    const scale = quantizers.has(node.op) ? node.input(1)?.initializer?.toNumbers() : undefined
    return scale?.some((n) => !(n > 0)) ? node.op : undefined
  },
  'slice-without-axes': (node, _, facts) => {
    const [data, starts] = [node.input(0), node.input(1)]
    if (node.op !== 'Slice' || node.input(3) !== undefined || !data || !starts) return undefined
    const [rank, given] = [facts.rank(data), facts.size(starts, 0)]
    return rank !== undefined && typeof given === 'number' && given < rank ? 'Slice' : undefined
  },
  'read-as-another': (node) => node.op,
  undocumented: (node) => node.op,
  'attention-part': (node, _, facts) => {
    if (node.op === 'com.microsoft::MultiHeadAttention') {
      const part = [3, 4].find((index) => node.input(index) !== undefined)
      return part === undefined ? undefined : `MultiHeadAttention with ${part === 3 ? 'a bias' : 'a key_padding_mask'}`
    }
    if (node.op !== 'Attention') return undefined
    if ((facts.float(node, 'softcap') ?? 0) !== 0) return 'Attention with a soft cap'
    if (facts.int(node, 'softmax_precision') !== undefined) return 'Attention with a precision of its softmax'
    if ([4, 5].some((index) => node.input(index) !== undefined)) return 'Attention with a key cache'
    if (node.input(6) !== undefined) return 'Attention with lengths of its keys'
    return node.outputs.slice(1).some((value) => value !== undefined) ? 'Attention with several outputs' : undefined
  },
}

const valueSymptoms: Readonly<Partial<Record<ImportSymptom, ValueSymptom>>> = {
  'rank-above-8': (value, _, facts) => {
    const rank = facts.rank(value)
    return rank !== undefined && rank > 8 ? `of rank ${rank}` : undefined
  },
  'dimension-above-int32': (value, _, facts) => {
    const large = facts.shape(value)?.find((size) => typeof size === 'number' && size >= 2 ** 31)
    return large === undefined ? undefined : `of ${large} in a row`
  },
  'double-value': (value) => (value.isUsed && dtypeOf(value) === dtypes.double ? 'of double' : undefined),
}

const integers: ReadonlySet<number> = new Set([
  ...[dtypes.int8, dtypes.uint8, dtypes.int16, dtypes.uint16, dtypes.int32],
  ...[dtypes.int4, dtypes.uint4],
])

/** The type on the integer side of a quantizer. */
function storedType(node: Node) {
  if (node.op === 'DequantizeLinear') return node.input(0) && dtypeOf(node.input(0) as Value)
  const output = node.output()
  return output && dtypeOf(output)
}
