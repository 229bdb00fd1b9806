import type { Node } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import type { Expansion, Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import { typeOfFused } from './in-place.ts'
import { expandMergedAttention } from './merged-attention.ts'
import { expandMultiHeadAttention } from './multi-head-attention.ts'
import { expandOnnxAttention } from './onnx-attention.ts'
import type { SharedValues } from './workbench.ts'
import { Workbench } from './workbench.ts'

const expansions: ReadonlyMap<string, (node: Node, bench: Workbench) => Expansion | Unsupported> = new Map([
  ['Attention', expandOnnxAttention],
  ['com.microsoft::Attention', expandMergedAttention],
  ['com.microsoft::MultiHeadAttention', expandMultiHeadAttention],
])

/** Whether there are standard operators for what a fused attention operator computes. */
export function isExpandable(node: Node): boolean {
  return expansions.has(node.op)
}

/** Builds, in front of a fused attention operator, standard operators that compute the same; the operator stays. */
export function expandFused(node: Node, facts: Facts, shared: SharedValues): Expansion | Unsupported {
  const expansion = expansions.get(node.op)
  if (!expansion) return unsupported('has no form in standard operators')
  const dtype = typeOfFused(node)
  if (dtype === undefined) return unsupported('has an unknown element type')
  const bench = new Workbench(node, dtype, facts, shared)
  const { opset } = bench.op.place
  if (opset < 9) return unsupported(`is in a model of opset ${opset}; masks need opset 9`)
  if (bench.op.has(13) === undefined)
    return unsupported(`is in a function of opset ${opset} in a model of opset ${node.graph.model?.opset}`)
  return expansion(node, bench)
}
