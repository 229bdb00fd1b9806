import { existsSync, readFileSync } from 'node:fs'
import { dataDamaged, dataImageRecipe, dataMissing, usage } from '../errors.ts'

/** How pictures become an input, as the user says it; what is not said is taken from `config` or from the model. */
export interface ImageOptions {
  /** A `preprocessor_config.json`; default: one that lies beside the pictures. */
  readonly config?: string | undefined
  /** `WIDTHxHEIGHT`, one number for the shorter side, or `xHEIGHT` and `WIDTHx`, whose other side follows. */
  readonly size?: string | undefined
  /** `WIDTHxHEIGHT` or one number for both, cut from the middle after resizing. */
  readonly crop?: string | undefined
  /** What a pixel of 0 to 255 is multiplied by, before mean and deviation. Default 1/255. */
  readonly scale?: number | undefined
  /** One number a channel, or one for all. */
  readonly mean?: readonly number[] | undefined
  readonly std?: readonly number[] | undefined
  readonly layout?: 'nchw' | 'nhwc' | undefined
  readonly channels?: 'rgb' | 'bgr' | 'gray' | undefined
}

/** The size to resize to. */
export type Resize =
  | { readonly kind: 'exact'; readonly width: number; readonly height: number }
  | { readonly kind: 'shorter'; readonly side: number; readonly longest: number | undefined }
  | { readonly kind: 'width' | 'height'; readonly side: number }

export type Kernel = 'nearest' | 'linear' | 'cubic' | 'lanczos3'

/** `(pixel * scale - mean[c]) / std[c]` of a resized and cropped picture. */
export interface ImageRecipe {
  readonly resize: Resize | undefined
  readonly kernel: Kernel
  readonly crop: { readonly width: number; readonly height: number } | undefined
  readonly scale: number
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly channels: 'rgb' | 'bgr' | 'gray'
}

/** What the input itself says about pictures. */
export interface Canvas {
  readonly width: number | undefined
  readonly height: number | undefined
  readonly channels: 1 | 3
  /** Integers take the pixels as they are. */
  readonly isFloat: boolean
}

/**
 * The recipe of a folder: the user's word before the config's before the model's.
 *
 * Throws `data-image-recipe` where size or normalisation is declared nowhere: a wrong guess would spoil every range.
 */
export function recipeFor(
  folder: string,
  options: ImageOptions,
  config: string | undefined,
  canvas: Canvas,
): ImageRecipe {
  const declared = config === undefined ? {} : readConfig(config)
  const { width, height } = canvas
  const fixed = width === undefined || height === undefined ? undefined : ({ kind: 'exact', width, height } as const)
  const crop = options.crop === undefined ? declared.crop : parseCrop(options.crop)
  const resize = options.size === undefined ? (declared.resize ?? (crop ? undefined : fixed)) : parseSize(options.size)
  const scale = options.scale ?? declared.scale ?? (canvas.isFloat ? 1 / 255 : 1)
  const mean = options.mean ?? declared.mean ?? (canvas.isFloat ? undefined : [0])
  const std = options.std ?? declared.std ?? (canvas.isFloat ? undefined : [1])
  if (mean === undefined || std === undefined || (resize === undefined && crop === undefined)) {
    const absent = { size: resize ?? crop, mean, std }
    throw dataImageRecipe(
      folder,
      Object.entries(absent).flatMap(([name, value]) => (value === undefined ? [name] : [])),
    )
  }
  const channels = options.channels ?? (canvas.channels === 1 ? 'gray' : 'rgb')
  if ((channels === 'gray') !== (canvas.channels === 1))
    throw usage(`the input has ${canvas.channels} channels, which --image-channels ${channels} does not give`)
  const each = (values: readonly number[]) => perChannel(values, canvas.channels)
  return { resize, kernel: declared.kernel ?? 'linear', crop, scale, mean: each(mean), std: each(std), channels }
}

function perChannel(values: readonly number[], channels: number): readonly number[] {
  if (values.length === channels) return values
  if (values.length === 1) return Array<number>(channels).fill(values[0] as number)
  throw usage(`${values.length} numbers were given for the ${channels} channels of an image`)
}

function parseSize(text: string): Resize {
  const [, width, times, height] = /^(\d+)?(x)?(\d+)?$/.exec(text) ?? []
  if (times === undefined && width !== undefined) return { kind: 'shorter', side: Number(width), longest: undefined }
  if (width !== undefined && height !== undefined)
    return { kind: 'exact', width: Number(width), height: Number(height) }
  if (height !== undefined) return { kind: 'height', side: Number(height) }
  if (width !== undefined) return { kind: 'width', side: Number(width) }
  throw usage(
    `"${text}" is no size of an image`,
    'Write WIDTHxHEIGHT, one number for the shorter side, xHEIGHT or WIDTHx.',
  )
}

function parseCrop(text: string): { width: number; height: number } {
  const [, width, height = width] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? []
  if (width === undefined) throw usage(`"${text}" is no size to crop to`, 'Write WIDTHxHEIGHT or one number for both.')
  return { width: Number(width), height: Number(height) }
}

type Declared = Partial<Pick<ImageRecipe, 'resize' | 'kernel' | 'crop' | 'scale' | 'mean' | 'std'>>

/** PIL's numbers for filters, of which the last two have no counterpart here. */
const kernels: readonly (Kernel | undefined)[] = ['nearest', 'lanczos3', 'linear', 'cubic', undefined, undefined]

/** Reads a `preprocessor_config.json`. Source: image processors of the transformers library. */
function readConfig(path: string): Declared {
  if (!existsSync(path)) throw dataMissing(path)
  const config = parseJson(path)
  const does = (step: string, key: string) => config[step] ?? config[key] !== undefined
  const isCropped = does('do_center_crop', 'crop_size') === true
  const resample = typeof config.resample === 'number' ? config.resample : 2
  const kernel = kernels[resample]
  if (kernel === undefined) throw dataImageRecipe(path, [`a filter for resample ${resample}`])
  const resize = does('do_resize', 'size') ? sizeOf(config, path, isCropped) : undefined
  return {
    kernel,
    resize: shrunk(resize, config.crop_pct),
    crop: isCropped ? cropOf(config, path) : cropOfShare(resize, config.crop_pct),
    scale:
      config.do_rescale === false ? 1 : typeof config.rescale_factor === 'number' ? config.rescale_factor : 1 / 255,
    ...normalisation(config),
  } as Declared
}

function parseJson(path: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(readFileSync(path, 'utf8'))) as Record<string, unknown>
  } catch (error) {
    throw dataDamaged(path, (error as Error).message)
  }
}

/** A bare number is the shorter side where something is cropped afterwards, and both sides where not. */
function sizeOf({ size }: Record<string, unknown>, path: string, isCropped: boolean): Resize {
  if (typeof size === 'number')
    return isCropped
      ? { kind: 'shorter', side: size, longest: undefined }
      : { kind: 'exact', width: size, height: size }
  const { width, height, shortest_edge: side, longest_edge: longest } = Object(size) as Record<string, unknown>
  if (typeof width === 'number' && typeof height === 'number') return { kind: 'exact', width, height }
  if (typeof side === 'number')
    return { kind: 'shorter', side, longest: typeof longest === 'number' ? longest : undefined }
  throw dataImageRecipe(path, [`a size that can be used (it has ${JSON.stringify(size)})`])
}

function cropOf({ crop_size: size }: Record<string, unknown>, path: string): { width: number; height: number } {
  if (typeof size === 'number') return { width: size, height: size }
  const { width, height } = Object(size) as Record<string, unknown>
  if (typeof width === 'number' && typeof height === 'number') return { width, height }
  throw dataImageRecipe(path, [`a crop that can be used (it has ${JSON.stringify(size)})`])
}

const wholeFrom = 384

/** With `crop_pct`, the shorter side becomes larger by that share, and the middle is cut out; large sizes are not cut. */
function shrunk(resize: Resize | undefined, share: unknown): Resize | undefined {
  if (resize?.kind !== 'shorter' || typeof share !== 'number') return resize
  const { side } = resize
  if (side >= wholeFrom) return { kind: 'exact', width: side, height: side }
  return { ...resize, side: Math.trunc(side / share) }
}

function cropOfShare(resize: Resize | undefined, share: unknown): { width: number; height: number } | undefined {
  if (resize?.kind !== 'shorter' || typeof share !== 'number' || resize.side >= wholeFrom) return undefined
  return { width: resize.side, height: resize.side }
}

function normalisation(config: Record<string, unknown>): Pick<Declared, 'mean' | 'std'> {
  if (config.do_normalize === false) return { mean: [0], std: [1] }
  const { image_mean: mean, image_std: std } = config
  const isList = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every((element) => typeof element === 'number')
  return isList(mean) && isList(std) ? { mean, std } : {}
}
