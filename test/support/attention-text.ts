import { findSites, type Policies, type Site } from '../../src/attention/index.ts'
import { elementsToBytes } from '../../src/ir/elements.ts'
import { type Model, OwnedPayload, Tensor } from '../../src/ir/index.ts'
import { parseModel } from '../../src/onnx/index.ts'
import { random } from './random.ts'

/** Parts of one attention block in ONNX text; each is one or more nodes. Values: x, mask, q, k, kt, v, s, p, c, y. */
export interface BlockText {
  readonly opset?: number
  /** More graph inputs, initializers and outputs. */
  readonly inputs?: string
  readonly outputs?: string
  readonly weights?: string
  /** Nodes before the block. */
  readonly before?: string
  /** q and kt to s, the scores. */
  readonly scores?: string
  /** s to p. */
  readonly normalise?: string
  /** p and v to c, the context. */
  readonly context?: string
  readonly k?: string
  readonly v?: string
  readonly functions?: string
}

const heads = (name: string): string =>
  `${name}0 = MatMul (x, w${name}) ${name}1 = Reshape (${name}0, split) ${name}2 = Transpose <perm = [0, 2, 1, 3]> (${name}1)`

/** A self-attention of 4 heads of size 4 over x [B, S, 16] with an additive mask, any part replaced. */
export function blockText(part: BlockText = {}): string {
  const reshape = 'split = {0, 0, 4, 4}, int64[3] merge = {0, 0, 16}'
  return `
<ir_version: 10, opset_import: ["" : ${part.opset ?? 17}, "com.microsoft" : 1, "outeffhop" : 1, "local" : 1]>
block (float[B, S, 16] x, float[B, 1, 1, S] mask${part.inputs ? `, ${part.inputs}` : ''}) => (float[B, S, 16] y${part.outputs ? `, ${part.outputs}` : ''})
<float[16, 16] wq = ..., float[16, 16] wk = ..., float[16, 16] wv = ..., float[16, 16] wo = ..., float scale = {0.5},
 float zero = {0}, float one = {1}, float minusOne = {-1}, int64[1] last = {-1}, int64[4] ${reshape}${part.weights ? `, ${part.weights}` : ''}>
{
  ${part.before ?? ''}
  ${heads('q')} q = Identity (q2)
  ${part.k ?? `${heads('k')} k = Identity (k2)`}
  ${part.v ?? `${heads('v')} v = Identity (v2)`}
  ${part.scores ?? 'kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s1 = Mul (s0, scale) s = Add (s1, mask)'}
  ${part.normalise ?? '[the_softmax] p = Softmax <axis = -1> (s)'}
  ${part.context ?? 'c = MatMul (p, v)'}
  c1 = Transpose <perm = [0, 2, 1, 3]> (c) c2 = Reshape (c1, merge) y = MatMul (c2, wo)
}
${part.functions ?? ''}`
}

/** Parses text; data written as `...` is seeded noise, so that no weight happens to be all zero. */
export function modelOf(text: string): Model {
  const next = random(7)
  return parseModel(text, {
    fill: ({ dtype, dims, name }) => {
      const size = dims.reduce((a, b) => a * b, 1)
      const data = elementsToBytes(
        dtype,
        Array.from({ length: size }, () => next() - 0.5),
      )
      return new Tensor({ dtype, dims, name, payload: new OwnedPayload(data) })
    },
  })
}

export function sitesOf(text: string, policies?: Policies): Site[] {
  return findSites(modelOf(text), policies)
}

/** The only site of a block. */
export function siteOf(part: BlockText, policies?: Policies): Site {
  const sites = sitesOf(blockText(part), policies)
  if (sites.length !== 1) throw new Error(`one site expected: ${JSON.stringify(sites.map((s) => s.verdict.message))}`)
  return sites[0] as Site
}

/** Verdict and reason in one word: `attention`, `rejected:no-score`. */
export function verdictOf(site: Site): string {
  return site.verdict.reason ? `${site.verdict.kind}:${site.verdict.reason}` : site.verdict.kind
}

/** The operators of a path, in dataflow order. */
export function opsOf(path: Site['scorePath']): string[] {
  return path.map(({ node }) => node.opType)
}
