import type { Dim, Value } from '../ir/index.ts'
import { isFloat } from '../ir/index.ts'
import type { Size } from './size.ts'
import { sizeOfName } from './size.ts'
import { largestContent } from './tensor-content.ts'

/** A name for an axis (or an element) of a value that nobody names, the same every time it is asked for. */
export function axisSymbol(value: Value, index: number, of: 'axis' | 'element' = 'axis'): Size {
  return `⟨${value.name.replaceAll('*', '×')}⟩${of === 'axis' ? '' : 'e'}${index}`
}

/** Whether the declared shape says all there is to know about a value. */
export function isStatic(shape: readonly Dim[] | undefined, value: Value): boolean {
  if (shape?.every((d) => typeof d === 'number') !== true) return false
  // Small integer tensors are followed even where their shape is declared, as are single numbers: their content matters.
  const count = (shape as readonly number[]).reduce((a, b) => a * b, 1)
  const dtype = value.dtype
  const mayCarrySizes = dtype === undefined || !isFloat(dtype) || value.producer?.opType === 'Constant'
  return count > (mayCarrySizes ? largestContent : 1)
}

/** Declared sizes where they are numbers, inferred ones where they say more than a declared name. */
export function mergeShapes(
  declared: readonly Dim[] | undefined,
  inferred: readonly Size[] | undefined,
  value: Value,
): readonly Size[] | undefined {
  if (!declared) return inferred
  const usable = inferred?.length === declared.length ? inferred : undefined
  return declared.map((dim, axis) => {
    if (typeof dim === 'number') return dim
    const size = usable?.[axis]
    if (size !== undefined && !isMadeUp(size)) return size
    return typeof dim === 'string' && dim !== '' ? sizeOfName(dim) : (size ?? axisSymbol(value, axis))
  })
}

function isMadeUp(size: Size): boolean {
  return typeof size === 'string' && size.startsWith('⟨') && !size.includes('*')
}
