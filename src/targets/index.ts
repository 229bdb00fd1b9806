import { onnx } from './onnx.ts'
import { ort } from './ort.ts'
import type { Target } from './target.ts'
import { tensorrt } from './tensorrt.ts'

export type { ImportSymptom, ImportTrap } from './build-traps.ts'
export type { FormFacts } from './choose.ts'
export { candidates, objection } from './choose.ts'
export type { FusedPart, FusedSpec } from './fused.ts'
export { fusedNeedsProvider, fusedObjection, fusedSince } from './fused.ts'
export type { FusionFacts, FusionRule, QuantizedAttention } from './fusion.ts'
export { brokenRules } from './fusion.ts'
export type { Need, Standing } from './needs.ts'
export { neededVersion, raisedFor, standingOf } from './needs.ts'
export type { RuntimeTrap, SessionOption, Symptom } from './ort-traps.ts'
export { asItStands, exactOnOldProcessors, ortTraps, trapsOf } from './ort-traps.ts'
export type {
  BuildFacts,
  Form,
  FormConditions,
  FormSpec,
  Provider,
  Target,
  TargetChoice,
  TargetName,
} from './target.ts'
export { forms, providers, targetNames } from './target.ts'
export type { QdqFinding, QdqRule } from './tensorrt-qdq.ts'
export { checkQdq } from './tensorrt-qdq.ts'
export { compareVersions } from './version.ts'

/** Every target, by name. */
export const targets: ReadonlyMap<string, Target> = new Map(
  [ort, tensorrt, onnx].map((target) => [target.name, target]),
)
