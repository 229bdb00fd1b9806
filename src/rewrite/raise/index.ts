import type { Graph, Model, Node } from '../../ir/index.ts'
import { Facts } from '../../ops/index.ts'
import { newestRaised, oldestRaised } from './limits.ts'
import type { RaiseRule } from './rules.ts'
import { rules } from './rules.ts'
import { unchanged } from './unchanged.ts'

/** A node that cannot be raised, or a scope whose opset is too old. */
export interface Obstacle {
  readonly node: string | undefined
  readonly reason: string
}

export interface Raise {
  /** Why the model has to stay as it is; empty when it can be raised. */
  readonly obstacles: readonly Obstacle[]
  /** Raises every scope, and returns how many there were. */
  apply(): number
}

/** A main graph or function body with everything nested in it, in the opset it is written for. */
interface Scope {
  readonly graph: Graph
  readonly opset: number
  setOpset(opset: number): void
}

/** Plans to raise the default-domain opset of a model and of its functions to at least `opset`; the model is not changed. */
export function planRaise(model: Model, opset: number): Raise {
  const facts = new Facts()
  const scopes = scopesOf(model).filter((scope) => scope.opset < opset)
  const obstacles = opset > newestRaised && scopes.length > 0 ? [tooNew(opset)] : []
  for (const scope of scopes) obstacles.push(...obstaclesIn(scope, opset, facts))
  const apply = (): number => {
    for (const scope of scopes) raise(scope, opset, facts)
    return scopes.length
  }
  return { obstacles, apply }
}

function scopesOf(model: Model): Scope[] {
  const main = { graph: model.graph, opset: model.opset, setOpset: (opset: number) => model.setOpset('', opset) }
  const bodies = model.functions.flatMap((fn) => {
    const opset = fn.opsetImports.get('')
    const setOpset = (version: number): void => {
      fn.opsetImports.set('', version)
      fn.edited = true
      model.edited = true
    }
    return opset === undefined ? [] : [{ graph: fn.body, opset, setOpset }]
  })
  return [main, ...bodies]
}

function tooNew(opset: number): Obstacle {
  return { node: undefined, reason: `opset ${opset} is newer than ${newestRaised}, up to which the rules reach` }
}

function obstaclesIn({ graph, opset: from }: Scope, to: number, facts: Facts): Obstacle[] {
  if (from < oldestRaised)
    return [{ node: undefined, reason: `it is of opset ${from}, and ${oldestRaised} is the oldest that is read` }]
  return [...nodesOf(graph)].flatMap((node) => {
    const reason = objection(node, from, to, facts)
    return reason === undefined ? [] : [{ node: node.label, reason: `"${node.label}" is a ${node.op} that ${reason}` }]
  })
}

function objection(node: Node, from: number, to: number, facts: Facts): string | undefined {
  if (unchanged.has(node.opType)) return undefined
  if (!rules.has(node.opType)) return `has no rule for opset ${to}`
  for (const rule of rulesBetween(node, from, to)) {
    const given = rule.reads?.find((name) => node.attributes.get(name)?.kind === 'ref')
    const reason = given === undefined ? rule.refuse?.(node, facts) : `takes "${given}" from the caller of its function`
    if (reason !== undefined) return reason
  }
  return undefined
}

function raise({ graph, opset: from, setOpset }: Scope, to: number, facts: Facts): void {
  for (const node of [...nodesOf(graph)]) {
    let current = node
    for (let at = from; ; ) {
      const [rule] = rulesBetween(current, at, to)
      if (!rule) break
      current = rule.apply(current, facts) ?? current
      at = rule.at
    }
  }
  setOpset(to)
}

function rulesBetween(node: Node, from: number, to: number): RaiseRule[] {
  return (rules.get(node.opType) ?? []).filter(({ at }) => at > from && at <= to)
}

function* nodesOf(graph: Graph): Generator<Node> {
  for (const nested of graph.withNested()) for (const node of nested.nodes()) if (node.domain === '') yield node
}
