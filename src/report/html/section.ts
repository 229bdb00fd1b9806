import type { ModelReport } from '../model-report.ts'
import type { Markup } from './markup.ts'

/** A part of the page. */
export interface Section {
  readonly id: string
  readonly title: string
  /** Undefined where the report has nothing to show. */
  body(report: ModelReport): Markup | undefined
  /** The command that gives what is not there; undefined where nothing would. */
  readonly missing: ((model: string) => string) | undefined
}
