import type { Node, Value } from '../ir/index.ts'
import type { Step } from './site.ts'

/** The call of a model-local function a walk is inside of. */
export interface Frame {
  readonly call: Node
  readonly parent: Frame | undefined
}

/** An axis of a value, with the way that led there. */
export interface Cursor {
  readonly value: Value
  readonly axis: number
  readonly frame: Frame | undefined
  /** Axes summed away by constant mixings on the way back (talking heads): they must turn out to be batch axes of the scores. */
  readonly mixed: readonly number[]
  /** How many mixings were passed. */
  readonly mixings: number
  readonly step: Step | undefined
  readonly from: Cursor | undefined
  /** Whether sizes vouch for every axis mapping so far. */
  readonly exact: boolean
}

export function startAt(value: Value, axis: number, frame?: Frame): Cursor {
  return { value, axis, frame, mixed: [], mixings: 0, step: undefined, from: undefined, exact: true }
}

/** The steps of a walk in dataflow order; `undefined` when a step is uncertain or leaves the graph. */
export function pathOf(cursor: Cursor, direction: 'back' | 'forward'): Step[] | undefined {
  if (!cursor.exact) return undefined
  const steps: Step[] = []
  for (let at: Cursor | undefined = cursor; at?.from; at = at.from) {
    if (!at.step) return undefined
    steps.push(at.step)
  }
  return direction === 'back' ? steps : steps.reverse()
}

/** Tells calls apart. */
export function frameName(frame: Frame | undefined): string {
  return frame ? `${frame.call.output()?.name}<${frameName(frame.parent)}` : ''
}

/** The cursor behind one node. `mixed` are the axes to track from now on. */
export function follow(cursor: Cursor, value: Value, step: Step, axis: number, how: Partial<Cursor> = {}): Cursor {
  return { ...cursor, value, axis, step, from: cursor, ...how, exact: cursor.exact && (how.exact ?? true) }
}

/** The cursor across the border of a function or an If, which no path may cross. */
export function jump(cursor: Cursor, value: Value, frame: Frame | undefined): Cursor {
  return { ...cursor, value, frame, step: undefined, from: cursor, exact: false }
}

/** The mixed axes on the other side of a node; `undefined` when one is lost. A merged axis stands for all its parts. */
export function carryMixed(cursor: Cursor, map: (axis: number) => readonly number[]): number[] | undefined {
  const mixed = cursor.mixed.map(map)
  return mixed.every((axes) => axes.length > 0) ? [...new Set(mixed.flat())] : undefined
}
