/**
 * Where weights go. `auto`: where they are; into a file of their own when an edited model would pass what runtimes can
 * parse. `always`: those of 1 KiB and more into a file of their own; a model that has none stays one file. `never`: all into
 * the model. `link`: those of 1 KiB and more stay in the input file and the new model refers to them there.
 */
export const externalDataModes = ['auto', 'always', 'never', 'link'] as const
export type ExternalData = (typeof externalDataModes)[number]
