/**
 * Every diagnostic the project can give: one factory per code, sorted by code; the only place that words a message.
 *
 * A factory returns a {@link ConvertError}. Throw it where reading cannot go on; collect it where more can be found.
 */

/** Where a diagnostic belongs: a file and byte offset, or a node, value or graph of the model. */
export interface Place {
  readonly path?: string
  readonly offset?: number
  readonly node?: string
  readonly value?: string
  readonly graph?: string
}

/** The documented process exit codes. */
export const exitCodes = {
  done: 0,
  checkFailed: 1,
  usage: 2,
  model: 3,
  data: 4,
  runtime: 5,
  output: 6,
  bug: 70,
  interrupted: 130,
} as const

export type ExitKind = keyof typeof exitCodes

/** An error with a stable `code`, the place it belongs to and what the reader can do about it. */
export class ConvertError extends Error {
  override readonly name = 'ConvertError'
  readonly code: string
  readonly kind: ExitKind
  readonly at: Place
  /** What to do, in the words of the command line: `--dry-run` is the option `dryRun` of the library. */
  readonly hint: string | undefined

  constructor(code: string, kind: ExitKind, message: string, at: Place = {}, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.kind = kind
    this.at = at
    this.hint = hint
  }

  get exitCode(): number {
    return exitCodes[this.kind]
  }
}

/** The bytes are well-formed, but what they say is not a graph that any runtime could run. */
export function brokenGraph(message: string, node: string, at: Place): ConvertError {
  return new ConvertError(
    'broken-graph',
    'model',
    message,
    { ...at, ...(node === '' ? {} : { node }) },
    'The file is damaged, or what wrote it is at fault: fetch or export it again.',
  )
}

/** The file has more structure than the reader is allowed to take in. */
export function budgetSpent(limit: number, at: Place): ConvertError {
  return new ConvertError(
    'budget-spent',
    'model',
    `the model has more structure than ${limit} units, where a field is one and a node sixteen`,
    at,
    'A crafted file looks like this. If the model is one you trust, raise the `budget` option of openModel.',
  )
}

/** A broken invariant of our own: never the user's fault. */
export function bug(message: string, at: Place = {}): ConvertError {
  return new ConvertError(
    'bug',
    'bug',
    message,
    at,
    'This is a fault of outeffhop-convert; please report it with the model or its text form.',
  )
}

/** Results cannot be kept. */
export function cacheNotWritable(folder: string, cause: unknown): ConvertError {
  return new ConvertError(
    'cache-not-writable',
    'output',
    `the cache "${folder}" cannot be written to (${cause instanceof Error ? cause.message : cause})`,
    { path: folder },
    'Name another folder in OUTEFFHOP_CACHE_DIR, or go without: --no-cache.',
    cause,
  )
}

/** Calibration was stopped; what was seen until then is kept. */
export function calibrationInterrupted(path: string, done: number, wanted: number): ConvertError {
  return new ConvertError(
    'calibration-interrupted',
    'interrupted',
    `interrupted after ${done} of ${wanted} samples, which are in "${path}"`,
    { path },
    'Go on with the same command and --resume.',
  )
}

/** A file that should be a calibration table is none, or a damaged one. */
export function calibrationMalformed(path: string, what: string): ConvertError {
  return new ConvertError(
    'calibration-malformed',
    'data',
    `"${path}" is not a calibration table: ${what}`,
    { path },
    'Make one with: outeffhop-convert calibrate MODEL --data D -o TABLE. Tables of ONNX Runtime and TensorRT are read too.',
  )
}

/** A weight meets infinity or NaN. */
export function calibrationNotFinite(value: string, sample: string): ConvertError {
  return new ConvertError(
    'calibration-not-finite',
    'data',
    `"${value}" is infinite or not a number on sample "${sample}"`,
    { value },
    'Look at the input of that sample. --on-bad-sample skip leaves such samples out.',
  )
}

/** Parts of a table have a sample in common. */
export function calibrationOverlap(sample: number): ConvertError {
  return new ConvertError(
    'calibration-overlap',
    'data',
    `sample ${sample} is in two of the parts`,
    {},
    'Merge each part once, and parts of one division only: --shard 1/N to --shard N/N with the same N.',
  )
}

/** The table was made with another model. */
export function calibrationStale(path?: string): ConvertError {
  return new ConvertError(
    'calibration-stale',
    'data',
    `the calibration table${path === undefined ? '' : ` "${path}"`} was made with another model`,
    at(path),
    'Calibrate this model: outeffhop-convert calibrate MODEL --data D -o TABLE.',
  )
}

/** Two tables cannot be put together. */
export function calibrationUnlike(what: string): ConvertError {
  return new ConvertError(
    'calibration-unlike',
    'data',
    `the calibration tables cannot be put together: one was made with ${what}`,
    {},
    'Give the same --data, --samples, --seed, --all, --method and --moments to every part.',
  )
}

/** No calibration table of that name, or it cannot be read. */
export function calibrationUnreadable(path: string, reason: string): ConvertError {
  return new ConvertError(
    'calibration-unreadable',
    'data',
    `the calibration table "${path}" cannot be read (${reason})`,
    { path },
    'Check the path.',
  )
}

/** A table of a later version of this program. */
export function calibrationVersion(path: string, version: unknown, known: number): ConvertError {
  return new ConvertError(
    'calibration-version',
    'data',
    `"${path}" is a calibration table of version ${version}, and this program reads version ${known}`,
    { path },
    'Use the program it was made with, or calibrate again.',
  )
}

/** A range is asked for that extremes do not tell. */
export function calibrationWithoutHistograms(value: string, method: string): ConvertError {
  return new ConvertError(
    'calibration-without-histograms',
    'data',
    `the calibration table has no histogram of "${value}", which the method "${method}" needs`,
    { value },
    'Calibrate again without --method min-max or moving-average.',
  )
}

/** A lock file that is none, or a damaged one. */
export function checkLockMalformed(path: string, what: string): ConvertError {
  return new ConvertError(
    'check-lock-malformed',
    'usage',
    `"${path}" is not a lock file of this program: ${what}`,
    { path },
    'Take it back from version control (after a merge, either side), then run check --update with the models.',
  )
}

/** Nothing was recorded yet. */
export function checkLockMissing(path: string, models: readonly string[]): ConvertError {
  const named = models.length === 0 ? 'MODEL' : models.join(' ')
  return new ConvertError(
    'check-lock-missing',
    'usage',
    `there is no lock file "${path}" to check against`,
    { path },
    `Record one, and commit it: outeffhop-convert check ${named} --update, with the options of your conversion.`,
  )
}

/** A lock file of a later version of this program. */
export function checkLockVersion(path: string, version: number, known: number): ConvertError {
  return new ConvertError(
    'check-lock-version',
    'usage',
    `"${path}" is a lock file of version ${version}, and this program reads version ${known}`,
    { path },
    'Use the version of outeffhop-convert that wrote it, or a later one.',
  )
}

/** A model without an entry in the lock file. */
export function checkModelUnknown(model: string, path: string, known: readonly string[]): ConvertError {
  return new ConvertError(
    'check-model-unknown',
    'usage',
    `"${model}" is not in "${path}", which has ${known.map((name) => `"${name}"`).join(', ') || 'no model'}`,
    { path },
    `Record it: outeffhop-convert check ${model} --update, with the options of its conversion.`,
  )
}

/** A function in the place of data. */
export function checkUnrecordable(option: string): ConvertError {
  return new ConvertError(
    'check-unrecordable',
    'usage',
    `the option "${option}" is a function, which a lock file cannot hold`,
    {},
    'Give it as plain data.',
  )
}

/** The second of two models needs an input that the first does not have. */
export function compareInputs(names: readonly string[]): ConvertError {
  return new ConvertError(
    'compare-inputs',
    'usage',
    `the second model needs ${names.map((name) => `"${name}"`).join(', ')}, which the first model has no input for`,
    {},
    'Compare models with the same inputs, and name the one with more of them first.',
  )
}

/** A tolerance is for an output that is not there. */
export function compareOutputUnknown(name: string, outputs: readonly string[]): ConvertError {
  return new ConvertError(
    'compare-output-unknown',
    'usage',
    `there is a tolerance for "${name}", which is no output of the first model`,
    {},
    `It has: ${outputs.map((output) => `"${output}"`).join(', ')}.`,
  )
}

/** A config file cannot be read, or gives no settings. */
export function configUnreadable(path: string, why: string, cause?: unknown): ConvertError {
  return new ConvertError(
    'config-unreadable',
    'usage',
    `the config file "${path}" cannot be read: ${why}`,
    { path },
    why.includes('TypeScript')
      ? 'Use Node 22.18 or later, install the package jiti, or write the file as outeffhop.config.mjs.'
      : 'It has one default export: an entry, a list of entries, or a function that gives them.',
    cause,
  )
}

/** The outputs of a converted model do not resemble those of the model it was made of, and nothing was quantized yet. */
export function conversionUnlike(cosine: number, least: number): ConvertError {
  return new ConvertError(
    'conversion-unlike',
    'checkFailed',
    `the converted model gives other outputs than its input before anything is quantized: cosine ${cosine.toFixed(4)}, and ${least} is the least`,
    {},
    'Its sinks take attention away: --sinks calibrated keeps the outputs of a model that was trained with softmax; --min-cosine accepts less. Nothing was written.',
  )
}

/** A sample cannot be used, and samples are not skipped. */
export function dataBadSample(id: string, reason: string): ConvertError {
  return new ConvertError(
    'data-bad-sample',
    'data',
    `sample "${id}" cannot be used: ${reason}`,
    {},
    'Repair or remove it, or leave bad samples out with --on-bad-sample skip.',
  )
}

/** Bytes of a data file that are not what its format says. */
export function dataDamaged(path: string, what: string): ConvertError {
  return new ConvertError(
    'data-damaged',
    'data',
    `"${path}" is damaged: ${what}`,
    { path },
    'Write the file again with the program it came from.',
  )
}

/** One input of a model beside what the data has for it. */
export interface DataMismatch {
  readonly input: string
  readonly sort: 'missing' | 'dtype' | 'shape' | 'other'
  readonly wanted: string
  readonly given: string
  readonly advice: string
}

/** The data has other element types than the inputs. */
export function dataDtype(from: string, rows: readonly DataMismatch[]): ConvertError {
  return new ConvertError(
    'data-dtype',
    'data',
    `"${from}" has other element types than the model:\n${mismatchTable(rows)}`,
    {},
    'Types are never converted silently: write the arrays with the types of the model.',
  )
}

/** A folder or file without a single sample. */
export function dataEmpty(path: string, what: string): ConvertError {
  return new ConvertError('data-empty', 'data', `"${path}" has no samples: ${what}`, { path }, 'Check the path.')
}

/** Pictures need a resolution and a normalisation that nobody has told. */
export function dataImageRecipe(path: string, missing: readonly string[]): ConvertError {
  return new ConvertError(
    'data-image-recipe',
    'data',
    `how the images in "${path}" become inputs is not declared: ${missing.join(', ')}`,
    { path },
    'Name the preprocessor_config.json with --image-config, or say it with --image-size, --image-mean, --image-std.',
  )
}

/** Inputs of the model that the data has nothing for. */
export function dataInputMissing(from: string, rows: readonly DataMismatch[]): ConvertError {
  return new ConvertError(
    'data-input-missing',
    'data',
    `"${from}" has nothing for some inputs of the model:\n${mismatchTable(rows)}`,
    {},
    'Every input needs data under its own name; outeffhop-convert inspect MODEL lists the inputs.',
  )
}

/** An input that is a sequence, a map or an optional. */
export function dataInputType(name: string): ConvertError {
  return new ConvertError(
    'data-input-type',
    'data',
    `input "${name}" is not a tensor, and only tensors can be fed`,
    { value: name },
    'Cut the model behind this input, or export it with tensors as inputs.',
  )
}

/** The data differs from the inputs in several ways. */
export function dataMismatch(from: string, rows: readonly DataMismatch[]): ConvertError {
  return new ConvertError(
    'data-mismatch',
    'data',
    `"${from}" does not fit the model:\n${mismatchTable(rows)}`,
    {},
    'The data has to have the names, types and shapes of the inputs; outeffhop-convert inspect MODEL lists them.',
  )
}

/** No file or folder of that name. */
export function dataMissing(path: string): ConvertError {
  return new ConvertError('data-missing', 'data', `"${path}" does not exist`, { path }, 'Check the path.')
}

/** A module that does not export samples. */
export function dataModule(path: string, what: string): ConvertError {
  return new ConvertError(
    'data-module',
    'data',
    `the module "${path}" ${what}`,
    { path },
    'Export an async generator function as default that yields { inputName: { dims, data } } or tensors.',
  )
}

/** Every sample was skipped. */
export function dataNoneLeft(from: string, skipped: number, first: string): ConvertError {
  return new ConvertError(
    'data-none-left',
    'data',
    `none of the ${skipped} samples of "${from}" can be used; the first: ${first}`,
    {},
    'This is hardly the data of this model: look at the first samples.',
  )
}

/** NaN or infinity in a float input. */
export function dataNotFinite(id: string, reason: string): ConvertError {
  return new ConvertError(
    'data-not-finite',
    'data',
    `sample "${id}" cannot be used: ${reason}`,
    {},
    'Such a value would spoil every range. Repair the data, or leave bad samples out with --on-bad-sample skip.',
  )
}

/** A package that only this kind of data needs is not installed. */
export function dataPackageMissing(name: string, what: string, cause?: unknown): ConvertError {
  return new ConvertError(
    'data-package',
    'data',
    `the package "${name}", which reads ${what}, is not installed`,
    {},
    `Install it: npm install ${name}`,
    cause,
  )
}

/** An array of Python objects. */
export function dataPickle(path: string, name: string): ConvertError {
  return new ConvertError(
    'data-pickle',
    'data',
    `array "${name}" of "${path}" holds Python objects (a pickle), which are never read`,
    { path },
    'Save arrays of numbers: rows of different lengths go into one .npz a sample, or into JSONL.',
  )
}

/** The data has other shapes than the inputs. */
export function dataShape(from: string, rows: readonly DataMismatch[]): ConvertError {
  return new ConvertError(
    'data-shape',
    'data',
    `"${from}" has other shapes than the model:\n${mismatchTable(rows)}`,
    {},
    'The leading axis is the samples; every other axis has to be that of the input.',
  )
}

/** A tensor has more or fewer bytes of data than its dims and type say. */
export function dataSize(name: string, bytes: number, expected: number, at: Place): ConvertError {
  return new ConvertError(
    'data-size',
    'model',
    `tensor "${name}" has ${bytes} bytes of data, but its dims and type need ${expected}`,
    { value: name, ...at },
    'The file is damaged, or what wrote it is at fault: fetch or export it again.',
  )
}

/** No inputs can be made up for this model. */
export function dataSynthetic(reason: string): ConvertError {
  return new ConvertError(
    'data-synthetic',
    'data',
    `no synthetic data can be made: ${reason}`,
    {},
    'Give real data with --data SOURCE.',
  )
}

/** Text without a tokenizer. */
export function dataTokenizer(path: string): ConvertError {
  return new ConvertError(
    'data-tokenizer',
    'data',
    `"${path}" is text, and there is no tokenizer.json to read it with`,
    { path },
    'Name the tokenizer.json of the model with --tokenizer FILE, or put it beside the text.',
  )
}

/** A file that is no tokenizer this program can use. */
export function dataTokenizerDamaged(path: string, what: string): ConvertError {
  return new ConvertError(
    'data-tokenizer-damaged',
    'data',
    `"${path}" is not a tokenizer that can be used: ${what}`,
    { path },
    'Fetch the tokenizer.json that belongs to the model.',
  )
}

/** A vocabulary of another size than the embedding table. */
export function dataTokenizerMismatch(path: string, tokens: number, input: string, rows: number): ConvertError {
  return new ConvertError(
    'data-tokenizer-mismatch',
    'data',
    `"${path}" is the tokenizer of another model: it has ${tokens} tokens, and the table behind "${input}" ${rows} rows`,
    { path, value: input },
    'Fetch the tokenizer.json that was published with this model.',
  )
}

/** A file that ends too early. */
export function dataTruncated(path: string, what: string): ConvertError {
  return new ConvertError(
    'data-truncated',
    'data',
    `"${path}" ends too early: ${what}`,
    { path },
    'The copy or download was broken off: fetch or write the file again.',
  )
}

/** A file or folder that is in no format this program reads. */
export function dataUnknown(path: string, what: string): ConvertError {
  return new ConvertError(
    'data-unknown',
    'data',
    `"${path}" is no data that can be read: ${what}`,
    { path },
    'Give .npz, .npy, .jsonl, .txt, .parquet or .safetensors, a folder of them or of images, or a .js module.',
  )
}

/** Something inside a known format that is not read. */
export function dataUnsupported(path: string, what: string): ConvertError {
  return new ConvertError(
    'data-unsupported',
    'data',
    `"${path}": ${what}`,
    { path },
    'Write plain numbers in tensor types, in samples below 2 GiB.',
  )
}

/** The folder for text files is a file, or in one. */
export function dumpIsFile(path: string): ConvertError {
  return new ConvertError(
    'dump-is-file',
    'output',
    `"${path}" is a file, and the text files of --dump need a folder`,
    { path },
    'Name a folder; one that does not exist is created.',
  )
}

/** A tensor was read whose data the text form of the model left out. */
export function elided(name: string): ConvertError {
  return new ConvertError(
    'elided',
    'model',
    `the data of tensor "${name}" is not in the text, which has "..." in its place`,
    { value: name },
    'Text leaves large weights out: use the original file, or give their elements with the `fill` option of parseModel.',
  )
}

/** What the model says about the place of external data is not what the format allows. */
export function externalMalformed(name: string, what: string, at: Place): ConvertError {
  return new ConvertError(
    'external-malformed',
    'model',
    `the external data of tensor "${name}" cannot be used: ${what}`,
    { value: name, ...at },
    'The model is damaged, or what wrote it is at fault: fetch or export it again.',
  )
}

/** The file with external data is not there. */
export function externalMissing(name: string, location: string, path: string): ConvertError {
  return new ConvertError(
    'external-missing',
    'model',
    `the data of tensor "${name}" is in "${location}", which is not beside the model`,
    { value: name, path },
    'Put the data file where the model is; it was downloaded or exported together with it.',
  )
}

/** External data that a model must not refer to: outside of its folder, behind a link, not a file. */
export function externalRefused(name: string, location: string, why: string): ConvertError {
  return new ConvertError(
    'external-refused',
    'model',
    `the data of tensor "${name}" is in "${location}", which ${why}`,
    { value: name },
    'A model may only refer to files in its own folder. If you trust it, copy the data file beside the model.',
  )
}

/** The data of a model given as bytes is in another file. */
export function externalWithoutFolder(name: string, location: string): ConvertError {
  return new ConvertError(
    'external-without-folder',
    'model',
    `the data of tensor "${name}" is in "${location}", but the model was given as bytes and has no folder`,
    { value: name },
    'Open the model by its path, or say where its data is with the `folder` option.',
  )
}

/** The user or the program asked to stop. */
export function interrupted(): ConvertError {
  return new ConvertError('interrupted', 'interrupted', 'interrupted; nothing was written')
}

/** cmake, the compiler or what they made ended with an error. */
export function kernelsBuildFailed(step: string, output: string): ConvertError {
  return new ConvertError(
    'kernels-build',
    'runtime',
    `the kernels could not be built: ${step} failed`,
    {},
    `It said:\n${output.trimEnd()}`,
  )
}

/** What was built is not what it should be on this machine. */
export function kernelsCheckFailed(what: string, output: string): ConvertError {
  return new ConvertError(
    'kernels-check',
    'runtime',
    `the kernels were built, but ${what}`,
    {},
    `Do not use them here, and report it with what was said:\n${output.trimEnd()}`,
  )
}

/** A header the build reads is nowhere. */
export function kernelsHeaderMissing(header: string, hint: string): ConvertError {
  return new ConvertError(
    'kernels-header',
    'runtime',
    `"${header}" was not found, which the kernels are built with`,
    {},
    hint,
  )
}

/** A program the build needs does not run. */
export function kernelsToolMissing(tool: string, hint: string): ConvertError {
  return new ConvertError('kernels-tool', 'runtime', `"${tool}" does not run, which builds the kernels`, {}, hint)
}

/** Weights can stay in the input file only when the new model is written beside it. */
export function linkOutside(input: string, folder: string): ConvertError {
  return new ConvertError(
    'link-outside',
    'output',
    `the weights in "${input}" cannot be referred to from a model in "${folder}"`,
    { path: input },
    'Write the new model into the folder of the input, or choose --external-data always, which copies the weights.',
  )
}

/** There is no file the weights could stay in. */
export function linkWithoutFile(): ConvertError {
  return new ConvertError(
    'link-without-file',
    'output',
    'weights can be left in place only when the model was opened from a file',
    {},
    'Choose another mode of external data.',
  )
}

/** The bytes are not a well-formed protobuf message of the expected kind. */
export function malformed(message: string, at: Place): ConvertError {
  return new ConvertError(
    'malformed',
    'model',
    at.path === undefined ? message : `"${at.path}" is damaged: ${message}`,
    at,
    'The file is damaged or not an ONNX model: fetch or export it again.',
  )
}

/** Weights or attributes are read after the model was closed. */
export function modelClosed(path: string): ConvertError {
  return new ConvertError(
    'model-closed',
    'model',
    `"${path}" is read after its model was closed`,
    { path },
    'Call closeModel when nothing of the model is needed any more.',
  )
}

/** The file is there but has no bytes. */
export function modelEmpty(path: string | undefined): ConvertError {
  return new ConvertError(
    'model-empty',
    'model',
    path === undefined ? 'the model has no bytes' : `"${path}" is empty`,
    path === undefined ? {} : { path },
    'The download or export was broken off: fetch or export the model again.',
  )
}

/** The path is a folder. */
export function modelIsFolder(path: string): ConvertError {
  return new ConvertError('model-is-folder', 'model', `"${path}" is a folder`, { path }, 'Name the .onnx file in it.')
}

/** No file of that name. */
export function modelMissing(path: string): ConvertError {
  return new ConvertError('model-missing', 'model', `"${path}" does not exist`, { path }, 'Check the path.')
}

/** The bytes are something else than an ONNX model; `what` says what they look like. */
export function modelNotOnnx(what: string, at: Place): ConvertError {
  return new ConvertError(
    'model-not-onnx',
    'model',
    at.path === undefined ? `this is not an ONNX model: ${what}` : `"${at.path}" is not an ONNX model: ${what}`,
    at,
    'Give a file that a framework exported as .onnx.',
  )
}

/** The file cannot be opened or read. */
export function modelUnreadable(path: string, cause: Error): ConvertError {
  return new ConvertError(
    'model-unreadable',
    'model',
    `"${path}" cannot be read: ${systemReason(cause)}`,
    { path },
    'Check that you may read the file.',
    cause,
  )
}

/** Nothing in the model can be converted, and it is not Softmax1 already. */
export function nothingToConvert(sites: number): ConvertError {
  return new ConvertError(
    'nothing-to-convert',
    'checkFailed',
    sites === 0 ? 'the model has no softmax and no attention operator' : 'no softmax of the model was converted',
    {},
    `${sites === 0 ? '' : 'The report says why. '}--allow-none makes this a success and writes an unchanged copy.`,
  )
}

/** The operators that a conversion is spelled with came with a later opset. */
export function opsetTooOld(opset: number, needed: number): ConvertError {
  return new ConvertError(
    'opset-too-old',
    'model',
    `the model is of opset ${opset}, and a conversion needs opset ${needed} or later`,
    {},
    "Export it again with a later opset, or raise it with the version converter of Python's onnx package.",
  )
}

/** An output exists and may not be replaced. */
export function outputExists(path: string): ConvertError {
  return new ConvertError(
    'output-exists',
    'output',
    `"${path}" exists already`,
    { path },
    'Choose another name with -o FILE, or replace it with --overwrite.',
  )
}

/** The folder an output should go to does not exist. */
export function outputFolderMissing(folder: string): ConvertError {
  return new ConvertError(
    'output-folder',
    'output',
    `the folder "${folder}" does not exist`,
    { path: folder },
    'Create it first, or choose another place with -o FILE.',
  )
}

/** The device or quota has no room left. */
export function outputFull(path: string, bytes: number): ConvertError {
  return new ConvertError(
    'output-full',
    'output',
    `there is no room for "${path}", which needs ${(bytes / 2 ** 20).toFixed(1)} MiB; nothing was left behind`,
    { path },
    'Free some space, or choose another place with -o FILE.',
  )
}

/** What should be the folder of an output is a file. */
export function outputInFile(folder: string): ConvertError {
  return new ConvertError(
    'output-in-file',
    'output',
    `"${folder}" is a file, and nothing can be written into it`,
    { path: folder },
    'Name a folder that exists: -o FOLDER/model.onnx.',
  )
}

/** The output names a folder. */
export function outputIsFolder(path: string): ConvertError {
  return new ConvertError(
    'output-is-folder',
    'output',
    `"${path}" is a folder`,
    { path },
    'Name the file to write: -o FOLDER/model.onnx.',
  )
}

/** The output is the input, which is never written to. */
export function outputIsInput(path: string): ConvertError {
  return new ConvertError(
    'output-is-input',
    'output',
    `the output "${path}" is the input, which is never changed`,
    { path },
    'Choose another name with -o FILE.',
  )
}

/** A pipe, a socket or a device, which a file would take the place of. */
export function outputNotFile(path: string): ConvertError {
  return new ConvertError(
    'output-not-file',
    'output',
    `"${path}" is a pipe, a socket or a device, and a model is written to a file`,
    { path },
    'Name a file: -o FOLDER/model.onnx.',
  )
}

/** The system refuses to write a file. */
export function outputNotWritable(path: string, cause: unknown): ConvertError {
  return new ConvertError(
    'output-refused',
    'output',
    `"${path}" cannot be written: ${systemReason(cause)}`,
    { path },
    'Check permissions and free space, or choose another place with -o FILE.',
    cause,
  )
}

/** One file of more than 2 GiB, which no runtime can parse. */
export function outputTooLarge(path: string | undefined, bytes: number): ConvertError {
  return new ConvertError(
    'output-too-large',
    'output',
    `the model would be one file of ${(bytes / 2 ** 30).toFixed(1)} GiB, and no runtime reads more than 2 GiB`,
    path === undefined ? {} : { path },
    'Keep the weights in a file of their own: --external-data auto or always.',
  )
}

/** No selection of products in float comes near enough to the input. */
export function quantizationDrop(drop: number, most: number): ConvertError {
  return new ConvertError(
    'quantization-drop',
    'checkFailed',
    `no choice of products in float brings 1 - cosine down to ${most}; with none of them it is ${drop.toPrecision(3)}`,
    {},
    'Embedding tables are quantized too; ask for less with a larger --max-drop. Nothing was written.',
  )
}

/** Nothing in a model could be quantized. */
export function quantizationNothing(products: number): ConvertError {
  return new ConvertError(
    'quantization-nothing',
    'checkFailed',
    products === 0 ? 'the model multiplies nothing with a weight' : 'nothing in the model was quantized',
    {},
    'Products with a weight and why each stays in float are in the report: --json.',
  )
}

/** A protocol quantizes values that were not observed. */
export function quantizationUncalibrated(count: number, value: string): ConvertError {
  const which = count === 1 ? `"${value}"` : `${count} values that are to be quantized, such as "${value}"`
  return new ConvertError(
    'quantization-uncalibrated',
    'data',
    `the calibration table has no range of ${which}`,
    { value },
    'Calibrate with --protocol outeffhop, or with --all.',
  )
}

/** The outputs of a quantized model do not resemble those of the model it was made of. */
export function quantizationUnlike(cosine: number, least: number, blame: string | undefined): ConvertError {
  return new ConvertError(
    'quantization-unlike',
    'checkFailed',
    `the quantized model gives other outputs than its input: cosine ${cosine.toFixed(4)}, and ${least} is the least`,
    blame === undefined ? {} : { node: blame },
    `${blame === undefined ? '' : `What "${blame}" reads loses most in 8 bits: try --keep-float "${blame}". `}More and other data may help; --min-cosine accepts less. Nothing was written.`,
  )
}

/** A message that there can be only one of is there twice. */
export function repeatedField(name: string, at: Place): ConvertError {
  return new ConvertError(
    'repeated-field',
    'model',
    `there is a second ${name} at byte ${at.offset}, where only one can be`,
    at,
    'The file is damaged, or two models were put one behind the other: fetch or export it again.',
  )
}

/** What a report was to be made of is nothing of this program, or broken. */
export function reportMalformed(path: string, what: string): ConvertError {
  return new ConvertError(
    'report-malformed',
    'usage',
    `no report can be made of "${path}": ${what}`,
    { path },
    'Give a model, a calibration table, or what a command printed with --json.',
  )
}

/** The original model runs on an input on which the converted one does not. */
export function runtimeBrokenModel(message: string, path: string): ConvertError {
  return new ConvertError(
    'runtime-broken',
    'runtime',
    message,
    { path },
    'This is a fault of outeffhop-convert or of the runtime; please report it. --only and --except narrow down the site.',
  )
}

/** The runtime's process ended by itself. */
export function runtimeCrashed(how: string, stderr: string): ConvertError {
  const lines = stderr.trim().split('\n')
  // Behind an exception Node names itself.
  const last = lines.findLast((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? ''
  return new ConvertError(
    'runtime-crashed',
    'runtime',
    `ONNX Runtime ended unexpectedly (${how})${last === '' ? '' : `: ${last}`}`,
    {},
    'It may have run out of memory. --no-verify leaves the check out.',
  )
}

/** ONNX Runtime loaded the model and fails on an input. */
export function runtimeRefusedInput(message: string, path: string | undefined): ConvertError {
  return new ConvertError('runtime-input', 'runtime', `ONNX Runtime could not run the model: ${message}`, at(path))
}

/** onnxruntime-node is not installed, or its native library cannot be loaded. */
export function runtimeMissing(reason?: string): ConvertError {
  return new ConvertError(
    'runtime-missing',
    'runtime',
    reason === undefined ? 'onnxruntime-node is not installed' : `onnxruntime-node cannot be loaded: ${reason}`,
    {},
    'Install it without its CUDA libraries: npm install onnxruntime-node --onnxruntime-node-install=skip',
  )
}

/** ONNX Runtime does not load the model. */
export function runtimeRefusedModel(message: string, path: string | undefined): ConvertError {
  return new ConvertError('runtime-model', 'runtime', `ONNX Runtime does not load the model: ${message}`, at(path))
}

/** Neither the model that was given nor its conversion loads. */
export function runtimeRefusesBoth(message: string, path: string): ConvertError {
  return new ConvertError(
    'runtime-neither',
    'runtime',
    `neither the model nor its conversion loads in ONNX Runtime here: ${message}`,
    { path },
    'It may need another execution provider or custom operators. --no-verify writes the conversion untried.',
  )
}

/** A call of the runtime took too long. */
export function runtimeTimedOut(milliseconds: number): ConvertError {
  return new ConvertError(
    'runtime-timeout',
    'runtime',
    `ONNX Runtime did not answer within ${milliseconds / 1000} seconds`,
    {},
    '--no-verify leaves the check out.',
  )
}

/** A tensor whose element type onnxruntime-node cannot take or give. */
export function runtimeUnsupportedType(name: string, type: string | undefined): ConvertError {
  return new ConvertError(
    'runtime-type',
    'runtime',
    `onnxruntime-node has no tensors of type ${type ?? 'unknown'}, which "${name}" has`,
    { value: name },
  )
}

/** Settings of the environment or of a config file that mean nothing; all of them at once. */
export function settingsWrong(faults: readonly string[]): ConvertError {
  return new ConvertError(
    'settings-wrong',
    'usage',
    faults.join('; '),
    {},
    'The keys of a config file are the flags in camel case: --max-change is maxChange.',
  )
}

/** Softmax1 would change heads of a model that was trained with softmax: by site, the heads with their mean factor. */
export function sinkDrift(
  sites: readonly { readonly node: string; readonly heads: readonly (readonly [head: number, gate: number])[] }[],
  least: number,
): ConvertError {
  const heads = sites.reduce((sum, site) => sum + site.heads.length, 0)
  const lines = sites.map(
    ({ node, heads }) => `\n  "${node}": ${heads.map(([head, gate]) => `head ${head} ${gate.toFixed(3)}`).join(', ')}`,
  )
  return new ConvertError(
    'sink-drift',
    'checkFailed',
    `${heads === 1 ? '1 head keeps' : `${heads} heads keep`} less than ${least} of the output in the mean:${lines.join('')}`,
    { node: sites[0]?.node ?? '' },
    '--sinks calibrated gives every head a sink that keeps its output; --accept-drift converts all the same.',
  )
}

/** Sinks per head were asked for where the heads are not known, or are another number. */
export function sinkHeads(node: string, given: number, heads: number | undefined): ConvertError {
  return new ConvertError(
    'sink-heads',
    'usage',
    `"${node}" was given ${given} sinks, one per head, but ${heads === undefined ? 'where its heads are is not known' : `it has ${heads} heads`}`,
    { node },
    'Give one sink for all heads of this site.',
  )
}

/** Sites that the calibration says nothing of, and why: it goes on a sentence that begins with their name. */
export function sinkUnobserved(sites: readonly { readonly node: string; readonly why: string }[]): ConvertError {
  const [first] = sites
  const lines = sites.map(({ node, why }) => `\n  "${node}" ${why}`)
  return new ConvertError(
    'sink-unobserved',
    'checkFailed',
    `the rows of ${sites.length === 1 ? '1 site were' : `${sites.length} sites were`} not observed, so there is no calibrated sink for ${sites.length === 1 ? 'it' : 'them'}:${lines.join('')}`,
    { node: first?.node ?? '' },
    'Give data that reaches them, leave them out with --except, or give a number with --sinks.',
  )
}

/** Calibrated sinks without anything to calibrate them by. */
export function sinkWithoutCalibration(): ConvertError {
  return new ConvertError(
    'sink-without-calibration',
    'usage',
    'calibrated sinks need a calibration table or data',
    {},
    'Name a table with --calibration TABLE, or data with --data SOURCE.',
  )
}

/** Attention is left that is not Softmax1. */
export function siteLeft(names: readonly string[]): ConvertError {
  const [first = '', ...more] = names
  return new ConvertError(
    'site-left',
    'checkFailed',
    `"${first}" ${more.length > 0 ? `and ${more.length} more sites are` : 'is'} not converted, and --require-all was given`,
    { node: first },
    'The report says why. --convert NAME converts a site that needs review.',
  )
}

/** The file behind an open model was replaced or written to. */
export function sourceChanged(path: string): ConvertError {
  return new ConvertError(
    'source-changed',
    'model',
    `"${path}" changed while it was in use`,
    { path },
    'Wait until whatever writes the file is done, then run again.',
  )
}

/** Text that is not ONNX's textual syntax. */
export function textSyntax(
  message: string,
  at: Place & { readonly line: number; readonly column: number; readonly context: string },
): ConvertError {
  const { line, column, context, ...place } = at
  return new ConvertError(
    'text-syntax',
    'model',
    `line ${line}, column ${column}: ${message}, in "${context}"`,
    place,
    'The syntax is described in https://github.com/onnx/onnx/blob/main/docs/Syntax.md.',
  )
}

/** Messages inside messages beyond what any ONNX reader accepts. */
export function tooDeep(at: Place): ConvertError {
  return new ConvertError(
    'too-deep',
    'model',
    `messages are nested more than 100 levels deep at byte ${at.offset}`,
    at,
    'No ONNX runtime loads such a model. Export it with fewer graphs inside each other.',
  )
}

/** An option has a value it cannot have. */
export function usage(message: string, hint?: string): ConvertError {
  return new ConvertError('usage', 'usage', message, {}, hint)
}

/** An option that does not exist. */
export function optionUnknown(name: string, known: readonly string[]): ConvertError {
  const hint = `There are: ${known.join(', ')}.`
  return new ConvertError('usage', 'usage', `there is no option "${name}"`, {}, hint)
}

/** An option whose value is of another kind; both in words. */
export function optionWrong(name: string, what: string, given: string): ConvertError {
  return new ConvertError('usage', 'usage', `the option "${name}" is ${what}, not ${given}`)
}

function at(path: string | undefined): Place {
  return path === undefined ? {} : { path }
}

/** Inputs under each other: what the model wants, what the data has, what to do. */
function mismatchTable(rows: readonly DataMismatch[]): string {
  const cells = [
    ['input', 'the model wants', 'the data has', ''],
    ...rows.map(({ input, wanted, given, advice }) => [input, wanted, given, advice]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd()).join('\n')
}

const systemReasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EBUSY: 'another program uses it',
  EFBIG: 'the file system has no files of that size',
  EIO: 'the device reports a fault',
  EMFILE: 'too many files are open',
  ENAMETOOLONG: 'the name is too long',
  ENOENT: 'the system creates no file there',
  ENOTDIR: 'part of the path is a file',
  EPERM: 'the system does not permit it',
  EROFS: 'the file system is read-only',
}

/** What an error of the system says, in words where its code is a known one. */
function systemReason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code
  const words = code === undefined ? undefined : systemReasons[code]
  return words === undefined ? (cause instanceof Error ? cause.message : String(cause)) : `${words} (${code})`
}
