import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sharp } from 'sharp'
import { dtypes, isFloat, OwnedPayload, Tensor } from '../ir/index.ts'
import { mismatchError } from './check.ts'
import type { Canvas, ImageOptions, ImageRecipe, Resize } from './image-recipe.ts'
import { recipeFor } from './image-recipe.ts'
import type { ModelInput } from './inputs.ts'
import { describeType } from './inputs.ts'
import type { Pixels } from './netpbm.ts'
import { readNetpbm } from './netpbm.ts'
import { loadPackage } from './optional.ts'
import type { Reader, Row } from './reader.ts'
import { UnusableSample } from './reader.ts'

export interface ImageFiles {
  readonly folder: string
  /** Relative to the folder. */
  readonly names: readonly string[]
  /** The `preprocessor_config.json` to use. */
  readonly config: string | undefined
}

/** Samples from pictures, one at a time: decoded, resized, cropped and normalised as declared. */
export async function imageReader(
  { folder, names, config }: ImageFiles,
  inputs: readonly ModelInput[],
  options: ImageOptions = {},
): Promise<Reader> {
  const input = pictureInput(folder, inputs)
  const layout = layoutOf(input, options)
  const recipe = recipeFor(folder, options, config, canvasOf(input, layout))
  const { default: sharp } = await loadPackage('sharp', 'images', () => import('sharp'))
  const decode = (pixels: Pixels | Uint8Array): Sharp =>
    'data' in pixels ? sharp(pixels.data, { raw: { ...pixels, channels: pixels.channels as 1 | 3 } }) : sharp(pixels)
  return {
    kind: 'images',
    count: names.length,
    notes: [`images are ${describeRecipe(recipe)}, as ${layout.toUpperCase()}`],
    preparation: { ...recipe, layout },
    files: (positions) => [
      ...Array.from(positions, (position) => join(folder, names[position] as string)),
      ...(config === undefined ? [] : [config]),
    ],
    async *read(positions): AsyncGenerator<Row> {
      for (const position of positions) {
        const id = names[position] as string
        try {
          const pixels = await prepared(decode, join(folder, id), recipe)
          yield { position, id, feeds: { [input.name]: tensorOf(pixels, recipe, layout, input) } }
        } catch (error) {
          yield { position, id, problem: (error as Error).message }
        }
      }
    },
  }
}

function pictureInput(folder: string, inputs: readonly ModelInput[]): ModelInput {
  const isPicture = ({ shape, dtype }: ModelInput) =>
    (shape === undefined || shape.length === 4) && (isFloat(dtype) || dtype === dtypes.uint8)
  const input = inputs.find(isPicture)
  const others = inputs.filter((other) => other !== input)
  if (input !== undefined && others.length === 0) return input
  const advice = 'images give one input of four axes'
  const rows = others.map(({ name, dtype, shape }) => ({
    input: name,
    sort: 'missing' as const,
    wanted: describeType(dtype, shape),
    given: 'an image',
    advice,
  }))
  throw mismatchError(folder, rows)
}

type Layout = 'nchw' | 'nhwc'

/** Where the model does not say where its channels are, they come first, as ONNX has them. */
function layoutOf({ shape }: ModelInput, { layout }: ImageOptions): Layout {
  const isChannels = (dim: unknown) => dim === 1 || dim === 3
  return layout ?? (isChannels(shape?.[3]) && !isChannels(shape?.[1]) ? 'nhwc' : 'nchw')
}

function canvasOf({ shape, dtype }: ModelInput, layout: Layout): Canvas {
  const [channels, height, width] = layout === 'nchw' ? [1, 2, 3] : [3, 1, 2]
  const sizeAt = (axis: number) => {
    const size = shape?.[axis]
    return typeof size === 'number' && size > 0 ? size : undefined
  }
  return {
    width: sizeAt(width),
    height: sizeAt(height),
    channels: sizeAt(channels) === 1 ? 1 : 3,
    isFloat: isFloat(dtype),
  }
}

async function prepared(
  decode: (pixels: Pixels | Uint8Array) => Sharp,
  path: string,
  { resize, kernel, crop }: ImageRecipe,
): Promise<Pixels> {
  const bytes = await readFile(path)
  if (bytes.length === 0) throw new UnusableSample('the file is empty')
  const source = /\.p[gp]m$/i.test(path) ? readNetpbm(bytes) : bytes
  // Colours and transparency first: three channels whatever the file has.
  const plain = await raw(decode(source).toColourspace('srgb').removeAlpha())
  const size = resize === undefined ? plain : sizeFor(resize, plain)
  const isSame = size.width === plain.width && size.height === plain.height
  const { width, height } = size
  const resized = isSame
    ? plain
    : await raw(decode(plain).resize({ width, height, fit: 'fill', kernel, fastShrinkOnLoad: false }))
  return crop === undefined ? resized : cropped(resized, crop)
}

async function raw(picture: Sharp): Promise<Pixels> {
  const { data, info } = await picture.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
  return { width: info.width, height: info.height, channels: info.channels, data }
}

/** Sizes are cut off, not rounded, as torchvision and the image processors of transformers do. */
function sizeFor(resize: Resize, { width, height }: { width: number; height: number }) {
  if (resize.kind === 'exact') return { width: resize.width, height: resize.height }
  const { side } = resize
  const follow = (other: number, own: number) => Math.max(1, Math.trunc((other * side) / own))
  if (resize.kind !== 'shorter')
    return resize.kind === 'height'
      ? { width: follow(width, height), height: side }
      : { width: side, height: follow(height, width) }
  const [short, long] = [Math.min(width, height), Math.max(width, height)]
  const limit = resize.longest ?? Number.POSITIVE_INFINITY
  const shorter = (long / short) * side > limit ? Math.round((limit * short) / long) : side
  const longer = Math.trunc((shorter * long) / short)
  return width <= height ? { width: shorter, height: longer } : { width: longer, height: shorter }
}

/** The middle; black where the picture is smaller. */
function cropped(pixels: Pixels, { width, height }: { width: number; height: number }): Pixels {
  const { channels } = pixels
  const data = new Uint8Array(width * height * channels)
  const left = Math.floor((pixels.width - width) / 2)
  const top = Math.floor((pixels.height - height) / 2)
  for (let y = Math.max(0, -top); y < Math.min(height, pixels.height - top); y++) {
    const [from, to] = [Math.max(0, -left), Math.min(width, pixels.width - left)]
    const start = ((y + top) * pixels.width + left + from) * channels
    data.set(pixels.data.subarray(start, start + (to - from) * channels), (y * width + from) * channels)
  }
  return { width, height, channels, data }
}

function tensorOf(pixels: Pixels, recipe: ImageRecipe, layout: Layout, input: ModelInput): Tensor {
  const { width, height } = pixels
  const channels = recipe.mean.length
  const area = width * height
  const values = new Float32Array(area * channels)
  for (let c = 0; c < channels; c++) {
    const [mean, std] = [recipe.mean[c] as number, recipe.std[c] as number]
    for (let i = 0; i < area; i++) {
      const value = (channelOf(pixels, i, c, recipe.channels) * recipe.scale - mean) / std
      values[layout === 'nchw' ? c * area + i : i * channels + c] = value
    }
  }
  const dims = layout === 'nchw' ? [1, channels, height, width] : [1, height, width, channels]
  if (input.dtype !== dtypes.float) return Tensor.of(input.dtype, dims, values)
  return new Tensor({ dtype: input.dtype, dims, payload: new OwnedPayload(new Uint8Array(values.buffer)) })
}

/** Gray is PIL's: luma of ITU-R 601-2 in 16 bits. */
function channelOf({ data, channels }: Pixels, i: number, c: number, order: ImageRecipe['channels']): number {
  const at = i * channels
  if (channels < 3) return data[at] as number
  if (order !== 'gray') return data[at + (order === 'rgb' ? c : 2 - c)] as number
  const [r, g, b] = [data[at] as number, data[at + 1] as number, data[at + 2] as number]
  return (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16
}

function describeRecipe({ resize, kernel, crop, scale, mean, std, channels }: ImageRecipe): string {
  const steps = [
    resize === undefined ? 'not resized' : `resized to ${describeResize(resize)} (${kernel})`,
    ...(crop === undefined ? [] : [`cropped to ${crop.width}x${crop.height}`]),
    `scaled by ${Number(scale.toPrecision(6))}`,
    `normalised with mean ${mean.join(',')} and deviation ${std.join(',')}`,
    `in ${channels}`,
  ]
  return steps.join(', ')
}

function describeResize(resize: Resize): string {
  if (resize.kind === 'exact') return `${resize.width}x${resize.height}`
  return `${resize.kind === 'shorter' ? 'a shorter side' : `a ${resize.kind}`} of ${resize.side}`
}

export function isPicture(file: string): boolean {
  return /\.(jpe?g|png|webp|tiff?|gif|avif|pgm|ppm)$/i.test(file)
}
