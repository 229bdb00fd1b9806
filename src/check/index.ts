/** Whether models still become what they became: a lock file, and what is to be compared with it. */
export type { CheckOptions } from './check.ts'
export { check } from './check.ts'
export { defaultLock, lineOf, readLock } from './lock.ts'
export type { ConvertSettings, QuantizeSettings } from './settings.ts'
export type { ModelToRecord } from './tasks.ts'
export type { Thresholds } from './thresholds.ts'
