/** How an engine is built of a model, and which of its attention one kernel is expected of. */
import type { Site } from './attention/index.ts'
import { findSites } from './attention/index.ts'
import { fusionFactsOf } from './fusion-facts.ts'
import type { Model, Node, Value } from './ir/index.ts'
import { closeModel, openModel } from './onnx/index.ts'
import { Facts } from './ops/index.ts'
import type { BuildEntry, FusionEntry, ProfileEntry, ReportDocument } from './report/index.ts'
import type { BuildFacts, TargetChoice } from './targets/index.ts'
import { brokenRules } from './targets/index.ts'

/** What to do with a model at `path`, where a target builds engines. */
export function buildEntry(model: Model, build: BuildFacts, path: string, facts = new Facts()): BuildEntry {
  const attention = fusionEntries(model, build, facts)
  const profile = profileOf(model.graph.inputs)
  const plugin = [...model.graphs()].some((graph) => [...graph.nodes()].some(isPlugin))
  return { command: commandOf(build, path, profile, plugin), profile, attention, lookFor: lookFor(attention, build) }
}

/** The report of a conversion with how an engine is built of its result, where the target builds engines. */
export function withBuild(document: ReportDocument, model: Model, { target }: TargetChoice): ReportDocument {
  const { build } = target
  // A run that was stopped early leaves no model to build.
  if (!build || document.passes.at(-1)?.stage !== 'lower') return document
  const [written] = document.files
  if (document.quantization === undefined || written === undefined)
    return { ...document, build: buildEntry(model, build, written?.path ?? document.model.path ?? 'model.onnx') }
  // What was quantized is another model than the one that was converted.
  const result = openModel(written.path)
  try {
    return { ...document, build: buildEntry(result, build, written.path) }
  } finally {
    closeModel(result)
  }
}

/** The prediction for every attention step of a model, in the order of its graphs. */
function fusionEntries(model: Model, build: BuildFacts, facts: Facts): readonly FusionEntry[] {
  const plugins = [...model.graphs()].flatMap((graph) => [...graph.nodes()].filter(isPlugin))
  const own: FusionEntry[] = plugins.map((node) => ({ node: node.label, graph: '', fused: 'plugin', reasons: [] }))
  const inPlugin = (site: Site) =>
    plugins.length > 0 && (plugins.includes(site.node) || site.graphPath.startsWith('function:'))
  const sites = findSites(model).filter((site) => site.verdict.kind !== 'rejected' && !inPlugin(site))
  return own.concat(
    sites.map((site) => {
      const at = { node: site.node.label, graph: site.graphPath }
      const known = fusionFactsOf(site, facts)
      if (known === undefined) return { ...at, fused: 'unknown', reasons: [notKnown(site)] }
      const rules = brokenRules(build.fusion, known)
      const breaks = rules.filter(({ effect }) => effect === 'breaks')
      const kept = breaks.length > 0 ? breaks : rules
      const reasons = kept.map(({ code, message, advice, source }) => ({
        code,
        message: message(known),
        advice,
        source,
      }))
      return { ...at, fused: breaks.length > 0 ? 'no' : rules.length > 0 ? 'depends' : 'yes', reasons }
    }),
  )
}

function notKnown({ verdict }: Site): FusionEntry['reasons'][number] {
  const message = verdict.message.replace(/\.$/, '')
  return {
    code: 'not-known',
    message,
    advice: 'Look at the layer information.',
    source: 'Its products were not found.',
  }
}

/** Whether a node asks for a plugin before a function. */
function isPlugin(node: Node): boolean {
  return node.string('plugin_namespace') !== undefined
}

/** Sizes for every dynamic input; equal names have equal sizes, and `a + b` is their sum. */
function profileOf(inputs: readonly Value[]): readonly ProfileEntry[] {
  return inputs.flatMap((input) => {
    const { shape } = input
    if (input.initializer !== undefined || !shape?.some((dim) => typeof dim !== 'number')) return []
    const sizes = (which: keyof typeof proposals) => shape.map((dim, axis) => sizeOf(dim, axis, which))
    return [{ input: input.name, min: sizes('min'), opt: sizes('opt'), max: sizes('max') }]
  })
}

/** Of the first axis, and of every other one. */
const proposals = { min: [1, 1], opt: [1, 128], max: [8, 512] } as const

function sizeOf(dim: string | number | undefined, axis: number, which: keyof typeof proposals): number {
  const proposed = proposals[which][axis === 0 ? 0 : 1]
  if (typeof dim === 'number') return dim
  const parts = dim?.split('+').map((part) => part.trim()) ?? []
  if (parts.length < 2) return proposed
  return parts.reduce((sum, part) => sum + (/^\d+$/.test(part) ? Number(part) : proposed), 0)
}

function commandOf({ command }: BuildFacts, path: string, profile: readonly ProfileEntry[], plugin: boolean): string {
  const [program, ...flags] = command
  const shapes = (['min', 'opt', 'max'] as const).map(
    (which) =>
      `--${which}Shapes=${profile.map((entry) => `${quoted(entry.input)}:${entry[which].join('x')}`).join(',')}`,
  )
  const all = [
    `--onnx=${path}`,
    `--saveEngine=${path.replace(/\.onnx$/, '')}.engine`,
    ...flags,
    ...(profile.length > 0 ? shapes : []),
    ...(plugin ? ['--dynamicPlugins=libouteffhop_tensorrt.so'] : []),
  ]
  return [program, ...all.map(forShell)].join(' ')
}

/** A name that holds what separates names stands in quotes. */
function quoted(name: string): string {
  return /[:,]/.test(name) ? `'${name}'` : name
}

function forShell(word: string): string {
  return /^[\w./:=,+-]+$/.test(word) ? word : `"${word.replaceAll(/(["\\$`])/g, '\\$1')}"`
}

function lookFor(attention: readonly FusionEntry[], { kernels }: BuildFacts): string {
  const number = (fused: FusionEntry['fused']) => attention.filter((entry) => entry.fused === fused).length
  if (attention.length === 0) return 'There is no attention to look for in the layer information.'
  if (number('plugin') > 0)
    return `In the layer information, look for HopfieldAttention: ${number('plugin')} are expected; operators of its function instead mean that the plugin was not found.`
  const depends = number('depends') > 0 ? `, and up to ${number('depends')} more with the profile for it` : ''
  const why = number('no') > 0 ? '; the command check-target says what keeps the others apart' : ''
  return `In the layer information, look for ${kernels.join(' or ')}: ${number('yes')} of ${attention.length} attention steps are expected in one${depends}${why}.`
}
