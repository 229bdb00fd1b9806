import { describe, expect, it } from 'vitest'
import { findSites } from '../src/attention/index.ts'
import type { Graph, Model, Node, Value } from '../src/ir/index.ts'
import { attr, dtypes, Tensor, verify } from '../src/ir/index.ts'
import { Facts, recordOf } from '../src/ops/index.ts'
import type { BlockText } from './support/attention-text.ts'
import { blockText, modelOf, verdictOf } from './support/attention-text.ts'
import { random } from './support/random.ts'

/** One edge of the graph: an input of a node that carries the data walks follow. */
interface Edge {
  readonly node: Node
  readonly index: number
  readonly value: Value
}

const dataInputs: Record<string, readonly number[]> = {
  MatMul: [0, 1],
  Add: [0, 1],
  Mul: [0, 1],
  Transpose: [0],
  Reshape: [0],
  Softmax: [0],
  Einsum: [0, 1],
}

function edgesOf(graph: Graph, facts: Facts): Edge[] {
  return [...graph.nodes()].flatMap((node) =>
    (dataInputs[node.op] ?? []).flatMap((index) => {
      const value = node.input(index)
      return value && (facts.rank(value) ?? 0) >= 2 && !facts.isConstant(value) ? [{ node, index, value }] : []
    }),
  )
}

type Random = () => number
type Change = (model: Model, next: Random) => void

function insert({ node }: Edge, opType: string, inputs: Value[], attributes = new Map()): Value {
  const output = node.graph.newValue(`${opType}_new`)
  node.graph.insert({ opType, attributes }, inputs, [output], node)
  return output
}

function pick<T>(list: readonly T[], next: Random): T {
  return list[Math.floor(next() * list.length)] as T
}

function onEdge(change: (edge: Edge, facts: Facts, next: Random) => Value): Change {
  return (model, next) => {
    const facts = new Facts()
    const edge = pick(edgesOf(model.graph, facts), next)
    edge.node.setInput(edge.index, change(edge, facts, next))
  }
}

/** Changes that leave every number of the graph as it is. */
const changes: Record<string, Change> = {
  Identity: onEdge((edge) => insert(edge, 'Identity', [edge.value])),
  Dropout: onEdge((edge) => insert(edge, 'Dropout', [edge.value])),
  'two Casts': onEdge((edge) => {
    const double = insert(edge, 'Cast', [edge.value], new Map([['to', attr.int(dtypes.double)]]))
    return insert(edge, 'Cast', [double], new Map([['to', attr.int(dtypes.float)]]))
  }),
  'two Transposes': onEdge((edge, facts, next) => {
    const perm = Array.from({ length: facts.rank(edge.value) ?? 0 }, (_, i) => i)
    for (let i = perm.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1))
      ;[perm[i], perm[j]] = [perm[j] as number, perm[i] as number]
    }
    const there = insert(edge, 'Transpose', [edge.value], new Map([['perm', attr.ints(perm)]]))
    const inverse = perm.map((_, i) => perm.indexOf(i))
    return insert(edge, 'Transpose', [there], new Map([['perm', attr.ints(inverse)]]))
  }),
  'two Reshapes that merge the leading axes': onEdge((edge, facts) => {
    const graph = edge.node.graph
    const rank = facts.rank(edge.value) ?? 0
    const shape = insert(edge, 'Shape', [edge.value])
    const bound = (at: number): Value => graph.addInitializer('bound', Tensor.int64([at]))
    const last = insert(edge, 'Slice', [shape, bound(rank - 2), bound(rank)])
    const flat = insert(
      edge,
      'Concat',
      [graph.addInitializer('open', Tensor.int64([-1])), last],
      new Map([['axis', attr.int(0)]]),
    )
    return insert(edge, 'Reshape', [insert(edge, 'Reshape', [edge.value, flat]), shape])
  }),
  'Unsqueeze and Squeeze': onEdge((edge, facts, next) => {
    const axis = Math.floor(next() * ((facts.rank(edge.value) ?? 0) + 1))
    const axes = edge.node.graph.addInitializer('axes', Tensor.int64([axis]))
    return insert(edge, 'Squeeze', [insert(edge, 'Unsqueeze', [edge.value, axes]), axes])
  }),
  'swapped operands': (model, next) => {
    const candidates = [...model.graph.nodes()].filter((n) => recordOf(n)?.commutes)
    if (candidates.length === 0) return
    const node = pick(candidates, next)
    const [a, b] = node.inputs
    node.setInput(0, b)
    node.setInput(1, a)
  },
  'a scale as Div': (model) => {
    const scale = [...model.graph.nodes()].find((n) => n.op === 'Mul' && n.inputs.some((v) => v?.name === 'scale'))
    const data = scale?.inputs.find((v) => v?.name !== 'scale')
    const output = scale?.output()
    if (!scale || !data || !output) return
    const inverse = model.graph.addInitializer('inverse', Tensor.of(dtypes.float, [], [2]))
    const divided = model.graph.newValue('divided')
    model.graph.insert({ opType: 'Div' }, [data, inverse], [divided], scale)
    output.replaceUsesWith(divided)
    model.graph.remove(scale)
  },
}

const bases: Record<string, BlockText> = {
  attention: {},
  'keys first': {
    scores: 'qt = Transpose <perm = [0, 1, 3, 2]> (q) s0 = MatMul (k, qt) s = Mul (scale, s0)',
    normalise: 'p = Softmax <axis = -2> (s)',
    context: 'pt = Transpose <perm = [0, 1, 3, 2]> (p) c = MatMul (pt, v)',
  },
  Einsum: {
    scores: 's0 = Einsum <equation = "bhid,bhjd->bhij"> (q, k) s = Mul (s0, scale)',
    context: 'c = Einsum <equation = "bhjd,bhij->bhid"> (v, p)',
  },
  'mixed heads': {
    weights: 'float[4, 4] mix = ...',
    normalise:
      'm0 = Transpose <perm = [0, 2, 3, 1]> (s) m1 = MatMul (m0, mix) m2 = Transpose <perm = [0, 3, 1, 2]> (m1) p = Softmax (m2)',
  },
  'a classifier behind': { outputs: 'float[] z', before: 'l = MatMul (x, wo) z = Softmax (l)' },
  'channel attention': {
    scores: 'qt = Transpose <perm = [0, 1, 3, 2]> (q) s0 = MatMul (qt, k) s = Mul (s0, scale)',
    context: 'vt = Transpose <perm = [0, 1, 3, 2]> (v) c0 = MatMul (p, vt) c = Transpose <perm = [0, 1, 3, 2]> (c0)',
  },
  pooling: {
    outputs: 'float[] z',
    weights: 'float[16, 1] seed = ..., int64[1] ends = {-1}',
    before: 'l = MatMul (x, seed) r = Softmax <axis = 1> (l) t = Transpose <perm = [0, 2, 1]> (r) z = MatMul (t, x)',
  },
  'no values': { outputs: 'float[] p', context: 'c = Identity (v)' },
}

describe('a verdict does not depend on what changes no number', () => {
  for (const [name, part] of Object.entries(bases)) {
    it(`of ${name}`, () => {
      const text = blockText(part)
      const expected = findSites(modelOf(text)).map(verdictOf)
      expect(expected.length).toBeGreaterThan(0)
      for (let seed = 1; seed <= 40; seed++) {
        const next = random(seed)
        const model = modelOf(text)
        const applied = Array.from({ length: 1 + Math.floor(next() * 8) }, () => pick(Object.keys(changes), next))
        for (const change of applied) changes[change]?.(model, next)
        verify(model)
        expect(findSites(model).map(verdictOf), `seed ${seed}: ${applied.join(', ')}`).toEqual(expected)
      }
    })
  }
})

const maximum = 'm = ReduceMax <axes = [-1]>'
it.each([
  ['as a maximum of something else', `${maximum} (s0) d = Sub (s, m) p = Softmax (d)`],
  ['before they are scaled', `${maximum} (s) d = Sub (s, m) e = Mul (d, scale) p = Softmax (e)`],
  ['before they are masked', `${maximum} (s) d = Sub (s, m) e = Where (hide, fill, d) p = Softmax (e)`],
  ['before they are clipped', `w = ReduceMax <keepdims = 0> (s) d = Sub (s, w) e = Clip (d, fill) p = Softmax (e)`],
  [
    'twice',
    `${maximum} (s) d = Sub (s, m) e = Mul (d, scale) n = ReduceMax <axes = [-1]> (e) f = Sub (e, n) p = Softmax (f)`,
  ],
  [
    'before they are scaled, with the softmax spelled out',
    `${maximum} (s) d = Sub (s, m) e = Mul (d, scale) x1 = Exp (e) t = ReduceSum (x1, last) p = Div (x1, t)`,
  ],
  ['as a mean', `m = ReduceMean <axes = [-1]> (s) d = Sub (s, m) p = Softmax (d)`],
  [
    'as a mean before they are masked',
    `m = ReduceMean <axes = [-1]> (s) d = Sub (s, m) e = Where (hide, fill, d) p = Softmax (e)`,
  ],
  ['as a minimum over keys and queries', `m = ReduceMin <axes = [-2, -1]> (s) d = Sub (s, m) p = Softmax (d)`],
])('a statistic of rows that is subtracted from scores %s asks for a review', (_, normalise) => {
  const weights = 'bool[1] hide = {0}, float fill = {-50000}, int64[1] last = {-1}'
  expect(findSites(modelOf(blockText({ normalise, weights }))).map(verdictOf)).toEqual(['review:unknown-shift'])
})

it('a mean over heads is no shift of a row', () => {
  const normalise = 'm = ReduceMean <axes = [1]> (s) d = Sub (s, m) p = Softmax (d)'
  expect(findSites(modelOf(blockText({ normalise }))).map(verdictOf)).toEqual(['attention'])
})
