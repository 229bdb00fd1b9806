import { tooDeep } from '../../errors.ts'
import type { Scan } from '../../wire/index.ts'
import { depthLimit, place, wireType } from '../../wire/index.ts'
import { packedIntegers } from './numbers.ts'

/**
 * The messages inside each message, by field number, and its lists of numbers that may be packed: of varints (`integers`)
 * or of 4 or 8 bytes. Source: onnx.proto.
 */
interface Layout {
  readonly messages?: Readonly<Record<number, MessageName>>
  readonly integers?: readonly number[]
  readonly fixed?: Readonly<Record<number, 4 | 8>>
}

export type MessageName =
  | 'Annotation'
  | 'Attribute'
  | 'Device'
  | 'Dimension'
  | 'Entry'
  | 'Function'
  | 'Graph'
  | 'IntegerList'
  | 'Map'
  | 'Node'
  | 'NodeDevice'
  | 'OneType'
  | 'Opset'
  | 'Plain'
  | 'Shape'
  | 'ShardedDim'
  | 'Sharding'
  | 'SparseTensor'
  | 'Tensor'
  | 'TensorType'
  | 'Training'
  | 'Type'
  | 'ValueInfo'

const layouts: Record<MessageName, Layout> = {
  Annotation: { messages: { 2: 'Entry' } },
  Attribute: {
    messages: {
      5: 'Tensor',
      6: 'Graph',
      10: 'Tensor',
      11: 'Graph',
      14: 'Type',
      15: 'Type',
      22: 'SparseTensor',
      23: 'SparseTensor',
    },
    integers: [8],
    fixed: { 7: 4 },
  },
  Device: {},
  Dimension: {},
  Entry: {},
  Function: { messages: { 7: 'Node', 9: 'Opset', 11: 'Attribute', 12: 'ValueInfo', 14: 'Entry' } },
  Graph: {
    messages: {
      1: 'Node',
      5: 'Tensor',
      11: 'ValueInfo',
      12: 'ValueInfo',
      13: 'ValueInfo',
      14: 'Annotation',
      15: 'SparseTensor',
      16: 'Entry',
    },
  },
  IntegerList: { integers: [2] },
  Map: { messages: { 2: 'Type' } },
  Node: { messages: { 5: 'Attribute', 9: 'Entry', 10: 'NodeDevice' } },
  NodeDevice: { messages: { 2: 'Sharding' } },
  OneType: { messages: { 1: 'Type' } },
  Opset: {},
  Plain: {},
  Shape: { messages: { 1: 'Dimension' } },
  ShardedDim: { messages: { 2: 'Plain' } },
  Sharding: { messages: { 3: 'IntegerList', 4: 'ShardedDim' }, integers: [2] },
  SparseTensor: { messages: { 1: 'Tensor', 2: 'Tensor' }, integers: [3] },
  Tensor: { messages: { 3: 'Plain', 13: 'Entry', 16: 'Entry' }, integers: [1, 5, 7, 11], fixed: { 4: 4, 10: 8 } },
  TensorType: { messages: { 2: 'Shape' } },
  Training: { messages: { 1: 'Graph', 2: 'Graph', 3: 'Entry', 4: 'Entry' } },
  Type: { messages: { 1: 'TensorType', 4: 'OneType', 5: 'Map', 7: 'Plain', 8: 'TensorType', 9: 'OneType' } },
  ValueInfo: { messages: { 2: 'Type', 4: 'Entry' } },
}

/**
 * Walks a message that nobody reads but that is passed on, so that a file that is damaged there is refused with the
 * offset. With `numbers`, packed lists of numbers are walked too; without, they are left to whoever reads them.
 */
export function checkMessage(field: Scan, name: MessageName, numbers = true, depth = 3): void {
  if (depth > depthLimit) throw tooDeep(place(field.source, field.start))
  const scan = field.inner()
  const { messages, integers, fixed } = layouts[name]
  while (scan.next()) {
    if (scan.wire !== wireType.bytes) continue
    const inner = messages?.[scan.number]
    if (inner !== undefined) checkMessage(scan, inner, numbers, depth + 1)
    else if (numbers && integers?.includes(scan.number)) packedIntegers(scan.source, scan.body, scan.end, () => {})
    else if (numbers && (scan.end - scan.body) % (fixed?.[scan.number] ?? 1) !== 0) {
      throw scan.fault(`packed numbers at byte ${scan.body} end within a number`, scan.body)
    }
  }
}
