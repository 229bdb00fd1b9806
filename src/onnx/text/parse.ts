import { checkOptions, optionKinds, requireText } from '../../check-options.ts'
import type { Attribute, Node, Tensor, Value, ValueType } from '../../ir/index.ts'
import { Graph, Model } from '../../ir/index.ts'
import { parseAttribute, tensorHead } from './attributes.ts'
import { Cursor } from './cursor.ts'
import { ExternalTensors } from './external.ts'
import type { DataSources, TensorHead } from './tensor.ts'
import { parseData } from './tensor.ts'
import { parseType, seesType } from './types.ts'

export interface ParseOptions {
  /**
   * Supplies the data of tensors written as `...`. Without it such a tensor has its type and dims,
   * and reading its elements throws an `elided` error.
   */
  readonly fill?: (tensor: TensorHead) => Tensor
  /** Where the files of external data are looked for. */
  readonly folder?: string
}

/**
 * A model from ONNX's textual syntax (https://github.com/onnx/onnx/blob/main/docs/Syntax.md).
 *
 * Beyond the standard it accepts quoted words wherever a name stands, `...` as data, and decimals for half precision.
 * Throws a `text-syntax` error that names line and column.
 */
export function parseModel(text: string, options: ParseOptions = {}): Model {
  requireText('what is parsed', text)
  checkOptions(options, { fill: optionKinds.work, folder: optionKinds.text })
  const cursor = new Cursor(text)
  const model = new Model()
  if (cursor.sees('<')) parseHeader(cursor, model)
  const parser = new GraphParser(cursor, options)
  parser.graph(model.graph)
  while (!cursor.atEnd) parser.function(model)
  model.headerEdited = true
  model.graph.touch()
  return model
}

function parseHeader(cursor: Cursor, model: Model): void {
  cursor.list('<', '>', () => {
    const word = cursor.identifier('a field of the model')
    cursor.expect(':')
    switch (word) {
      case 'ir_version':
        model.irVersion = Number(cursor.integer('the IR version'))
        break
      case 'opset_import':
        for (const [domain, version] of parseOpsets(cursor)) model.setOpset(domain, version)
        break
      case 'producer_name':
        model.producerName = cursor.string('the name of the producer')
        break
      case 'producer_version':
        model.producerVersion = cursor.string('the version of the producer')
        break
      case 'doc_string':
        model.docString = cursor.string('the doc string')
        break
      case 'metadata_props':
        for (const [key, value] of parsePairs(cursor, () => cursor.string('a metadata value'))) {
          model.setMetadata(key, value)
        }
        break
      // The IR has no place for these two; a file that has them keeps them.
      case 'domain':
        cursor.string('the domain')
        break
      case 'model_version':
        cursor.integer('the version of the model')
        break
      default:
        throw cursor.error(`"${word}" is not a field of the model`)
    }
  })
}

function parseOpsets(cursor: Cursor): [string, number][] {
  return parsePairs(cursor, () => Number(cursor.integer('an opset version')))
}

function parsePairs<T>(cursor: Cursor, value: () => T): [string, T][] {
  return cursor.list('[', ']', () => {
    const key = cursor.string('a key')
    cursor.expect(':')
    return [key, value()]
  })
}

class GraphParser {
  readonly #cursor: Cursor
  readonly #sources: DataSources

  constructor(cursor: Cursor, { fill, folder }: ParseOptions) {
    this.#cursor = cursor
    this.#sources = { fill, external: new ExternalTensors(folder) }
  }

  /** `name (inputs) => (outputs) <initializers and types> { nodes }` */
  graph(graph: Graph): Graph {
    graph.name = this.#cursor.identifier('the name of a graph')
    for (const value of this.#definitions(graph, '(', ')')) graph.addInput(value)
    this.#cursor.expect('=>')
    const outputs = this.#cursor.list('(', ')', () => this.#declared())
    if (this.#cursor.sees('<')) this.#definitions(graph, '<', '>')
    this.#nodes(graph)
    for (const [index, { name, type }] of outputs.entries()) {
      const value = graph.resolve(name) ?? graph.value(name)
      if (type !== undefined && value.graph === graph) value.type = type
      graph.setOutput(index, value)
    }
    return graph
  }

  /** `<domain: "d", opset_import: […]> name <attributes> (inputs) => (outputs) <types> { nodes }` */
  function(model: Model): void {
    const cursor = this.#cursor
    const header = { domain: '', overload: '' }
    const opsetImports = new Map<string, number>()
    const body = new Graph()
    if (cursor.sees('<')) {
      cursor.list('<', '>', () => {
        const word = cursor.identifier('a field of the function')
        cursor.expect(':')
        if (word === 'opset_import')
          for (const [domain, version] of parseOpsets(cursor)) opsetImports.set(domain, version)
        else if (word === 'domain' || word === 'overload') header[word] = cursor.string(`the ${word}`)
        else if (word === 'doc_string') body.docString = cursor.string('the doc string')
        else throw cursor.error(`"${word}" is not a field of a function`)
      })
    }
    const name = cursor.identifier('the name of a function')
    const { attributes, defaults } = this.#functionAttributes()
    model.addFunction({ ...header, name, attributes, defaults, opsetImports, body })
    for (const value of this.#definitions(body, '(', ')')) body.addInput(value)
    cursor.expect('=>')
    const outputs = cursor.list('(', ')', () => this.#declared())
    if (cursor.sees('<')) this.#definitions(body, '<', '>')
    this.#nodes(body)
    for (const [index, { name, type }] of outputs.entries()) {
      const value = body.value(name)
      if (type !== undefined) value.type = type
      body.setOutput(index, value)
    }
  }

  #functionAttributes(): { attributes: string[]; defaults: Map<string, Attribute> } {
    const attributes: string[] = []
    const defaults = new Map<string, Attribute>()
    if (this.#cursor.sees('<')) {
      this.#cursor.list('<', '>', () => {
        const name = this.#cursor.identifier('an attribute name')
        if (this.#cursor.sees(':') || this.#cursor.sees('=')) defaults.set(name, this.#attribute(name, undefined))
        else attributes.push(name)
      })
    }
    return { attributes, defaults }
  }

  /** `type name` or `type name = data`, declared in the graph. */
  #definitions(graph: Graph, open: string, close: string): Value[] {
    const cursor = this.#cursor
    return cursor.list(open, close, () => {
      const { name, type } = this.#declared()
      const value = graph.value(name)
      if (cursor.takes('=')) {
        if (type?.kind !== 'tensor') throw cursor.error('the type of a tensor is expected before its data')
        value.initializer = parseData(cursor, tensorHead(cursor, type, name), this.#sources)
        if (open === '(') value.type = type
      } else if (type !== undefined) value.type = type
      return value
    })
  }

  #declared(): { name: string; type: ValueType | undefined } {
    const type = seesType(this.#cursor) ? parseType(this.#cursor) : undefined
    return { type, name: this.#cursor.identifier('a name') }
  }

  #nodes(graph: Graph): void {
    this.#cursor.expect('{')
    while (!this.#cursor.takes('}')) this.#node(graph)
  }

  /** `[name] outputs = domain.Op:overload <attributes> (inputs)`; attributes may also stand at the end. */
  #node(graph: Graph): void {
    const cursor = this.#cursor
    let name = ''
    if (cursor.takes('[')) {
      name = cursor.optionalIdentifier() ?? ''
      cursor.expect(']')
    }
    const outputs = this.#names('=')
    const words = [cursor.identifier('an operator')]
    while (cursor.takes('.')) words.push(cursor.identifier('an operator'))
    const opType = words.pop() ?? ''
    const overload = cursor.takes(':') ? cursor.identifier('an overload') : ''
    const resultOf = (output: string) => (output === '' ? undefined : graph.value(output))
    // The node stands in the graph before its attributes are read: graphs nested in them resolve names through it.
    const node = graph.insert({ name, opType, domain: words.join('.'), overload }, [], outputs.map(resultOf), undefined)
    this.#attributes(node)
    cursor.expect('(')
    for (const [index, input] of this.#names(')').entries()) {
      node.loadInput(index, input === '' ? undefined : (graph.resolve(input) ?? graph.value(input)))
    }
    if (node.attributes.size === 0) this.#attributes(node)
  }

  /** Names up to `close`; an empty one (`""`, or nothing before a comma) is an omitted operand. */
  #names(close: string): string[] {
    const names: string[] = []
    while (!this.#cursor.takes(close)) {
      names.push(this.#cursor.optionalIdentifier() ?? '')
      if (this.#cursor.takes(',')) continue
      this.#cursor.expect(close)
      break
    }
    return names
  }

  #attributes(node: Node): void {
    if (!this.#cursor.sees('<')) return
    this.#cursor.list('<', '>', () => {
      const name = this.#cursor.identifier('an attribute name')
      node.setAttribute(name, this.#attribute(name, node))
    })
  }

  #attribute(name: string, owner: Node | undefined): Attribute {
    const parseGraph = () => {
      const nested = new Graph()
      nested.owner = owner
      return this.graph(nested)
    }
    return parseAttribute(this.#cursor, { parseGraph, sources: this.#sources }, name)
  }
}
