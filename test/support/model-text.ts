import fc from 'fast-check'

const name = fc
  .oneof(
    fc.constantFrom('x', 'y', 'hidden_1', 'B', 'float'),
    fc.constantFrom('/a/b', 'a b', 'q"uote', 'back\\slash', '0', 'é'),
  )
  .map((text) => (/^[A-Za-z_]\w*$/.test(text) && text !== 'float' ? text : `"${text.replace(/["\\]/g, '\\$&')}"`))
const dim = fc.oneof(fc.nat(9).map(String), fc.constantFrom('N', 'batch', '?', '"seq len"'))
const shape = fc.oneof(
  fc.constant(''),
  fc.constant('[]'),
  fc.array(dim, { minLength: 1, maxLength: 4 }).map((dims) => `[${dims.join(', ')}]`),
)
const elementType = fc.constantFrom(
  'float',
  'double',
  'int64',
  'int32',
  'uint8',
  'bool',
  'string',
  'float16',
  'bfloat16',
  'int8',
  'uint64',
)
const tensorType = fc.tuple(elementType, shape).map((parts) => parts.join(''))
const type = fc.oneof(
  { weight: 4, arbitrary: tensorType },
  { weight: 1, arbitrary: tensorType.map((t) => `seq(${t})`) },
  { weight: 1, arbitrary: tensorType.map((t) => `optional(seq(${t}))`) },
  { weight: 1, arbitrary: tensorType.map((t) => `map(int64, ${t})`) },
  { weight: 1, arbitrary: tensorType.map((t) => `sparse_tensor(${t})`) },
)
const text = fc.stringMatching(/^[ -~]*$/).map((s) => `"${s.replace(/["\\]/g, '\\$&')}"`)
const int = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)
const float = fc.float({ noNaN: true }).map((value) => {
  const written = Object.is(value, -0) ? '-0.0' : String(value).replace('Infinity', 'inf')
  return /[.ei]/.test(written) ? written : `${written}.0`
})
const list = (item: fc.Arbitrary<string>, minLength = 0) => fc.array(item, { minLength, maxLength: 4 })

const elements: Record<string, fc.Arbitrary<string>> = {
  float,
  int64: int,
  int8: fc.integer({ min: -128, max: 127 }).map(String),
  bool: fc.constantFrom('0', '1'),
  float16: fc.nat(65535).map(String),
  string: text,
}
/** `type = {…}` with as many elements as the dims say. */
const tensor = fc.constantFrom(...Object.keys(elements)).chain((dtype) =>
  list(elements[dtype] ?? float, 1).map((items) => ({
    type: `${dtype}[${items.length}]`,
    data: `{${items.join(', ')}}`,
  })),
)

const attributeName = fc.constantFrom('axis', 'alpha', 'to', 'values', 'mode')
const attributeValue = fc.oneof(
  int.map((value) => `: int = ${value}`),
  float.map((value) => `: float = ${value}`),
  text.map((value) => `: string = ${value}`),
  list(int).map((items) => `: ints = [${items.join(', ')}]`),
  list(float).map((items) => `: floats = [${items.join(', ')}]`),
  list(text, 1).map((items) => `: strings = [${items.join(', ')}]`),
  tensor.map(({ type, data }) => `: tensor = ${type} ${data}`),
)
const attributes = fc.uniqueArray(fc.tuple(attributeName, attributeValue), { maxLength: 3, selector: ([key]) => key })

/** Node outputs are numbered, so that no value has two producers; inputs are outputs of earlier nodes, or omitted. */
const nodes = (depth: number, scope: string): fc.Arbitrary<string> =>
  fc
    .array(
      fc.record({
        label: fc.option(name, { nil: undefined }),
        op: fc.constantFrom('Relu', 'com.microsoft.Attention', 'my.domain.v1.Op', 'Overloaded:fast'),
        inputs: fc.array(fc.nat(), { maxLength: 3 }),
        attributes,
        nested:
          depth > 0 ? fc.option(graph(depth - 1, `${scope}n`), { nil: undefined, freq: 3 }) : fc.constant(undefined),
      }),
      { maxLength: 4 },
    )
    .map((list) =>
      list
        .map((node, i) => {
          const inputs = node.inputs.map((pick) => (pick % (i + 1) === 0 ? '""' : `${scope}${(pick % (i + 1)) - 1}`))
          const all = node.attributes.map(([key, value]) => `${key}${value}`)
          if (node.nested !== undefined) all.push(`body: graph = ${node.nested}`)
          const label = node.label === undefined ? '' : `[${node.label}] `
          return `${label}${scope}${i} = ${node.op} (${inputs.join(', ')})${all.length > 0 ? ` <${all.join(', ')}>` : ''}`
        })
        .join('\n'),
    )

const typed = (prefix: string) =>
  fc.array(type, { maxLength: 3 }).map((types) => types.map((t, i) => `${t} ${prefix}${i}`))

function graph(depth: number, scope: string): fc.Arbitrary<string> {
  return fc
    .record({
      // Python's onnx prints a quoted name of a nested graph and cannot read it back.
      name: scope === 'v' ? name : fc.constantFrom('then_branch', 'g'),
      inputs: typed(`${scope}in`),
      outputs: typed(`${scope}out`),
      initializers: fc.array(tensor, { maxLength: 2 }),
      infos: typed(`${scope}info`),
      nodes: nodes(depth, scope),
    })
    .map((g) => {
      const definitions = [...g.initializers.map(({ type, data }, i) => `${type} ${scope}w${i} = ${data}`), ...g.infos]
      const inner = definitions.length > 0 ? ` <${definitions.join(', ')}>` : ''
      return `${g.name} (${g.inputs.join(', ')}) => (${g.outputs.join(', ')})${inner} {\n${g.nodes}\n}`
    })
}

/** Models in ONNX's textual syntax, as a person or another tool might write them. They need not make sense. */
export const modelText: fc.Arbitrary<string> = fc
  .record({
    producer: fc.option(text, { nil: undefined }),
    metadata: fc.array(fc.tuple(text, text), { maxLength: 2 }),
    main: graph(2, 'v'),
  })
  .map(({ producer, metadata, main }) => {
    const fields = ['ir_version: 8', 'opset_import: ["" : 17, "com.microsoft" : 1]']
    if (producer !== undefined) fields.push(`producer_name: ${producer}`)
    if (metadata.length > 0) fields.push(`metadata_props: [${metadata.map((pair) => pair.join(': ')).join(', ')}]`)
    return `<${fields.join(', ')}>\n${main}`
  })
