import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'

/**
 * The result of the activation function that alone reads a value: ReLU, GELU in any spelling, SiLU and their like. Undefined
 * where there is none.
 *
 * A function of one value is what can be computed of it, of scalars and of nothing else, and leaves through one value.
 */
export function activationBehind(value: Value, facts: Facts): Value | undefined {
  if (value.outputUses > 0) return undefined
  const inside = new Set<Value>([value])
  let found: Value | undefined
  let bends = false
  const waiting = [...value.consumers]
  for (let node = waiting.shift(); node; node = waiting.shift()) {
    const output = node.output()
    if (!output || inside.has(output) || !isOf(node, inside, facts)) continue
    inside.add(output)
    bends ||= curves.has(node.op)
    if (bends && isExit(output, inside)) found = output
    if (output.outputUses === 0) waiting.push(...output.consumers)
    if (inside.size > longest) break
  }
  return found
}

/** Values of the longest spelling of a GELU, and some. */
const longest = 24

const curves = new Set([
  ...['Relu', 'LeakyRelu', 'PRelu', 'Elu', 'Selu', 'Celu', 'Gelu', 'Erf', 'Tanh', 'Sigmoid', 'HardSigmoid'],
  ...['HardSwish', 'Mish', 'Softplus', 'Softsign', 'Clip', 'com.microsoft::Gelu', 'com.microsoft::FastGelu'],
  ...['com.microsoft::QuickGelu', 'com.microsoft::BiasGelu'],
])
const linear = new Set(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Pow', 'Identity', 'Dropout', 'Cast'])

function isOf(node: Node, inside: ReadonlySet<Value>, facts: Facts): boolean {
  if (!curves.has(node.op) && !linear.has(node.op)) return false
  return node.inputs.every((input) => !input || inside.has(input) || facts.scalar(input) !== undefined)
}

/** Whether everything else inside is read inside only. */
function isExit(exit: Value, inside: ReadonlySet<Value>): boolean {
  return [...inside].every(
    (value) =>
      value === exit ||
      (value.outputUses === 0 &&
        value.consumers.every((node) => node.outputs.some((made) => made && inside.has(made)))),
  )
}
