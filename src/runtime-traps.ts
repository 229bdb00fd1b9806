/** What the installed runtime is known to do badly with a quantized model, and the settings of a session that belong to it. */
import type { Model } from './ir/index.ts'
import type { QuantizationSettings } from './quantize/index.ts'
import type { SessionOptionEntry } from './report/index.ts'
import type { Warning } from './rewrite/index.ts'
import { hasVnni, installedRuntime } from './runtime/index.ts'
import { symptomsOf } from './symptoms.ts'
import { asItStands, exactOnOldProcessors, trapsOf } from './targets/index.ts'

/** Where a quantized model would be run. */
export interface Installation {
  /** Of ONNX Runtime; undefined where it is not installed. */
  readonly version: string | undefined
  readonly vnni: boolean | undefined
}

/** One warning for each trap of the installed runtime that the model is in. */
export function trapWarnings(
  model: Model,
  { recipe, reduceRange }: QuantizationSettings,
  { version, vnni }: Installation = { version: installedRuntime(), vnni: hasVnni() },
): readonly Warning[] {
  if (version === undefined) return []
  const found = symptomsOf(model)
  if (recipe.startsWith('int8') && !reduceRange && vnni === false) found.add('saturating-weight')
  return trapsOf(version, found).map(({ code, message, advice, session }) => {
    const option = session ? ` Or set the session option ${session.key}=${session.value}.` : ''
    return { code, message: `ONNX Runtime ${version} ${message}. ${advice}${option}` }
  })
}

/** Settings that whoever opens a session on the result should know of. */
export function sessionOptionsFor({
  recipe,
  reduceRange,
  protocol,
}: QuantizationSettings): readonly SessionOptionEntry[] {
  if (protocol !== undefined)
    return [
      { ...asItStands, why: 'every quantizer is simulated as it stands, and no kernel of integers takes its place' },
    ]
  if (!reduceRange || !recipe.startsWith('int8')) return []
  const why =
    'weights are within 7 bits, right on every x64 processor; on those without VNNI this option, of ONNX Runtime 1.13 and ' +
    'later, does the same for weights of 8 bits at some loss of speed'
  return [{ ...exactOnOldProcessors, why }]
}
