import { entry, fixed32, fixed64, float, floats, group, int, len, packed, tag } from './proto-bytes.ts'

/** Fields no schema knows, of every wire type. */
export function unknownFields(): Buffer {
  return Buffer.concat([
    int(4001, 7),
    fixed64(4002, [1, 2, 3, 4, 5, 6, 7, 8]),
    len(4003, 'unknown'),
    group(4004, int(1, 2), group(2, len(3, 'x'))),
    fixed32(4005, [9, 8, 7, 6]),
  ])
}

const signallingNaN = Buffer.from([0x01, 0x00, 0xa0, 0x7f, 0x00, 0x00, 0xc0, 0xff])
/** A name with a byte that is not UTF-8, and one with a surrogate encoded as if it were a character. */
const badName = Buffer.from([0x77, 0xff, 0x2e, 0xc3, 0xa9])
const surrogateName = Buffer.from([0xed, 0xa0, 0x80, 0x41])

const tensorType = (dtype: number, ...dims: Buffer[]) =>
  len(2, len(1, int(1, dtype), len(2, ...dims.map((d) => len(1, d)))))
const info = (number: number, name: string | Uint8Array, ...rest: Buffer[]) => len(number, len(1, name), ...rest)
const node = (op: string, inputs: (string | Uint8Array)[], outputs: (string | Uint8Array)[], ...rest: Buffer[]) =>
  len(1, ...inputs.map((i) => len(1, i)), ...outputs.map((o) => len(2, o)), len(4, op), ...rest)

function tensors(): Buffer[] {
  return [
    len(5, int(1, 2), int(1, 1), int(2, 1), len(8, 'nan'), len(9, signallingNaN)),
    len(5, packed(1, [1, 3]), int(2, 1), len(4, floats([1, 2.5, -0])), len(8, badName), unknownFields()),
    len(5, int(2, 1), int(1, 2), float(4, 3), float(4, 4), len(8, 'unpacked floats')),
    len(5, int(1, 3), int(2, 7), packed(7, [1, -1, 2n ** 62n]), len(8, 'int64')),
    len(5, len(8, 'split int64'), int(1, 4), int(2, 7), packed(7, [5]), int(7, -6), packed(7, [7, 8])),
    len(5, int(1, 2), int(2, 3), packed(5, [-128, 127]), len(8, 'int8')),
    len(5, int(1, 3), int(2, 10), packed(5, [0x3c00, 0x7c01, 0xffff]), len(8, 'half')),
    len(5, int(1, 5), int(2, 22), packed(5, [0x21, 0x43, 0x05]), len(8, 'int4')),
    len(5, int(1, 1), int(2, 11), len(10, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8])), len(8, 'double')),
    len(5, int(1, 2), int(2, 13), packed(11, [2n ** 64n - 1n, 3]), len(8, 'uint64')),
    len(5, int(1, 2), int(2, 8), len(6, 'text'), len(6, Buffer.from([0xff])), len(8, 'strings')),
    len(
      5,
      int(1, 0),
      int(2, 1),
      len(8, 'none'),
      len(12, 'a doc string'),
      entry(16, 'k', 'v'),
      len(3, int(1, 0), int(2, 1)),
    ),
    len(5, int(1, 2), int(2, 1), len(8, 'raw'), len(9, floats([1, 2])), int(1, 1)),
  ]
}

function attributes(): Buffer[] {
  return [
    len(5, len(1, 'f'), fixed32(2, [0x01, 0x00, 0xa0, 0x7f]), int(20, 1)),
    len(5, int(3, -5), len(1, 'i'), int(20, 2), unknownFields()),
    len(5, len(1, 'huge'), int(3, 2n ** 63n - 1n), int(20, 2)),
    len(5, len(1, 's'), len(4, Buffer.from([0x61, 0x80])), int(20, 3)),
    len(5, len(1, 't'), len(5, int(1, 1), int(2, 1), len(9, floats([7]))), int(20, 4)),
    len(5, len(1, 'floats'), float(7, 1), len(7, floats([2, 3])), int(20, 6)),
    len(5, len(1, 'ints'), int(8, 1), packed(8, [2, -3]), int(20, 7)),
    len(5, len(1, 'strings'), len(9, 'a'), len(9, ''), int(20, 8)),
    len(5, len(1, 'tensors'), len(10, int(2, 7), packed(7, [1])), len(10, int(2, 1), len(9, floats([2]))), int(20, 9)),
    len(5, len(1, 'untyped'), int(3, 1)),
    len(5, len(1, 'type'), len(14, len(1, int(1, 1))), int(20, 13)),
    len(5, len(1, 'sparse'), len(22, len(1, int(1, 1), int(2, 1), len(9, floats([1]))), int(3, 2)), int(20, 11)),
  ]
}

function branch(output: string, value: string): Buffer {
  return Buffer.concat([
    node('Add', ['x', value], [`${output}.sum`], len(3, output), unknownFields()),
    node('Identity', [`${output}.sum`], [output]),
    len(2, `branch ${output}`),
    len(5, int(1, 1), int(2, 1), len(8, value), len(9, floats([2]))),
    info(12, output, tensorType(1, int(1, 1))),
    unknownFields(),
  ])
}

function graph(): Buffer {
  const [first, ...others] = tensors() as [Buffer, ...Buffer[]]
  return Buffer.concat([
    // An input and an initializer in front of the nodes, the others behind them.
    info(11, 'x', tensorType(1, int(1, 1)), len(3, 'the input'), entry(4, 'k', 'v')),
    first,
    node(
      'Custom',
      ['x', '', badName],
      ['y', '', surrogateName],
      ...attributes(),
      len(7, 'my.domain'),
      len(3, 'custom'),
    ),
    unknownFields(),
    node(
      'If',
      ['condition'],
      ['z'],
      len(5, len(1, 'then_branch'), len(6, branch('a', 'two')), int(20, 5)),
      len(5, len(1, 'else_branch'), int(20, 5), unknownFields(), len(6, branch('b', 'three'))),
      len(6, 'a doc string'),
      entry(9, 'namespace', 'one'),
      len(10, len(1, 'device'), len(2, len(1, 'x'), packed(2, [0, 1]), len(3, int(1, 0), packed(2, [1]))), int(3, 1)),
    ),
    node('Twice', ['z'], ['w'], len(7, 'local'), len(8, 'over')),
    len(2, 'main'),
    ...others,
    len(10, 'about the graph'),
    info(11, 'condition', tensorType(9)),
    info(12, 'w', tensorType(1, len(2, 'N'), Buffer.alloc(0))),
    info(13, 'z', tensorType(1, int(1, 1))),
    info(13, 'y', len(2, len(4, len(1, len(1, int(1, 1)))), len(6, 'SEQUENCE'))),
    info(13, 'nobody', tensorType(7)),
    len(14, len(1, 'x'), entry(2, 'SCALE_TENSOR', 'nan')),
    len(
      15,
      len(1, int(1, 2), int(2, 1), len(8, 'sparse'), len(9, floats([5, 6]))),
      len(2, int(1, 2), int(2, 7), packed(7, [1, 3])),
      int(3, 4),
    ),
    entry(16, 'graph key', 'graph value'),
  ])
}

function localFunction(): Buffer {
  return Buffer.concat([
    len(1, 'Twice'),
    len(4, 'in'),
    len(5, 'out'),
    len(6, 'times'),
    len(11, len(1, 'alpha'), float(2, 0.5), int(20, 1)),
    len(7, len(1, 'in'), len(1, 'in'), len(2, 'double'), len(4, 'Add')),
    unknownFields(),
    len(
      7,
      len(1, 'double'),
      len(2, 'out'),
      len(4, 'Scale'),
      len(5, len(1, 'by'), len(21, 'times'), int(20, 2)),
      len(7, 'my.domain'),
    ),
    len(9, int(2, 17)),
    len(9, len(1, 'my.domain'), int(2, 1)),
    len(10, 'local'),
    info(12, 'double', tensorType(1)),
    len(13, 'over'),
    entry(14, 'function key', 'function value'),
  ])
}

/**
 * A model with everything the format has: unknown fields at all levels, packed and unpacked lists, NaN payloads, fields out
 * of order, names that are not UTF-8, padded numbers, nested graphs, a function, sparse and typed tensors.
 */
export function richModel(): Buffer {
  return Buffer.concat([
    // A version in two bytes where one would do.
    Buffer.concat([tag(1, 0), Buffer.from([0x8a, 0x00])]),
    len(8, len(1, ''), int(2, 17)),
    unknownFields(),
    len(7, graph()),
    len(2, 'test'),
    len(8, int(2, 1), len(1, 'my.domain'), unknownFields()),
    len(8, len(1, 'local'), int(2, 1)),
    entry(14, 'key', 'value'),
    int(5, 3),
    len(4, 'org.example'),
    len(20, len(1, branch('train', 'step')), entry(3, 'a', 'b')),
    len(25, localFunction()),
    len(26, len(1, 'device'), int(2, 2), len(3, 'cpu:0')),
    len(6, 'about the model'),
  ])
}
