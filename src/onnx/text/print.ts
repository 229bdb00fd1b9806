import { checkOptions, optionKinds } from '../../check-options.ts'
import type { Graph, Model, ModelFunction, Node, Value } from '../../ir/index.ts'
import { requireModel } from '../require-model.ts'
import { printAttribute } from './attributes.ts'
import { printData } from './tensor.ts'
import { printTensorType, printType } from './types.ts'
import { qualified, quote, quoteId } from './words.ts'

export interface PrintOptions {
  /** Tensors of more elements are printed as `...`. Default 32. */
  readonly limit?: number
}

/**
 * The model in ONNX's textual syntax. Weights of more than `limit` elements are left out: `float[768,768] w = ...`.
 *
 * With `limit: Infinity` and without such tensors, Python's `onnx.parser` reads the text. Doc strings of graphs and
 * nodes, node metadata and tensor annotations have no place in the syntax and are not printed.
 */
export function printModel(model: Model, options: PrintOptions = {}): string {
  requireModel(model)
  checkOptions(options, { limit: optionKinds.positive })
  const printer = new Printer(options)
  const text = [printHeader(model), printer.graph(model.graph)]
  for (const fn of model.functions) text.push(printer.function(fn))
  return `${text.join('\n')}\n`
}

/** One graph in ONNX's textual syntax. */
export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  return new Printer(options).graph(graph)
}

/** One node in ONNX's textual syntax. */
export function printNode(node: Node, options: PrintOptions = {}): string {
  return new Printer(options).node(node).trimStart()
}

function printHeader(model: Model): string {
  const pairs = (map: ReadonlyMap<string, string>) => [...map].map(([key, value]) => `${quote(key)}: ${quote(value)}`)
  const entries = [`ir_version: ${model.irVersion}`, `opset_import: [${printOpsets(model.opsetImports)}]`]
  if (model.producerName !== '') entries.push(`producer_name: ${quote(model.producerName)}`)
  if (model.producerVersion !== '') entries.push(`producer_version: ${quote(model.producerVersion)}`)
  if (model.docString !== '') entries.push(`doc_string: ${quote(model.docString)}`)
  if (model.metadata.size > 0) entries.push(`metadata_props: [${pairs(model.metadata).join(', ')}]`)
  return `<\n${entries.map((entry) => `   ${entry}`).join(',\n')}\n>`
}

function printOpsets(imports: ReadonlyMap<string, number>): string {
  return [...imports].map(([domain, version]) => `${quote(domain)} : ${version}`).join(', ')
}

class Printer {
  readonly #limit: number
  #indent = '   '

  constructor(options: PrintOptions) {
    this.#limit = options.limit ?? 32
  }

  graph(graph: Graph): string {
    const inputs = graph.inputs.map((value) => this.#input(value)).join(', ')
    const outputs = graph.outputs.map((value) => printValueInfo(value)).join(', ')
    return `${quoteId(graph.name)} (${inputs}) => (${outputs})${this.#definitions(graph)} ${this.#nodes(graph)}`
  }

  function(fn: ModelFunction): string {
    const header = [`domain: ${quote(fn.domain)}`]
    if (fn.overload !== '') header.push(`overload: ${quote(fn.overload)}`)
    header.push(`opset_import: [${printOpsets(fn.opsetImports)}]`)
    const attributes = [
      ...fn.attributes.map(quoteId),
      ...[...fn.defaults].map(([name, attribute]) => printAttribute(name, attribute, this.#printing)),
    ]
    const names = (values: readonly Value[]) => values.map((value) => quoteId(value.name)).join(', ')
    const parameters = attributes.length > 0 ? ` <${attributes.join(', ')}>` : ''
    return (
      `<\n${header.map((entry) => `   ${entry}`).join(',\n')}\n>\n` +
      `${quoteId(fn.name)}${parameters} (${names(fn.body.inputs)}) => (${names(fn.body.outputs)})` +
      `${this.#definitions(fn.body, true)} ${this.#nodes(fn.body)}`
    )
  }

  node(node: Node): string {
    const name = node.name === '' ? '' : `[${quoteId(node.name)}] `
    const ids = (values: readonly (Value | undefined)[]) => values.map((v) => (v ? quoteId(v.name) : '""')).join(', ')
    const overload = node.overload === '' ? '' : `:${quoteId(node.overload)}`
    const attributes = [...node.attributes].map(([key, value]) => printAttribute(key, value, this.#printing))
    const list = attributes.length > 0 ? ` <${attributes.join(', ')}>` : ''
    const call = `${this.#indent}${name}${ids(node.outputs)} = ${qualified(node.domain, node.opType)}${overload}`
    const inputs = ` (${ids(node.inputs)})`
    return node.subgraphs.length > 0 ? `${call}${inputs}${list}` : `${call}${list}${inputs}`
  }

  get #printing() {
    return { limit: this.#limit, printGraph: (graph: Graph) => this.#nested(() => this.graph(graph)) }
  }

  #nodes(graph: Graph): string {
    const lines = Array.from(graph.nodes(), (node) => this.node(node))
    return ['{', ...lines, `${this.#indent.slice(3)}}`].join('\n')
  }

  #input(value: Value): string {
    const data = value.initializer === undefined ? '' : ` = ${printData(value.initializer, this.#limit)}`
    return `${printValueInfo(value)}${data}`
  }

  /** Initializers and declared types of inner values, one a line. */
  #definitions(graph: Graph, inFunction = false): string {
    const outputs = new Set(graph.outputs)
    const lines: { text: string; note: string }[] = []
    for (const value of graph.values.values()) {
      if (value.isInput && !inFunction) continue
      const tensor = value.initializer
      if (tensor !== undefined) {
        const data = printData(tensor, this.#limit)
        const bytes = data === '...' && tensor.payload !== undefined ? ` # ${tensor.payload.byteLength} bytes` : ''
        lines.push({
          text: `${printTensorType(tensor.dtype, tensor.dims)} ${quoteId(value.name)} = ${data}`,
          note: bytes,
        })
      } else if (value.type !== undefined && (inFunction || !outputs.has(value))) {
        lines.push({ text: printValueInfo(value), note: '' })
      }
    }
    if (lines.length === 0) return ''
    const last = lines.length - 1
    const body = lines.map(({ text, note }, i) => `${this.#indent}${text}${i < last ? ',' : ''}${note}`)
    const outer = this.#indent.slice(3)
    return `\n${outer}<\n${body.join('\n')}\n${outer}>`
  }

  #nested(print: () => string): string {
    const outer = this.#indent
    this.#indent = `${outer}   `
    try {
      return print()
    } finally {
      this.#indent = outer
    }
  }
}

function printValueInfo(value: Value): string {
  const name = quoteId(value.name)
  return value.type === undefined ? name : `${printType(value.type)} ${name}`
}
