import { Node, type Value } from '../ir/index.ts'
import { type Facts, functionOf } from '../ops/index.ts'
import type { Finding } from './classify.ts'
import type { Frame } from './cursor.ts'
import type { Normaliser } from './normaliser.ts'
import type { Reason } from './site.ts'
import { renormalisation } from './statistic.ts'
import { quote } from './verdict.ts'

/** What a user should know about a site beside its verdict. */
export function notesOn(
  n: Normaliser,
  finding: Finding,
  contexts: readonly (Frame | undefined)[],
  facts: Facts,
): string[] {
  const notes: string[] = []
  const inFunction = contexts.some((frame) => frame !== undefined)
  if (inFunction)
    notes.push(`It is in a function that is called ${contexts.length === 1 ? 'once' : `${contexts.length} times`}.`)
  if (finding.verdict.kind !== 'attention') return notes
  const output = modelOutput(n.output)
  if (output) notes.push(`Its probabilities are the graph output "${output.name}", which changes too.`)
  const [statistic] = finding.statistics.filter(({ product }) => product.node.output()?.isUsed)
  const undone = finding.values.map((value) => renormalisation(value, facts))
  const [again] = undone
  if (again && undone.every((node) => node !== undefined))
    notes.push(
      `Its probabilities are divided by their own sum again in ${quote(again)}, which takes back what Softmax1 changes: the outputs stay nearly the same.`,
    )
  else if (statistic)
    notes.push(
      `Its probabilities are also summed up by ${quote(statistic.product.node)} (as for an entropy), which changes too.`,
    )
  const change = n.problem && changes[n.problem]
  if (change) notes.push(change)
  if ([finding.scores[0], finding.values[0]].some((reached) => reached && !reached.cursor.exact))
    notes.push(
      'Its key axis was followed by place, not by size, between scores and values, which is likely and not certain.',
    )
  const quantized = n.output.uses.some(({ node }) => node.opType === 'QuantizeLinear')
  if (quantized)
    notes.push('Its probabilities are quantized with a scale calibrated for softmax; Softmax1 stays inside that range.')
  const constant = rowConstant(finding, facts)
  if (constant)
    notes.push(
      `${quote(constant)} adds a constant that is the same for all keys, which softmax ignores and Softmax1 does not.`,
    )
  const bias = rowShiftedBias(n, finding, facts)
  if (bias) {
    notes.push(
      `The bias added by ${quote(bias)} counts positions from the start of the sequence (ALiBi): it shifts whole rows, which softmax ignores and Softmax1 does not.`,
    )
  }
  return notes
}

/** The output of the main graph a value is; the results of a branch or a loop body are those of the node that holds it. */
function modelOutput(value: Value): Value | undefined {
  const graph = value.graph
  const index = value.outputUses > 0 ? graph.outputs.indexOf(value) : -1
  if (index < 0) return undefined
  const { owner } = graph
  if (owner instanceof Node) {
    const result = owner.output(owner.op === 'Loop' ? index - 1 : index)
    return result && modelOutput(result)
  }
  return functionOf(graph) ? undefined : value
}

/** What a conversion by name changes beside softmax. */
const changes: { readonly [problem in Reason]?: string } = {
  'unknown-shift': 'What is subtracted from its scores stays, and Softmax1 does not ignore it as softmax does.',
  'unshifted-one':
    'Its 1 was added to a sum shifted by the maximum of the row; in Softmax1 it is exp(-max) beside that sum: the outputs change.',
}

/** An Add or Sub on the score path of a constant that is one number a row and not negligible. */
function rowConstant(finding: Finding, facts: Facts): Node | undefined {
  for (let at = finding.scores[0]?.cursor; at?.from; at = at.from) {
    const { step } = at
    const constant = step && additive.has(step.node.op) ? step.node.input(1 - step.input) : undefined
    if (!step || !constant || !facts.isConstant(constant) || facts.size(constant, step.axisOut) !== 1) continue
    const numbers = facts.numbers(constant)
    if (numbers?.every((x) => Math.abs(x) < leastShift) !== true) return step.node
  }
  return undefined
}

const additive: ReadonlySet<string> = new Set(['Add', 'Sub'])
/** A logit of this size changes no probability by more than a thousandth of it. */
const leastShift = 1e-3

/** An Add on the score path whose bias differs by head and key but not by query, made by scaling positions. */
function rowShiftedBias(n: Normaliser, finding: Finding, facts: Facts): Node | undefined {
  const cursor = finding.scores[0]?.cursor
  for (let at = cursor; at?.from; at = at.from) {
    const node = at.step?.node
    if (node?.op !== 'Add' || !at.step) continue
    const bias = node.input(1 - at.step.input)
    if (bias && n.axis === -1 && isSlope(bias, facts)) return node
  }
  return undefined
}

function isSlope(bias: Value, facts: Facts): boolean {
  const shape = facts.shape(bias)
  if (!shape || shape.length < 3 || shape.at(-2) !== 1 || shape.at(-1) === 1 || shape.at(-3) === 1) return false
  let at: Value | undefined = bias
  for (let i = 0; at && i < 6; i++) {
    const node: Node | undefined = at.producer
    if (node?.op === 'Mul')
      return node.inputs.some((v) => v && facts.isConstant(v) && (facts.numbers(v)?.length ?? 0) > 1)
    at =
      node && ['Reshape', 'Cast', 'Slice', 'Unsqueeze', 'Expand', 'Transpose'].includes(node.op)
        ? node.input(0)
        : undefined
  }
  return false
}
