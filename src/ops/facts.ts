import type { Attribute, ModelFunction, Node, Tensor, Value } from '../ir/index.ts'
import { FunctionIndex, functionOf } from './functions.ts'
import { recordOf } from './records.ts'
import type { Size } from './size.ts'
import { sizeOfName } from './size.ts'
import { axisSymbol, isStatic, mergeShapes } from './symbols.ts'
import { contentOfTensor, largestContent } from './tensor-content.ts'

/** What is known about a value. Both fields may be missing; a shape names every axis, by a made-up symbol if need be. */
export interface Fact {
  readonly shape: readonly Size[] | undefined
  /** Elements of a small scalar or vector: the sizes a shape computation carries, or constants. */
  readonly content: readonly Size[] | undefined
}

const unknown: Fact = { shape: undefined, content: undefined }

/**
 * Shapes, small constants and constness of the values of one model, computed on demand without relying on declared types.
 *
 * Everything is memoised and nothing notices an edit: make a new object after a change.
 */
export class Facts {
  readonly #facts = new Map<Value, Fact>()
  readonly #constant = new Map<Value, boolean>()
  /** Values whose facts are being computed. */
  readonly #open = new Set<Value>()
  /** Ranks that inputs of functions were supposed to have, where a call is fed by another one; checked when all are known. */
  readonly #supposed = new Map<Value, Fact>()
  /** Inputs whose calls turned out to disagree. */
  readonly #refuted = new Set<Value>()
  #isRefuted = false
  #depth = 0
  readonly #functions = new FunctionIndex()

  /** Shape with every axis named; `undefined` when the rank is unknown. */
  shape(value: Value): readonly Size[] | undefined {
    return this.#fact(value).shape
  }

  rank(value: Value): number | undefined {
    return this.#fact(value).shape?.length
  }

  /** Size of a negative axis; `undefined` when the rank is unknown, 1 where broadcasting adds the axis. */
  size(value: Value, axis: number): Size | undefined {
    const shape = this.shape(value)
    return shape && (shape[shape.length + axis] ?? 1)
  }

  /** The elements of a small vector or scalar as sizes or numbers. */
  content(value: Value | undefined): readonly Size[] | undefined {
    return value && this.#fact(value).content
  }

  /** The elements of a small constant (vector, scalar, or any tensor of few elements). */
  numbers(value: Value | undefined): number[] | undefined {
    const content = this.content(value)
    return content?.every((x) => typeof x === 'number') ? (content.slice() as number[]) : undefined
  }

  /** The elements of a tensor that is small enough to be followed. */
  contentOf(tensor: Tensor): readonly number[] | undefined {
    return contentOfTensor(tensor)
  }

  /** The number a constant of one element holds. */
  scalar(value: Value | undefined): number | undefined {
    const numbers = this.numbers(value)
    return numbers?.length === 1 ? numbers[0] : undefined
  }

  /** An attribute of a node; one that stands for an attribute of the enclosing function is resolved where all callers agree. */
  attribute(node: Node, name: string): Attribute | undefined {
    const own = node.attributes.get(name)
    if (own?.kind !== 'ref') return own
    const owner = functionOf(node.graph)
    if (!owner) return undefined
    const given = this.callers(owner).map((call) => this.attribute(call, own.name) ?? owner.defaults.get(own.name))
    const [first, ...rest] = given.length > 0 ? given : [owner.defaults.get(own.name)]
    return first && rest.every((other) => sameAttribute(first, other)) ? first : undefined
  }

  int(node: Node, name: string): number | undefined {
    const a = this.attribute(node, name)
    return a?.kind === 'int' ? Number(a.value) : undefined
  }

  ints(node: Node, name: string): number[] | undefined {
    const a = this.attribute(node, name)
    return a?.kind === 'ints' ? a.value.map(Number) : a?.kind === 'int' ? [Number(a.value)] : undefined
  }

  float(node: Node, name: string): number | undefined {
    const a = this.attribute(node, name)
    return a?.kind === 'float' ? a.value : a?.kind === 'int' ? Number(a.value) : undefined
  }

  /** Opset version that counts for a node: the model's, or that of the function whose body holds it. */
  opset(node: Node, domain = ''): number {
    const owner = functionOf(node.graph)
    const imports = owner?.opsetImports ?? node.graph.model?.opsetImports
    return imports?.get(domain) ?? (domain === '' ? imports?.get('ai.onnx') : undefined) ?? 1
  }

  /** The model-local function a node calls. */
  callee(node: Node): ModelFunction | undefined {
    return this.#functions.callee(node)
  }

  /** Every node that calls the function, in file order. */
  callers(fn: ModelFunction): readonly Node[] {
    return this.#functions.callers(fn)
  }

  /** Whether the value depends on no graph input, except through sizes. */
  isConstant(value: Value): boolean {
    const known = this.#constant
    const stack = [value]
    const open = new Set(stack)
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const sources = known.has(top) ? [] : this.#constantSources(top)
      const answer = typeof sources === 'boolean' ? sources : !sources.some((v) => known.get(v) === false)
      const next = answer && typeof sources !== 'boolean' && sources.find((v) => !known.has(v) && !open.has(v))
      if (next) {
        stack.push(next)
        open.add(next)
        continue
      }
      if (!known.has(top)) known.set(top, answer)
      stack.pop()
    }
    return known.get(value) === true
  }

  /** Producers of a constant, or the answer itself. */
  #constantSources(value: Value): boolean | Value[] {
    if (value.initializer) return true
    const node = value.producer
    if (!node) {
      const actuals = this.#actuals(value)
      return actuals.length === 0 ? false : actuals
    }
    const record = recordOf(node)
    if (record?.constant === 'always') return true
    if (node.subgraphs.length > 0 || this.callee(node)) return false
    const inputs = node.inputs.filter((v) => v !== undefined)
    // A node without inputs makes a constant only where its operator is known to.
    return inputs.length === 0 ? false : inputs
  }

  /** What the callers of a function pass for one of its inputs. */
  #actuals(value: Value): Value[] {
    const fn = functionOf(value.graph)
    if (!fn || value.graph !== fn.body) return []
    const index = fn.body.inputs.indexOf(value)
    if (index < 0) return []
    return this.callers(fn).flatMap((call) => call.input(index) ?? [])
  }

  #fact(value: Value): Fact {
    const known = this.#facts.get(value)
    if (known) return known
    // A function whose result feeds a later call of itself depends on itself.
    if (this.#open.has(value)) return this.#suppose(value)
    this.#depth++
    this.#follow(value)
    this.#depth--
    if (this.#depth === 0 && this.#isRefuted) {
      this.#facts.clear()
      this.#supposed.clear()
      this.#isRefuted = false
      return this.#fact(value)
    }
    return this.#facts.get(value) ?? unknown
  }

  /** Computes a value and all it depends on. */
  #follow(value: Value): void {
    // Explicit stack: graphs are deeper than the call stack. `open` guards against cycles through functions.
    const stack: Value[] = [value]
    const open = this.#open
    while (stack.length > 0) {
      const top = stack.at(-1) as Value
      if (this.#facts.has(top)) {
        stack.pop()
        continue
      }
      const waiting = open.has(top) ? [] : this.#sources(top).filter((v) => !this.#facts.has(v) && !open.has(v))
      open.add(top)
      if (waiting.length > 0) {
        // The first call first: it is the one that no other call feeds.
        stack.push(...waiting.reverse())
        continue
      }
      const fact = this.#compute(top)
      this.#facts.set(top, fact)
      this.#check(top, fact)
      open.delete(top)
      stack.pop()
    }
  }

  /** What an input of a function has in every call if it has it in those that are known: a rank. */
  #suppose(value: Value): Fact {
    const known = this.#supposed.get(value)
    if (known) return known
    if (this.#refuted.has(value)) return unknown
    const shapes = this.#actuals(value).map((actual) => this.#facts.get(actual)?.shape)
    const shape = shapes.find((s) => s !== undefined)
    if (!shape) return unknown
    const fact = { shape: shape.map((_, axis) => axisSymbol(value, axis)), content: undefined }
    this.#supposed.set(value, fact)
    return fact
  }

  #check(value: Value, fact: Fact): void {
    const supposed = this.#supposed.get(value)
    if (!supposed || supposed.shape?.length === fact.shape?.length) return
    this.#refuted.add(value)
    this.#isRefuted = true
  }

  #sources(value: Value): Value[] {
    if (value.initializer || isStatic(value.shape, value)) return []
    const node = value.producer
    if (!node) return this.#actuals(value)
    const callee = this.callee(node)
    if (callee) return [callee.body.outputs[node.outputs.indexOf(value)]].filter((v) => v !== undefined)
    if (node.opType === 'If' && node.domain === '')
      return node.subgraphs.map((g) => g.outputs[node.outputs.indexOf(value)]).filter((v) => v !== undefined)
    return node.inputs.filter((v) => v !== undefined)
  }

  #compute(value: Value): Fact {
    const tensor = value.initializer
    if (tensor) return { shape: tensor.dims, content: isDefault(value) ? undefined : contentOfTensor(tensor) }
    const inferred = this.#infer(value)
    return {
      shape: mergeShapes(value.type?.kind === 'tensor' ? value.type.shape : undefined, inferred.shape, value),
      content: inferred.content,
    }
  }

  #infer(value: Value): Fact {
    const node = value.producer
    if (!node) {
      const [first, ...rest] = this.#actuals(value).map((actual) => this.#known(actual))
      return rest.reduce((a, b) => agreement(a, b, value), first ?? unknown)
    }
    const output = node.outputs.indexOf(value)
    const callee = this.callee(node)
    if (callee) {
      const result = callee.body.outputs[output]
      return result ? { shape: this.#known(result).shape, content: undefined } : unknown
    }
    if (node.opType === 'If' && node.domain === '') return this.#inferIf(node, output)
    const record = recordOf(node)
    if (!record) return unknown
    const content = record.content?.(node, this)
    return {
      shape: record.shape?.(node, this, output),
      content: content && content.length <= largestContent ? content : undefined,
    }
  }

  #inferIf(node: Node, output: number): Fact {
    const shapes = node.subgraphs.map((graph) => graph.outputs[output]).map((v) => v && this.#known(v).shape)
    const [first, second] = shapes
    // Exporters write If around a Squeeze that may have nothing to squeeze: the ranks differ, the one that squeezed counts.
    if (first && second && first.length !== second.length)
      return { shape: first.length < second.length ? first : second, content: undefined }
    return { shape: first ?? second, content: undefined }
  }

  /** What was computed so far: `#fact` has put every source first. */
  #known(value: Value): Fact {
    return this.#facts.get(value) ?? (this.#open.has(value) ? this.#suppose(value) : unknown)
  }
}

function sameAttribute(a: Attribute, b: Attribute | undefined): boolean {
  if (b === undefined || a.kind !== b.kind) return false
  if ('value' in a && 'value' in b && a.kind !== 'tensor' && a.kind !== 'graph')
    return String(a.value) === String(b.value)
  return a === b
}

/** An initializer of a graph input is a default that a caller may override, from IR version 4 on. */
function isDefault(value: Value): boolean {
  return value.isInput && (value.graph.model?.irVersion ?? 0) >= 4
}

/** What two calls of a function have in common: sizes that differ get a name of their own. */
function agreement(a: Fact, b: Fact, value: Value): Fact {
  const same = a.content?.length === b.content?.length && a.content?.every((x, i) => x === b.content?.[i])
  const shape =
    a.shape && a.shape.length === b.shape?.length
      ? a.shape.map((size, i) => (size === b.shape?.[i] ? size : sizeOfName(`${value.name}[${i}]`)))
      : undefined
  return { shape, content: same ? a.content : undefined }
}
