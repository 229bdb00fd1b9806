import type { Graph, Model, Node, Value } from '../ir/index.ts'
import { Facts, functionOf } from '../ops/index.ts'
import type { Finding } from './classify.ts'
import { classify } from './classify.ts'
import type { Frame } from './cursor.ts'
import { pathOf } from './cursor.ts'
import { fusedSink, isFusedAttention, isUnknownAttention } from './fused.ts'
import { headsOf } from './heads.ts'
import type { Normaliser } from './normaliser.ts'
import { normalisersIn, suspectsAt } from './normaliser.ts'
import { notesOn } from './notes.ts'
import type { Contraction, Policies, Sink, Site, Step, Verdict } from './site.ts'
import { because, isAlready } from './verdict.ts'
import type { Reached, Wiring } from './walk.ts'

/** Calls of one function that are looked at, one by one: functions that call functions multiply them. */
const mostContexts = 1024

/**
 * Every softmax, every spelling of one, and every fused attention operator of a model, with a verdict; main graph, nested
 * graphs and function bodies, in file order. A function called several times counts once.
 */
export function findSites(model: Model, policies: Policies = {}, facts = new Facts()): Site[] {
  const wiring: Wiring = { facts, outputsOf: indexOutputs(model), contexts: new Map() }
  // The body of our own operator is described by the call.
  const bodies = model.functions.filter((fn) => fn.domain !== 'outeffhop').map((fn) => fn.body)
  return [model.graph, ...bodies].flatMap((graph) => sitesIn(graph, pathName(graph), wiring, policies))
}

function sitesIn(graph: Graph, path: string, wiring: Wiring, policies: Policies): Site[] {
  const normalisers = new Map(normalisersIn(graph, wiring.facts).map((n) => [n.node, n]))
  const known = new Set([...normalisers.values()].flatMap((n) => n.nodes))
  const sites: Site[] = []
  for (const node of graph.nodes()) {
    for (const nested of node.subgraphs)
      sites.push(...sitesIn(nested, nestedPath(path, node, nested), wiring, policies))
    const normaliser = normalisers.get(node)
    if (normaliser) sites.push(normaliserSite(normaliser, path, wiring, policies))
    else if (isFusedAttention(node, wiring.facts)) sites.push(...fusedSite(node, path, wiring.facts, policies))
    else if (!known.has(node)) sites.push(...suspectSite(node, path, wiring, policies))
  }
  return sites
}

/** An exponential that weighs values by scores and is no part of a softmax that is known: seen, so that it is not missed. */
function suspectSite(node: Node, path: string, wiring: Wiring, policies: Policies): Site[] {
  const sites = suspectsAt(node, wiring.facts).map((n) => normaliserSite(n, path, wiring, policies))
  return sites.filter(({ verdict }) => verdict.reason === 'unknown-normalisation').slice(0, 1)
}

function normaliserSite(n: Normaliser, graphPath: string, wiring: Wiring, policies: Policies): Site {
  const { facts } = wiring
  const contexts = contextsOf(n.node.graph, wiring)
  const looked = contexts.slice(0, mostContexts)
  const findings = looked.map((frame) => classify(n, frame, wiring, policies))
  const [finding] = findings as [Finding, ...Finding[]]
  const verdict = agreed(n.node, findings)
  const isDecided = policies.force?.(n.node.label) || verdict.reason === 'excluded'
  const [score] = finding.scores
  const [value] = finding.values
  const inGraph = (reached: Reached | undefined): Reached | undefined =>
    reached?.product.node.graph === n.node.graph ? reached : undefined
  return {
    graph: n.node.graph,
    graphPath,
    node: n.node,
    nodes: n.nodes,
    spelling: finding.spelling,
    input: n.input,
    output: n.output,
    axis: n.axis ?? -1,
    context: n.context,
    dtype: n.input.dtype ?? n.output.dtype,
    sink: finding.sink,
    scores: finding.scores.map(contractionOf),
    values: finding.values.map(contractionOf),
    scorePath: pathTo(inGraph(score), 'back'),
    valuePath: pathTo(inGraph(value), 'forward'),
    heads: n.axis === undefined ? undefined : headsOf(n.input, n.axis, score, facts),
    verdict: looked.length < contexts.length && !isDecided ? unseen(n.node, verdict) : verdict,
    notes: notesOn(n, finding, looked, facts),
  }
}

/** One verdict for all calls of the function, or a review when they differ. */
function agreed(node: Node, findings: readonly Finding[]): Verdict {
  const [first] = findings as [Finding, ...Finding[]]
  const kinds = new Set(findings.map((f) => f.verdict.kind))
  return kinds.size === 1 ? first.verdict : because('review', 'callers-disagree', node, [...kinds].join(', '))
}

/** What a use by calls that were not looked at could change is for review. */
function unseen(node: Node, verdict: Verdict): Verdict {
  const dependsOnUse = verdict.kind === 'attention' || verdict.kind === 'rejected'
  return dependsOnUse ? because('review', 'too-many-calls', node, `${mostContexts}`) : verdict
}

function contractionOf({ own, other, axis }: Reached): Contraction {
  return { node: own.node, dataInput: own.port, otherInput: other.port, axis }
}

function pathTo(reached: Reached | undefined, direction: 'back' | 'forward'): readonly Step[] {
  return (reached && pathOf(reached.cursor, direction)) ?? []
}

function fusedSite(node: Node, graphPath: string, facts: Facts, policies: Policies): Site[] {
  const output = node.output()
  if (!output) return []
  const sink = fusedSink(node, facts)
  const excluded = policies.only && !policies.only(node.label)
  return [
    {
      graph: node.graph,
      graphPath,
      node,
      nodes: [node],
      spelling: node.op,
      input: undefined,
      output,
      axis: -1,
      context: undefined,
      dtype: output.dtype ?? node.input(0)?.dtype,
      sink,
      scores: [],
      values: [],
      scorePath: [],
      valuePath: [],
      heads: undefined,
      verdict: excluded ? because('rejected', 'excluded', node) : fusedVerdict(node, sink),
      notes: [],
    },
  ]
}

function fusedVerdict(node: Node, sink: Sink): Verdict {
  if (isUnknownAttention(node))
    return because('review', 'fused-operator', node, `is a ${node.op}, an operator this program does not know.`)
  if (sink.kind === 'learned') return because('learned-sink', 'learned-sink', node, ' (head_sink)')
  if (sink.kind === 'zero') return isAlready(node, `${node.op} has a sink of 0`)
  if (sink.kind === 'constant') return isAlready(node, `${node.op} has a sink of ${sink.value.join(', ')}`)
  return because('fused', 'fused-operator', node, `is one fused ${node.op}, softmax included.`)
}

/** The calls a graph is reached by, at most one more than are looked at: one empty context outside of functions. */
function contextsOf(graph: Graph, wiring: Wiring): readonly (Frame | undefined)[] {
  const fn = functionOf(graph)
  if (!fn) return [undefined]
  const known = wiring.contexts.get(fn)
  if (known) return known
  const frames: Frame[] = []
  for (const call of wiring.facts.callers(fn)) {
    if (frames.length > mostContexts) break
    for (const parent of contextsOf(call.graph, wiring).slice(0, mostContexts + 1 - frames.length))
      frames.push({ call, parent })
  }
  const contexts = frames.length === 0 ? [undefined] : frames
  wiring.contexts.set(fn, contexts)
  return contexts
}

function indexOutputs(model: Model): Wiring['outputsOf'] {
  const index = new Map<Value, { graph: Graph; index: number }[]>()
  for (const graph of model.graphs()) {
    for (const [i, value] of graph.outputs.entries()) {
      const places = index.get(value) ?? []
      places.push({ graph, index: i })
      index.set(value, places)
    }
  }
  return index
}

function pathName(graph: Graph): string {
  const fn = functionOf(graph)
  return fn ? `function:${fn.domain}.${fn.name}` : ''
}

function nestedPath(path: string, node: Node, nested: Graph): string {
  const name = [...node.attributes].find(([, a]) =>
    a.kind === 'graph' ? a.value === nested : a.kind === 'graphs' && a.value.includes(nested),
  )
  return [path, node.label, name?.[0] ?? 'body'].filter((part) => part !== '').join('/')
}
