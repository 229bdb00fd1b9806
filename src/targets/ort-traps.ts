import { compareVersions } from './version.ts'

/** What a model can have that some release of ONNX Runtime does badly; `symptomsOf` finds it. */
export const symptoms = [
  'declared-residual',
  'float8-activation',
  'saturating-weight',
  'signed-softmax',
  'float-bias-of-rank-2',
] as const
export type Symptom = (typeof symptoms)[number]

/** A setting of a session: `extra.session` of onnxruntime-node, `add_session_config_entry` in Python. */
export interface SessionOption {
  readonly key: string
  readonly value: string
}

/** Something that releases of ONNX Runtime do wrong or slowly, from `since` on and up to the release `before`. */
export interface RuntimeTrap {
  /** Of the warning. */
  readonly code: string
  readonly symptom: Symptom
  readonly since?: string
  /** The first release without it; left out where none is known. */
  readonly before?: string
  /** The end of a sentence that begins with the runtime and its version. */
  readonly message: string
  /** What to do, as a sentence. */
  readonly advice: string
  readonly session?: SessionOption
  readonly source: string
}

/** What makes x64 processors without VNNI exact with the whole of s8; ONNX Runtime has it from 1.13 on. */
export const exactOnOldProcessors: SessionOption = { key: 'session.x64quantprecision', value: '1' }

/** What makes a session compute QuantizeLinear and DequantizeLinear as they stand. */
export const asItStands: SessionOption = { key: 'session.disable_quant_qdq', value: '1' }

export const ortTraps: readonly RuntimeTrap[] = [
  {
    code: 'runtime-slow-residual',
    symptom: 'declared-residual',
    since: '1.30',
    message:
      'makes SkipLayerNormalization of an Add and a LayerNormalization whose shapes are declared, which is slower on CPU',
    advice: 'Take the value_info of these models out, or do not run shape inference over them.',
    source:
      'Measured on x64 with 1.30 and 1.32: the fusion; on 1.32: 318 against 55 us for 1x128x384, 649 against 130 us for 1x128x768.',
  },
  {
    code: 'runtime-saturates',
    symptom: 'saturating-weight',
    message: 'adds pairs of u8 s8 products in 16 bits on this processor, which has no VNNI: large ones are cut off',
    advice: 'Quantize with --reduce-range.',
    session: exactOnOldProcessors,
    source: 'microsoft/onnxruntime #12088 (the option, in 1.13), #6004 and #11576 (wrong results).',
  },
  {
    code: 'runtime-refuses-float8',
    symptom: 'float8-activation',
    since: '1.17',
    message: 'refuses float8 in front of a MatMul on CPU from the optimization level extended on',
    advice: 'Take the optimization level basic.',
    session: asItStands,
    source: 'Measured on 1.30: a type error of the MatMulIntegerToFloat fusion; the model loads with the option.',
  },
  {
    code: 'runtime-wraps-softmax',
    symptom: 'signed-softmax',
    since: '1.13',
    before: '1.30',
    message: 'turns probabilities near 1 into the smallest s8 where Softmax stands between s8 quantizers',
    advice: 'Quantize probabilities to u8.',
    session: asItStands,
    source: 'microsoft/onnxruntime #29727, mended by #29728; 1.30 and 1.32 were run and saturate.',
  },
  {
    code: 'runtime-float-gemm',
    symptom: 'float-bias-of-rank-2',
    message: 'makes a Gemm that runs in float of a quantized product of rank 2 with a float bias',
    advice: 'Quantize its bias to s32 too.',
    session: { key: 'optimization.disable_specified_optimizers', value: 'MatMulAddFusion' },
    source: 'Measured on 1.30: two DequantizeLinear and a float Gemm; MatMulIntegerToFloat and Add with the option.',
  },
]

/** The traps a release has among the symptoms of a model, in the order of the table. */
export function trapsOf(
  version: string,
  found: ReadonlySet<Symptom>,
  table: readonly RuntimeTrap[] = ortTraps,
): readonly RuntimeTrap[] {
  return table.filter(
    ({ symptom, since, before }) =>
      found.has(symptom) &&
      (since === undefined || compareVersions(version, since) >= 0) &&
      (before === undefined || compareVersions(version, before) < 0),
  )
}
