import type { Model, Node, Value } from './ir/index.ts'
import { dtypes } from './ir/index.ts'
import { constantTensor, dtypeOf, Facts } from './ops/index.ts'
import type { Symptom } from './targets/index.ts'

/** What a quantized model has that a runtime may do badly, as far as the model itself shows it. */
export function symptomsOf(model: Model): Set<Symptom> {
  const facts = new Facts()
  const found = new Set<Symptom>()
  for (const graph of model.graphs())
    for (const node of graph.nodes()) {
      const symptom = symptomOf(node, facts)
      if (symptom !== undefined) found.add(symptom)
    }
  return found
}

function symptomOf(node: Node, facts: Facts): Symptom | undefined {
  switch (node.op) {
    case 'LayerNormalization':
      return readsDeclaredSum(node) ? 'declared-residual' : undefined
    case 'QuantizeLinear':
      return isFloat8(node.output()) ? 'float8-activation' : undefined
    case 'Softmax':
      return isBetweenSigned(node) ? 'signed-softmax' : undefined
    case 'MatMul':
      return addsFloat(node, facts) ? 'float-bias-of-rank-2' : undefined
    case 'Gemm':
      return isQuantized(node) && isFloatConstant(node.input(2)) ? 'float-bias-of-rank-2' : undefined
    default:
      return undefined
  }
}

/** An Add of two values whose shapes the file states. */
function readsDeclaredSum(node: Node): boolean {
  const sum = node.input(0)?.producer
  return sum?.op === 'Add' && sum.inputs.every((value) => isDeclared(value))
}

function isDeclared(value: Value | undefined): boolean {
  return value?.type?.kind === 'tensor' && (value.type.shape?.length ?? 0) >= 2
}

const float8: readonly number[] = [dtypes.float8e4m3fn, dtypes.float8e4m3fnuz, dtypes.float8e5m2, dtypes.float8e5m2fnuz]

function isFloat8(value: Value | undefined): boolean {
  return value !== undefined && float8.includes(dtypeOf(value) ?? 0)
}

function isBetweenSigned(node: Node): boolean {
  const [before, after] = [node.input(0)?.producer, node.output()?.consumers]
  if (before?.op !== 'DequantizeLinear') return false
  return (
    after?.some((reader) => reader.op === 'QuantizeLinear' && dtypeOf(reader.output() as Value) === dtypes.int8) ===
    true
  )
}

function isQuantized(node: Node): boolean {
  return [0, 1].every((port) => node.input(port)?.producer?.op === 'DequantizeLinear')
}

function addsFloat(node: Node, facts: Facts): boolean {
  const output = node.output()
  if (!output || !isQuantized(node) || facts.rank(output) !== 2) return false
  const [reader, ...more] = output.consumers
  return (
    reader?.op === 'Add' &&
    more.length === 0 &&
    reader.inputs.some((value) => value !== output && isFloatConstant(value))
  )
}

function isFloatConstant(value: Value | undefined): boolean {
  return value !== undefined && constantTensor(value)?.dtype === dtypes.float
}
