import type { Node, Value } from '../src/ir/index.ts'
import { Tensor } from '../src/ir/index.ts'
import { constantTensor, Facts } from '../src/ops/index.ts'
import type {
  ChannelAffine,
  ColumnSource,
  Migration,
  ProductGroup,
  Quantization,
  WeightProduct,
} from '../src/quantize/index.ts'
import {
  channelAffineOf,
  columnsBehind,
  contract,
  findProducts,
  groupsToQuantize,
  isPrivate,
  migrationOf,
  scaled,
} from '../src/quantize/index.ts'
import { definePass, dropUnread, equivalent, Ops, opsetOf, replaceConstant } from '../src/rewrite/index.ts'

/**
 * Moves the outlier channels of what is going to be quantized into the weights that read it: `x W + b` becomes
 * `((x - z) / s) (s W) + (b + z W)`, with s and z by channel (SmoothQuant; OutlierTune's symmetrization).
 *
 * The division costs nothing where a step by channel makes the value: gamma and beta of a normalisation (a second one
 * where others read the first), the columns of the weight the channels come from (values of attention, gates, ReLU).
 * Elsewhere it is one Mul; only normalised values are shifted, because an attention row need not sum to 1.
 */
export const smoothActivations = definePass({
  name: 'smooth-activations',
  stage: 'adapt',
  summary: 'Move outlier channels of activations into the weights before quantization.',
  effect: equivalent,
  run(model, { quantization }) {
    if (quantization?.settings.alpha === undefined || quantization.settings.recipe.startsWith('weights')) return 0
    const facts = new Facts()
    const products = new Map(findProducts(model, facts).products.map((product) => [product.node, product]))
    // All scales come from the weights as they were, so all are found before the first is applied.
    const plans = groupsToQuantize(model, quantization, facts).flatMap(
      (group) => planOf(group, products, quantization, facts) ?? [],
    )
    for (const plan of plans) apply(plan, quantization)
    return plans.length
  },
})

type Form =
  | { readonly kind: 'affine'; readonly affine: ChannelAffine; readonly alone: boolean }
  | { readonly kind: 'columns'; readonly source: ColumnSource }
  | { readonly kind: 'mul' }

interface Plan {
  readonly group: ProductGroup
  readonly migration: Migration
  readonly form: Form
}

function planOf(
  group: ProductGroup,
  products: ReadonlyMap<Node, WeightProduct>,
  quantization: Quantization,
  facts: Facts,
): Plan | undefined {
  const { input } = group
  const channels = quantization.statisticsOf(input)?.channels
  const size = group.products[0]?.tensor.dims[group.products[0].inputAxis]
  if (quantization.isMigrated(input) || channels?.axis !== -1 || channels.min.length !== size) return undefined
  if (!group.products.every(ownsWeight)) return undefined
  const { alpha = 0, symmetrize, preDequantize, recipe } = quantization.settings
  const form = formOf(group, size, products, facts)
  const shiftable = form.kind === 'affine' && form.affine.betaPort !== undefined
  const symmetric = symmetrize && shiftable && group.products.every(({ bias }) => bias !== undefined)
  const unit = preDequantize && form.kind === 'affine'
  const shares = form.kind === 'columns' ? form.source.columns : undefined
  const dynamic = recipe === 'int8-dynamic'
  const kind = { unit, dynamic, normalised: form.kind === 'affine' }
  const migration = migrationOf(channels, group.products, { alpha, symmetric, group: shares, ...kind })
  return migration && { group, migration, form }
}

/** A weight that others read too cannot be scaled for one of them. */
function ownsWeight({ weight }: WeightProduct): boolean {
  return weight.uses.length === 1 && weight.outputUses === 0
}

function formOf(
  { input, products: own }: ProductGroup,
  size: number,
  products: ReadonlyMap<Node, WeightProduct>,
  facts: Facts,
): Form {
  const readers = new Set(own.map(({ node }) => node))
  const affine = channelAffineOf(input, size, facts)
  if (affine) return { kind: 'affine', affine, alone: isPrivate(input, readers) }
  const source = columnsBehind(input, readers, products, facts)
  if (source && ownsWeight(source.product) && takesColumns(source.product)) return { kind: 'columns', source }
  return { kind: 'mul' }
}

/** Whether what a Gemm adds can be scaled by column too. */
function takesColumns({ node, bias }: WeightProduct): boolean {
  return bias !== undefined || node.opType !== 'Gemm' || node.input(2) === undefined
}

function apply({ group, migration, form }: Plan, quantization: Quantization): void {
  const { input, products } = group
  const channels = quantization.statisticsOf(input)?.channels
  const made =
    form.kind === 'affine' && (form.alone || form.affine.kind === 'operator')
      ? intoAffine(input, form.affine, form.alone, migration)
      : form.kind === 'columns'
        ? intoColumns(input, form.source, migration)
        : byMul(input, products, migration)
  if (channels) quantization.migrated(made, input, channels, migration)
  for (const product of products) {
    intoWeight(product, migration)
    product.node.setInput(0, made)
  }
  dropUnread(input)
}

/** `gamma / s` and `(beta - z) / s`, in place where nobody else reads the value, else in a second operator. */
function intoAffine(input: Value, affine: ChannelAffine, alone: boolean, { scale, shift }: Migration): Value {
  const { output: node, gamma, beta, betaPort } = affine
  const newGamma = constantLike(gamma.values, gamma.dims, (x, j) => x / at(scale, j))
  const shifts = beta !== undefined || shift.some((z) => z !== 0)
  const newBeta = shifts
    ? constantLike(
        beta?.values ?? new Float64Array(scale.length),
        beta?.dims ?? [scale.length],
        (x, j) => (x - at(shift, j)) / at(scale, j),
      )
    : undefined
  const made = node.graph.newValue(`${input.name}/smooth`)
  if (alone) {
    replaceConstant(gamma.node, gamma.port, newGamma)
    if (newBeta) replaceConstant(beta?.node ?? node, betaPort ?? 2, newBeta, `${made.name}/beta`)
    node.setOutput(0, made)
    for (const { node: reader, index } of input.uses) reader.setInput(index, made)
    return made
  }
  const { opType, domain, attributes } = node
  const constants = [newGamma, newBeta].map(
    (tensor, i) => tensor && node.graph.addInitializer(`${made.name}/${i === 0 ? 'gamma' : 'beta'}`, tensor),
  )
  node.graph.insert({ name: made.name, opType, domain, attributes }, [node.input(0), ...constants], [made], node.next)
  return made
}

/** Every column of the weight behind, and of its bias, divided by the scale of the channels it becomes. */
function intoColumns(input: Value, { product, columns }: ColumnSource, { scale }: Migration): Value {
  const { node, bias, inputAxis } = product
  const factors = new Float64Array(product.tensor.dims[1 - inputAxis] as number).fill(1)
  for (const [channel, column] of columns.entries()) factors[column] = 1 / at(scale, channel)
  replaceConstant(node, 1, scaled(weightOf(product), factors, inputAxis === 0 ? 1 : 0))
  if (bias) changeBias(product, (b, n) => b * at(factors, n))
  const producer = input.producer as Node
  const made = input.graph.newValue(`${input.name}/smooth`)
  producer.setOutput(producer.outputs.indexOf(input), made)
  for (const { node: reader, index } of input.uses) reader.setInput(index, made)
  return made
}

/** `x * (1/s)`, and `- z/s` where it is shifted. */
function byMul(input: Value, products: readonly WeightProduct[], { scale, shift }: Migration): Value {
  const first = firstOf(products)
  const name = `${input.name}/smooth`
  const ops = new Ops({ graph: first.graph, before: first, name, opset: opsetOf(first.graph) })
  const size = scale.length
  const factors = constantLike(scale, [size], (s) => 1 / s)
  const product = ops.Mul(input, ops.constant(factors.named(`${name}/factors`)))
  if (shift.every((z) => z === 0)) return product
  const offsets = constantLike(shift, [size], (z, j) => -z / at(scale, j))
  return ops.Add(product, ops.constant(offsets.named(`${name}/offsets`)))
}

/** `s W`, and `b + z W` with W as it was. */
function intoWeight(product: WeightProduct, { scale, shift }: Migration): void {
  const weight = weightOf(product)
  if (shift.some((z) => z !== 0)) {
    const moved = contract(shift, weight, product.inputAxis)
    changeBias(product, (b, n) => b + at(moved, n))
  }
  replaceConstant(product.node, 1, scaled(weight, scale, product.inputAxis))
}

/** The weight as it is now: another plan may have scaled its columns. */
function weightOf({ node, tensor }: WeightProduct): Tensor {
  const value = node.input(1)
  return (value && constantTensor(value)) ?? tensor
}

function changeBias({ bias }: WeightProduct, change: (b: number, n: number) => number): void {
  const value = bias?.node.input(bias.port)
  const tensor = value && constantTensor(value)
  if (!bias || !tensor) return
  replaceConstant(bias.node, bias.port, constantLike(tensor.toNumbers(tensor.size), tensor.dims, change))
}

function constantLike(
  values: ArrayLike<number>,
  dims: readonly number[],
  change: (x: number, j: number) => number,
): Tensor {
  return Tensor.of(1, dims, Float64Array.from(values, change))
}

function firstOf(products: readonly WeightProduct[]): Node {
  return (products[0] as WeightProduct).node
}

function at(values: Float64Array, i: number): number {
  return values[i] as number
}
