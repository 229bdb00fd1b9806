import type { Attribute, DType, Node, Value } from '../../ir/index.ts'
import { attr, dtypes, Tensor } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import { coerceToMatrix, replaceNode } from './replace.ts'

/** How an operator of the opset before `at` is spelled in `at`. */
export interface RaiseRule {
  readonly at: number
  /** Attributes that are read: they must not stand for attributes of the enclosing function. */
  readonly reads?: readonly string[]
  /** Why a node cannot be raised, as the end of a sentence about it. */
  refuse?(node: Node, facts: Facts): string | undefined
  /** Edits the node in place, or returns the one that took its place. Every output keeps its name. */
  apply(node: Node, facts: Facts): Node | undefined
}

/** Operators that changed between opsets 7 and 21, with what each change asks for. Source: onnx/docs/Changelog.md. */
export const rules: ReadonlyMap<string, readonly RaiseRule[]> = new Map<string, readonly RaiseRule[]>([
  ...['Softmax', 'LogSoftmax', 'Hardmax'].map((op) => [op, [oneAxis()]] as const),
  ...['Squeeze', 'Unsqueeze', 'ReduceSum'].map((op) => [op, [intsToInputs(13, ['axes'])]] as const),
  ...reductions().map((op) => [op, [intsToInputs(18, ['axes'])]] as const),
  ['Split', [intsToInputs(13, ['split']), countedSplit()]],
  ['Slice', [intsToInputs(10, ['starts', 'ends', 'axes'])]],
  ['TopK', [intsToInputs(10, ['k'])]],
  ['Pad', [padToInputs()]],
  ['Clip', [boundsToInputs()]],
  ['Dropout', [maskOfDropout(), ratioToInput()]],
  ['BatchNormalization', [spatialNormalization(), oneResult()]],
  ['Upsample', [scalesToInput(), becomeResize()]],
  ['Resize', [asymmetricResize(), withoutHalfPixelForNearest()]],
  ['Scatter', [{ at: 11, apply: (node) => replaceNode(node, { opType: 'ScatterElements' }) }]],
  ['RoiAlign', [outputHalfPixel()]],
  ['GridSample', [modesByName()]],
  ['DFT', [axisToInput()]],
  ['Scan', [refusing(9, 'reads a batch of sequences')]],
  ['GroupNormalization', [refusing(21, 'has a scale for each group')]],
])

function reductions(): string[] {
  return ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare'].map((name) => `Reduce${name}`)
}

function refusing(at: number, reason: string): RaiseRule {
  return { at, refuse: () => reason, apply: () => undefined }
}

/** Integer attributes become the inputs behind the first. */
function intsToInputs(at: number, names: readonly string[]): RaiseRule {
  return {
    at,
    reads: names,
    apply(node) {
      for (const [i, name] of names.entries()) {
        const values = take(node, name)
        const ints = values?.kind === 'ints' ? values.value : values?.kind === 'int' ? [values.value] : []
        if (ints.length > 0)
          node.setInput(i + 1, constant(node, Tensor.of(dtypes.int64, [ints.length], ints.map(BigInt))))
      }
      return undefined
    },
  }
}

/** Before opset 13 an input is a matrix, cut at the axis; since then it is one axis of its own. */
function oneAxis(): RaiseRule {
  return {
    at: 13,
    reads: ['axis'],
    apply(node, facts) {
      const input = node.input(0) as Value
      const axis = node.int('axis') ?? 1
      const rank = facts.rank(input)
      if (axis !== -1 && axis + 1 !== rank) coerceToMatrix(node, axis)
      node.setAttribute('axis', attr.int(-1))
      return undefined
    },
  }
}

/** Without sizes the number of parts has to be said. */
function countedSplit(): RaiseRule {
  return {
    at: 18,
    apply(node) {
      if (!node.input(1)) node.setAttribute('num_outputs', attr.int(node.outputs.length))
      return undefined
    },
  }
}

function padToInputs(): RaiseRule {
  const ints = intsToInputs(11, ['pads'])
  return {
    at: 11,
    reads: ['pads', 'value'],
    refuse: (node) => (node.float('value') ? withoutType(node) : undefined),
    apply(node, facts) {
      ints.apply(node, facts)
      const value = take(node, 'value')
      if (value?.kind === 'float' && value.value !== 0) node.setInput(2, scalarLike(node, value.value))
      return undefined
    },
  }
}

function boundsToInputs(): RaiseRule {
  return {
    at: 11,
    reads: ['min', 'max'],
    refuse: (node) => (node.attributes.has('min') || node.attributes.has('max') ? withoutType(node) : undefined),
    apply(node) {
      for (const [i, name] of ['min', 'max'].entries()) {
        const bound = take(node, name)
        if (bound?.kind === 'float') node.setInput(i + 1, scalarLike(node, bound.value))
      }
      return undefined
    },
  }
}

/** The mask is of the type of the data before opset 10, and bool since. */
function maskOfDropout(): RaiseRule {
  return {
    at: 10,
    refuse: (node) => (node.output(1)?.isUsed ? 'gives its mask as numbers' : undefined),
    apply: () => undefined,
  }
}

function ratioToInput(): RaiseRule {
  return {
    at: 12,
    reads: ['ratio'],
    apply(node) {
      const ratio = take(node, 'ratio')
      if (ratio?.kind === 'float') node.setInput(1, constant(node, Tensor.scalar(dtypes.float, ratio.value)))
      return undefined
    },
  }
}

function spatialNormalization(): RaiseRule {
  return {
    at: 9,
    reads: ['spatial'],
    refuse: (node) => (node.int('spatial') === 0 ? 'normalises every position by itself' : undefined),
    apply(node) {
      take(node, 'spatial')
      return undefined
    },
  }
}

/** Mean and variance of training are outputs of other meaning and number since opset 14. */
function oneResult(): RaiseRule {
  return {
    at: 14,
    refuse: (node) => (node.outputs.slice(1).some((value) => value?.isUsed) ? 'gives what training needs' : undefined),
    apply: (node) => (node.outputs.length > 1 ? replaceNode(node, { outputs: [node.output()] }) : undefined),
  }
}

function scalesToInput(): RaiseRule {
  return {
    at: 9,
    reads: ['scales'],
    apply(node) {
      const scales = take(node, 'scales')
      if (scales?.kind === 'floats')
        node.setInput(1, constant(node, Tensor.of(dtypes.float, [scales.value.length], scales.value)))
      return undefined
    },
  }
}

function becomeResize(): RaiseRule {
  return { at: 10, apply: (node) => replaceNode(node, { opType: 'Resize' }) }
}

/** What Resize did before it could be asked for: `x_original = floor(x / scale)`. Which way a reduction rounds is not said. */
function asymmetricResize(): RaiseRule {
  return {
    at: 11,
    reads: ['mode'],
    refuse(node, facts) {
      const scales = facts.numbers(node.input(1))
      const nearest = (node.string('mode') ?? 'nearest') === 'nearest'
      return nearest && !scales?.every((scale) => scale >= 1) ? 'may reduce its input by nearest neighbours' : undefined
    },
    apply(node) {
      const roi = constant(node, Tensor.of(dtypes.float, [0], []))
      node.setAttribute('coordinate_transformation_mode', attr.string('asymmetric'))
      if ((node.string('mode') ?? 'nearest') === 'nearest') node.setAttribute('nearest_mode', attr.string('floor'))
      node.setInput(2, node.input(1))
      node.setInput(1, roi)
      return undefined
    },
  }
}

function withoutHalfPixelForNearest(): RaiseRule {
  const mode = 'coordinate_transformation_mode'
  return {
    at: 13,
    reads: [mode],
    refuse: (node) => (node.string(mode) === 'tf_half_pixel_for_nn' ? 'uses tf_half_pixel_for_nn' : undefined),
    apply: () => undefined,
  }
}

function outputHalfPixel(): RaiseRule {
  return {
    at: 16,
    apply(node) {
      node.setAttribute('coordinate_transformation_mode', attr.string('output_half_pixel'))
      return undefined
    },
  }
}

function modesByName(): RaiseRule {
  return {
    at: 20,
    reads: ['mode'],
    apply(node) {
      const mode = node.string('mode') ?? 'bilinear'
      node.setAttribute('mode', attr.string(mode === 'bilinear' ? 'linear' : mode === 'bicubic' ? 'cubic' : mode))
      return undefined
    },
  }
}

function axisToInput(): RaiseRule {
  return {
    at: 20,
    reads: ['axis'],
    apply(node) {
      const axis = take(node, 'axis')
      node.setInput(2, constant(node, Tensor.of(dtypes.int64, [], [axis?.kind === 'int' ? axis.value : 1])))
      return undefined
    },
  }
}

/** An attribute, which the node has no more. */
function take(node: Node, name: string): Attribute | undefined {
  const attribute = node.attributes.get(name)
  if (attribute) node.setAttribute(name, undefined)
  return attribute
}

function withoutType(node: Node): string | undefined {
  return typeOf(node) === undefined ? 'has an unknown element type' : undefined
}

function typeOf(node: Node): DType | undefined {
  const [input, output] = [node.input(0), node.output()]
  return (input && dtypeOf(input)) ?? (output && dtypeOf(output))
}

function scalarLike(node: Node, value: number): Value {
  return constant(node, Tensor.scalar(typeOf(node) ?? dtypes.float, value))
}

function constant(node: Node, tensor: Tensor): Value {
  return new Ops({ graph: node.graph, before: node, name: node.label, opset: 7 }).constant(tensor)
}
